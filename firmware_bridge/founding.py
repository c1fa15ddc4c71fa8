"""`lineage bridge init`: a state directory with its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from firmware_bridge.config import parse, text_of
from firmware_bridge.places import CONFIG, HOLDER, BridgeError
from recorder.store.layout import StateLock, replace_file


def found(state: Path, actuators: Sequence[str], baud: int) -> None:
    """Make it.

    Raises:
        BridgeError: one is there already, or a value that the configuration does not take.

    """
    text = text_of(actuators, baud)
    parse(text, state / CONFIG)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = StateLock(state, HOLDER)
    try:
        if (state / CONFIG).exists():
            raise BridgeError(f"{state / CONFIG} is there already; choose another directory")
        replace_file(state / CONFIG, text.encode(), 0o644)
    finally:
        lock.close()
