"""A recorder on a disk that fills up: what goes, what stays, what finds room to the end."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from recorder.core.entry import Entry, decode
from recorder.core.kinds import Kind
from recorder.core.messages import Status, Verb
from recorder.store.layout import SUMMARY
from tests.claims import WHAT
from tests.cli.processes import children, has_ended
from tests.daemon.filling import Filler, as_root, small_disk
from tests.running import Running, lineage_of, make_state, records_of, verified, wait_until

SHORT = 'retention = "short"'
ROOM = '[room]\nspace_left = "{space}MiB"\nadmin_space_left = "{admin}MiB"\n[retention.short]\n{rule}\n'
HOLDER = '[[controller]]\nuids = [0]\nappend = ["hold"]\n'
KILLS = 4  # at least; until one has come between a deletion entry and its end
DISK_MIB = 40  # nine segments of 4 MiB, with what else a file system needs


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", DISK_MIB) as at:
        yield at


Connect = Callable[[Running], Filler]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """A controller of a running recorder; hung up at the end."""
    with ExitStack() as open_until_then:

        def make(running: Running) -> Filler:
            filler = Filler(running.socket)
            open_until_then.callback(filler.close)
            return filler

        yield make


def made(disk: Path, rule: str, *, motion: str = SHORT, space: int = 20, admin: int = 8, more: str = HOLDER) -> Path:
    """A state on the disk; sealed segments are written again as soon as it gets short."""
    return make_state(
        disk / "s", rows_window_ms=0, motion=motion, more=ROOM.format(space=space, admin=admin, rule=rule) + more
    )


def entries_of(state: Path) -> list[tuple[Entry, bytes | None]]:
    """Entries and their claims."""
    return [(decode(raw), claims) for raw, claims in records_of(state)]


def faults(entries: list[tuple[Entry, bytes | None]], name: str) -> list[list[Any]]:
    """Facts of the faults of that name."""
    controls = [entry.header.control for entry, _ in entries if entry.header.kind == Kind.FAULT]
    return [control.facts for control in controls if control.fault == name]


def deletions(entries: list[tuple[Entry, bytes | None]]) -> list[Any]:
    """Controls of deletion entries."""
    return [entry.header.control for entry, _ in entries if entry.header.kind == Kind.DELETION]


def commits_with_claims(state: Path, deletion: Any) -> int:
    """How many entries with commits, of those that a deletion entry names, still have their claims."""
    named = entries_of(state)[deletion.first : deletion.last + 1]
    return sum(claims is not None for entry, claims in named if entry.header.commits)


def settled(filler: Filler) -> bool:
    """Nothing is announced and not carried out, and there is room again."""
    room = filler.status()["room"]
    return not room["erasing"] and room["free_bytes"] >= room["space_left_bytes"]


def check(state: Path, filler: Filler) -> list[tuple[Entry, bytes | None]]:
    """Verify; what was acknowledged is there, and has its claims unless a deletion entry names it."""
    report = verified(state)
    assert report.integrity == "pass", report.problems
    assert {"unclean_stop"} >= report.problem_counts.keys(), report.problems
    entries = entries_of(state)
    named = deletions(entries)
    for seq, _ in filler.acknowledged:
        entry, claims = entries[seq]
        name = entry.header.classes.retention_class if entry.header.classes else None
        is_named = any(one.first <= seq <= one.last and one.retention_class == name for one in named)
        assert claims is not None or is_named, seq
    return entries


@as_root
def test_expired_claims_make_room(disk: Path, connect: Connect) -> None:
    """More than the disk holds is recorded; entries stay, the oldest claims go, each deletion recorded with its cause."""
    state = made(disk, 'keep = "0h"')
    with Running(state) as running:
        filler = connect(running)
        emergency = filler.event()[1][0]
        for _ in range(4):
            filler.fill(3)
            wait_until(lambda: settled(filler))
        assert filler.status()["room"]["freed_bytes"] > 8 << 20
        assert running.stop() == 0
    entries = check(state, filler)
    named = deletions(entries)
    assert len(named) >= 3
    assert {one.retention_class for one in named} == {"short"}
    assert [one.first for one in named] == sorted(one.first for one in named)
    report = verified(state)
    assert [(item.retention_class, item.last) for item in report.deleted] != []
    assert report.notes["claims_not_held"] > 100
    assert entries[emergency][1] is not None  # class 1y has no rule: kept for ever
    assert all(facts[0] == "expired" for facts in faults(entries, "claims_erased"))
    name, free, space_left, admin = faults(entries, "disk_space")[0]  # by then it may be worse than at first
    assert free < space_left
    assert name in ("disk_full", "admin_space_left" if free < admin else "space_left")
    kept = [entry.header.kind for entry, claims in entries if claims is not None and entry.header.seq < named[0].last]
    assert {Kind.POLICY, Kind.ACTUATOR} <= set(kept)


@as_root
def test_whys_of_what_is_kept_are_kept(disk: Path, connect: Connect) -> None:
    """A cycle of a class that has expired stays readable as long as commits that share it do."""
    state = made(disk, 'keep = "forever"\nrows_may_go = true', admin=19)
    with Running(state) as running:
        filler = connect(running)
        for _ in range(3):
            filler.fill(3)
            wait_until(lambda: settled(filler))
        assert running.stop() == 0
    entries = check(state, filler)
    assert deletions(entries) != []
    assert all(facts[0] == "rows" for facts in faults(entries, "claims_erased"))
    commits = 0
    for entry, claims in entries:
        header = entry.header
        if header.kind == Kind.ACTUATION and claims is not None:
            commits += 1
            assert header.why is not None
            assert entries[header.why.carrier][1] is not None, header.seq
    assert commits > 20


@as_root
def test_held_entries_keep_their_claims(disk: Path, connect: Connect) -> None:
    """What a hold covers stays while older and newer claims go; once it is released, it goes too."""
    state = made(disk, 'keep = "0h"')
    with Running(state) as running:
        filler = connect(running)
        filler.fill(1)
        first = filler.acknowledged[-1][0]
        filler.fill(1)
        last = filler.acknowledged[-1][0] - 5
        status, hold = filler.raw.ask(Verb.APPEND, Kind.HOLD, {"reason": "case 12"}, [first, last, "add"], None)
        assert status == Status.OK
        assert filler.status()["room"]["holds"] == [[hold[0], first, last]]
        for _ in range(3):
            filler.fill(2)
            wait_until(lambda: settled(filler))
        running.kill()
        entries = check(state, filler)
        assert all(claims is not None for entry, claims in entries[first : last + 1] if entry.header.commits)
        assert deletions(entries) != []
        assert all(one.last < first or one.first > last for one in deletions(entries))
        running.restart()
        filler = connect(running)
        refs = {4: [[None, hold[0], hold[2]]]}
        assert filler.raw.ask(Verb.APPEND, Kind.HOLD, {}, [first, last, "release"], refs)[0] == Status.OK
        assert filler.status()["room"]["holds"] == []
        for _ in range(2):
            filler.fill(2)
            wait_until(lambda: settled(filler))
        assert running.stop() == 0
    entries = check(state, filler)
    assert any(one.first <= first <= one.last for one in deletions(entries))


def test_a_hold_that_makes_no_sense_is_refused(tmp_path: Path, connect: Connect) -> None:
    """Entries that are none, or not there yet; the release of what is not held; a range that is not the hold's."""
    with Running(make_state(tmp_path / "s", more=HOLDER)) as running:
        filler = connect(running)

        def said(control: list[Any], refs: Any = None) -> Any:
            return filler.raw.ask(Verb.APPEND, Kind.HOLD, {"reason": "x"}, control, refs)[1]

        assert "are none" in said([1, 0, "add"])[1]
        assert "not there yet" in said([999, None, "add"])[1]
        assert "refers to the one hold" in said([0, 1, "release"])[1]
        held = said([0, 1, "add"])
        named = {4: [[None, held[0], held[2]]]}
        assert "is of entries 0 to 1" in said([0, 2, "release"], named)[1]
        assert said([0, 1, "release"], named)[0] == held[0] + 1
        assert "is no hold in force" in said([0, 1, "release"], named)[1]
        assert running.stop() == 0


