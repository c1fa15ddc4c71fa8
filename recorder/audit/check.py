"""Verification of a source on all cores (FORMAT.md section 8), in memory that does not grow with its entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

from recorder.audit.carried import BundleSource
from recorder.audit.evidence import gather
from recorder.audit.forked import BroughtFork, judge_forks
from recorder.audit.pool import JobPool
from recorder.audit.programs import check
from recorder.audit.source import LineageSource, identity_key
from recorder.audit.tilecheck import TileCheck
from recorder.audit.witnessed import witnessed
from recorder.core.checkpoint import parse_checkpoint
from recorder.core.chosen import candidates_of
from recorder.core.controls import Previous
from recorder.core.entry import entry_hash
from recorder.core.errors import FormatError, Misuse
from recorder.core.findings import Problem, problem
from recorder.core.note import parse_note
from recorder.core.trust import Trust
from recorder.core.verdict import Report, TailBound
from recorder.core.verify import Checked, SelectionVerifier, Verifier
from recorder.core.verify.heads import signature_fault
from recorder.store.errors import StoreDamagedError

Progress = Callable[[int, int], None]
PROGRESS_ENTRIES = 1024


def silent(_done: int, _total: int) -> None:
    """Show no progress."""


def check_source(
    source: LineageSource,
    *,
    trust: Trust | None = None,
    known: Sequence[bytes] = (),
    progress: Progress = silent,
    workers: int | None = None,
    previous: Sequence[Previous] = (),
    known_problems: Sequence[Problem] = (),
    forks: Sequence[BroughtFork] = (),
    tail_max: TailBound | None = None,
) -> Report:
    """Verify all that a source holds.

    Args:
        source: what to verify.
        trust: what the verifier trusts; without it the identity key is the one that the lineage itself names.
        known: signed notes of heads known from elsewhere.
        progress: called now and then with entries done and entries to do.
        workers: processes; as many as there are cores if left out.
        previous: what boot entries of later incarnations say of this one (`core.verify.Verifier`).
        known_problems: what was found wrong with it before it was read.
        forks: proofs that a log has two histories, this one or another.
        tail_max: the longest unwitnessed tail that passes; what follows the last entry of a selection it cannot tell.

    Raises:
        LineageError, OSError: the source cannot be read at all.
        Misuse: a bound on the tail of a selection.

    """
    if tail_max is not None and not source.is_whole:
        raise Misuse("a selection does not say how many entries no witness vouches for")
    origin = source.origin
    trusted = trust.identity_of(origin) if trust is not None else None
    roots = trust.roots if trust is not None else ()
    found: list[Problem] = list(known_problems)
    damage = damage_name(previous)
    if trust is not None and trust.logs and trusted is None:
        named = ", ".join(key.name for key in trust.logs)
        found.append(problem("identity_untrusted", None, f"the trust file names {named}, not the platform of {origin}"))
    identity = trusted or _identity(source, found, damage)
    evidence = gather(source, identity, trust)
    judged = judge_forks(origin, identity, trust, [*forks, *evidence.forks])
    found += judged.problems
    known = [*known, *judged.notes]  # so it is also said which of two histories lies here
    notes = list(dict.fromkeys([*source.checkpoints, *known, *evidence.notes]))
    seen = witnessed(origin, identity, notes, trust)
    found += seen.problems
    witnesses = () if trust is None else candidates_of(trust, trust.witnesses)
    verifier: Verifier | SelectionVerifier
    if source.is_whole:
        verifier = Verifier(
            origin, trusted_identity=trusted, checkpoints=notes, witnessed_size=seen.size, previous=previous,
            roots=roots, witnesses=witnesses,
            tail_max=tail_max,
        )  # fmt: skip
        _check_whole(source, verifier, found, progress, workers, damage)
    else:
        verifier = SelectionVerifier(
            origin, source.checkpoints[-1], trusted_identity=trusted, roots=roots, witnesses=witnesses
        )
        _check_selection(source, verifier, found, progress, workers)
        found += _against_known(origin, source.checkpoints[-1], known, identity)
    if isinstance(source, BundleSource):
        source.check_receipt(identity)
    verifier.take(Checked(0, 0, 0, [*found, *source.faults()]))
    report = verifier.finish()
    remarks = {}
    if seen.cosignatures:
        remarks = {
            "cosignatures": seen.cosignatures,
            "witnesses": seen.witnesses,
            "witnesses_trusted": 0 if trust is None else len(trust.witnesses),
            "witnessed_entries": seen.size,
        }
    if evidence.unusable:
        remarks["evidence_unusable"] = evidence.unusable
    if evidence.older:
        remarks["evidence_older"] = evidence.older
    if evidence.forks_left:
        remarks["evidence_forks_left"] = evidence.forks_left
    if evidence.heads:
        remarks["peer_heads"] = evidence.heads
    if evidence.heads_untrusted:
        remarks["peer_heads_untrusted"] = len(evidence.heads_untrusted)
        remarks["peer_heads_untrusted_first"] = evidence.heads_untrusted[0]
    if isinstance(source, BundleSource) and not source.is_recorded:
        remarks["unsigned_bundle"] = 1
    report = replace(report, notes={**report.notes, **remarks}, forks=judged.shown)
    if seen.size and report.witnessing == "nothing" and report.integrity == "pass":
        report = replace(report, witnessing="pass")
    return report


def _check_whole(
    source: LineageSource,
    verifier: Verifier,
    found: list[Problem],
    progress: Progress,
    workers: int | None,
    damage: str,
) -> None:
    tiles = TileCheck()
    total = source.size
    damaged = False
    with JobPool(check, verifier.take, workers) as pool:
        try:
            with closing(source.read(0)) as entries:
                for done, held in enumerate(entries):
                    job = verifier.feed(held.raw, held.claims or None)
                    tiles.feed(held.raw)
                    if job is not None:
                        pool.give(job)
                    if not done % PROGRESS_ENTRIES:
                        progress(done, total)
        except StoreDamagedError as error:
            damaged = True
            found.append(problem(damage, error.seq, f"{error}; nothing after it was checked"))
        pool.finish()
    progress(verifier.entries, total)
    below = min(source.tiles_below(), verifier.entries)
    if not damaged:
        found += tiles.finish(source.tiles(), below, with_partial=isinstance(source, BundleSource))


def _check_selection(
    source: LineageSource, verifier: SelectionVerifier, found: list[Problem], progress: Progress, workers: int | None
) -> None:
    with JobPool(check, verifier.take, workers) as pool, closing(source.read(0)) as entries:
        for done, held in enumerate(entries):
            hashes: tuple[bytes, ...] = ()
            try:
                proof = source.prove(held.seq, entry_hash(held.raw))
                hashes = proof.hashes if proof is not None else ()
            except FormatError as error:
                found.append(problem(error.error, held.seq, error.detail))
            job = verifier.feed(held.raw, held.claims or None, hashes)
            if job is not None:
                pool.give(job)
            if not done % PROGRESS_ENTRIES:
                progress(held.seq, source.size)
        pool.finish()


def _against_known(origin: str, own: bytes, known: Sequence[bytes], identity: bytes | None) -> list[Problem]:
    """Compare heads known from elsewhere with that of a selection, which only those of its own size can be."""
    problems: list[Problem] = []
    for note in known:
        try:
            ours, theirs = (parse_checkpoint(parse_note(one).text) for one in (own, note))
        except FormatError as error:
            problems.append(problem("checkpoint_malformed", None, error.detail))
            continue
        if theirs.origin != origin:
            problems.append(problem("origin_mismatch", None, f"a checkpoint of {theirs.origin}, not of {origin}"))
        elif fault := signature_fault(note, origin, identity):
            problems.append(problem("checkpoint_signature", None, f"checkpoint of size {theirs.size}: {fault}"))
        elif theirs.size == ours.size and theirs.root != ours.root:
            detail = f"two signed checkpoints of size {ours.size} differ in root"
            problems.append(problem("checkpoint_fork", None, detail))
    return problems


def damage_name(previous: Sequence[Previous]) -> str:
    """What damage to a store is: an error, or a loss that a later incarnation declares when it names this one.

    Only what cannot be read is: what can be read and is wrong was not made so by a failing medium.
    """
    return "loss_declared" if previous else "record_damaged"


def _identity(source: LineageSource, found: list[Problem], damage: str) -> bytes | None:
    try:
        return identity_key(source)
    except StoreDamagedError as error:
        found.append(problem(damage, error.seq, str(error)))
        return None
