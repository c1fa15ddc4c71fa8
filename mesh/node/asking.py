"""Asking all peers of a log at once: what each shows of it, fetched within bounds of time, bytes and counts.

Whom to trust comes from a fleet list or a trust file; a URL is only where one asks.  Who answers there is not known and
need not be: a head counts by its log's signature, a cosignature by its witness's, hashes by the head that they lead to.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import NamedTuple

from mesh.account import PATH as PLATFORM
from mesh.account import Account, parse_account
from mesh.asking import (
    LogAnswer,
    Range,
    SeenHead,
    compared,
    heads_of,
    proved_tile,
    same_sizes,
)
from mesh.node.asked import Asked, Bounds, NotServed, PeerTree
from mesh.node.post import Post
from recorder.core.checkpoint import Checkpoint, OpenedCheckpoint, open_checkpoint
from recorder.core.errors import FormatError, Misuse
from recorder.core.forks import ForkProof, parse_fork, verify_fork
from recorder.core.limits import HASH_BYTES, TILE_WIDTH
from recorder.core.note import VerifierKey
from recorder.core.trust import Trust

FORKS = "forks"  # below a peer's URL: names of proofs, a line each; below that each proof by its name
RANGE_MAX = 65_536  # entries: 256 tiles of each peer
LOGS_MAX = 64  # incarnations of one platform
HEADS_MAX = 256  # of one log and peer
TREES_MAX = 3  # heads of one log and peer that it is asked to serve a tree of
CLAIMS_MAX = 64  # requests to one peer for hashes that no head covers; 32 would do for the range
FORKS_MAX = 16  # proofs of forks that one peer may list
PEERS_MAX = 256
STEPS = 4  # what is asked of one peer after the other: platform and forks, heads, tiles to compare, tiles of the range


_NAME = re.compile(r"[0-9a-f]{64}")


class Whom(NamedTuple):
    """Whom to trust, and where to ask."""

    trust: Trust
    foreign: Mapping[str, VerifierKey]  # keys of logs that are no lineages, by origin
    urls: Mapping[str, list[str]]  # URL -> names that the list has for who answers there

    def key_of(self, origin: str) -> VerifierKey | None:
        """The key that must have signed what this origin says."""
        return self.foreign.get(origin) or self.trust.log_key_of(origin)


class Found(NamedTuple):
    """All answers."""

    platform: str  # FLEET/PLATFORM, or what stands before the last part of a foreign origin
    peers: list[Asked]
    logs: list[LogAnswer]


async def ask(
    whom: Whom, asked: str, span: Range | None, post: Post, timeout_s: float, said: Callable[[int, int], None]
) -> Found:
    """Ask all peers of a platform, or of one log.

    Args:
        whom: to trust, and where to ask.
        asked: FLEET/PLATFORM for all its incarnations, or an origin.
        span: entries whose hashes are wanted; None for heads alone.
        post: sends.
        timeout_s: after which whoever has not answered is taken as it is.
        said: called with how many peers have answered, and of how many.

    Raises:
        Misuse: nobody is trusted to speak for what is asked, or more is asked than is given at once.

    """
    is_platform = any(log.name == asked for log in whom.trust.logs)
    if not is_platform and whom.key_of(asked) is None:
        raise Misuse(
            f"no log line of the list, or trust file, is of {asked[:80]!r}: FLEET/PLATFORM, or one log of it as "
            "FLEET/PLATFORM/INCARNATION"
        )
    if span is not None and span[1] - span[0] > RANGE_MAX:
        raise Misuse(f"{span[1] - span[0]:,} entries, at most {RANGE_MAX:,} at once")
    if not whom.urls:
        raise Misuse(
            "nobody to ask: the list names no URLs, and nobody else was found; --discover looks around by mDNS, --peer "
            "URL names one"
        )
    if len(whom.urls) > PEERS_MAX:
        raise Misuse(f"{len(whom.urls)} peers to ask, at most {PEERS_MAX} at once")
    asking = _Asking(whom, Bounds(post, timeout_s / STEPS, asyncio.get_running_loop().time() + timeout_s))
    peers = [Asked(url, list(names)) for url, names in whom.urls.items()]
    accounts: dict[str, Account] = {}
    named: dict[str, list[Asked]] = {}  # proofs of forks, and who lists them
    platform = asked if is_platform else asked.rpartition("/")[0]
    done = 0

    async def first(peer: Asked) -> None:
        nonlocal done
        if (found := await asking.account(peer, platform)) is not None:
            accounts[peer.url] = found
        for name in await asking.names(peer):
            named.setdefault(name, []).append(peer)
        done += 1
        said(done, len(peers))

    await asyncio.gather(*map(first, peers))
    proofs = _proofs(await asyncio.gather(*(asking.proof(*one) for one in named.items())), whom)
    logs = [asked]
    if is_platform:
        logs = [one for one in _logs_in(accounts.values(), proofs, platform) if whom.key_of(one) is not None]
    listed = [await asking.log(origin, span, peers, accounts) for origin in logs[:LOGS_MAX]]
    for answer in listed:
        answer.take_forks(proofs.get(answer.origin, []))
    return Found(platform, peers, listed)


class _Asking:
    """Requests before one moment, and what they show of each log."""

    def __init__(self, whom: Whom, bounds: Bounds) -> None:
        self._whom = whom
        self._bounds = bounds

    async def account(self, peer: Asked, platform: str) -> Account | None:
        """What a peer holds of a platform; None of one that does not say it."""
        body = await peer.get(f"{PLATFORM}/{platform}", self._bounds)
        if body is None or peer.version is None:
            return None
        try:
            account = parse_account(body)
        except FormatError as error:
            peer.fault(str(error))
            return None
        if account.platform != platform:
            peer.fault(f"asked of {platform}, it told of {account.platform}")
            return None
        return account

    async def names(self, peer: Asked) -> list[str]:
        """Names of the proofs of forks that a peer keeps."""
        body = await peer.get(FORKS, self._bounds)
        lines = [] if body is None or peer.version is None else body.decode("ascii", "replace").split("\n")[:-1]
        return [name for name in lines if _NAME.fullmatch(name)][:FORKS_MAX]

    async def proof(self, name: str, peers: Iterable[Asked]) -> bytes:
        """A proof of a fork by its name, of the first who gives what the name says; empty where none does."""
        for peer in peers:
            text = await peer.get(f"{FORKS}/{name}", self._bounds)
            if text is not None and sha256(text).hexdigest() == name:
                return text
            peer.fault(f"it lists the proof of a fork {name[:16]} and does not give it")
        return b""

    async def log(
        self, origin: str, span: Range | None, peers: list[Asked], accounts: Mapping[str, Account]
    ) -> LogAnswer:
        """Ask all of one log, and hold what they show against each other."""
        key = self._whom.key_of(origin)
        assert key is not None, "logs are those of the platform that is asked of"
        path = f"log/{origin}/checkpoint"
        notes = await asyncio.gather(*(peer.get(path, self._bounds) for peer in peers))
        shown: list[tuple[Asked, list[Checkpoint]]] = []  # by each peer, the one whose tree it serves most likely first
        said: list[tuple[str, OpenedCheckpoint]] = []
        answer = LogAnswer(origin, [], wanted=span)
        for peer, note in zip(peers, notes, strict=True):
            account = accounts.get(peer.url)
            older = [] if account is None else account.notes
            notes_shown = [] if note is None else [note]
            notes_shown += [one for one in older if one != note and one.startswith(f"{origin}\n".encode())]
            opened = [
                one for one in (self._opened(peer, one, key) for one in notes_shown[:HEADS_MAX]) if one is not None
            ]
            said += [(peer.label, one) for one in opened]
            archived = None if account is None else account.archived.get(origin)
            shown.append((peer, sorted((one.checkpoint for one in opened), key=lambda one: one.size != archived)))
            if not opened and peer.outcome == "answered":
                answer.silent.append(peer.label)
            for over in () if account is None else account.retired:
                if over.origin == origin:
                    answer.retired[peer.label] = over.size
        answer.heads = heads_of(said, key, self._whom.trust)
        answer.forks = same_sizes(answer.heads)
        by_head = {head.checkpoint: head for head in answer.heads}
        trees = [
            PeerTree(peer, by_head[head], self._bounds)
            for peer, heads in shown
            for head in list(dict.fromkeys(heads))[:TREES_MAX]
        ]
        largest = sorted(trees, key=lambda tree: -tree.head.checkpoint.size)
        for head in answer.heads:
            if head.standing == "unproved":
                await self._compare(head, largest, answer)
        if span is not None:
            await asyncio.gather(*(self._hashes(peer, trees, answer, span) for peer in peers))
        return answer

    def _opened(self, peer: Asked, note: bytes, key: VerifierKey) -> OpenedCheckpoint | None:
        try:
            is_foreign = key.name in self._whom.foreign
            return open_checkpoint(note, key, self._whom.trust.witnesses.values(), may_extend=is_foreign)
        except FormatError as error:
            peer.fault(str(error))
            return None

    async def _compare(self, head: SeenHead, trees: Iterable[PeerTree], answer: LogAnswer) -> None:
        """Hold a head against larger trees, until one of them proves that it agrees or contradicts."""
        reasons = []
        for tree in trees:
            if tree.head.checkpoint.size <= head.checkpoint.size:
                continue
            try:
                fork = await tree.computed(partial(compared, head, tree.head))
            except (NotServed, FormatError) as error:
                reasons.append(f"{tree.peer.label}: {error}")
                continue
            what = f"{tree.head.checkpoint.size:,} entries, by the tree of {tree.peer.label}"
            if fork is None:
                head.standing, head.why = "agrees", f"a beginning of {what}"
            else:
                head.standing, head.why = "contradicts", f"no beginning of {what}"
                tree.head.standing = "contradicts"
                answer.forks.append(fork)
            return
        head.why = "; ".join(reasons) or "nobody serves a longer tree"

    async def _hashes(self, peer: Asked, trees: Iterable[PeerTree], answer: LogAnswer, span: Range) -> None:
        """All that a peer has of a range."""
        await self._entries([one for one in trees if one.peer is peer], answer, span)
        proved = answer.held.get(peer.label, {})
        first = next((seq for seq in range(*span) if seq not in proved), span[1])
        claimed: dict[int, bytes] = {}
        for _ in range(CLAIMS_MAX):
            if first >= span[1] or peer.version is None:
                break
            body = await peer.get(f"log/{answer.origin}/hashes/{first}-{span[1]}", self._bounds)
            if not body or len(body) % HASH_BYTES or len(body) > (span[1] - first) * HASH_BYTES:
                break
            told = [body[at : at + HASH_BYTES] for at in range(0, len(body), HASH_BYTES)]
            claimed |= {seq: value for seq, value in enumerate(told, first) if seq not in proved}
            first += len(told)
        if claimed:
            answer.claimed[peer.label] = claimed

    async def _entries(self, trees: Iterable[PeerTree], answer: LogAnswer, span: Range) -> None:
        """Take the hashes of a range that a peer can prove under heads that it showed."""
        for tree in trees:
            head, label = tree.head.checkpoint, tree.peer.label
            held = answer.held.setdefault(label, {})
            for start in range(span[0] - span[0] % TILE_WIDTH, min(span[1], head.size), TILE_WIDTH):
                try:
                    proved = await tree.computed(partial(proved_tile, head, start))
                except (NotServed, FormatError) as error:
                    answer.unproved.setdefault(label, str(error))
                    continue
                held |= {seq: value for seq, value in proved.items() if span[0] <= seq < span[1] and seq not in held}
            if not held:
                del answer.held[label]
            elif len(held) == span[1] - span[0]:
                answer.unproved.pop(label, None)
                return


def _logs_in(accounts: Iterable[Account], proofs: Iterable[str], platform: str) -> list[str]:
    """Origins that anyone tells of."""
    named = dict.fromkeys(origin for origin in proofs if origin.rpartition("/")[0] == platform)
    for account in accounts:
        named |= dict.fromkeys(account.archived)
        named |= dict.fromkeys(one.origin for one in account.retired)
        for note in account.notes:
            named[note.partition(b"\n")[0].decode()] = None
    return sorted(named)


def _proofs(texts: Iterable[bytes], whom: Whom) -> dict[str, list[ForkProof]]:
    """Proofs that hold, by origin; what proves nothing says nothing."""
    found: dict[str, list[ForkProof]] = {}
    for text in texts:
        with suppress(FormatError):
            proof = parse_fork(text)
            found.setdefault(verify_fork(proof, whom.trust, whom.foreign).origin, []).append(proof)
    return found
