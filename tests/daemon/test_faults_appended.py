"""Faults that others than the recorder append: a bridge's own, and in nobody else's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.client import NotRecorded, Recorder
from recorder.core.entry import decode
from recorder.core.kinds import Kind
from tests.running import Running, make_state, records_of

SAID = ["bridge", ["/dev/ttyUSB0", "noise", "3 frames of 90 bytes are none"]]


def test_a_bridges_fault(tmp_path: Path) -> None:
    """It stands as it was said; what the recorder alone may say is refused, and so is who was not permitted."""
    with Running(make_state(tmp_path / "s", append='["fault"]')) as running:
        with Recorder(running.socket, timeout_ms=60_000) as client:
            told = client.append(Kind.FAULT, control=SAID)
            for name in ("disk_space", "store_full", "claims_erased", "refusals_repeated", "Bridge"):
                with pytest.raises(NotRecorded, match="not_permitted"):
                    client.append(Kind.FAULT, control=[name, []])
        assert running.stop() == 0
    assert told.seq is not None
    header = decode(records_of(running.state)[told.seq][0]).header
    assert (header.kind, list(header.control)) == (Kind.FAULT, SAID)
    with (
        Running(make_state(tmp_path / "t")) as running,
        Recorder(running.socket, timeout_ms=60_000) as client,
        pytest.raises(NotRecorded, match="may not append entries of kind 16"),
    ):
        client.append(Kind.FAULT, control=SAID)
