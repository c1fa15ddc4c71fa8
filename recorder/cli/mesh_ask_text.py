"""What `lineage mesh ask` says: answers of peers in words and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mesh.asking import EntryHeld, LogAnswer, SeenHead, Verdict, entries_of
from recorder.cli import output
from recorder.core.calendar import utc_text
from recorder.core.forks import Fork
from recorder.core.ids import entry_id

if TYPE_CHECKING:
    from mesh.node.asked import Asked  # aiohttp is an extra

ENTRIES_SHOWN = 40  # one by one; of more the groups that the same peers hold
_VERDICTS: dict[Verdict, str] = {
    "agreement": "all agree",
    "contradiction": "CONTRADICTION: its own key signed two histories",
    "partial": "nothing contradicts, but the answer is partial",
    "nobody": "nobody who answered holds a head that it signed",
}


class ShownFork(NamedTuple):
    """A contradiction, and the file that proves it, where it was kept."""

    fork: Fork
    path: Path | None


class AskedLog(NamedTuple):
    """What was found of a log, and what it comes to."""

    answer: LogAnswer
    verdict: Verdict
    forks: list[ShownFork]


def print_answers(asked: str, logs: Sequence[AskedLog], peers: Sequence[Asked]) -> None:
    """Print logs, then peers."""
    for one in logs:
        _print_log(one)
        output.say()
    if not logs:
        output.line(f"{asked}: nobody who answered has anything of it")
    output.say(f"{len(peers)} peers were asked:")
    for peer in peers:
        names = f" ({', '.join(peer.names)})" if peer.names else ""
        output.line(f"  {peer.url}{names}: {_outcome(peer)}")
        for fault in peer.faults:
            output.line(f"    it showed what does not hold: {fault}")


def answers_json(asked: str, verdict: Verdict, logs: Sequence[AskedLog], peers: Sequence[Asked]) -> dict[str, Any]:
    """The same as values."""
    return {
        "asked": asked,
        "verdict": verdict,
        "logs": [_log_json(one) for one in logs],
        "peers": [
            {
                "url": peer.url,
                "names": peer.names,
                "outcome": peer.outcome,
                "detail": peer.detail,
                "version": peer.version,
                "faults": peer.faults,
            }
            for peer in peers
        ],
    }


def _print_log(log: AskedLog) -> None:
    answer = log.answer
    output.line(f"{answer.origin}: {_VERDICTS[log.verdict]}")
    for head in answer.heads:
        size = f"{head.checkpoint.size:,} {'entry' if head.checkpoint.size == 1 else 'entries'}"
        output.line(f"  head of {size}, root {head.checkpoint.root.hex()}: {_standing(head)}")
        output.line(f"    shown by {', '.join(head.peers)}")
        for one in head.cosigned:
            output.line(f"    cosigned by {one.witness} of {one.operator} on {utc_text(one.time_s)}")
    for shown in log.forks:
        for line in shown.fork.describe().splitlines():
            output.line(f"  {line}")
        output.line(f"    proof: {shown.path}" if shown.path is not None else "    with --out DIR its proof is kept")
    _print_entries(answer)
    for peer, why in answer.unproved.items():
        output.line(f"  {peer} shows no entries: {why}")
    for peer, last in answer.retired.items():
        output.line(f"  {peer} cosigned {last:,} entries of it, and cosigns it no more: another incarnation followed")
    if answer.silent:
        output.line(f"  {', '.join(answer.silent)}: no head of it")


def _print_entries(answer: LogAnswer) -> None:
    entries = entries_of(answer)
    if len(entries) <= ENTRIES_SHOWN:
        groups = [[one] for one in entries]
    else:
        groups = [list(group) for _, group in groupby(entries, key=_alike)]
    for group in groups:
        first, last = group[0], group[-1]
        where = _ids(first) if first is last else f"{_ids(first)} to {_ids(last)}"
        if not first.hashes:
            claimed = "; or another by ".join(", ".join(peers) for peers in first.claimed.values())
            told = f"only claimed, by {claimed}: no head covers it" if claimed else "held by nobody who answered"
            output.line(f"  {where}: {told}")
            continue
        held = "; and by others: ".join(", ".join(peers) for peers in first.hashes.values())
        some = f"{len(first.witnesses)} witnesses of {first.operators} operators cosigned it"
        output.line(f"  {where}: held by {held}; {some}")


def _alike(entry: EntryHeld) -> tuple[list[list[str]], list[list[str]], list[str]]:
    return list(entry.hashes.values()), list(entry.claimed.values()), entry.witnesses


def _ids(entry: EntryHeld) -> str:
    ids = [str(entry_id(value, entry.seq)) for value in entry.hashes or entry.claimed]
    return f"entry {' or '.join(ids) or entry.seq}"


def _standing(head: SeenHead) -> str:
    match head.standing:
        case "largest":
            return "the largest"
        case "agrees":
            return head.why
        case "contradicts":
            return f"CONTRADICTS, {head.why}" if head.why else "CONTRADICTS"
        case "unproved":
            return f"not proved to agree: {head.why}"


def _outcome(peer: Asked) -> str:
    if peer.outcome != "answered":
        return f"{peer.outcome}: {peer.detail}"
    return "answered" if peer.version is not None else "answered; a witness that does not speak the mesh protocol"


def _log_json(log: AskedLog) -> dict[str, Any]:
    answer = log.answer
    return {
        "origin": answer.origin,
        "verdict": log.verdict,
        "heads": [_head_json(head) for head in answer.heads],
        "forks": [{"file": None if path is None else str(path), "said": fork.describe()} for fork, path in log.forks],
        "entries": [
            {
                "seq": one.seq,
                "held": [{"hash": value.hex(), "peers": peers} for value, peers in one.hashes.items()],
                "claimed": [{"hash": value.hex(), "peers": peers} for value, peers in one.claimed.items()],
                "witnesses": one.witnesses,
                "operators": one.operators,
            }
            for one in entries_of(answer)
        ],
        "unproved": answer.unproved,
        "silent": answer.silent,
        "retired": answer.retired,
    }


def _head_json(head: SeenHead) -> dict[str, Any]:
    return {
        "size": head.checkpoint.size,
        "root": head.checkpoint.root.hex(),
        "standing": head.standing,
        "why": head.why,
        "peers": head.peers,
        "cosigned": [one._asdict() for one in head.cosigned],
    }
