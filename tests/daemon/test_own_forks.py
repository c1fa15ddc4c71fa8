"""A recorder that is brought proof that its own key signed two histories: it says so, over restarts, and goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.cli import run
from recorder.client import Recorder
from recorder.core.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from recorder.core.forks import CLAIM, ForkProof
from recorder.core.keys import SeedSigner
from recorder.core.kinds import Kind
from recorder.core.note import parse_note
from recorder.daemon import identity
from recorder.store.layout import FORKED
from tests.running import Running, make_state, wait_until

THIEF = SeedSigner(bytes([9]) * 32)


def proof(of: Checkpoint, by: SeedSigner, origin: str | None = None) -> bytes:
    """Two heads of one size."""
    heads = [Checkpoint(origin or of.origin, of.size, root) for root in (bytes(32), of.root)]
    first, second = (sign_checkpoint(one, by).encode() for one in heads)
    return ForkProof(first, second).encode()


def test_it_is_said_until_a_person_acts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only what this platform's own key signed counts; a log that is known to be forked is not noted twice."""
    state = make_state(tmp_path / "s", append='["mark", "evidence"]')
    own = identity.load(state)
    with Running(state) as running, Recorder(running.socket, timeout_ms=60_000) as client:
        head = parse_checkpoint(parse_note(client.checkpoint()).text)
        before = f"{head.origin.rpartition('/')[0]}/{'0' * 16}"
        others = [b"no proof", proof(head, THIEF), proof(head, own, "acme/arm-9/0123456789abcdef")]
        ours = [proof(head, own), proof(head, own), proof(head, own, before)]
        seqs = [client.append(Kind.EVIDENCE, body={CLAIM: text}).seq for text in (*others, *ours)]
        wait_until(lambda: len(client.status()["forked"]) == 2)  # the last one that came
        expected = [(head.origin, seqs[3]), (before, seqs[5])]
        assert [(one["origin"], one["seq"]) for one in client.status()["forked"]] == expected
        assert client.append(Kind.MARK, body={"label": "on"}).durable
    with Running(state):
        capsys.readouterr()
        assert run(["status", "--state", str(state)]) == 0
        assert capsys.readouterr().out.count("FORKED       this platform's identity key signed two histories of") == 2
        assert run(["doctor", "--state", str(state)]) == 1
        assert f"two histories of {before} (proof: entry {seqs[5]} of {head.origin})" in capsys.readouterr().out
    (state / FORKED).write_text("not what it wrote\nthree words here\n")
    with Running(state) as running, Recorder(running.socket, timeout_ms=60_000) as client:
        assert client.status()["forked"] == []
