"""How much no evidence covers: counted, kept over restarts, and warned of where there is a mesh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recorder.cli import run
from recorder.client import Recorder, Refused
from recorder.client.errors import NotRecorded
from recorder.core import cbor, peerheads
from recorder.core.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from recorder.core.cosignature import CLAIM, cosign
from recorder.core.entry import decode
from recorder.core.keys import SeedSigner
from recorder.core.kinds import Kind
from recorder.core.note import Note, parse_note
from recorder.daemon import identity
from recorder.writer.uncovered import Uncovered
from tests.running import Running, lineage_of, make_state, records_of, wait_until

WITNESS = SeedSigner(bytes([7]) * 32)
APPEND = '["mark", "evidence", "observation"]'


def made(tmp_path: Path, more: str) -> Path:
    return make_state(tmp_path / "s", append=APPEND, more=more)


def cosigned(note: bytes) -> bytes:
    parsed = parse_note(note)
    line = cosign(parse_checkpoint(parsed.text), "arm-9", WITNESS, 1_700_000_000)
    return Note(parsed.text, (*parsed.signatures, line)).encode()


def unwitnessed(client: Recorder) -> dict[str, Any]:
    found: dict[str, Any] = client.status()["unwitnessed"]
    return found


def mark(client: Recorder, count: int) -> None:
    for _ in range(count):
        client.append(Kind.MARK, body={"label": "test"})


def test_what_no_evidence_covers_is_counted(tmp_path: Path) -> None:
    """Entries since the cosigned checkpoint; the evidence itself and peers' heads call for no witness."""
    state = made(tmp_path, "mesh = true")
    with Running(state) as running, Recorder(running.socket, timeout_ms=60_000) as client:
        mark(client, 3)
        assert unwitnessed(client)["entries"] == 5, "boot, policy and marks"
        note = client.checkpoint()
        mark(client, 2)
        client.append(Kind.EVIDENCE, body={CLAIM: cosigned(note)})
        client.append(Kind.OBSERVATION, body={peerheads.CLAIM: [b"a head of a peer"]})
        found = unwitnessed(client)
        assert (found["covered"], found["entries"]) == (5, 2)
        client.append(Kind.EVIDENCE, body={CLAIM: cosigned(client.checkpoint())})
        found = unwitnessed(client)
        assert (found["covered"], found["entries"], found["seconds"]) == (9, 0, 0.0)
        assert not found["is_over"]


def test_it_survives_restarts(tmp_path: Path) -> None:
    """By kill as well: only what the start itself records is new."""
    state = made(tmp_path, "mesh = true")
    with Running(state) as running:
        with Recorder(running.socket, timeout_ms=60_000) as client:
            mark(client, 3)
            client.append(Kind.EVIDENCE, body={CLAIM: cosigned(client.checkpoint())})
        with Recorder(running.socket, timeout_ms=60_000) as client:
            covered = unwitnessed(client)["covered"]
        wait_until(lambda: _kept_size(state) == covered)
        running.kill()
        running.restart()
        with Recorder(running.socket, timeout_ms=60_000) as client:
            found = unwitnessed(client)
        assert (found["covered"], found["entries"]) == (5, 2)
        assert running.stop() == 0


def _kept_size(state: Path) -> int:
    kept = cbor.decode(next(state.glob("lineages/*/covered")).read_bytes())
    assert isinstance(kept, list)
    size = kept[1]
    assert isinstance(size, int)
    return size


@pytest.mark.parametrize("kind", ["not cosigned", "another log", "another key", "no note"])
def test_other_evidence_covers_nothing(tmp_path: Path, kind: str) -> None:
    """A checkpoint that nobody cosigned, one of another log, one that our key did not sign."""
    state = made(tmp_path, "mesh = true")
    with Running(state) as running, Recorder(running.socket, timeout_ms=60_000) as client:
        note = client.checkpoint()
        head = parse_checkpoint(parse_note(note).text)
        other = Checkpoint("acme/arm-8/0123456789abcdef", 2, bytes(32))
        evidence = {
            "not cosigned": note,
            "another log": cosigned(sign_checkpoint(other, identity.load(state)).encode()),
            "another key": cosigned(sign_checkpoint(head, WITNESS).encode()),
            "no note": b"nonsense",
        }[kind]
        client.append(Kind.EVIDENCE, body={CLAIM: evidence})
        assert unwitnessed(client)["covered"] == 0


