"""A mesh of one process: it names witnesses, whose keys it has, and records what they sign."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Self

from mesh.submission import with_cosignatures
from recorder.client import Recorder
from recorder.core.checkpoint import parse_checkpoint
from recorder.core.chosen import Candidate, Own
from recorder.core.cosignature import CLAIM, cosign
from recorder.core.keys import SeedSigner
from recorder.core.kinds import Kind
from recorder.core.messages import Status, Verb
from recorder.core.note import parse_note
from tests.daemon.raw import Raw

SIGNERS = {name: SeedSigner(sha256(name.encode()).digest()) for name in ("arm-8", "arm-9", "arm-10")}
OWN = Own("arm-7", "acme")
NOW_S = 1_900_000_000


def candidates(names: Sequence[str] = tuple(SIGNERS)) -> list[Candidate]:
    return [Candidate(name, SIGNERS[name].public_key, f"operator of {name}") for name in names]


class Mesh:
    """Two connections: one names, the other records; nobody is named when the first one is closed."""

    def __init__(self, socket: Path, names: Sequence[str] = tuple(SIGNERS)) -> None:
        self.naming = Raw(socket)
        self.recorder = Recorder(socket, timeout_ms=60_000)
        self.name(names)

    def name(self, names: Sequence[str]) -> None:
        told = self.naming.ask(Verb.WITNESSES, [list(one) for one in candidates(names)], list(OWN))
        assert told == (Status.OK, len(names))

    def sign(self, *names: str, note: bytes | None = None) -> int:
        """Have these cosign the log as it is; seq of the evidence."""
        note = note or self.recorder.checkpoint()
        head = parse_checkpoint(parse_note(note).text)
        lines = [cosign(head, name, SIGNERS[name], NOW_S) for name in names]
        return self.bring(with_cosignatures(note, lines))

    def bring(self, note: bytes) -> int:
        seq = self.recorder.append(Kind.EVIDENCE, body={CLAIM: note}).seq
        assert seq is not None
        return seq

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.naming.close()
        self.recorder.close()
