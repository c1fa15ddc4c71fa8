"""Rows messages of one session and transaction: one element of their entry, each acknowledged and repeated by itself."""

from __future__ import annotations

import signal
import struct
from typing import Any

from recorder.core import cbor
from recorder.core.entry import decode
from recorder.core.kinds import Commit, Kind, Rows
from recorder.core.messages import Flag, Status, Verb
from tests.claims import WHAT
from tests.daemon.raw import Raw
from tests.running import Running, records_of, verified

FIELDS = [["q", "<f4", 2, "rad"]]


def packed(*ticks: int, at_ns: int = 1000) -> bytes:
    return b"".join(struct.pack("<Q2f", at_ns + tick, tick, 0.5) for tick in ticks)


def asked(running: Running, raw: Raw, *messages: list[Any]) -> list[tuple[int, int, Any]]:
    """The answers to messages that the recorder finds all at once, which makes them one transaction."""
    running.process.send_signal(signal.SIGSTOP)
    for message in messages:
        raw.send(message)
    running.process.send_signal(signal.SIGCONT)
    return [raw.receive() for _ in messages]


def acts(running: Running) -> list[tuple[list[Commit | Rows], list[Any]]]:
    """Key 10 of each actuation, and the claims beside it."""
    assert running.stop() == 0
    report = verified(running.state)
    assert report.problem_counts == {}
    found = []
    for raw, claims in records_of(running.state):
        header = decode(raw).header
        if header.kind == Kind.ACTUATION:
            assert claims is not None
            found.append((header.commits or [], cbor.decode(claims)[10]))
    return found


def test_messages_of_a_stream_become_one_element(running: Running) -> None:
    """Their rows in order under one root, what and where stored once; each message has its receipt, and the same again."""
    with Raw(running.socket) as raw:
        _, opened = raw.open_cycle()
        raw.ask(Verb.DECLARE_STREAM, "arm", FIELDS, WHAT, {})
        messages = [[Verb.ROWS, 50 + at, opened[0], None, 0, packed(2 * at, 2 * at + 1)] for at in range(5)]
        answers = asked(running, raw, *messages)
        assert [(status, counter) for status, counter, _ in answers] == [(Status.OK, 50 + at) for at in range(5)]
        assert len({tuple(body) for _, _, body in answers}) == 1
        raw.send(messages[3])
        status, counter, body = raw.receive()
        assert (status, counter, body[:4]) == (Status.OK, 53, answers[3][2][:4])
        assert body[4] & Flag.DUPLICATE
    ((commits, claims),) = acts(running)
    (rows,) = commits
    assert isinstance(rows, Rows)
    assert (rows.count, rows.at_mono_ns) == (10, (1000, 1009))
    assert int.from_bytes(rows.request[8:], "big") == 50
    assert claims[0][2][1] == packed(*range(10))


def test_what_comes_between_ends_an_element(running: Running) -> None:
    """A commit, another stream, rows of an earlier time: the order of a session's requests stays that of key 10."""
    with Raw(running.socket) as raw:
        _, opened = raw.open_cycle()
        carrier, number = opened[0], opened[5]["arm.joint1"]
        raw.ask(Verb.DECLARE_STREAM, "arm", FIELDS, WHAT, {})
        raw.ask(Verb.DECLARE_STREAM, "arm.joint1", FIELDS, WHAT, {})
        messages = [
            [Verb.ROWS, 50, carrier, None, 0, packed(0, 1)],
            [Verb.COMMIT, 51, carrier, None, number, WHAT, {}, 5, None],
            [Verb.ROWS, 52, carrier, None, 0, packed(2)],
            [Verb.ROWS, 53, carrier, None, 0, packed(2, 3)],
            [Verb.ROWS, 54, carrier, None, 1, packed(4)],
            [Verb.ROWS, 55, carrier, None, 0, packed(9)],
            [Verb.ROWS, 56, carrier, None, 0, packed(8)],
        ]
        answers = asked(running, raw, *messages)
        assert [body[1] for _, _, body in answers] == [0, 1, 2, 2, 3, 4, 5]
        again = []
        for message in messages:
            raw.send(message)
            again.append(raw.receive()[2][:4])
        assert again == [body[:4] for _, _, body in answers]
    ((commits, claims),) = acts(running)
    assert [one.count if isinstance(one, Rows) else 0 for one in commits] == [2, 0, 3, 1, 1, 1]
    assert [held[2][1] for held in claims if len(held) == 3] == [
        packed(0, 1), packed(2, 2, 3), packed(4), packed(9), packed(8),
    ]  # fmt: skip


def test_sessions_gather_each_for_itself(running: Running) -> None:
    """Two controllers under one cycle: an element each, and their messages' receipts name it."""
    with Raw(running.socket) as one, Raw(running.socket) as other:
        _, opened = one.open_cycle()
        for raw in (one, other):
            raw.ask(Verb.DECLARE_STREAM, "arm", FIELDS, WHAT, {})
        running.process.send_signal(signal.SIGSTOP)
        for counter in (50, 51, 52):
            for raw in (one, other):
                raw.send([Verb.ROWS, counter, opened[0], None, 0, packed(counter)])
        running.process.send_signal(signal.SIGCONT)
        places = [{tuple(raw.receive()[2][:2]) for _ in range(3)} for raw in (one, other)]
    assert [len(found) for found in places] == [1, 1]
    assert places[0] != places[1]
    ((commits, _),) = acts(running)
    assert [one.count for one in commits if isinstance(one, Rows)] == [3, 3]


def test_the_bounds_of_a_cycle_hold_message_by_message(running: Running) -> None:
    """What is within them is gathered apart from what is not."""
    with Raw(running.socket) as raw:
        _, opened = raw.open_cycle(max_commits=4)
        raw.ask(Verb.DECLARE_STREAM, "arm", FIELDS, WHAT, {})
        messages = [[Verb.ROWS, 50 + at, opened[0], None, 0, packed(2 * at, 2 * at + 1)] for at in range(4)]
        answers = asked(running, raw, *messages)
    assert [body[3] for _, _, body in answers] == [3, 3, 5, 5]
    assert [one.count for commits, _ in acts(running) for one in commits if isinstance(one, Rows)] == [4, 4]