@pytest.mark.parametrize(
    ("bound", "is_over"), [("warn_entries = 4", True), ("warn_entries = 5", False), ("warn_s = 0", True)]
)
def test_more_than_the_bound_warns(
    tmp_path: Path, bound: str, is_over: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """In `status` and in `doctor`, by entries or by seconds."""
    state = made(tmp_path, f"mesh = true\n[witnesses]\n{bound}")
    with Running(state) as running:
        with Recorder(running.socket, timeout_ms=60_000) as client:
            mark(client, 3)
            if bound.startswith("warn_s"):
                wait_until(lambda: unwitnessed(client)["seconds"] > 0)
            assert unwitnessed(client)["is_over"] is is_over
        assert run(["status", "--state", str(state)]) == 0
        assert ("no witness vouches for the last 5 entries" in capsys.readouterr().out) is is_over
        run(["doctor", "--state", str(state)])
        assert ("no witness vouches for the last 5 entries" in capsys.readouterr().out) is is_over
        assert running.stop() == 0


def test_without_a_mesh_nothing_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody is configured as the mesh and nothing was ever cosigned."""
    state = make_state(tmp_path / "s", more="[witnesses]\nwarn_entries = 0")
    with Running(state) as running:
        with Recorder(running.socket, timeout_ms=60_000) as client:
            mark(client, 3)
            assert not unwitnessed(client)["is_over"]
        assert run(["status", "--state", str(state)]) == 0
        assert "witness" not in capsys.readouterr().out
        assert running.stop() == 0


def test_a_malformed_claim_of_peers_heads_is_refused(tmp_path: Path) -> None:
    """Before it is recorded: no reader could read it."""
    state = made(tmp_path, "mesh = true")
    with Running(state) as running, Recorder(running.socket, timeout_ms=60_000) as client:
        for wrong in ([], [b"x" * 5000], ["text"], b"x", [b"x"] * 65):
            with pytest.raises((NotRecorded, Refused), match="peer_heads_malformed"):
                client.append(Kind.OBSERVATION, body={peerheads.CLAIM: wrong})


def test_seconds_begin_with_the_first_entry_that_is_not_covered() -> None:
    """Not with the evidence before it: a platform that was at rest for a week has not been uncovered for a week."""
    uncovered = Uncovered("acme/arm-7/0123456789abcdef", WITNESS.public_key)
    since = []
    for size, covered, now_ns in ((0, 0, 100), (2, 0, 200), (3, 0, 300), (3, 3, 400), (4, 3, 500)):
        uncovered.size = covered
        uncovered.tick(size, now_ns)
        since.append(uncovered.since_utc_ns)
    assert since == [None, 200, 200, None, 500]


def test_where_witnesses_stand_is_named_by_the_next_incarnation(tmp_path: Path) -> None:
    """A witness holds what evidence covers, not the checkpoint of the last stop: it has to find its own head."""
    state = made(tmp_path, "mesh = true")
    with Running(state) as running:
        with Recorder(running.socket, timeout_ms=60_000) as client:
            mark(client, 3)
            head = parse_checkpoint(parse_note(client.checkpoint()).text)
            client.append(Kind.EVIDENCE, body={CLAIM: cosigned(client.checkpoint())})
            mark(client, 3)
        wait_until(lambda: _kept_size(state) == head.size)
        assert running.stop() == 0
    lineage = lineage_of(state)
    with (lineage / "segments" / "00000001" / "data.mdb").open("r+b") as file:
        file.write(bytes(64 * 1024))
    assert run(["recover", "--state", str(state), "--yes"]) == 0
    control: Any = decode(records_of(state)[0][0]).header.control
    assert [(one[0], one[1]) for one in control[4]] == [(head.origin, head.size), (head.origin, head.size + 5)]
    assert control[4][0][2] == head.root
