"""Proofs that a log has two histories, a file each; they need nothing else to convict."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from mesh.fleetlist import FleetList
from mesh.node.places import DamagedError
from recorder.core.errors import FormatError
from recorder.core.forks import Fork, ForkProof, parse_fork, verify_fork
from recorder.store.layout import replace_file

FORKS_MAX = 1_000  # two notes each; whoever sees as many has seen enough


def keep_fork(directory: Path, proof: ForkProof) -> bool:
    """Keep a proof durably; whether it is new and there was room. Raises OSError."""
    directory.mkdir(mode=0o700, exist_ok=True)
    text = proof.encode()
    path = directory / sha256(text).hexdigest()
    if path.exists() or count_forks(directory) >= FORKS_MAX:
        return False
    replace_file(path, text, 0o600)
    return True


def count_forks(directory: Path) -> int:
    """How many proofs are kept."""
    return sum(1 for _ in directory.iterdir()) if directory.is_dir() else 0


def forks_in(directory: Path, fleet: FleetList) -> Iterator[tuple[Path, Fork]]:
    """Each proof that is kept, checked again.

    Raises:
        DamagedError: one is none, or its log is no longer in the fleet list.

    """
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        try:
            yield path, verify_fork(parse_fork(path.read_bytes()), fleet.trust, fleet.foreign)
        except FormatError as error:
            raise DamagedError(f"{path} proves no fork: {error}") from None
