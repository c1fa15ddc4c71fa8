"""What the socket answers, request by request, and what of it is in the lineage."""

from __future__ import annotations

import os
import signal
import socket
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from recorder.core import cbor
from recorder.core.entry import decode
from recorder.core.kinds import Decision, Kind
from recorder.core.limits import MESSAGE_NESTING_MAX
from recorder.core.messages import Flag, Status, Verb
from recorder.daemon.loop import MESSAGES_PER_TURN
from tests.claims import WHAT, WHO, WHY
from tests.daemon.raw import Raw
from tests.running import Running, kinds_of, let_others_reach, lineage_of, make_state, records_of, verified, wait_until

FIELDS = [["q", "<f4", 2, "rad"]]


def _commit(raw: Raw, opened: Any, **changed: Any) -> tuple[int, Any]:
    asked: dict[str, Any] = {
        "carrier": opened[0], "class": None, "actuator": opened[5]["arm.joint1"], "what": WHAT, "where": {},
        "at": time.clock_gettime_ns(time.CLOCK_BOOTTIME), "deadline": None,
    } | changed  # fmt: skip
    return raw.ask(Verb.COMMIT, *asked.values())


def _rows(count: int, start_ns: int | None = None) -> bytes:
    start = start_ns or time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return b"".join(struct.pack("<Q2f", start + at, 0.5, at) for at in range(count))


def _stopped(running: Running) -> Path:
    assert running.stop() == 0
    report = verified(running.state)
    assert report.exit_status() == 0, report.to_json()["problems"][:3]
    return running.state


def test_a_cycle_its_commits_and_its_end(running: Running) -> None:
    """Open, commit, close: each is acknowledged with the entry that a reader finds afterwards."""
    with Raw(running.socket) as raw:
        status, opened = raw.open_cycle()
        assert status == Status.OK
        status, receipt = _commit(raw, opened)
        assert status == Status.OK
        assert receipt[3] == Decision.EXTERNAL
        assert raw.ask(Verb.CLOSE_CYCLE, opened[0], "done")[0] == Status.OK
        status, refused = _commit(raw, opened)
        assert status == Status.REFUSED
        assert refused[2] == [f"cycle_unknown: {opened[0]}"]
    entries = [decode(entry) for entry, _ in records_of(_stopped(running))]
    assert entries[receipt[0]].hash == receipt[2]
    kinds = [entry.header.kind for entry in entries]
    assert kinds == [
        Kind.BOOT, Kind.POLICY, Kind.ACTUATOR, Kind.ACTUATOR, Kind.CYCLE, Kind.ACTUATION, Kind.CYCLE_END, Kind.REFUSAL,
        Kind.STOP,
    ]  # fmt: skip
    assert entries[6].header.control.commits == 1


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"actuator": 99}, None),
        ({"class": "fast"}, "cycle_class: fast"),
        ({"deadline": 1}, "deadline_passed"),
        ({"what": {}}, "claim_missing: what.mode"),
        ({"where": {"position_m": [1.0]}}, "claim_missing: where.frame"),
    ],
)
def test_what_a_cycle_does_not_admit_is_refused_on_record(
    running: Running, changed: dict[str, Any], reason: str | None
) -> None:
    """Each way to leave a cycle's bounds is refused with its reason; an unknown actuator number is an error."""
    with Raw(running.socket) as raw:
        _, opened = raw.open_cycle()
        status, body = _commit(raw, opened, **changed)
        if reason is None:
            assert (status, body[0]) == (Status.ERROR, "actuator_unknown")
        else:
            assert status == Status.REFUSED
            assert reason in body[2]
    kinds = kinds_of(_stopped(running))
    assert (Kind.REFUSAL in kinds) == (reason is not None)


