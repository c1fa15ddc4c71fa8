"""The C client against a scripted recorder: answers that are lost, late, refused, or name no request."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from recorder.core.errors import FormatError
from recorder.core.message_replies import Failed
from recorder.core.messages import Flag, Status, Verb
from recorder.core.protocol import decode_request, request_id
from tests.c.building import C99, HERE, SANITIZERS, Program, compiled, needs_gcc
from tests.client import peer as peers
from tests.client.peer import Peer

pytestmark = needs_gcc


class Picky(Peer):
    """A peer that cannot read some messages, and so can't say which."""

    unreadable: bytes | None = None

    def _receive(self, link: Any) -> None:
        if self.unreadable is None:
            super()._receive(link)
            return
        try:
            message = link.sock.recv(1 << 17, socket.MSG_PEEK)
        except OSError:  # it hung up on our last answer
            message = b""
        if self.unreadable in message:
            link.sock.recv(1 << 17)
            self._reply(link, Status.ERROR, 0, Failed("message_malformed", "for the test"))
        else:
            super()._receive(link)


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Picky]:
    monkeypatch.setattr(peers, "ACTUATORS", ("arm", "arm.joint1"))  # the driver's
    with TemporaryDirectory(prefix="lin") as directory:
        served = Picky(Path(directory) / "recorder.sock")
        yield served
        served.stop()


@pytest.fixture
def script(driver: Path, peer: Picky) -> Iterator[Program]:
    with Program(driver, peer.path, "script") as program:
        assert program.do("open motion 60000").startswith("open ok ")
        yield program


class Hesitant(Picky):
    """A peer that keeps its first answer to rows back."""

    kept: tuple[Any, ...] | None = None
    keeps = True

    def _reply(self, link: Any, status: Status, counter: int, body: Any) -> None:
        if self.keeps and self.seen and self.seen[-1].verb == Verb.ROWS:
            self.keeps = False
            self.kept = (link, status, counter, body)
        else:
            super()._reply(link, status, counter, body)


def ticks(peer: Peer) -> list[int]:
    return [struct.unpack("<I", row[-4:])[0] for row in peer.ledger.rows]


def test_a_late_receipt_is_no_permission(script: Program, peer: Picky) -> None:
    """Durable after its deadline: not to be acted on, and abandoned at once."""
    peer.flags = lambda request: Flag.LATE if request.verb == Verb.COMMIT else 0
    assert script.do("commit 1 60000").startswith("commit unavailable late=1 rule=1 ")
    peer.wait_for(lambda: bool(peer.ledger.of(Verb.ABANDON)))
    (commit,) = peer.ledger.of(Verb.COMMIT)
    assert peer.ledger.of(Verb.ABANDON)[0].requests == [request_id(bytes(7) + b"\x01", commit.counter)]
    assert script.end()["closed"] == 1


def test_a_refusal_for_lateness_alone_counts_as_late(script: Program, peer: Picky) -> None:
    """Nothing was admitted, so there is nothing to abandon; the class decides as for any lateness."""
    peer.refuse = lambda request: ["deadline_passed"] if request.verb == Verb.COMMIT else []
    assert script.do("commit 1 60000").startswith("commit unavailable late=1 rule=1 ")
    assert script.do("open hover 60000").startswith("open ok ")
    assert script.do("commit 2 60000").startswith("commit ungated_pending late=1 rule=2 ")
    script.settled()
    assert script.end()["closed"] == 1
    assert peer.ledger.of(Verb.ABANDON) == []
    assert [event.what["magnitude"] for event in peer.ledger.of(Verb.EVENT)] == [2]


def test_a_lost_answer_is_asked_for_again_with_the_same_bytes(script: Program, peer: Picky) -> None:
    """The recorder hangs up on each first telling; other bytes under the same id would be an error there."""
    script.do("stream arm 1024")
    script.do("lane arm 16")
    told: set[int] = set()

    def first_telling(request: Any) -> bool:
        is_new = request.verb in (Verb.COMMIT, Verb.ROWS, Verb.EVENT, Verb.GAP) and id(request) is not None
        key = hash((request.verb, request.counter))
        fresh = is_new and key not in told
        told.add(key)
        return fresh

    peer.swallow = first_telling
    assert script.do("push - 100") == "push 100"
    assert script.do("event curtain 3") == "event 3"
    assert script.do("gap dropout 1").startswith("gap ok")
    answered = script.do("commit 7 60000")
    assert answered.startswith("commit ok late=0 rule=1 decision=3 duplicate=1 "), answered
    counts = script.settled()
    assert (counts["rows_acknowledged"], counts["events_acknowledged"], counts["lost_declared"]) == (100, 4, 0)
    assert script.end()["closed"] == 1
    assert ticks(peer) == list(range(100))
    assert [len(peer.ledger.of(verb)) for verb in (Verb.COMMIT, Verb.EVENT, Verb.GAP)] == [1, 3, 1]


