"""`lineage hold` and `lineage mark`, what `status` says of the room, and `show` of what was deleted."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from pathlib import Path

import pytest

from recorder.cli import run
from recorder.cli.saying import TIMEOUT_MS
from recorder.core.kinds import Kind
from recorder.core.messages import Status, Verb
from recorder.daemon.growth import YOUNG_S
from tests.cli.states import OTHER_UID, Running, as_another, as_root, lineage, made, one_line, parsed
from tests.daemon.filling import ROWS_A_MESSAGE, Filler
from tests.running import kinds_of, let_others_reach, records_of, verified, wait_until


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state whose configuration permits its owner to hold."""
    state = made(tmp_path / "state")
    config = state / "recorder.toml"
    config.write_text(config.read_text().replace('append = ["confirmation"', 'append = ["hold", "confirmation"'))
    return state


def test_a_hold_from_its_beginning_to_its_end(state: Path) -> None:
    """Added, listed by a running and by a stopped recorder, released; each step an entry with its reason."""
    with Running(state) as running:
        assert lineage("hold", "list", "--state", state).stdout == "no hold is in force\n"
        held = parsed(
            lineage("hold", "add", "--state", state, "--since", "0", "--until", "1", "--reason", "x", "--json")
        )
        assert (held["first"], held["last"]) == (0, 1)
        said = lineage("hold", "add", "--state", state, "--since", "10m", "--reason", "case 12").stdout
        assert "entries from 0 on held until" in said
        listed = parsed(lineage("hold", "list", "--state", state, "--json"))
        assert [(one["first"], one["last"], one["reason"]) for one in listed] == [(0, 1, "x"), (0, None, "case 12")]
        assert listed[0]["id"] == held["id"]
        assert "2 in force" in lineage("status", "--state", state).stdout
        released = lineage("hold", "release", held["id"], "--state", state, "--reason", "closed")
        assert released.returncode == 0, released.stderr
        assert "is no hold in force" in one_line(
            lineage("hold", "release", held["id"], "--state", state, "--reason", "again")
        )
        assert running.stop() == 0
    shown = lineage("hold", "list", "--state", state).stdout
    assert "case 12" in shown
    assert held["id"] not in shown
    assert kinds_of(state).count(Kind.HOLD) == 3
    assert verified(state).exit_status() == 0


def test_holds_survive_a_restart_and_a_new_segment(state: Path) -> None:
    """They are a part of the tail."""
    with Running(state) as running:
        assert lineage("hold", "add", "--state", state, "--since", "1", "--reason", "x").returncode == 0
        filler = Filler(running.socket)
        filler.open_cycle()
        filler.raw.ask(Verb.SEAL)
        filler.close()
        running.process.kill()
        running.process.wait()
    with Running(state) as running:
        assert [one["first"] for one in parsed(lineage("hold", "list", "--state", state, "--json"))] == [1]
        assert running.stop() == 0
    assert [one["first"] for one in parsed(lineage("hold", "list", "--state", state, "--json"))] == [1]


def test_what_a_hold_needs_is_said_in_one_line(state: Path) -> None:
    """A running recorder, a span with entries in it, an id of a hold."""
    assert "holds no lineage yet" in one_line(lineage("hold", "add", "--state", state, "--since", "0", "--reason", "x"))
    with Running(state) as running:
        add = ("hold", "add", "--state", state, "--reason", "x")
        assert "--since" in one_line(lineage(*add))
        assert "no entries in this span" in one_line(lineage(*add, "--since", "2100-01-01T00:00:00Z"))
        assert "is no hold" in one_line(lineage("hold", "release", "0", "--state", state, "--reason", "x"))
        assert running.stop() == 0
    assert "no recorder runs here" in one_line(
        lineage("hold", "add", "--state", state, "--since", "0", "--reason", "x")
    )


def test_a_mark(state: Path) -> None:
    """An entry with the text, and its id."""
    with Running(state) as running:
        found = parsed(lineage("mark", "near miss", "--state", state, "--json"))
        assert running.stop() == 0
    assert found["id"].startswith("2-")
    assert b"near miss" in (records_of(state)[2][1] or b"")
    assert "--state" in one_line(lineage("mark", "x"))


def test_without_a_recorder_a_mark_fails_at_once_and_in_one_line(state: Path) -> None:
    """No socket, and one on which nobody listens: nothing is waited for, and the client warns of nothing besides."""
    assert "there is no such socket" in one_line(lineage("mark", "x", "--state", state))
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as deaf:
        deaf.bind(str(state / "recorder.sock"))
        assert "nobody listens" in one_line(lineage("mark", "x", "--state", state))
        began_s = time.monotonic()  # in this process: another one takes its time to start
        assert run(["mark", "x", "--state", str(state)]) == 2
        assert time.monotonic() - began_s < TIMEOUT_MS / 1000