def test_bounds_of_count_and_time(running: Running) -> None:
    """The commit after the last one, and one after the time, are refused."""
    with Raw(running.socket) as raw:
        _, opened = raw.open_cycle(max_commits=1)
        assert _commit(raw, opened)[0] == Status.OK
        assert _commit(raw, opened)[1][2] == ["cycle_exhausted"]
        _, opened = raw.open_cycle(valid_ms=1)
        time.sleep(0.002)
        late = _commit(raw, opened)[1][2]
        assert late in (["cycle_expired"], [f"cycle_unknown: {opened[0]}"])  # the latter if we came after its grace
    _stopped(running)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"actuators": ["crane"]}, "not_permitted: crane"),
        ({"classes": ["dancing"]}, "class_unknown: dancing"),
        ({"who": {}}, "claim_missing: who.operator"),
        ({"why": {}}, "claim_missing: why.evaluator"),
        ({"max_commits": 200_000}, "max_commits: 200000 is over the 100000 of class motion"),
        ({"valid_ms": 70_000}, "valid_ms: 70000 is over the 60000 of class motion"),
        ({"supersedes": 3}, "cycle_unknown: 3"),
        ({"deadline": 1}, "deadline_passed"),
    ],
)
def test_a_cycle_beyond_the_table_is_refused_on_record(running: Running, changed: dict[str, Any], reason: str) -> None:
    """Every rule of the table has its reason, and the refusal is an entry."""
    with Raw(running.socket) as raw:
        status, body = raw.open_cycle(**changed)
        assert status == Status.REFUSED
        assert reason in body[2]
    assert Kind.REFUSAL in kinds_of(_stopped(running))


def test_a_repeated_request_gets_its_first_answer(running: Running) -> None:
    """The same id and bytes: the first receipt, marked; other bytes: an error; also after kill -9, on every kind."""
    with Raw(running.socket) as raw:
        session = raw.welcome["session"]
        _, opened = raw.open_cycle()
        opening = raw.counter
        message = [7, 9, opened[0], None, opened[5]["arm"], WHAT, {}, 5, None]
        raw.send(message)
        _, _, first = raw.receive()
        raw.send(message)
        status, counter, again = raw.receive()
        assert (status, counter) == (Status.OK, 9)
        assert again == [*first[:4], first[4] | Flag.DUPLICATE]
        raw.send([*message[:7], 6, None])
        assert raw.receive()[2][0] == "request_changed"
    running.kill()
    running.restart()
    with Raw(running.socket, hello=False) as raw:
        welcome = raw.hello(session)
        assert welcome["durable_counter"] == 9
        assert welcome["boot"] == 2
        raw.send(message)
        assert raw.receive()[2] == [*first[:4], Flag.DUPLICATE]
        raw.counter = opening - 1
        status, body = raw.open_cycle()
        assert body == [*opened[:4], 1, *opened[5:8], Flag.DUPLICATE]
    assert running.stop() == 0
    assert kinds_of(running.state).count(Kind.ACTUATION) == 1
    assert verified(running.state).exit_status() == 3


def test_a_resumed_session_ends_its_older_connection(running: Running) -> None:
    """One request sent on both connections of a session is recorded once: whoever resumes hangs the other one up."""
    with Raw(running.socket) as older, Raw(running.socket, hello=False) as newer:
        older.ask(Verb.GAP, ["arm"], 1, None, "first")
        newer.hello(older.welcome["session"])
        assert older.sock.recv(10) == b""
        newer.counter = 1
        assert newer.ask(Verb.GAP, ["arm"], 2, None, "second")[0] == Status.OK
    assert running.stop() == 0
    assert kinds_of(running.state).count(Kind.GAP) == 2


def test_a_cycle_goes_on_after_a_restart(running: Running) -> None:
    """Within one OS boot an open cycle survives kill -9: the boot entry carries it, with the commits made."""
    with Raw(running.socket) as raw:
        _, opened = raw.open_cycle(max_commits=3)
        assert _commit(raw, opened)[0] == Status.OK
    running.kill()
    running.restart()
    with Raw(running.socket) as raw:
        digits = opened[1][:4].hex()
        status, joined = raw.ask(Verb.JOIN_CYCLE, opened[0], digits)
        assert (status, joined[4]) == (Status.OK, 1)
        assert raw.ask(Verb.JOIN_CYCLE, opened[0], "00000000")[1][0] == "cycle_unknown"
        assert _commit(raw, opened)[0] == Status.OK
        assert _commit(raw, opened)[0] == Status.OK
        assert _commit(raw, opened)[1][2] == ["cycle_exhausted"]
    assert running.stop() == 0
    boots = [decode(raw).header.control for raw, _ in records_of(running.state) if decode(raw).header.kind == Kind.BOOT]
    assert boots[1].carried == [(opened[0], 1)]
    assert set(verified(running.state).to_json()["problem_counts"]) == {"unclean_stop"}


