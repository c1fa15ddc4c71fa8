"""Names below a bridge's state directory, and its errors.

STATE/bridge.toml        configuration
STATE/credential         of the actuator's device, as an authority issued it
STATE/sessions.json      the recorder's sessions of the last process: resuming them ends what it had under way
STATE/front.json         how far the lineage was with the device, and where to read on: a shortcut
STATE/status.json        how the process does
STATE/lock               held (flock) by the one process that may run
"""

from __future__ import annotations

from recorder.core.errors import LineageError

CONFIG = "bridge.toml"
CREDENTIAL = "credential"
SESSIONS = "sessions.json"
FRONT = "front.json"
COMMAND = "lineage bridge run"  # the process that has the directory
HOLDER = f"a running `{COMMAND}`; stop it first"


class BridgeError(LineageError):
    """The bridge cannot work as it is; the message says why and what to do."""


class DamagedError(BridgeError):
    """The recorder cannot read entries that were asked for."""


class AnewError(LineageError):
    """What this process knows no longer holds (another log): it ends, and a service manager starts it again."""
