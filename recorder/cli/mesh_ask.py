"""`lineage mesh ask`: what all reachable peers hold of a log, and whether they agree.  An authority's question."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import click

from mesh.asking import EXIT_STATUS, LogAnswer, Range, Verdict, verdict_of
from mesh.fleetlist import LIST_MAX_BYTES, FleetList, open_fleet_list
from mesh.node.config import PORT
from mesh.node.fleetfile import fleet_held
from mesh.node.peering import urls_in
from recorder.cli import output
from recorder.cli.identity import read_bounded
from recorder.cli.mesh_ask_text import AskedLog, ShownFork, answers_json, print_answers
from recorder.cli.mesh_options import MESH_ENV, PATH, is_url, needing_network
from recorder.cli.options import json_option
from recorder.cli.trustfile import read_trust
from recorder.core.errors import Misuse
from recorder.core.forks import verify_fork
from recorder.core.note import VerifierKey
from recorder.core.trust import Trust
from recorder.store.layout import replace_file

GRAVITY: tuple[Verdict, ...] = ("agreement", "nobody", "partial", "contradiction")  # rising

_RANGE = re.compile(r"(0|[1-9][0-9]{0,17})-([1-9][0-9]{0,17})")


class _Listed(NamedTuple):
    """Whom to trust and where to ask, out of a fleet list or of a trust file."""

    trust: Trust
    fleet: FleetList | None  # None: a trust file alone

    @property
    def foreign(self) -> Mapping[str, VerifierKey]:
        """Keys of logs that are no lineages, by origin."""
        return {} if self.fleet is None else self.fleet.foreign

    def urls(self, found: Mapping[str, Iterable[str]], more: Iterable[str]) -> dict[str, list[str]]:
        """Each URL once, with the names that are listed for it or were told, the platform's first."""
        listed = {} if self.fleet is None else urls_in(self.fleet)
        named = [(url, platform) for told in (listed, found) for platform, urls in told.items() for url in urls]
        named += [(url, witness) for witness, url in self.trust.urls.items()]
        urls: dict[str, list[str]] = {}
        for url, name in named:
            names = urls.setdefault(_plain(url), [])
            if name not in names:
                names.append(name)
        for url in more:
            urls.setdefault(_plain(url), [])
        return urls


@click.command(
    "ask",
    epilog="Examples: lineage mesh ask acme/arm-7 --state /var/lib/lineage-mesh --discover; "
    "lineage mesh ask acme/arm-7/0123456789abcdef --range 0-100 --fleet fleet --trust fleet.trust --json",
)
@click.argument("origin", metavar="ORIGIN")
@click.option("--range", "span", metavar="FIRST-END", help="Show who holds which entries, from FIRST up to END - 1.")
@click.option("--state", type=PATH, envvar=MESH_ENV, metavar="DIR", help="A mesh's state: the list in force there.")
@click.option("--fleet", type=PATH, metavar="FILE", help="A fleet list, which a root of the --trust file signed.")
@click.option("--trust", type=PATH, metavar="FILE", help="A trust file; without --fleet its own lines say whom to ask.")
@click.option("--peer", "more", multiple=True, metavar="URL", help="One more to ask; may be repeated.")
@click.option("--discover", is_flag=True, help="Look around by mDNS too, for platforms of the list.")
@click.option(
    "--within",
    "within_s",
    type=click.FloatRange(0.1, 600),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="For all answers together.",
)
@click.option("--out", type=PATH, metavar="DIR", help="Where proofs of contradictions go, a file each.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    origin: str,
    span: str | None,
    state: Path | None,
    fleet: Path | None,
    trust: Path | None,
    more: tuple[str, ...],
    discover: bool,
    within_s: float,
    out: Path | None,
    as_json: bool,
) -> None:
    """Ask all peers what they hold of ORIGIN: FLEET/PLATFORM for all its incarnations, or one of them.

    Heads, cosignatures, hashes of entries and their order; never contents, which peers do not have. What counts is what
    the log and the listed witnesses signed, whoever shows it.

    Exit status: 0 all agree, 1 a contradiction, 2 misuse, 3 nobody has anything, or the answer is partial.
    """
    with needing_network():
        from mesh.node import asking  # noqa: PLC0415 -- aiohttp is an extra
        from mesh.node.post import Post  # noqa: PLC0415
    for url in more:
        if not is_url(url):
            raise Misuse(f"--peer {url!r} is not written as http://HOST:{PORT}/")
    listed = _listed(state, fleet, trust)
    wanted = None if span is None else _range(span)

    async def ask() -> asking.Found:
        told = await _sought(listed.fleet) if discover else {}
        whom = asking.Whom(listed.trust, listed.foreign, listed.urls(told, more))
        post = Post(within_s)
        try:
            with output.Progress(f"asking of {origin}", "peers") as progress:
                return await asking.ask(whom, origin, wanted, post, within_s, progress)
        finally:
            await post.close()

    found = asyncio.run(ask())
    # Of a platform that is lost its own silence is no gap in the answer.
    unreachable = [one.label for one in found.peers if one.outcome != "answered" and found.platform not in one.names]
    logs = [AskedLog(log, verdict_of(log, unreachable), _kept(log, listed, out)) for log in found.logs]
    verdicts: list[Verdict] = [one.verdict for one in logs] or ["nobody"]
    verdict = max(verdicts, key=GRAVITY.index)
    if as_json:
        output.json_text(answers_json(origin, verdict, logs, found.peers))
    else:
        print_answers(origin, logs, found.peers)
    ctx.exit(EXIT_STATUS[verdict])


def _listed(state: Path | None, fleet: Path | None, trust: Path | None) -> _Listed:
    """Read whom to trust; what is named goes before the state of the environment."""
    if trust is not None:
        read = read_trust(trust)
        if fleet is None:
            return _Listed(read, None)
        listed = open_fleet_list(read_bounded(fleet, LIST_MAX_BYTES), read.roots)
    elif fleet is not None:
        raise Misuse("--fleet needs --trust FILE: a root of it must have signed the list")
    elif state is not None:
        listed = fleet_held(state)
    else:
        raise Misuse(f"whom to trust: --state DIR (or ${MESH_ENV}), --trust FILE, or --fleet FILE --trust FILE")
    return _Listed(listed.trust, listed)


async def _sought(fleet: FleetList | None) -> dict[str, list[str]]:
    if fleet is None:
        raise Misuse("--discover looks for platforms of a fleet list; a trust file does not have their mesh keys")
    with needing_network():
        from mesh.node.seeking import seek  # noqa: PLC0415 -- zeroconf is an extra
    return await seek(fleet, output.note)


def _range(text: str) -> Range:
    found = _RANGE.fullmatch(text)
    if found is None or int(found[1]) >= int(found[2]):
        raise Misuse(f"--range {text!r} is not FIRST-END, such as 0-100 for the first hundred entries")
    return int(found[1]), int(found[2])


def _kept(log: LogAnswer, listed: _Listed, out: Path | None) -> list[ShownFork]:
    """Check the proofs of a log as anyone would, and write them. Raises OSError."""
    shown = []
    for proof in log.forks:
        path = None
        if out is not None:
            text = proof.encode()
            path = out / sha256(text).hexdigest()
            out.mkdir(parents=True, exist_ok=True)
            replace_file(path, text)
        shown.append(ShownFork(verify_fork(proof, listed.trust, listed.foreign), path))
    return shown


def _plain(url: str) -> str:
    return url.rstrip("/")