def test_rows_are_stored_and_marked(running: Running) -> None:
    """Rows within the cycle are admitted; past its time or count they are stored as outside the grant; later ungated."""
    with Raw(running.socket) as raw:
        _, opened = raw.open_cycle(max_commits=10)
        status, stream = raw.ask(Verb.DECLARE_STREAM, "arm", FIELDS, WHAT, {})
        assert (status, stream) == (Status.OK, 0)
        assert raw.ask(Verb.ROWS, opened[0], None, stream, _rows(4))[1][3] == Decision.EXTERNAL
        assert raw.ask(Verb.ROWS, opened[0], None, stream, _rows(3, opened[2] - 1))[1][3] == Decision.OUTSIDE_GRANT
        assert raw.ask(Verb.ROWS, opened[0], None, stream, _rows(7))[1][3] == Decision.OUTSIDE_GRANT
        assert raw.ask(Verb.ROWS, 999, None, stream, _rows(1))[1][3] == Decision.UNGATED
        assert raw.ask(Verb.ROWS, opened[0], None, 7, _rows(1))[1][0] == "stream_unknown"
        assert raw.ask(Verb.ROWS, opened[0], None, stream, b"odd")[1][0] == "rows_malformed"
        assert raw.ask(Verb.ROWS, opened[0], None, stream, b"")[1][0] == "rows_malformed"
    assert verified(_stopped(running)).commits == 15


def test_an_event_needs_no_cycle_and_is_never_refused_for_its_claims(running: Running) -> None:
    """What has happened is stored as it was told, with null for what was not said."""
    with Raw(running.socket) as raw:
        status, receipt = raw.ask(Verb.EVENT, "emergency_stop", ["arm", "arm.joint2"], {}, {}, {}, {"reason": "x"}, 5)
        assert (status, receipt[3]) == (Status.OK, Decision.UNGATED)
        assert raw.ask(Verb.EVENT, "emergency_stop", ["crane"], {}, {}, {}, {"reason": "x"}, 5)[0] == Status.REFUSED
    _stopped(running)


def test_a_session_keeps_its_order_around_a_refusal(running: Running) -> None:
    """Commit, refused commit, commit in one transaction: the third may not join the entry of the first."""
    with Raw(running.socket) as raw:
        _, opened = raw.open_cycle()
        carrier, number = opened[0], opened[5]["arm"]
        running.process.send_signal(signal.SIGSTOP)
        for counter, deadline in ((50, None), (51, 1), (52, None)):
            raw.send([Verb.COMMIT, counter, carrier, None, number, WHAT, {}, 5, deadline])
        running.process.send_signal(signal.SIGCONT)
        answers = [raw.receive() for _ in range(3)]
    assert [status for status, _, _ in answers] == [Status.OK, Status.REFUSED, Status.OK]
    seqs = [body[0] for _, _, body in answers]
    assert seqs == sorted(set(seqs))
    _stopped(running)


@pytest.mark.parametrize("action_class", ["motion", "fast"])
def test_claims_nest_as_deep_as_they_may_at_rest_and_no_deeper(running: Running, action_class: str) -> None:
    """What is acknowledged verifies; what would lie too deep beside its entry is refused as a message."""
    deepest: Any = 1
    for _ in range(MESSAGE_NESTING_MAX - 2):  # the message and the map of claims
        deepest = [deepest]
    with Raw(running.socket) as raw:
        _, opened = raw.open_cycle(classes=[action_class])
        number = opened[5]["arm"]
        status, _ = raw.ask(Verb.COMMIT, opened[0], None, number, {**WHAT, "deep": deepest}, {}, 5, None)
        assert status == Status.OK
        raw.send([Verb.COMMIT, raw.counter + 1, opened[0], None, number, {**WHAT, "deep": [deepest]}, {}, 5, None])
        assert raw.receive()[2][0] == "cbor_malformed"
    _stopped(running)


def test_identical_refusals_are_coalesced(running: Running) -> None:
    """Refusals of one kind within a second are one entry and, later, one fault entry with their count."""
    with Raw(running.socket) as raw:
        os.kill(running.process.pid, signal.SIGSTOP)  # so that it meets all of them in one turn, at one time
        for counter in range(1, MESSAGES_PER_TURN + 1):
            raw.send([int(Verb.OPEN_CYCLE), counter, WHO, WHY, ["crane"], ["motion"], 5, 1000, None, None])
        os.kill(running.process.pid, signal.SIGCONT)
        answers = [raw.receive()[2] for _ in range(MESSAGES_PER_TURN)]
        assert len({(answer[0], answer[1]) for answer in answers}) == 1
    state = _stopped(running)
    kinds = kinds_of(state)
    assert kinds.count(Kind.REFUSAL) == 1
    fault = next(decode(raw).header for raw, _ in records_of(state) if decode(raw).header.kind == Kind.FAULT)
    assert fault.control.fault == "refusals_repeated"
    assert fault.control.facts[:2] == [answers[0][0], MESSAGES_PER_TURN - 1]


