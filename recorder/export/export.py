"""A bundle, its verification, and what it says in MCAP with the bundle itself attached.

All that is exported is read out of the bundle that is attached, after that very file was verified: what a viewer shows,
what the verdict is about and what can be verified again are the same bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from recorder.audit.carried import BundleSource
from recorder.audit.check import check_source
from recorder.audit.extract import extract
from recorder.audit.span import time_text
from recorder.audit.state import StateSource
from recorder.core.findings import Problem
from recorder.core.trust import Trust
from recorder.core.verdict import Report
from recorder.export.mcapfile import ExportError, McapFile, refuse_taken, tool_version
from recorder.export.message import FATAL, INFO, Message
from recorder.export.messages import Speaker, remark
from recorder.export.survey import Survey

FORMAT = "lineage/mcap/1"
PROBLEMS_SAID = 20
PROGRESS_MESSAGES = 1024

Progress = Callable[[int, int], None]  # entries done, entries to do
Phase = Callable[[str], AbstractContextManager[Progress]]  # by what is done now


class Exported(NamedTuple):
    """What was written."""

    path: Path
    bytes: int
    entries: int
    messages: int
    attachment: str  # name of the bundle in the file
    report: Report  # of the verification before the export
    remarks: list[str]


class UnsoundError(ExportError):
    """The lineage fails verification, and nobody said to export it all the same."""

    def __init__(self, report: Report) -> None:
        super().__init__(
            f"verification failed ({verdicts(report)}): {_placed(report.problems[0])}. `lineage verify` says more; "
            "to look at it all the same, add --despite-failure: the file will say that it failed"
        )


def verdicts(report: Report) -> str:
    """The four of them on one line."""
    return (
        f"integrity {report.integrity}, completeness {report.completeness}, authority {report.authority}, "
        f"witnessing {report.witnessing}"
    )


def export_mcap(
    source: StateSource | BundleSource,
    to: Path,
    since: str | None,
    until: str | None,
    *,
    utc_ns: int,
    phase: Phase,
    given: Path | None = None,
    trust: Trust | None = None,
    despite_failure: bool = False,
) -> Exported:
    """Write an MCAP file.

    Args:
        source: where from.
        to: the file to make; must not be there.
        since: start of a part (`span.resolve`).
        until: its end.
        utc_ns: the time now, for the manifest of a bundle that is made for this export.
        phase: shows how far each phase is.
        given: what `source` reads; a bundle is attached as it is, unless a part of it is asked for.
        trust: what the verifier trusts.
        despite_failure: export what fails verification too.

    Raises:
        UnsoundError: it fails verification.
        ExportError, ExtractionError: it cannot be written.
        LineageError, OSError: the source cannot be read.

    """
    refuse_taken(to)
    with _bundled(source, to, since, until, utc_ns, phase, given) as (path, remarks), _opened(path) as bundle:
        with phase("verifying") as progress:
            report = check_source(bundle, trust=trust, progress=progress)
        is_sound = report.exit_status() != 1
        if not is_sound and not despite_failure:
            raise UnsoundError(report)
        with (
            phase("exporting") as progress,
            McapFile(to, "" if is_sound else ", of a lineage that FAILED VERIFICATION") as file,
        ):
            return _write(file, bundle, path, report, remarks, progress)


@contextmanager
def _bundled(
    source: StateSource | BundleSource,
    to: Path,
    since: str | None,
    until: str | None,
    utc_ns: int,
    phase: Phase,
    given: Path | None,
) -> Iterator[tuple[Path, list[str]]]:
    """The bundle to export: the one that was given, or one made beside the target, where it must have room anyway."""
    if given is not None and isinstance(source, BundleSource) and since is None and until is None:
        yield given, []
        return
    with tempfile.TemporaryDirectory(prefix=".lineage-export-", dir=to.parent) as directory:
        path = Path(directory) / "export.lineage"
        with phase("extracting") as progress:
            made = extract(source, path, since, until, utc_ns=utc_ns, progress=progress)
        yield path, made.remarks


@contextmanager
def _opened(path: Path) -> Iterator[BundleSource]:
    with closing(BundleSource(path)) as bundle:
        yield bundle


def _write(
    file: McapFile, bundle: BundleSource, path: Path, report: Report, remarks: list[str], progress: Progress
) -> Exported:
    ranges = [(0, bundle.size - 1)] if bundle.is_whole else bundle.manifest.ranges
    survey = Survey(bundle, ranges)
    name = f"{bundle.origin.replace('/', '-')}.lineage"
    file.say("lineage", _of_lineage(bundle, report, survey, ranges))
    file.say("lineage/verification", _of_verification(report))
    file.add(_verified(report, survey.first_utc_ns or 0))
    speaker = Speaker(bundle, survey)
    for message in speaker.messages():
        file.add(message)
        if not file.messages % PROGRESS_MESSAGES:
            progress(speaker.entries, survey.entries)
    progress(survey.entries, survey.entries)
    file.say("lineage/clock", speaker.clock.metadata())
    with path.open("rb") as attached:
        digest = file.attach(name, attached, bundle.manifest.made_utc_ns)
    file.say("lineage/bundle", {"attachment": name, "sha256": digest, "check": f"write it out, lineage verify {name}"})
    written = file.finish()
    return Exported(file.path, written, survey.entries, file.messages, name, report, remarks)


def _of_lineage(
    bundle: BundleSource, report: Report, survey: Survey, ranges: list[tuple[int, int]]
) -> dict[str, str]:  # fmt: skip
    platform = bundle.origin.split("/")
    return {
        "format": FORMAT,
        "tool": f"lineage-recorder {tool_version()}",
        "origin": bundle.origin,
        "platform": "/".join(platform[:2]),
        "head": report.head or "none",
        "whole": str(bundle.is_whole).lower(),
        "entries": ", ".join(f"{first} to {last}" for first, last in ranges),
        "entries exported": str(survey.entries),
        "entries in the bundle": str(bundle.manifest.entries),
        "bundle made": time_text(bundle.manifest.made_utc_ns),
        "bundle logged by the recorder": str(bundle.manifest.recorded).lower(),
    }


def _of_verification(report: Report) -> dict[str, str]:
    said = {
        "sound": str(report.exit_status() != 1).lower(),
        "integrity": report.integrity,
        "completeness": report.completeness,
        "authority": report.authority,
        "witnessing": report.witnessing,
        "identity": report.identity,
        "unwitnessed entries": str(report.unwitnessed.entries),
        "problems": ", ".join(f"{name} {count}" for name, count in report.problem_counts.items()) or "none",
    }
    shown = report.problems[:PROBLEMS_SAID]
    return said | {f"problem {number}": _placed(found) for number, found in enumerate(shown, 1)}


def _verified(report: Report, utc_ns: int) -> Message:
    """The verdict as a message, for those who never look at a file's metadata."""
    is_sound = report.exit_status() != 1
    text = ("verified before the export: " if is_sound else "VERIFICATION FAILED: ") + verdicts(report)
    return remark(utc_ns, INFO if is_sound else FATAL, text, report.to_json())


def _placed(found: Problem) -> str:
    place = "lineage" if found.seq is None else f"entry {found.seq}"
    return f"step {found.step}, {place}: {found.error}: {found.detail}"