def test_a_session_that_made_room_ends_its_ids_and_loses_nothing(script: Program, peer: Picky) -> None:
    """What is unanswered follows under a new session's ids."""
    script.do("stream arm 1024")
    script.do("push - 50")
    script.settled()
    peer.sessions_closed = True
    script.do("push - 50")
    script.settled()
    assert script.end()["closed"] == 1
    assert ticks(peer) == list(range(100))
    assert peer.ledger.issued > 2


def test_streams_that_get_other_numbers_are_named_by_them(script: Program, peer: Picky) -> None:
    """A recorder that numbers otherwise on the next connection still gets all rows, once."""
    script.do("stream arm 1024")
    script.do("push - 50")
    script.settled()
    peer.stop()
    script.do("push - 50")
    peer.stream_base = 5
    peer.start()
    script.settled()
    assert script.end()["closed"] == 1
    assert ticks(peer) == list(range(100))


def test_streams_keep_their_numbers_over_a_reconnect(script: Program, peer: Picky) -> None:
    """Declared again in the order in which they were opened; else rows sent again would not be the same bytes."""
    for actuator in ("arm", "arm.joint1"):
        script.do(f"stream {actuator} 1024")
        script.do("push - 50")
        script.settled()
    told: list[int] = []

    def first_telling(request: Any) -> bool:
        if request.verb == Verb.ROWS:
            told.append(request.counter)
        return request.verb == Verb.ROWS and told.count(request.counter) == 1

    peer.swallow = first_telling
    script.do("push - 50")
    counts = script.settled()
    assert (counts["rows_acknowledged"], counts["rows_rejected"]) == (150, 0)
    assert script.end()["closed"] == 1
    assert ticks(peer) == list(range(150))


