"""Asking peers of a log over real sockets: agreement, contradiction, gaps, and peers that lie, dawdle or flood."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from hashlib import sha256
from typing import NamedTuple

import pytest

from mesh.account import Account
from mesh.asking import LogAnswer, Range, entries_of, verdict_of
from mesh.exchange import OK, TEXT_TYPE, Answer, refused
from mesh.node.asked import Asked
from mesh.node.asking import LOGS_MAX, RANGE_MAX, Found, Whom, ask
from mesh.node.config import Limits
from mesh.node.post import Post
from mesh.node.server import HttpServer
from mesh.submission import with_cosignatures
from recorder.core.cosignature import cosign
from recorder.core.errors import FormatError, Misuse
from recorder.core.forks import ForkProof, fork_of, verify_fork
from recorder.core.tiles import parse_tile_path
from tests.mesh.fleet import (
    FLEET,
    FOREIGN,
    NEXT_ORIGIN,
    ORIGIN,
    TIME_S,
    WITNESSES,
    Leaves,
    hashes,
    head_of,
    note_of,
    signer,
)
from tests.node.test_server import free_port

LEAVES, BESIDE = hashes(600), hashes(600, "other", common=300)
PLATFORM = "acme/arm-7"


class Shelf(NamedTuple):
    """What a peer in a test serves."""

    note: bytes | None = None
    tree: Sequence[bytes] = ()
    account: bytes | None = None
    forks: Sequence[bytes] = ()
    claims: Sequence[bytes] = ()  # hashes of entries, covered by a head or not
    gives: bytes | None = None  # in the place of each proof that it lists
    origin: str = ORIGIN

    async def respond(self, _method: str, path: str, _body: bytes) -> Answer:
        listed = {sha256(text).hexdigest(): text for text in self.forks}
        found: bytes | None = None
        if path == f"/log/{self.origin}/checkpoint":
            found = self.note
        elif path.startswith(f"/log/{self.origin}/tile/") and self.tree:
            level, index, width = parse_tile_path(path.removeprefix(f"/log/{self.origin}/"))
            tree = Leaves(self.tree)
            found = b"".join(tree.node(8 * level, index * 256 + at) for at in range(width))
        elif path.startswith(f"/log/{self.origin}/hashes/"):
            first, end = map(int, path.rpartition("/")[2].split("-"))
            found = b"".join(self.claims[first : min(end, first + 2)]) or None
        elif path == f"/platform/{PLATFORM}":
            found = self.account
        elif path == "/forks":
            found = "".join(f"{name}\n" for name in listed).encode()
        elif path.startswith("/forks/"):
            found = self.gives or listed.get(path.removeprefix("/forks/"))
        if found is None:
            return refused(404, FormatError("path_unknown", path))
        return Answer(OK, TEXT_TYPE, found)


def peer(
    leaves: Sequence[bytes], *witnesses: str, serves: Sequence[bytes] | None = None, account: bytes | None = None
) -> Shelf:
    """A peer with a head, cosigned by these, and with its tree unless it serves another one or none."""
    lines = [cosign(head_of(leaves), WITNESSES[name].name, signer(f"witness {name}"), TIME_S) for name in witnesses]
    return Shelf(with_cosignatures(note_of(leaves), lines), leaves if serves is None else serves, account)


def told(*notes: bytes, **more: dict[str, int]) -> bytes:
    return Account(PLATFORM, more.get("archived", {}), [], list(notes)).encode()


def asked(
    *shelves: Shelf | bytes | None, what: str = ORIGIN, span: Range | None = None, timeout_s: float = 120.0
) -> Found:
    """Ask peers that serve these; bytes are answered whatever is asked, None is nobody."""

    async def both() -> Found:
        async with AsyncExitStack() as undo:
            urls: dict[str, list[str]] = {}
            for at, shelf in enumerate(shelves):
                port = free_port()
                urls[f"http://127.0.0.1:{port}"] = [f"peer-{at}"]
                if isinstance(shelf, Shelf):
                    server = HttpServer(Limits(per_address=4), shelf.respond)
                    await server.listen([f"127.0.0.1:{port}"])
                    undo.push_async_callback(server.close)
                elif shelf is not None:
                    await undo.enter_async_context(_always(port, shelf))
            post = Post(60.0)
            undo.push_async_callback(post.close)
            whom = Whom(FLEET.trust, FLEET.foreign, urls)
            return await ask(whom, what, span, post, timeout_s, lambda _done, _all: None)

    return asyncio.run(both())


@asynccontextmanager
async def _always(port: int, answer: bytes) -> AsyncIterator[None]:
    """Answers whatever is asked; who has nothing to say keeps the connection."""
    open_: list[asyncio.StreamWriter] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if answer:
            writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", port):
        yield
        for one in open_:
            one.close()
            with suppress(ConnectionError):
                await one.wait_closed()


def only(found: Found) -> LogAnswer:
    (log,) = found.logs
    return log


def outcome(found: Found, at: int) -> Asked:
    return found.peers[at]


def test_all_agree() -> None:
    """Heads of three sizes, one of them shown by a witness without a tree, one only among old heads; a range that two hold."""
    shown = asked(
        peer(LEAVES, "port-1"),
        peer(LEAVES[:500], "arm-7", "port-2", account=told(note_of(LEAVES[:7]))),
        peer(LEAVES[:300], "port-1", serves=()),
        span=(250, 270),
    )
    log = only(shown)
    assert [(head.checkpoint.size, head.standing) for head in log.heads] == [
        (7, "agrees"), (300, "agrees"), (500, "agrees"), (600, "largest"),
    ]  # fmt: skip
    assert "by the tree of peer-0" in log.heads[0].why
    assert verdict_of(log, []) == "agreement"
    entries = entries_of(log)
    assert [one.hashes for one in entries] == [{LEAVES[seq]: ["peer-0", "peer-1"]} for seq in range(250, 270)]
    assert [(one.witnesses, one.operators) for one in entries[:1]] == [(["arm-7", "port-1", "port-2"], 2)]
    assert list(log.unproved) == ["peer-2"]


def test_what_is_only_claimed_stands_apart() -> None:
    """Hashes that no head covers, of those who heard them: they make no answer whole, whatever they are."""
    heard = peer(LEAVES[:300])._replace(claims=LEAVES[:310])
    other = Shelf(claims=BESIDE[:305])
    log = only(asked(heard, other, Shelf(claims=[b"short"] * 400), span=(297, 312)))
    entries = entries_of(log)
    assert [one.hashes for one in entries] == [{LEAVES[seq]: ["peer-0"]} for seq in range(297, 300)] + [{}] * 12
    assert entries[0].claimed == {BESIDE[297]: ["peer-1"]}
    assert [one.claimed for one in entries[3:8]] == [
        {LEAVES[seq]: ["peer-0"], BESIDE[seq]: ["peer-1"]} for seq in range(300, 305)
    ]
    assert [list(one.claimed) for one in entries[8:]] == [[LEAVES[seq]] for seq in range(305, 310)] + [[], []]
    assert (log.forks, verdict_of(log, [])) == ([], "partial")


@pytest.mark.parametrize("size", [600, 450])
def test_two_histories_are_proved(size: int) -> None:
    """Of one size or of two; each entry in doubt is told with both hashes."""
    log = only(asked(peer(LEAVES), peer(BESIDE[:size]), span=(298, 302)))
    (proof,) = log.forks
    assert verify_fork(proof, FLEET.trust).origin == ORIGIN
    assert {head.standing for head in log.heads} == {"contradicts"}
    assert [len(one.hashes) for one in entries_of(log)] == [1, 1, 2, 2]
    assert verdict_of(log, []) == "contradiction"


def fork() -> ForkProof:
    proof = fork_of(note_of(LEAVES[:400]), note_of(BESIDE[:400]))
    assert proof is not None
    return proof


def test_a_fork_that_a_peer_keeps_is_told() -> None:
    """Also where all heads that are shown agree, and although somebody lists it before and does not give it; once."""
    text = fork().encode()
    liar = Shelf(forks=[text], gives=text[:-1])
    histories = [peer(LEAVES[:400])._replace(forks=[text]), peer(BESIDE[:400], serves=())]
    assert only(asked(*histories)).forks == [fork()], "found by itself, and told"
    for shelves in (
        (peer(LEAVES)._replace(forks=[text]),),
        (liar, peer(LEAVES)._replace(forks=[text]), Shelf(forks=[text])),
    ):
        log = only(asked(*shelves))
        assert log.forks == [fork()]
        assert verdict_of(log, []) == "contradiction"
    found = asked(Shelf(forks=[text]), what=PLATFORM)
    assert [(log.origin, log.heads, len(log.forks)) for log in found.logs] == [(ORIGIN, [], 1)]


def test_who_serves_a_tree_that_leads_nowhere_proves_nothing() -> None:
    """A head is unproved, an entry not held, and the answer partial; another one who serves the tree mends that."""
    liar = peer(LEAVES, serves=BESIDE)
    log = only(asked(liar, peer(LEAVES[:9], serves=()), span=(0, 3)))
    assert (log.heads[0].standing, log.forks, log.held) == ("unproved", [], {})
    assert "consistency_proof" in log.heads[0].why
    assert "inclusion_proof" in log.unproved["peer-0"]
    assert verdict_of(log, []) == "partial"
    log = only(asked(liar, peer(LEAVES[:9], serves=()), peer(LEAVES), span=(0, 3)))
    assert (verdict_of(log, []), list(log.held)) == ("agreement", ["peer-2"])


def test_what_is_not_signed_counts_for_nothing() -> None:
    """A head of a thief, of another log, and what is none at all; what they said is told."""
    thief = note_of(LEAVES, by=signer("thief"))
    found = asked(Shelf(thief), Shelf(note_of(LEAVES, NEXT_ORIGIN)), Shelf(b"nonsense"), Shelf(account=b"nonsense"))
    log = only(found)
    assert (log.heads, log.silent) == ([], ["peer-0", "peer-1", "peer-2", "peer-3"])
    assert [bool(one.faults) for one in found.peers] == [True] * 4
    assert verdict_of(log, []) == "nobody"


def test_who_does_not_answer_is_named() -> None:
    """Nobody there, silent, another version, no HTTP: each with why, and what the others have stays."""
    other = b"HTTP/1.1 200 OK\r\nLineage-Mesh: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    found = asked(peer(LEAVES), None, b"", other, b"no HTTP\r\n\r\n", timeout_s=8.0)
    assert [one.outcome for one in found.peers] == [
        "answered", "unreachable", "unreachable", "other version", "unreachable",
    ]  # fmt: skip
    assert "speaks version 2 of the mesh protocol, this is 1" in outcome(found, 3).detail
    assert len(only(found).heads) == 1
    assert verdict_of(only(found), ["peer-1"]) == "partial"


def test_a_witness_that_does_not_speak_the_mesh_protocol() -> None:
    """Its head counts; what only peers tell is not taken of it."""
    note = note_of(LEAVES)
    plain = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(note), note)
    found = asked(plain)
    assert (outcome(found, 0).version, len(only(found).heads)) == (None, 1)
    assert outcome(found, 0).faults == []


def test_all_incarnations_of_a_platform() -> None:
    """Those that anyone tells of, by whatever; a foreign log has none."""
    account = told(note_of(LEAVES[:3], NEXT_ORIGIN), archived={ORIGIN: 600})
    found = asked(peer(LEAVES, account=account), what=PLATFORM)
    assert [(log.origin, [head.checkpoint.size for head in log.heads]) for log in found.logs] == [
        (ORIGIN, [600]), (NEXT_ORIGIN, [3]),
    ]  # fmt: skip
    note = note_of(LEAVES, FOREIGN, signer("foreign"))
    assert len(only(asked(Shelf(note, LEAVES, origin=FOREIGN), what=FOREIGN)).heads) == 1


def test_what_peers_may_take_is_bounded() -> None:
    """More incarnations than anyone has, and more entries than are given at once."""
    many = Account(PLATFORM, {f"{PLATFORM}/{at:016x}": 1 for at in range(200)}, [], []).encode()
    flood = Account(PLATFORM, {f"{PLATFORM}/x{at}": 1 for at in range(20)}, [], []).encode()
    assert len(asked(Shelf(account=many), what=PLATFORM).logs) == LOGS_MAX
    assert asked(Shelf(account=flood), what=PLATFORM).logs == []
    with pytest.raises(Misuse, match="at most"):
        asked(Shelf(), span=(0, RANGE_MAX + 1))
    with pytest.raises(Misuse, match="no log line of the list"):
        asked(Shelf(), what="acme/arm-9")
    with pytest.raises(Misuse, match="nobody to ask"):
        asked()
