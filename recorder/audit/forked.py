"""Proofs of forks and splits, brought by the verifier or held as evidence: on what they bear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from recorder.core.checkpoint import OpenedCheckpoint
from recorder.core.errors import FormatError
from recorder.core.findings import Problem, problem
from recorder.core.forks import Fork, origin_of, seen_by, verify_fork_under
from recorder.core.note import ED25519, VerifierKey
from recorder.core.proofs import parse_proof
from recorder.core.shownfork import Bearing, ForkHead, Seen, ShownFork
from recorder.core.splits import SplitProof, verify_split_under
from recorder.core.trust import Trust


class BroughtFork(NamedTuple):
    """A proof as it came."""

    place: str  # the file, or the entry
    text: bytes


class Judged(NamedTuple):
    """What proofs show under the keys that are known here."""

    shown: list[ShownFork]
    problems: list[Problem]  # of this log
    notes: list[bytes]  # heads that this log's own key signed


def judge_forks(origin: str, identity: bytes | None, trust: Trust | None, brought: Sequence[BroughtFork]) -> Judged:
    """Check each proof, and say whether it is about this log.

    Args:
        origin: of the lineage that is verified.
        identity: its identity key, pinned or its own word; None where none is known.
        trust: names other logs, and witnesses.
        brought: proofs; what cannot be read or does not hold is shown as proving nothing.

    """
    judged = Judged([], [], [])
    for one in brought:
        try:
            proof = parse_proof(one.text)
        except FormatError as error:
            judged.shown.append(ShownFork(one.place, None, "proves_nothing", str(error)))
            continue
        if isinstance(proof, SplitProof):
            judged.shown.append(_split(one.place, proof, origin, identity, trust))
            continue
        about = origin_of(proof)
        key, bearing = _key_for(about, origin, identity, trust)
        if key is None:
            detail = f"fork_origin: nobody here is trusted to speak for {about!r}"
            judged.shown.append(ShownFork(one.place, about, "unknown_log", detail))
            continue
        try:
            fork = verify_fork_under(proof, key, () if trust is None else trust.witnesses.values())
        except FormatError as error:
            judged.shown.append(ShownFork(one.place, about, "proves_nothing", str(error)))
            continue
        heads = [_shown(fork.first), _shown(fork.second)]
        judged.shown.append(ShownFork(one.place, about, bearing, fork.describe(), heads))
        if bearing == "this_log":
            judged.problems.append(problem("checkpoint_fork", None, _sentence(one.place, fork)))
            judged.notes.extend((proof.first, proof.second))
    return judged


def _key_for(
    about: str, origin: str, identity: bytes | None, trust: Trust | None
) -> tuple[VerifierKey | None, Bearing]:
    """The key that a proof has to hold under.  One key signs all incarnations of a platform."""
    platform = origin.rpartition("/")[0]
    if about.rpartition("/")[0] == platform:
        bearing: Bearing = "this_log" if about == origin else "another_incarnation"
        return None if identity is None else VerifierKey.derive(about, ED25519, identity), bearing
    return None if trust is None else trust.log_key_of(about), "another_log"


def _split(place: str, proof: SplitProof, origin: str, identity: bytes | None, trust: Trust | None) -> ShownFork:
    """What a split comes to: it convicts neither of its logs, so no verdict rests on it."""
    about = origin if origin in {proof.first, proof.second} else proof.first
    key, bearing = _key_for(about, origin, identity, trust)
    if key is None:
        detail = f"split_origin: nobody here is trusted to speak for {about!r}"
        return ShownFork(place, about, "unknown_log", detail)
    try:
        split = verify_split_under(proof, key.public_key)
    except FormatError as error:
        return ShownFork(place, about, "proves_nothing", str(error))
    return ShownFork(place, about, "split" if bearing == "this_log" else bearing, split.describe())


def _shown(opened: OpenedCheckpoint) -> ForkHead:
    head = opened.checkpoint
    return ForkHead(head.size, head.root.hex(), [Seen(name, time_s) for name, time_s in seen_by(opened)])


def _sentence(place: str, fork: Fork) -> str:
    small, large = fork.first.checkpoint, fork.second.checkpoint
    other = f"{large.size} entries" + (
        "" if small.size == large.size else f", of which the first {small.size} are others"
    )
    return (
        f"{place} proves that this log's own key signed two histories: {small.size} entries with root "
        f"{small.root.hex()}, and {other}, with root {large.root.hex()}"
    )
