"""The states of a link and all that moves it from one to another, in one table (PROTOCOL.md section 2)."""

from __future__ import annotations

from enum import Enum

from recorder.core.errors import Impossible


class State(Enum):
    """Where a link is."""

    SHUT = "shut"  # no port
    CALLING = "calling"  # hellos go out, nothing is believed
    UP = "up"  # the device has shown its key for this session


class Move(Enum):
    """What happens to a link as a whole."""

    OPENED = "opened"  # the port is there
    CLOSED = "closed"  # the cable was pulled, or the port failed
    SHOWN = "shown"  # the expected key signed our nonce
    WRONG = "wrong"  # another key, a signature that does not hold, a boot that was used before
    REBOOTED = "rebooted"  # the device has begun anew
    SILENT = "silent"  # nothing that could be read for too long
    BROKEN = "broken"  # signed or chained frames that do not hold together


_TABLE: dict[tuple[State, Move], State] = {
    (State.SHUT, Move.OPENED): State.CALLING,
    (State.CALLING, Move.CLOSED): State.SHUT,
    (State.CALLING, Move.SHOWN): State.UP,
    (State.CALLING, Move.WRONG): State.CALLING,
    (State.CALLING, Move.REBOOTED): State.CALLING,
    (State.CALLING, Move.SILENT): State.CALLING,
    (State.UP, Move.CLOSED): State.SHUT,
    (State.UP, Move.REBOOTED): State.CALLING,
    (State.UP, Move.SILENT): State.CALLING,
    (State.UP, Move.BROKEN): State.CALLING,
}


def after(state: State, move: Move) -> State:
    """The state that a move leads to.

    Raises:
        Impossible: the move does not exist in this state.

    """
    try:
        return _TABLE[state, move]
    except KeyError:
        raise Impossible(f"a link that is {state.value} cannot be {move.value}") from None