def test_other_entries(running: Running) -> None:
    """Gaps, abandoned requests and permitted kinds are stored; kinds that are not permitted are not."""
    with Raw(running.socket) as raw:
        assert raw.ask(Verb.GAP, ["arm"], 12, [1, 2], "ring full")[0] == Status.OK
        assert raw.ask(Verb.GAP, ["crane"], 12, None, "ring full")[1][0] == "not_permitted"
        of_a_device = f"not_held: {bytes(8).hex()} 1.0 to 1.900"
        assert raw.ask(Verb.GAP, ["arm"], 900, None, of_a_device)[1][0] == "not_permitted", "a bridge's word alone"
        assert raw.ask(Verb.GAP, [], 900, None, of_a_device)[1][0] == "not_permitted"
        assert raw.ask(Verb.ABANDON, [bytes(16)])[0] == Status.OK
        assert raw.ask(Verb.APPEND, int(Kind.MARK), {"text": "near miss"}, None, None)[0] == Status.OK
        assert raw.ask(Verb.APPEND, int(Kind.BOOT), None, [], None)[1][0] == "not_permitted"
        assert raw.ask(Verb.APPEND, int(Kind.MARK), None, None, None)[1][0] == "header_keys"
        dangling = {3: [[None, 0, bytes(32)]]}
        assert raw.ask(Verb.APPEND, int(Kind.MARK), {"text": "x"}, None, dangling)[1][0] == "header_value"
        assert raw.ask(Verb.DECLARE_ACTUATOR, "arm.joint2") == (Status.OK, 1)
    assert running.stop() == 0
    assert kinds_of(running.state)[2:] == [Kind.ACTUATOR, Kind.GAP, Kind.ABANDON, Kind.MARK, Kind.ACTUATOR, Kind.STOP]


def test_a_malformed_message_harms_only_its_sender(running: Running) -> None:
    """Garbage, an oversized message and a missing hello are answered; another client goes on; sixteen mistakes end it."""
    with Raw(running.socket) as good, Raw(running.socket) as bad, Raw(running.socket, hello=False) as silent:
        bad.sock.send(b"\xff\x00")
        assert bad.receive()[2][0] == "cbor_malformed"
        bad.sock.send(cbor.pack([99, 1]))
        assert bad.receive()[2][0] == "message_malformed"
        silent.send([int(Verb.STATUS), 1])
        assert silent.receive()[2][0] == "hello_first"
        bad.sock.send(bytes(60_000))
        assert bad.receive()[2][0] == "message_malformed"
        assert bad.sock.recv(10) == b""
        with Raw(running.socket) as worse:
            for _ in range(16):
                worse.sock.send(b"\xff")
                worse.receive()
            assert worse.sock.recv(10) == b""
        assert good.open_cycle()[0] == Status.OK
    _stopped(running)


def test_a_client_that_never_reads_is_cut_off(running: Running) -> None:
    """Its replies pile up to a bound, then its connection ends; others are served all the time."""
    with Raw(running.socket) as deaf, Raw(running.socket) as good:
        deaf.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sock.settimeout(60)
        with pytest.raises(OSError, match=r"pipe|reset"):
            for _ in range(20_000):
                deaf.send([int(Verb.STATUS), 1])
        assert good.open_cycle()[0] == Status.OK
    _stopped(running)


def test_reading_a_damaged_record(running: Running) -> None:
    """What lies before it is given, then it is named, and what lies beyond can be had; the recorder goes on."""
    with Raw(running.socket) as raw:
        _, opened = raw.open_cycle(max_commits=1000)
        for number in range(3):
            _commit(raw, opened, what={**WHAT, "mode": f"before-{number}"})
        mark = [int(Kind.MARK), {"text": "to-be-damaged"}, None, None]
        assert raw.ask(Verb.APPEND, *mark)[0] == Status.OK
        session, counter = raw.welcome["session"], raw.counter
        _commit(raw, opened)
        raw.ask(Verb.SEAL)
    assert running.stop() == 0
    (at,) = (seq for seq, (_, claims) in enumerate(records_of(running.state)) if b"to-be-damaged" in (claims or b""))
    data = lineage_of(running.state) / "segments" / "00000001" / "data.mdb"
    data.write_bytes(data.read_bytes().replace(b"to-be-damaged", b"it-is-damaged"))
    with Running(running.state) as again, Raw(again.socket) as raw:
        assert raw.ask(Verb.READ, 0, 65_536)[1][0] == at
        status, failure = raw.ask(Verb.READ, at, 65_536)
        assert (status, failure[0]) == (Status.ERROR, "store_damaged")
        assert f"record at entry {at}" in failure[1]
        assert raw.ask(Verb.READ, at + 1, 65_536)[1][1]
        with Raw(again.socket, hello=False) as resumed:
            resumed.hello(session)
            resumed.counter = counter - 1
            status, failure = resumed.ask(Verb.APPEND, *mark)
            assert (status, failure[0]) == (Status.ERROR, "store_damaged"), "its first answer cannot be read"
        assert raw.open_cycle()[0] == Status.OK
        assert again.stop() == 0


