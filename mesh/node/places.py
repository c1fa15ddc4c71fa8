"""Names below the mesh's state directory, and its errors.

STATE/mesh.toml          configuration
STATE/witness.key        0600: cosigns
STATE/mesh.key           0600: signs digests
STATE/run                how often the process was started, as digests number it
STATE/trust              the device's own trust file: whose fleet lists count (core.trust, `root` lines)
STATE/fleet              the fleet list as it was brought here; read at start and at SIGHUP
STATE/fleet.held         the one in force: its version never falls
STATE/standings/HASH     what this witness holds of one platform or foreign log
STATE/boots/HASH         how an incarnation begins that this witness followed
STATE/logs/ORIGIN/       tree of the own log: tiles, and a file `tree` with what is partial
STATE/archives/HASH/     what is kept of a peer's log: tiles, and a file `state` that counts them
STATE/forks/HASH         proofs that a log has two histories, or a platform two lines of logs
STATE/forks.logged       logs of which a proof was recorded in our own
STATE/status.json        how the process does
STATE/lock               held (flock) by the one process that may write
"""

from __future__ import annotations

from recorder.core.errors import LineageError

CONFIG = "mesh.toml"
WITNESS_KEY = "witness.key"
MESH_KEY = "mesh.key"
RUN = "run"
TRUST = "trust"
FLEET = "fleet"
FLEET_HELD = "fleet.held"
STANDINGS = "standings"
LOGS = "logs"
ARCHIVES = "archives"
BOOTS = "boots"
FORKS = "forks"
FORKS_LOGGED = "forks.logged"
COMMAND = "lineage mesh run"  # the process that has the directory
HOLDER = f"a running `{COMMAND}`; stop it first"


class MeshError(LineageError):
    """The mesh cannot work as it is; the message says why and what to do."""


class DamagedError(MeshError):
    """What is kept here is not what was written; the message names the file."""


class NotKeptError(MeshError):
    """It was jumped over, dropped, or never seen: another peer may have it."""


class NoAddressError(MeshError):
    """An address or port to listen on is not to be had now; it may be in a while, as where an interface is to come."""


class StoreFailedError(MeshError):
    """What was to be answered could not be made durable first, so it is not answered; a later attempt may succeed."""
