"""A proof that cannot be made here: it is said of that one witness, ends nothing, and the tree is made again."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from mesh.exchange import OK, TEXT_TYPE, Answer, conflict, refused
from mesh.node.aside import Aside
from mesh.node.config import Limits
from mesh.node.ownlog import Head, OwnLog
from mesh.node.post import Post
from mesh.node.proofs import OwnProofs
from mesh.node.server import HttpServer
from mesh.node.submitting import Submission, Witness, cosignature_by
from mesh.node.unkept import Unkept
from recorder.core.errors import FormatError
from recorder.core.tiles import tile_path
from tests.mesh.fleet import FLEET, ORIGIN, WITNESSES, hashes, head_of, note_of
from tests.node.meshes import fleet, needs_namespaces, peer_of
from tests.node.test_server import free_port

LEAVES = hashes(700)
BEHIND, UNKNOWN = conflict(5), refused(403, FormatError("incarnation_unknown", "show it"))


def asked(state: Path, answer: Answer, *, size: int = 700) -> Witness:
    """A witness that was asked to cosign a head, where the tree has `size` entries, one tile is damaged, and no recorder runs."""

    async def respond(method: str, _path: str, _body: bytes) -> Answer:
        return answer if method == "POST" else Answer(OK, TEXT_TYPE, b"")

    async def ask() -> Witness:
        own = OwnLog(state / "no-recorder.sock", state / "logs", FLEET, print, Unkept(print))
        own.tree(ORIGIN).append(LEAVES[:size])
        (state / "logs" / ORIGIN / tile_path(0, 0)).write_bytes(bytes(8192))
        log = FLEET.log_of(ORIGIN)
        assert log is not None
        latest = Head(head_of(LEAVES), note_of(LEAVES), log)
        port, post, aside = free_port(), Post(60.0), Aside("own-log")
        server = HttpServer(Limits(), respond)
        await server.listen([f"127.0.0.1:{port}"])
        witness = Witness("arm-8", WITNESSES["arm-8"], [f"http://127.0.0.1:{port}"])
        submission = Submission(latest.head, OwnProofs(own, latest), post, aside, random.random)
        assert await cosignature_by(witness, submission, time.monotonic() + 120) is None
        assert own.tree(ORIGIN).is_damaged == (answer == BEHIND and size == 700)
        await post.close()
        await server.close()
        aside.close()
        return witness

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("answer", "size", "why"),
    [
        (BEHIND, 700, "is damaged"),
        (BEHIND, 300, "made again"),
        (UNKNOWN, 700, "no recorder"),
    ],
)
def test_what_cannot_be_proved_here_is_told(tmp_path: Path, answer: Answer, size: int, why: str) -> None:
    """A damaged tile, a tree that another task is reading again, a recorder that has just gone: no fault of the witness."""
    witness = asked(tmp_path, answer, size=size)
    assert witness.last.startswith("refused: here own_log: ")
    assert why in witness.last
    assert witness.failures == 0


@needs_namespaces
def test_a_damaged_tile_holds_up_nobody_else(tmp_path: Path) -> None:
    """A witness that is far behind needs it: the others are asked all the same, and the next round reads the log again."""
    with fleet(tmp_path, 3, needed=1) as platforms:
        first, _, late = platforms
        first.mark()
        assert first.round()["latest"]["cosigned"] == 2
        assert late.stop_mesh() == 0
        first.mark(300)
        origin = first.round()["latest"]["origin"]
        late.begin_mesh()
        late.await_mesh()
        (first.mesh / "logs" / origin / tile_path(0, 0)).write_bytes(bytes(8192))
        first.mark()
        status = first.round()
        assert status["latest"]["cosigned"] == 1
        assert "own_log" in peer_of(status, late)["last"]
        first.mark()
        assert first.round()["latest"]["cosigned"] == 2