def test_room_is_free_once_all_before_it_is_answered(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second message is answered, the first is not: it may be sent again, so its rows must stay as they are."""
    monkeypatch.setattr(peers, "ACTUATORS", ("arm", "arm.joint1"))
    with TemporaryDirectory(prefix="lin") as directory:
        peer = Hesitant(Path(directory) / "recorder.sock")
        with Program(driver, peer.path, "script") as script:
            script.do("open motion 60000")
            script.do("stream arm 2048")
            assert script.do("push - 1820") == "push 1820"
            script.do("flush - 50")
            peer.wait_for(lambda: script.counts()["rows_acknowledged"] > 0)
            taken = int(script.do("push - 500").split()[1])
            assert taken == 2048 - 1820
            assert peer.kept is not None
            with peer.lock:
                Picky._reply(peer, *peer.kept)
            assert script.settled()["lost_declared"] == 500 - taken
            assert script.end()["closed"] == 1
        peer.stop()
        assert ticks(peer) == list(range(2048))


def test_rows_belong_to_the_cycle_that_was_in_use(script: Program, peer: Picky) -> None:
    """Changes of cycle stand between the rows, wherever the pump is."""
    script.do("stream arm 1024")
    script.do("push - 10")
    script.settled()
    peer.stop()
    for carrier, count in ((77, 3), (78, 4), (79, 0), (80, 5)):
        assert script.do(f"use - {carrier}").startswith("use ok")
        script.do(f"push - {count}")
    peer.start()
    script.settled()
    assert script.end()["closed"] == 1
    rows = [(request.carrier, len(request.packed) // 36) for request in peer.ledger.of(Verb.ROWS)]
    assert rows[-3:] == [(77, 3), (78, 4), (80, 5)]
    assert ticks(peer) == list(range(22))


def test_too_many_changes_of_cycle_are_told(script: Program, peer: Picky) -> None:
    """With 64 waiting, the next has to be tried again; what is pushed meanwhile stays with the last that was taken."""
    script.do("stream arm 1024")
    script.settled()
    peer.stop()
    answers = [script.do(f"use - {carrier}") for carrier in range(1, 100)]
    assert [answer.startswith("use ok") for answer in answers[:63]] == [True] * 63
    assert answers[-1].startswith("use full")
    script.do("push - 1")
    peer.start()
    script.settled()
    assert script.do("use - 99").startswith("use ok")
    script.do("push - 1")
    script.settled()
    assert script.end()["closed"] == 1
    first, second = (request.carrier for request in peer.ledger.of(Verb.ROWS))
    # The pump may have taken some before it noticed that nobody is there: then as many more found room.
    taken = max(carrier for carrier, answer in enumerate(answers, 1) if answer.startswith("use ok"))
    assert (first, second) == (taken, 99)


def test_a_message_that_cannot_be_read_is_found_and_declared(script: Program, peer: Picky) -> None:
    """The error names no request: one at a time until it is found; the others, before and behind it, arrive once."""
    script.do("stream arm 8192")
    script.do("lane arm 16")
    peer.mute = True
    script.do("push - 4000")
    script.do("event curtain 5")
    peer.unreadable = struct.pack("<I", 1500)
    peer.mute = False
    counts = script.settled()
    assert counts["rows_rejected"] > 0
    assert counts["rows_rejected"] == counts["lost_declared"]
    script.do("push - 10")
    script.settled()
    assert script.end()["closed"] == 1
    arrived = ticks(peer)
    assert arrived == sorted(set(arrived))
    missing = sorted(set(range(4010)) - set(arrived))
    assert missing == list(range(missing[0], missing[0] + counts["rows_rejected"]))
    assert 1500 in missing
    (gap,) = peer.ledger.of(Verb.GAP)
    assert gap.count == counts["rows_rejected"]
    assert len(peer.ledger.of(Verb.EVENT)) == 5


def test_what_cannot_be_stored_is_sent_again_later(script: Program, peer: Picky) -> None:
    """Rows, events and abandonings wait for room; a commit is told at once, as any absence."""
    script.do("stream arm 1024")
    script.do("lane arm 16")
    peer.mute = True
    assert script.do("commit 1 1000").startswith("commit unavailable ")  # sent: its thread has had time
    peer.fail = lambda request: (
        Failed("store_full", "no room") if request.verb in (Verb.ROWS, Verb.EVENT, Verb.ABANDON, Verb.COMMIT) else None
    )
    peer.mute = False
    script.do("push - 50")
    script.do("event curtain 5")
    held = script.do("commit 2 60000")
    assert held.startswith("commit unavailable late=0 rule=1 decision=-1 duplicate=0 store_full; no room"), held
    peer.wait_for(lambda: {Verb.ROWS, Verb.EVENT, Verb.ABANDON} <= {request.verb for request in peer.seen})
    assert script.do("flush - 50").startswith("flush unavailable ")
    peer.fail = lambda request: None
    script.settled()
    assert script.end()["closed"] == 1
    assert ticks(peer) == list(range(50))
    assert [event.what["magnitude"] for event in peer.ledger.of(Verb.EVENT)] == [5, 4, 3, 2, 1]
    assert len(peer.ledger.of(Verb.ABANDON)) == 1


def test_what_listens_there_may_be_something_else(driver: Path, peer: Picky, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that are no protocol of ours: told, and tried again, without a fault."""
    monkeypatch.setattr(Picky, "_reply", lambda self, link, *_: link.sock.send(b"\xffHTTP/1.1 400"))
    with Program(driver, peer.path, "script", 1000) as script:
        answer = script.do("open motion 1000")
        assert answer.startswith("open unavailable "), answer
        assert "does not speak the recorder's protocol" in answer
        script.end()


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_answers_that_are_cut_do_no_harm(driver: Path, peer: Picky, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every head may end the message; memory that is not there is never read (this runs under ASan)."""
    whole = Picky._reply

    def reply(self: Picky, link: Any, status: Status, counter: int, body: Any) -> None:
        if counter == 0:
            whole(self, link, status, counter, body)
        else:
            link.sock.send(bytes.fromhex("830001890358")[: cut % 7] + bytes(cut))

    monkeypatch.setattr(Picky, "_reply", reply)
    with Program(driver, peer.path, "script", 200) as script:
        assert not script.do("open motion 100").startswith("open ok")
        script.end()


def test_claims_that_the_recorder_would_not_read_never_leave(tmp_path: Path) -> None:
    """The C check and the recorder's agree on hand-written claims and on every byte of some changed."""
    program = compiled(HERE / "claims.c", tmp_path / "claims", *C99, *SANITIZERS["asan"])
    valid = [
        "a0", "a1616101", "a26161f6616201", "a1616183010203", "a16161fb3ff0000000000000", "a16161fa3f800000", "a16161f93c00",
        "a16161a200010102", "a161613b7fffffffffffffff", "a16161" + "81" * 10 + "00", "a162c3a9f5", "a1616143000102", "a1f93c0000",
    ]  # fmt: skip
    tried = [bytes.fromhex(item) for item in valid]
    for item in list(tried):
        for at in range(len(item)):
            tried += [item[:at] + bytes([byte]) + item[at + 1 :] for byte in range(256)]
        tried += [item + b"\x00", item[:-1]]
    tried = [item for item in tried if item]  # no bytes at all stand for no claims
    tried += [bytes.fromhex("a16161" + "81" * 11 + "00"), b"\xa2\x61a\x00\x61a\x01"]
    with Program(program) as checker:
        verdicts = [checker.do(item.hex()) == "ok" for item in tried]
        checker.end()
    differ = []
    for item, ok in zip(tried, verdicts, strict=True):
        try:
            # As the recorder would read it: an event with this what.
            decode_request(b"\x89\x09\x01\x61c\x81\x61a\xa0" + item + b"\xa0\xa1\x66reason\x61x\x05")
            readable = True
        except FormatError:
            readable = False
        if ok != readable:
            differ.append(item.hex())
    # Where they differ, the header is the stricter one: about claims that are too deep to be stored.
    assert all(item.startswith("a16161" + "81" * 10) for item in differ), differ
    assert [ok for ok, _ in zip(verdicts, valid, strict=False)] == [True] * 12 + [False]