def test_nothing_is_no_mark_and_no_reason(state: Path) -> None:
    """An entry cannot be taken back: one that says nothing is not made."""
    with Running(state) as running:
        assert "TEXT is empty" in one_line(lineage("mark", " ", "--state", state))
        add = ("hold", "add", "--state", state, "--since", "0", "--reason")
        assert "REASON is empty" in one_line(lineage(*add, ""))
        held = parsed(lineage(*add, "x", "--json"))["id"]
        assert "REASON is empty" in one_line(lineage("hold", "release", held, "--state", state, "--reason", ""))
        assert running.stop() == 0
    assert kinds_of(state).count(Kind.MARK) == 0
    assert kinds_of(state).count(Kind.HOLD) == 1


@as_root
def test_who_may_not_hold_is_told_what_to_change(tmp_path: Path) -> None:
    """A user who may only mark: the line names the kind and the file."""
    state = made(tmp_path / "state")
    config = state / "recorder.toml"
    config.write_text(config.read_text() + f'[[controller]]\nuids = [{OTHER_UID}]\nappend = ["mark"]\nread = true\n')
    let_others_reach(config)
    with Running(state) as running:
        running.socket.chmod(0o666)
        assert as_another("mark", "x", "--socket", running.socket).returncode == 0
        said = one_line(as_another("hold", "add", "--socket", running.socket, "--since", "0", "--reason", "x"))
        assert 'add "hold" to append' in said
        assert "recorder.toml" in said


def test_status_says_how_long_the_room_lasts(state: Path) -> None:
    """Thresholds, state and actions at once; the hours once there is something to measure them by."""
    with Running(state) as running:
        wait_until((state / "status.json").exists)
        room = parsed(lineage("status", "--state", state, "--json"))["room"]
        assert room["free_bytes"] > 0
        assert room["space_left_bytes"] >= room["admin_space_left_bytes"] >= 2 * 4 << 20
        assert room["disk_full_action"] == {
            "motion": "refuse", "emergency_stop": "notify", "braking": "notify", "landing": "notify",
        }  # fmt: skip
        assert room["measured_s"] < YOUNG_S
        shown = lineage("status", "--state", state).stdout
        assert "space_left" in shown
        assert "until full   cannot be told from" in shown
        assert running.stop() == 0


def test_hours_in_words() -> None:
    """The rate that they rest on stands beside them."""
    from recorder.cli.status import until_full

    room = {"hours_until_full": 51.3, "growth_bytes_per_hour": 35 << 20, "measured_s": 3600}
    assert until_full(room) == "51.3 hours at 35.0 MiB an hour, measured over 60 minutes"


def test_show_names_the_deletion(state: Path) -> None:
    """Of an entry or a row whose claims are gone, the entry that says so; and `verify` lists it."""
    config = state / "recorder.toml"
    text = config.read_text().replace('# max_bytes = "4GiB"', 'max_bytes = "1MiB"   #')
    config.write_text(text.replace("rows_window_ms = 50", "rows_window_ms = 0"))
    with Running(state) as running:
        filler = Filler(running.socket)
        filler.fill(3)
        first = filler.acknowledged[0][0]

        def is_gone() -> bool:
            status, body = filler.raw.ask(Verb.READ, first, 60_000)
            return status == Status.OK and body[1][0][1] is None

        wait_until(is_gone)
        filler.close()
        assert running.stop() == 0
    report = parsed(lineage("verify", state, "--json"))
    deletion = report["deleted"][0]
    assert deletion["first"] <= first <= deletion["last"]
    shown = parsed(lineage("show", str(first), "--state", state, "--json"))
    assert shown["claims_deleted_by"].startswith(f"{deletion['seq']}-")
    row = shown["commits"][0]["id"].replace(".0-", ".0.3-")
    found = parsed(lineage("show", row, "--state", state, "--json"))["row"]
    assert found == {
        "id": row,
        "row": 3,
        "rows": ROWS_A_MESSAGE,
        "missing": f"deleted, by {shown['claims_deleted_by']}",
    }
    assert f"missing: deleted, by {deletion['seq']}-" in lineage("show", row, "--state", state).stdout
    assert "has 12 rows" in one_line(lineage("show", row.replace(".3-", ".12-"), "--state", state))
    said = lineage("verify", state).stdout
    assert f"were deleted: entry {deletion['seq']}" in said
    assert f"{report['notes']['deletions_before_term']} deletions took claims before their term" in said
    assert "claims_deleted_by" not in parsed(lineage("show", "1", "--state", state, "--json"))
