"""The part of a check that needs one entry alone: deterministic encoding, signature, claims (steps 1, 4 and 8)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from recorder.core import entry
from recorder.core.errors import FormatError
from recorder.core.keys import verify
from recorder.core.verdict import Problem, problem
from recorder.core.verify.disclosure import check_claims


class Job(NamedTuple):
    """What another core needs to check an entry."""

    seq: int
    raw: bytes
    aad: bytes  # `entry.external_aad` of the log
    key: bytes | None  # that must have signed; None where step 3 found that none of the log's keys may have
    claims: bytes | None  # None: not held, which was judged in order
    row_bytes: tuple[int | None, ...]  # by commit: size of a row; empty where no commit is rows


class Checked(NamedTuple):
    """What jobs found."""

    jobs: int
    signatures: int
    families: int
    problems: list[Problem]


def check_job(job: Job) -> list[Problem]:
    """Check one job and return its problems, in order of steps."""
    return check_jobs((job,)).problems


def check_jobs(jobs: Iterable[Job]) -> Checked:
    """Check several jobs."""
    problems: list[Problem] = []
    count = signatures = families = 0
    for job in jobs:
        count += 1
        signatures += job.key is not None
        families += _check(job, problems)
    return Checked(count, signatures, families, problems)


def _check(job: Job, problems: list[Problem]) -> int:
    """Check a job, add to its problems, return how many families there were to check."""

    def found(error: str, seq: int | None, detail: str) -> None:
        problems.append(problem(error, seq, detail))

    try:
        signer_kid, payload, signature = entry.split(job.raw)
    except FormatError as error:
        found(error.error, job.seq, error.detail)
        return 0
    header = None
    try:
        header = entry.read_header(payload)
    except FormatError as error:
        found(error.error, job.seq, error.detail)
    if job.key is not None:
        signed = entry.to_be_signed(entry.protected_of(signer_kid), job.aad, payload)
        if not verify(job.key, signed, signature):
            found("signature_invalid", job.seq, f"not signed by {job.key.hex()} for this origin")
    if header is None or job.claims is None:
        return 0
    return check_claims(header, job.claims, job.row_bytes, found)
