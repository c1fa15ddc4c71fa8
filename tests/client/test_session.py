"""Ids, repeats and their order: the laws of recorder/client/session.py, without a socket."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from recorder.client.session import Outgoing, Session, outgoing
from recorder.core import message_requests, protocol
from recorder.core.errors import FormatError
from recorder.core.message_replies import Failed, Receipt
from recorder.core.messages import Status, Verb
from recorder.core.protocol import decode_request, encode_reply

ORIGIN = "fleet/robot/0123456789abcdef"
SESSION = bytes(7) + b"\x01"
WHAT = {"mode": "hold", "target": 1.5}


def gap(number: int) -> Outgoing:
    return outgoing(Verb.GAP, ["arm"], number, None, "test", token=number)


def sent_by(session: Session) -> list[Any]:
    """Send all that may go; the requests as the recorder reads them."""
    requests = []
    while (message := session.peek()) is not None:
        requests.append(decode_request(b"".join(bytes(part) for part in message)))
        session.sent()
    return requests


def ok(counter: int) -> bytes:
    return encode_reply(Status.OK, counter, Receipt(counter, 0, bytes(32), None, 0))


def failed(counter: int, error: str) -> bytes:
    return encode_reply(Status.ERROR, counter, Failed(error, "for the test"))


@given(
    st.integers(0, 2**40),
    st.integers(0, 2**63),
    st.dictionaries(st.text(max_size=8), st.one_of(st.none(), st.integers(-(2**63), 2**64 - 1), st.text(max_size=9))),
)
def test_a_request_without_its_counter_is_encoded_as_the_whole_one(
    counter: int, at: int, claims: dict[str, Any]
) -> None:
    """The bytes are those of protocol.encode, whatever the claims."""
    whole = message_requests.CommitRequest(Verb.COMMIT, counter, 7, None, 3, claims, {}, at, None, (2, 50))
    session = Session("test", 4)
    session.greeted(SESSION, ORIGIN, counter - 1)
    session.give(outgoing(Verb.COMMIT, 7, None, 3, claims, {}, at, None, [2, 50]))
    request = session.peek()
    assert request is not None
    if counter:  # counter 0 is hello's
        assert b"".join(bytes(part) for part in request) == protocol.encode(whole)


@pytest.mark.parametrize(
    "parts",
    [
        [[], 1, None, ""],  # no reason
        [["arm"] * 65, 1, None, "r"],
        [["arm"], -1, None, "r"],
        [["arm"], 1, None, "r", 5],
        [["arm"], 1, [1], "r"],
        [["arm"], 1, None, "x" * 60_000],
    ],
)
def test_what_the_recorder_could_not_read_is_refused_here(parts: list[Any]) -> None:
    """Its answer would name no request, and the caller would wait for ever."""
    with pytest.raises(FormatError):
        outgoing(Verb.GAP, *parts)


def test_an_unanswered_request_is_sent_again_with_the_same_id_and_bytes() -> None:
    """Also where the last durable counter covers it: its receipt never came."""
    session = Session("test", 4)
    session.greeted(SESSION, ORIGIN, -1)
    session.give(gap(1))
    session.give(gap(2))
    first = sent_by(session)
    session.lost()
    session.greeted(SESSION, ORIGIN, 2)
    session.give(gap(3))
    again = sent_by(session)
    assert again[:2] == first
    assert again[2].counter > first[1].counter


def test_answers_end_requests_in_any_order_and_only_once() -> None:
    """A reply that nobody waits for is nobody's."""
    session = Session("test", 4)
    session.greeted(SESSION, ORIGIN, -1)
    for number in range(3):
        session.give(gap(number))
    counters = [request.counter for request in sent_by(session)]
    answer = session.receive(ok(counters[1]))
    assert answer is not None
    assert answer.outgoing.token == 1
    assert session.receive(ok(counters[1])) is None
    session.lost()
    session.greeted(SESSION, ORIGIN, counters[1])
    assert [request.counter for request in sent_by(session)] == [counters[0], counters[2]]


def test_a_withdrawn_request_is_to_be_abandoned_only_if_it_has_left() -> None:
    """What was never sent leaves no trace; what was sent has an id that the recorder may have made durable."""
    session = Session("test", 1)
    session.greeted(SESSION, ORIGIN, -1)
    left, waits = gap(1), gap(2)
    session.give(left)
    session.give(waits)
    (sent,) = sent_by(session)
    assert session.withdraw(waits) is None
    assert session.withdraw(left) == protocol.request_id(SESSION, sent.counter)
    assert session.withdraw(left) is None
    assert session.is_idle


def test_a_withdrawn_request_is_not_sent_again_but_keeps_the_id_it_had_in_a_lost_session() -> None:
    """The recorder may have made it durable before it closed the session."""
    session = Session("test", 4)
    session.greeted(SESSION, ORIGIN, -1)
    request = gap(1)
    session.give(request)
    (sent,) = sent_by(session)
    session.lost()
    session.greeted(b"\x00" * 7 + b"\x02", ORIGIN, -1)
    assert session.withdraw(request) == protocol.request_id(SESSION, sent.counter)
    assert sent_by(session) == []