@as_root
@pytest.mark.parametrize("action", ["refuse", "notify", "halt"])
def test_a_full_disk_leaves_room_for_what_happened(disk: Path, action: str, connect: Connect) -> None:
    """Nothing may go: commits end as the class says; emergency stops, gaps, marks, holds and the stop find room."""
    state = made(disk, "rows_may_go = false", motion=f'{SHORT}\ndisk_full_action = "{action}"')
    with Running(state) as running:
        filler = connect(running)
        filler.open_cycle()
        assert filler.commit()[0] == Status.OK
        filler.fill_up()
        wait_until(lambda: filler.status()["room"]["state"] == "disk_full")
        assert filler.status()["store_full"]
        assert filler.status()["room"]["free_bytes"] >= 4 << 20  # room to rewrite a segment
        assert filler.rows()[1][0] == "store_full"
        assert filler.commit()[0] == (Status.OK if action == "notify" else Status.ERROR)
        status, body = filler.open_cycle()
        expected = {"refuse": Status.ERROR, "notify": Status.OK, "halt": Status.REFUSED}
        assert status == expected[action]
        if action == "halt":
            assert body[2] == ["disk_full_halt: motion"]
            assert filler.status()["room"]["halted"] == ["motion"]
            assert filler.status()["cycles"] == 0
        assert filler.event()[0] == Status.OK
        assert filler.event("fast")[0] == Status.OK
        assert filler.raw.ask(Verb.GAP, ["arm"], 1, None, "test")[0] == Status.OK
        assert filler.raw.ask(Verb.APPEND, Kind.MARK, {"text": "full"}, None, None)[0] == Status.OK
        assert filler.raw.ask(Verb.APPEND, Kind.HOLD, {"reason": "x"}, [0, None, "add"], None)[0] == Status.OK
        assert filler.raw.ask(Verb.APPEND, Kind.OBSERVATION, {"x": 1}, None, None)[1][0] == "store_full"
        assert running.stop() == 0
    report = verified(state)
    assert report.problem_counts == {"gap_declared": 1}, report.problems
    entries = entries_of(state)
    assert entries[-1][0].header.kind == Kind.STOP
    [count, first, last] = faults(entries, "store_full")[-1]
    assert count >= 3
    assert first <= last
    ends = [entry.header.control.reason for entry, _ in entries if entry.header.kind == Kind.CYCLE_END]
    assert ("disk_full_halt" in ends) is (action == "halt")