def test_reading_checkpoints_and_sealing(running: Running) -> None:
    """Stored records come back in order within 64 KiB; a checkpoint covers them; seal rolls the segment."""
    with Raw(running.socket) as raw:
        _, opened = raw.open_cycle(max_commits=1000)
        for _ in range(150):
            _commit(raw, opened)
        seq, entries = 0, []
        while True:
            status, (following, found) = raw.ask(Verb.READ, seq, 65_536)
            assert status == Status.OK
            assert sum(len(entry) + len(claims or b"") for entry, claims in found) <= 65_536
            entries += found
            if following == seq:
                break
            seq = following
        assert len(entries) == 155
        assert len(raw.ask(Verb.READ, 3, 1)[1][1]) == 1
        note = raw.ask(Verb.CHECKPOINT)[1].decode()
        assert note.split("\n")[1] == "155"
        assert raw.ask(Verb.SEAL)[1].decode().split("\n")[1] == "155"
        assert raw.ask(Verb.STATUS)[1]["segments"] == 2
        assert raw.ask(Verb.READ, 0, 1)[1][1][0][0] == entries[0][0]
    _stopped(running)
    assert (running.state / "lineages").is_dir()


def test_a_subscriber_sees_heads(running: Running) -> None:
    """Hashes of new entries are pushed, and they are the entries' hashes."""
    with Raw(running.socket) as raw, Raw(running.socket) as watcher:
        watcher.ask(Verb.SUBSCRIBE)
        raw.ask(Verb.GAP, [], 1, None, "test")
        status, _, (first, hashes, dropped) = watcher.receive()
        assert (status, dropped) == (Status.PUSH, 0)
    entries = records_of(_stopped_lossy(running))
    assert decode(entries[first][0]).hash == hashes[0]


def _stopped_lossy(running: Running) -> Path:
    assert running.stop() == 0
    assert verified(running.state).exit_status() == 3
    return running.state


def test_epochs_rotate(tmp_path: Path) -> None:
    """A new epoch key takes over between two commits of one cycle, and the lineage verifies under both."""
    with Running(make_state(tmp_path / "s", epoch_hours=0.0003)) as running, Raw(running.socket) as raw:
        _, opened = raw.open_cycle()
        first = _commit(raw, opened)[1][0]
        wait_until(lambda: raw.ask(Verb.STATUS)[1]["entries"] > first + 1)
        assert _commit(raw, opened)[0] == Status.OK
        state = _stopped(running)
    kinds = kinds_of(state)
    assert Kind.EPOCH in kinds[first : len(kinds) - kinds[::-1].index(Kind.ACTUATION)]


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")
def test_another_user_may_do_nothing_here(running: Running) -> None:
    """A peer that no controller table names is refused, cannot read, and cannot open the live segment."""
    running.state.chmod(0o755)
    running.socket.chmod(0o666)
    let_others_reach(running.state)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgid(65534)
            os.setuid(65534)
            with Raw(running.socket) as raw:
                answers = [
                    raw.open_cycle()[0] == Status.REFUSED,
                    raw.ask(Verb.READ, 0, 100)[1][0] == "not_permitted",
                    raw.ask(Verb.CHECKPOINT)[1][0] == "not_permitted",
                    raw.ask(Verb.DECLARE_ACTUATOR, "arm")[1][0] == "not_permitted",
                ]
            status = 0 if all(answers) and not _can_open_live(running.state) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with Raw(running.socket) as raw:
        assert raw.open_cycle(who={**WHO})[0] == Status.OK
    assert running.stop() == 0


def _can_open_live(state: Path) -> bool:
    for name in ("data.mdb", "lock.mdb"):
        for path in state.rglob(name):
            try:
                path.open("rb").close()
            except OSError:
                continue
            return True
    return False
