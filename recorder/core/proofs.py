"""Proofs that a platform's own key contradicts itself, of either kind: told apart by their first line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from recorder.core.forks import Fork, ForkProof, parse_fork, verify_fork
from recorder.core.note import VerifierKey
from recorder.core.splits import MAGIC as SPLIT_MAGIC
from recorder.core.splits import Split, SplitProof, parse_split, verify_split
from recorder.core.trust import Trust

Proof: TypeAlias = ForkProof | SplitProof


def parse_proof(text: bytes) -> Proof:
    """Parse a proof of a fork or of a split; raises FormatError as their own parsers do."""
    return parse_split(text) if text.startswith(SPLIT_MAGIC.encode()) else parse_fork(text)


def verify_proof(proof: Proof, trust: Trust, foreign: Mapping[str, VerifierKey] | None = None) -> Fork | Split:
    """Verify a proof off line; arguments and errors are those of `verify_fork` and `verify_split`."""
    return verify_split(proof, trust) if isinstance(proof, SplitProof) else verify_fork(proof, trust, foreign)