@pytest.mark.parametrize("how", ["answer", "hello", "origin"])
def test_an_ended_session_gives_new_ids_to_what_is_unanswered(how: str) -> None:
    """The recorder says so, does not know the session at hello, or has become another origin."""
    session = Session("test", 4)
    session.greeted(SESSION, ORIGIN, 40)
    session.give(gap(1))
    (request,) = sent_by(session)
    assert request.counter == 41
    if how == "answer":
        assert session.receive(failed(41, "session_closed")) is None
        assert session.closed
    session.lost()
    if how == "hello":
        session.renew()
    if how != "origin":
        assert decode_request(session.hello()).session is None
    session.greeted(SESSION if how == "origin" else b"\x00" * 7 + b"\x02", ORIGIN + "x" * (how == "origin"), -1)
    (again,) = sent_by(session)
    assert again.counter == 1
    assert session.renewals == 1


def test_declarations_end_with_their_connection_and_go_first() -> None:
    """The next connection numbers its own; until the numbers are known nothing else leaves."""
    session = Session("test", 4)
    session.greeted(SESSION, ORIGIN, -1)
    session.give(gap(1))
    session.held = True
    session.give_urgent(outgoing(Verb.DECLARE_STREAM, "arm", [["x", "<f4", 1, "m"]], WHAT, {}))
    assert [request.verb for request in sent_by(session)] == [Verb.DECLARE_STREAM]
    session.lost()
    session.greeted(SESSION, ORIGIN, -1)
    assert [request.verb for request in sent_by(session)] == [Verb.GAP]


def test_a_patient_session_sends_again_what_could_not_be_stored() -> None:
    """Under a new id and before all that is new; the order of what was refused stays."""
    session = Session("test", 4, patient=True)
    session.greeted(SESSION, ORIGIN, -1)
    for number in range(3):
        session.give(gap(number))
    first = sent_by(session)
    assert session.receive(failed(first[0].counter, "store_full")) is None
    assert session.receive(failed(first[1].counter, "store_full")) is None
    assert session.receive(ok(first[2].counter)) is not None
    session.give(gap(3))
    assert sent_by(session) == []
    assert session.stalled == "for the test"
    session.resume()
    again = sent_by(session)
    assert [request.count for request in again] == [0, 1, 3]
    assert min(request.counter for request in again) > first[2].counter


def test_an_impatient_session_answers_what_could_not_be_stored() -> None:
    """A commit is for now: its controller decides by its class."""
    session = Session("test", 4)
    session.greeted(SESSION, ORIGIN, -1)
    session.give(gap(1))
    (request,) = sent_by(session)
    answer = session.receive(failed(request.counter, "store_full"))
    assert answer is not None
    assert answer.status is Status.ERROR


def test_an_error_that_names_no_request_ends_the_connection() -> None:
    """The recorder could not read a message of ours: waiting would never end."""
    session = Session("test", 4)
    session.greeted(SESSION, ORIGIN, -1)
    with pytest.raises(FormatError, match="could not read"):
        session.receive(failed(0, "message_malformed"))


@given(st.binary(max_size=64))
def test_no_reply_raises_anything_but_the_format_s_error(message: bytes) -> None:
    """Whatever listens at the socket."""
    session = Session("test", 4)
    session.greeted(SESSION, ORIGIN, -1)
    session.give(gap(1))
    sent_by(session)
    with contextlib.suppress(FormatError):
        session.receive(message)


class ExactlyOnce(RuleBasedStateMachine):
    """A session against a recorder with the daemon's rule, over connections that break at any point."""

    def __init__(self) -> None:
        super().__init__()
        self.session = Session("test", 5)
        self.known: dict[int, int] = {}  # durable: counter -> number of the act
        self.log: list[int] = []
        self.wire: list[Any] = []
        self.replies: list[bytes] = []
        self.given = 0
        self.settled: set[int] = set()
        self.session.greeted(SESSION, ORIGIN, -1)

    @rule()
    def give(self) -> None:
        self.given += 1
        self.session.give(gap(self.given))

    @rule()
    def send(self) -> None:
        message = self.session.peek()
        if message is not None:
            self.wire.append(decode_request(b"".join(bytes(part) for part in message)))
            self.session.sent()

    @rule()
    def serve(self) -> None:
        if not self.wire:
            return
        request = self.wire.pop(0)
        if request.counter <= max(self.known, default=-1):
            assert self.known.get(request.counter) == request.count, "forgotten, or other content under the same id"
        else:
            self.known[request.counter] = request.count
            self.log.append(request.count)
        self.replies.append(ok(request.counter))

    @rule()
    def hear(self) -> None:
        if self.replies:
            answer = self.session.receive(self.replies.pop(0))
            if answer is not None:
                assert isinstance(answer.outgoing.token, int)
                assert answer.outgoing.token not in self.settled
                self.settled.add(answer.outgoing.token)

    @rule()
    def break_down(self) -> None:
        self.wire.clear()
        self.replies.clear()
        self.session.lost()
        self.session.greeted(SESSION, ORIGIN, max(self.known, default=-1))

    @invariant()
    def once_and_in_order(self) -> None:
        assert self.log == sorted(set(self.log))
        assert self.settled <= set(self.log)

    def teardown(self) -> None:
        self.break_down()
        for _ in range(4 * self.given + 4):
            self.send()
            self.serve()
            self.hear()
        assert self.log == list(range(1, self.given + 1)), "all of them, once each, in the order of giving"
        assert self.session.is_idle


TestExactlyOnce = ExactlyOnce.TestCase
