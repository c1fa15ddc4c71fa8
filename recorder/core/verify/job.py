"""The part of a check that needs one entry and what it is under: encoding, signature, claims, acts, decision.

Steps 1, 4 and 8 of every entry; 9 and 11 of what is under a signed policy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from recorder.core import cbor, entry
from recorder.core.errors import FormatError
from recorder.core.findings import Problem, problem
from recorder.core.header import read_header
from recorder.core.keys import verify
from recorder.core.verify.acts import check_acts
from recorder.core.verify.batches import check_batch
from recorder.core.verify.disclosure import BODY, check_claims
from recorder.core.verify.found import Found
from recorder.core.verify.held import read, why_of
from recorder.core.verify.replaying import Programs, check_replay
from recorder.core.verify.under import Acting, Confirming, Under


class Job(NamedTuple):
    """What another core needs to check an entry."""

    seq: int
    raw: bytes
    aad: bytes  # `entry.external_aad` of the log
    key: bytes | None  # that must have signed; None where step 3 found that none of the log's keys may have
    claims: bytes | None  # None: not held, which was judged in order
    row_bytes: tuple[int | None, ...]  # by commit: size of a row; empty where no commit is rows
    under: Under | None = None  # None: nothing to judge beside the entry itself


class Checked(NamedTuple):
    """What jobs found."""

    jobs: int
    signatures: int
    families: int
    problems: list[Problem]
    replayed: int = 0  # decisions made again
    unreplayed: int = 0  # that could not be
    acts_unjudged: int = 0  # commits and rows of which too little is here
    short: int = 0  # confirmations of another outcome than reached


def check_job(job: Job) -> list[Problem]:
    """Check one job and return its problems, in order of steps."""
    return check_jobs((job,)).problems


def check_jobs(jobs: Iterable[Job], programs: Programs | None = None) -> Checked:
    """Check several jobs; without programs no decision is made again."""
    problems: list[Problem] = []
    count = signatures = families = replayed = unreplayed = acts_unjudged = short = 0
    for job in jobs:
        count += 1
        signatures += job.key is not None
        before = len(problems)
        families += _check(job, problems)
        if job.under is not None:
            done = _check_under(job, job.under, programs, problems, sound=len(problems) == before)
            replayed, unreplayed = replayed + done[0], unreplayed + done[1]
            acts_unjudged, short = acts_unjudged + done[2], short + done[3]
    return Checked(count, signatures, families, problems, replayed, unreplayed, acts_unjudged, short)


def _check_under(
    job: Job, under: Under, programs: Programs | None, problems: list[Problem], *, sound: bool
) -> tuple[int, int, int, int]:
    """Judge a device's batch, or what is under a signed policy; as `Checked` counts them from `replayed` on.

    What is wrong already, or not here, is left.
    """
    header = read_header(entry.split(job.raw)[1]) if sound and job.claims is not None else None
    if isinstance(under, Confirming):
        body = None if header is None else read(job.claims, BODY, "body", header.body)
        if header is None or body is None:
            return 0, 0, 0, 0
        return 0, 0, 0, check_batch(header, body, under, _adding_to(problems))
    if isinstance(under, Acting):
        if header is None or job.claims is None:
            return 0, 0, 1, 0
        return 0, 0, check_acts(header, cbor.load(job.claims), under, _adding_to(problems)), 0
    why = None if header is None else why_of(header, job.claims)
    if header is None or why is None:
        return 0, 1, 0, 0
    return *check_replay(header, why, under, programs, _adding_to(problems)), 0, 0


def _adding_to(problems: list[Problem]) -> Found:
    def found(error: str, seq: int | None, detail: str) -> None:
        problems.append(problem(error, seq, detail))

    return found


def _check(job: Job, problems: list[Problem]) -> int:
    """Check a job, add to its problems, return how many families there were to check."""
    found = _adding_to(problems)

    try:
        signer_kid, payload, signature = entry.split(job.raw)
    except FormatError as error:
        found(error.error, job.seq, error.detail)
        return 0
    header = None
    try:
        header = read_header(payload)
    except FormatError as error:
        found(error.error, job.seq, error.detail)
    if job.key is not None:
        signed = entry.to_be_signed(entry.protected_of(signer_kid), job.aad, payload)
        if not verify(job.key, signed, signature):
            found("signature_invalid", job.seq, f"not signed by {job.key.hex()} for this origin")
    if header is None or job.claims is None:
        return 0
    return check_claims(header, job.claims, job.row_bytes, found)
