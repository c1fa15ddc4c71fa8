"""Proofs that a log has two histories, or a platform two lines of logs, a file each; they need nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mesh.fleetlist import FleetList
from mesh.node.places import DamagedError
from recorder.core.errors import FormatError
from recorder.core.forks import Fork
from recorder.core.proofs import parse_proof, verify_proof
from recorder.core.splits import Split


def count_forks(directory: Path) -> int:
    """How many proofs are kept."""
    return len(fork_files(directory))


def fork_files(directory: Path) -> list[Path]:
    """The files of proofs, without any that is being written."""
    return sorted(path for path in directory.iterdir() if not path.suffix) if directory.is_dir() else []


def forks_in(directory: Path, fleet: FleetList) -> Iterator[tuple[Path, Fork | Split]]:
    """Each proof that is kept, checked again.

    Raises:
        DamagedError: one is none, or its log is no longer in the fleet list.

    """
    for path in fork_files(directory):
        try:
            yield path, verify_proof(parse_proof(path.read_bytes()), fleet.trust, fleet.foreign)
        except FormatError as error:
            raise DamagedError(f"{path} proves nothing: {error}") from None
