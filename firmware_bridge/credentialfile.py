"""The credential of the actuator's device in the bridge's state: whose key is expected at the other end of the line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from firmware_bridge.places import CREDENTIAL, HOLDER, BridgeError
from recorder.core import credential
from recorder.core.credential import Credential
from recorder.core.errors import FormatError
from recorder.core.scope import ANY
from recorder.store.layout import StateLock, replace_file

ROLE = "actuator"


def read_credential(state: Path) -> Credential:
    """Read it; whether it holds, whoever verifies says.

    Raises:
        BridgeError: there is none, or it is of another role.

    """
    path = state / CREDENTIAL
    try:
        held = credential.read(path.read_bytes())
    except FileNotFoundError:
        raise BridgeError(f"{path} is missing; `lineage bridge enroll --state {state}` brings it") from None
    except (OSError, FormatError) as error:
        raise BridgeError(f"cannot read {path}: {error}") from error
    check_role(held)
    return held


def bring(state: Path, held: Credential, actuators: Sequence[str]) -> None:
    """Expect the device with this credential from now on.

    Raises:
        BridgeError: it is of another role, or of other actuators.

    """
    check_role(held)
    named = held.terms.scope.actuators
    if lacking := [name for name in actuators if named != ANY and name not in named]:
        raise BridgeError(f"the credential of {held.terms.subject} is not for {', '.join(lacking)}")
    lock = StateLock(state, HOLDER)
    try:
        replace_file(state / CREDENTIAL, held.signed.raw, 0o644)
    finally:
        lock.close()


def check_role(held: Credential) -> None:
    """Refuse a credential that no actuator has.

    Raises:
        BridgeError: naming its role.

    """
    if held.terms.role != ROLE:
        raise BridgeError(f"the credential of {held.terms.subject} is of role {held.terms.role}, not {ROLE}")
