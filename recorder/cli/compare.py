"""`lineage compare`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from recorder.audit.check import check_source
from recorder.audit.compare import Pair, compare, parse_tolerances
from recorder.audit.describe import plain
from recorder.audit.readings import Observers, Reading, Readings, read_observations
from recorder.audit.span import parse_mark, time_text
from recorder.cli import output
from recorder.cli.options import json_option, opened
from recorder.cli.trustfile import read_trust
from recorder.core import credential, matrix, revocation
from recorder.core.errors import FormatError, Misuse
from recorder.core.note import VerifierKey
from recorder.core.trust import Trust
from recorder.core.verdict import Report

FAILED = 1
SHOWN_MAX = 20  # pairs in full; --json has them all
VALUE_CHARS = 80
_FILE = click.Path(path_type=Path)
_Read = TypeVar("_Read")


@click.command(
    "compare",
    epilog="Examples: lineage compare arm-7.lineage arm-8.lineage --trust fleet.trust --credential lidar.cose; "
    "lineage compare /var/lib/lineage arm-8.lineage --within 50ms --tolerance 0.05 --tolerance battery_v=2%",
)
@click.argument("a", type=_FILE, metavar="A")
@click.argument("b", type=_FILE, metavar="B")
@click.option("--within", default="100ms", show_default=True, metavar="TIME", help="Readings so near are of one time.")
@click.option(
    "--tolerance", "tolerances", multiple=True, metavar="[NAME=]N|N%", help="Numbers so near agree; exact if left out."
)
@click.option("--trust", type=_FILE, metavar="FILE", help="What you trust: logs, and roots of observers' credentials.")
@click.option(
    "--credential", "credentials", type=_FILE, multiple=True, metavar="FILE", help="An observer's, or one above it."
)
@click.option("--matrix", "matrix_path", type=_FILE, metavar="FILE", help="Recognition matrix of a root you trust.")
@click.option(
    "--revoked", "revoked", type=_FILE, multiple=True, metavar="FILE", help="Revocation list; else nothing is revoked."
)
@click.option("--observer", "observers", multiple=True, metavar="VKEY", help="An observer's key, without a credential.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    a: Path,
    b: Path,
    within: str,
    tolerances: tuple[str, ...],
    trust: Path | None,
    credentials: tuple[Path, ...],
    matrix_path: Path | None,
    revoked: tuple[Path, ...],
    observers: tuple[str, ...],
    as_json: bool,
) -> None:
    """Hold the observations of two lineages together: same name and subject, near in time.

    A and B: a state directory, the socket of a running recorder, or a .lineage file.

    Exit status: 0 no contradiction, 1 a contradiction or a lineage that fails verification, 2 it cannot be read.
    """
    within_ns = parse_mark(within).ago_ns
    if within_ns is None:
        raise Misuse(f"--within {within[:40]!r} is no time span; write it as 100ms, 5s or 2m")
    allowed = parse_tolerances(tolerances)
    trusted = None if trust is None else read_trust(trust)
    roots = () if trusted is None else trusted.roots
    known = Observers(
        [VerifierKey.parse(text) for text in observers],
        {item.hash: item for item in _each(credentials, credential.read)},
        None if matrix_path is None else matrix.read(matrix_path.read_bytes(), roots),
        roots,
        _each(revoked, revocation.read),
    )
    sides = [_read(path, trusted, known) for path in (a, b)]
    if any(report.integrity == "fail" for _, report in sides):
        ctx.exit(FAILED)
    (ours, _), (theirs, _) = sides
    pairs = list(compare(ours.listed, theirs.listed, within_ns, allowed))
    if as_json:
        output.json_text(_to_json(sides, pairs, within_ns))
    else:
        _print(sides, pairs, within)
    ctx.exit(FAILED if any(pair.outcome == "contradicted" for pair in pairs) else 0)


def _each(paths: Iterable[Path], read: Callable[[bytes], _Read]) -> list[_Read]:
    found = []
    for path in paths:
        try:
            found.append(read(path.read_bytes()))
        except FormatError as error:
            raise FormatError(error.error, f"{path}: {error.detail}") from None
    return found


def _read(path: Path, trust: Trust | None, known: Observers) -> tuple[Readings, Report]:
    """The observations of one side, and the verification before which none of them counts."""
    socket = path if path.is_socket() else None
    with opened(None, None if socket else path, socket) as source:
        with output.Progress(f"verifying {path}") as progress:
            report = check_source(source, trust=trust, progress=progress)
        if report.integrity == "fail":
            first = report.problems[0]
            output.note(f"{path} fails verification ({first.error}): nothing in it is compared; see `lineage verify`")
            return Readings(source.origin, [], Counter()), report
        return read_observations(source, known), report


def _print(sides: list[tuple[Readings, Report]], pairs: list[Pair], within: str) -> None:
    for letter, (readings, report) in zip("AB", sides, strict=True):
        standings = Counter(reading.signer.standing for reading in readings.listed)
        output.line(f"{letter}  {readings.origin}: {len(readings.listed):,} observations{_listed(standings)}")
        if readings.left_out:
            output.line(f"   not compared{_listed(readings.left_out)}")
        output.line(f"   integrity {report.integrity}, completeness {report.completeness}, identity {report.identity}")
    if sides[0][0].origin == sides[1][0].origin:
        output.say("note: both are of the same log")
    counts = Counter(pair.outcome for pair in pairs)
    unsure = sum(not pair.is_verified for pair in pairs)
    output.say()
    output.say(
        f"{len(pairs):,} pairs within {within}: {counts['agreed']:,} agree, {counts['contradicted']:,} contradict each "
        f"other, {counts['incomparable']:,} cannot be compared; {unsure:,} not verified on both sides"
    )
    shown = [pair for pair in pairs if pair.outcome != "agreed"]
    shown.sort(key=lambda pair: pair.outcome)  # contradictions first
    for pair in shown[:SHOWN_MAX]:
        output.say()
        apart_ms = abs(pair.a.says.at_utc_ns - pair.b.says.at_utc_ns) / 1e6
        thing = f"{_text(pair.a.says.name)} of {_text(pair.a.says.subject or '')}"
        output.line(f"{pair.outcome}: {thing}, {apart_ms:,.3f} ms apart")
        for letter, reading in zip("AB", (pair.a, pair.b), strict=True):
            _print_reading(letter, reading)
    if len(shown) > SHOWN_MAX:
        output.say(f"\nand {len(shown) - SHOWN_MAX:,} more; --json has them all")


def _print_reading(letter: str, reading: Reading) -> None:
    says, signer = reading.says, reading.signer
    value = json.dumps(says.value)
    value = value if len(value) <= VALUE_CHARS else f"{value[:VALUE_CHARS]}…"
    unit = "" if says.unit is None else f" {_text(says.unit)}"
    frame = "" if says.frame is None else f" in {_text(says.frame)}"
    output.say(
        f"  {letter}  {value}{unit}{frame} at {time_text(says.at_utc_ns)}, entry {reading.id} of {reading.origin}"
    )
    who = "nobody" if signer.kid is None else _text(signer.name) if signer.name else f"key {signer.kid}"
    output.line(f"     signed by {who}: {signer.standing}{f', {signer.detail}' * bool(signer.detail)}")


def _listed(counts: Mapping[Any, int]) -> str:
    return "".join(f", {count:,} {name.replace('_', ' ')}" for name, count in sorted(counts.items()))


def _text(text: str) -> str:
    """Text of a stranger: what a terminal would obey rather than show is escaped."""
    return text if text.isprintable() else json.dumps(text)


def _to_json(sides: list[tuple[Readings, Report]], pairs: list[Pair], within_ns: int) -> dict[str, Any]:
    counts = Counter(pair.outcome for pair in pairs)
    return {
        **{
            side: {
                "origin": readings.origin,
                "integrity": report.integrity,
                "completeness": report.completeness,
                "identity": report.identity,
                "observations": len(readings.listed),
                "signers": Counter(reading.signer.standing for reading in readings.listed),
                "left_out": readings.left_out,
            }
            for side, (readings, report) in zip("ab", sides, strict=True)
        },
        "within_ns": within_ns,
        "pairs": len(pairs),
        "agreed": counts["agreed"],
        "contradicted": counts["contradicted"],
        "incomparable": counts["incomparable"],
        "not_verified": sum(not pair.is_verified for pair in pairs),
        "contradictions": [_pair_json(pair) for pair in pairs if pair.outcome == "contradicted"],
        "incomparables": [_pair_json(pair) for pair in pairs if pair.outcome == "incomparable"],
    }


def _pair_json(pair: Pair) -> dict[str, Any]:
    return {side: plain(reading) for side, reading in (("a", pair.a), ("b", pair.b))}