@as_root
def test_room_that_comes_back_is_used(disk: Path, connect: Connect) -> None:
    """A file that another program removes ends the refusals, and how many there were is recorded."""
    state = made(disk, "rows_may_go = false")
    other = disk / "other"
    other.write_bytes(bytes(12 << 20))
    with Running(state) as running:
        filler = connect(running)
        filler.fill_up()
        wait_until(lambda: filler.status()["room"]["state"] == "disk_full")
        assert filler.rows()[1][0] == "store_full"
        other.unlink()
        wait_until(lambda: not filler.status()["store_full"])
        assert filler.rows()[0] == Status.OK
        assert running.stop() == 0
    assert faults(entries_of(state), "store_full")[0][0] >= 2
    check(state, filler)


@as_root
def test_the_last_of_the_reserve_is_the_recorders_own(disk: Path, connect: Connect) -> None:
    """Reports end before emergency stops do; however many of these come at once, the recorder goes on and can stop and start."""
    state = made(disk, "rows_may_go = false")
    with Running(state) as running:
        fillers = [connect(running) for _ in range(14)]
        filler = fillers[0]
        filler.fill_up()
        wait_until(lambda: filler.status()["room"]["state"] == "disk_full")
        reports = 0
        while filler.event("fast")[0] == Status.OK:
            reports += 1
        assert reports > 100
        assert filler.event()[0] == Status.OK
        taken, refused = 1, 0
        while not refused:
            os.kill(running.process.pid, signal.SIGSTOP)  # all of a burst lie in the sockets before the recorder looks
            for one in fillers:
                one.send_events(60)
            os.kill(running.process.pid, signal.SIGCONT)
            answers = [answer for one in fillers for answer in one.raw_answers(60)]
            taken += sum(status == Status.OK for status, _ in answers)
            refused = sum(status != Status.OK for status, _ in answers)
            assert {body[0] for status, body in answers if status != Status.OK} <= {"store_full"}
        while filler.event()[0] == Status.OK:
            taken += 1
        assert filler.raw.ask(Verb.GAP, ["arm"], 1, None, "test")[1][0] == "store_full"
        assert running.stop() == 0
    for _ in range(3):
        with Running(state) as again:
            assert again.stop() == 0
    report = verified(state)
    assert report.problem_counts == {}, report.problems
    classes = [entry.header.classes.action_class for entry, _ in entries_of(state) if entry.header.classes is not None]
    assert (classes.count("emergency_stop"), classes.count("fast")) == (taken, reports)


@as_root
def test_a_request_answered_before_is_answered_on_a_full_disk(disk: Path, connect: Connect) -> None:
    """A repeat leaves no entry, so it needs no room."""
    state = made(disk, "rows_may_go = false")
    with Running(state) as running:
        filler = connect(running)
        opened = filler.open_cycle()[1]
        commit = [opened[0], "motion", opened[5]["arm"], WHAT, {}, 5, None]
        status, receipt = filler.raw.ask(Verb.COMMIT, *commit)
        assert status == Status.OK
        counter = filler.raw.counter
        filler.fill_up()
        filler.raw.send([int(Verb.COMMIT), counter, *commit])
        status, _, again = filler.raw.receive()
        assert (status, again[:3]) == (Status.OK, receipt[:3])
        assert running.stop() == 0


@as_root
def test_kills_while_claims_are_erased(disk: Path, connect: Connect) -> None:
    """Kill -9 at any moment of it: the lineage verifies each time, and a later start has carried out what was announced."""
    state = made(disk, 'keep = "0h"', space=24)
    chosen = random.Random(4)
    kills = killed_between = 0
    with Running(state) as running:
        while kills < KILLS or not killed_between:
            kills += 1
            filler = connect(running)
            filler.fill(2)
            wait_until(lambda filler=filler: filler.status()["room"]["erasing"] or settled(filler))
            time.sleep(chosen.random() * 0.6)
            killed_between += bool(filler.status()["room"]["erasing"])
            running.kill()
            check(state, filler)
            running.restart()
        filler = connect(running)
        wait_until(lambda: settled(filler))
        assert running.stop() == 0
    entries = check(state, filler)
    for one in deletions(entries):
        gone = [entry.header.seq for entry, claims in entries[one.first : one.last + 1] if claims is None]
        assert gone, one
    assert list(lineage_of(state).glob("segments/*.tmp")) == []


@as_root
def test_what_is_announced_is_carried_out_by_the_next_start(disk: Path, connect: Connect) -> None:
    """Killed after the deletion entry and before its end, the child with it: the next start goes on, whatever its rules say now."""
    state = made(disk, 'keep = "0h"', space=24)
    with Running(state) as running:
        while True:
            filler = connect(running)
            filler.fill(3)
            wait_until(lambda filler=filler: filler.status()["room"]["erasing"] or settled(filler))
            sweepers = [pid for pid, line in children(running.process.pid).items() if "sweep" in line]
            for pid in sweepers:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            running.kill()
            for pid in sweepers:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)  # where it had not come so far as to ask to end with us
                wait_until(lambda pid=pid: has_ended(pid))
            named = deletions(entries_of(state))
            if named and commits_with_claims(state, named[-1]):
                break
            running.restart()  # the child was quicker than we were to stop it
    config = state / "recorder.toml"
    config.write_text(config.read_text().replace('keep = "0h"', 'keep = "forever"'))
    with Running(state) as running:
        filler = connect(running)
        wait_until(lambda: not filler.status()["room"]["erasing"])
        assert running.stop() == 0
    assert deletions(entries_of(state)) == named
    assert commits_with_claims(state, named[-1]) == 0
    assert verified(state).integrity == "pass"


def test_over_its_maximum_a_class_loses_claims_on_an_ample_disk(tmp_path: Path, connect: Connect) -> None:
    """max_bytes needs no short disk, and no root to be tested."""
    rule = '[retention.short]\nmax_bytes = "8MiB"\n'
    state = make_state(tmp_path / "s", rows_window_ms=0, motion=SHORT, more=rule)
    with Running(state) as running:
        filler = connect(running)
        filler.fill(1)
        first = filler.acknowledged[0][0]
        assert filler.raw.ask(Verb.READ, first, 60_000)[1][1][0][1] is not None

        def is_erased() -> bool:
            status, body = filler.raw.ask(Verb.READ, first, 60_000)
            return status == Status.OK and body[1][0][1] is None  # one that took too long is asked again

        filler.fill(4)
        # Whoever reads had that segment open: it is the new file now.
        wait_until(is_erased)
        wait_until(lambda: 0 < filler.status()["room"]["class_bytes"].get("short", 0) <= 8 << 20)
        wait_until(lambda: not filler.status()["room"]["erasing"])
        assert running.stop() == 0
    entries = check(state, filler)
    assert {facts[0] for facts in faults(entries, "claims_erased")} == {"over_max_bytes"}


def test_sealed_segments_give_back_what_they_do_not_use(tmp_path: Path, connect: Connect) -> None:
    """Sealing on request costs no segment's worth of disk; a note that was lost is made again."""
    state = make_state(tmp_path / "s")
    with Running(state) as running:
        filler = connect(running)
        filler.open_cycle()
        for _ in range(3):
            assert filler.commit()[0] == Status.OK
            filler.raw.ask(Verb.SEAL)
        segments = lineage_of(state) / "segments"
        wait_until(lambda: len(list(segments.glob(f"*/{SUMMARY}"))) == 3)
        assert all((segments / f"{at:08d}" / "data.mdb").stat().st_size < 100_000 for at in (1, 2, 3))
        running.kill()
        (segments / "00000002" / SUMMARY).unlink()
        running.restart()
        wait_until((segments / "00000002" / SUMMARY).exists)
        assert running.stop() == 0
    check(state, filler)


def test_a_damaged_sealed_segment_ends_nothing(tmp_path: Path, connect: Connect) -> None:
    """It is said in status; recording goes on, and nothing before it is erased."""
    rule = '[retention.short]\nmax_bytes = "1MiB"\n'
    state = make_state(tmp_path / "s", rows_window_ms=0, motion=SHORT, more="[[controller]]\nuids = [0]\n")
    with Running(state) as running:
        filler = connect(running)
        filler.fill(3)
        running.kill()
        config = state / "recorder.toml"
        config.write_text(config.read_text() + rule)
        data = lineage_of(state) / "segments" / "00000002" / "data.mdb"
        shutil.copyfile(data, tmp_path / "kept")
        with data.open("r+b") as file:
            file.truncate(64 * 1024)
        (data.parent / SUMMARY).unlink(missing_ok=True)
        running.restart()
        filler = connect(running)
        wait_until(lambda: filler.status()["room"]["failure"])
        assert "00000002" in filler.status()["room"]["failure"]
        assert filler.open_cycle()[0] == Status.OK
        assert filler.commit()[0] == Status.OK
        assert running.stop() == 0
    shutil.copyfile(tmp_path / "kept", data)
    assert deletions(check(state, filler)) == []
