"""HEADS: a recorder that learns from its peers what it signed before its store was lost or put back, and goes on from there."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from recorder import config as configs
from recorder.cli import run
from recorder.client import Recorder
from recorder.clock import SystemClock
from recorder.core.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from recorder.core.controls import Boot, Previous
from recorder.core.entry import decode
from recorder.core.keys import SeedSigner
from recorder.core.kinds import Kind
from recorder.core.message_requests import HEADS_MAX
from recorder.core.messages import Status, Verb
from recorder.core.note import parse_note
from recorder.daemon import boot, identity
from recorder.daemon.peerheads import SIZES_MAX
from recorder.daemon.randomness import ReadAhead
from recorder.store import peerheads
from recorder.store.layout import CURRENT, LINEAGES, PEER_HEADS
from tests.daemon.raw import Raw
from tests.running import Running, lineage_of, make_state, origin_of, records_of, wait_until

DECLARED = 3  # exit status of verify: nothing failed, and what was lost is declared


def made(tmp_path: Path) -> Path:
    return make_state(tmp_path / "s", more="mesh = true")


def mark(running: Running, count: int) -> bytes:
    """Record something; the checkpoint after it."""
    with Recorder(running.socket, timeout_ms=60_000) as client:
        for _ in range(count):
            client.append(Kind.MARK, body={"label": "test"})
        return client.checkpoint()


def head_of(note: bytes) -> Checkpoint:
    return parse_checkpoint(parse_note(note).text)


def brought(running: Running, *notes: bytes) -> tuple[bool, int | None, list[str]]:
    """What the recorder says of heads that `peer` holds."""
    with Raw(running.socket) as raw:
        status, body = raw.ask(Verb.HEADS, [["peer", note] for note in notes])
    assert status == Status.OK, body
    behind, confirmed, ignored = body
    return behind, confirmed, ignored


def origin_now(running: Running) -> str:
    with Raw(running.socket) as raw:
        return str(raw.welcome["origin"])


def begun_anew(running: Running, old: str) -> str:
    """Wait for the next incarnation."""
    wait_until(lambda: running.state.joinpath(CURRENT).read_text().strip() not in old)
    new = origin_now(running)
    assert new != old
    return new


def first_boot(state: Path) -> Boot:
    """Control of the boot entry at seq 0 of a stopped recorder's lineage in force."""
    control: Any = decode(records_of(state)[0][0]).header.control
    return Boot(*control)


def image_of(state: Path) -> Path:
    image = state.with_name("image")
    shutil.copytree(state, image, symlinks=True)
    return image


def put_back(state: Path, image: Path) -> None:
    shutil.rmtree(state)
    shutil.copytree(image, state, symlinks=True)


def verify(state: Path) -> int:
    return run(["verify", "--state", str(state)])


def test_heads_of_ones_own_are_confirmed(tmp_path: Path) -> None:
    """Heads that the log leads to change nothing, wherever their tiles lie: in memory, in the live segment, in sealed ones."""
    with Running(made(tmp_path)) as running:
        notes = [mark(running, 3)]
        notes.append(mark(running, 256 - head_of(notes[0]).size))  # the last leaf of a tile is the last of a segment
        with Recorder(running.socket, timeout_ms=60_000) as client:
            client.seal()
        notes.append(mark(running, 5))
        with Recorder(running.socket, timeout_ms=60_000) as client:
            client.seal()
        notes.append(mark(running, 300))
        old = origin_now(running)
        size = head_of(notes[-1]).size
        assert brought(running) == (False, None, [])
        assert brought(running, *notes[:2]) == (False, head_of(notes[1]).size, [])
        assert brought(running, *notes) == (False, size, [])
        assert brought(running, notes[1]) == (False, size, []), "the greatest so far"
        with Recorder(running.socket, timeout_ms=60_000) as client:
            status = client.status()
        assert (status["confirmed_size"], status["confirmed_by"]) == (head_of(notes[-1]).size, ["peer"])
        assert origin_now(running) == old
        assert not (running.state / PEER_HEADS).exists()
        assert running.stop() == 0
    assert verify(running.state) == 0


@pytest.mark.parametrize("recorded_on", [0, 30, 300])
def test_an_older_copy_that_was_put_back_goes_on_anew(tmp_path: Path, recorded_on: int) -> None:
    """Whether it has recorded less or more since than the peers' head covers; the old one stays and is named."""
    state = made(tmp_path)
    with Running(state) as running:
        early = mark(running, 3)
        assert running.stop() == 0
    image = image_of(state)
    with Running(state) as running:
        lost = mark(running, 20)
        assert running.stop() == 0
    put_back(state, image)
    kept = lineage_of(state)
    with Running(state) as running:
        old = origin_now(running)
        if recorded_on:
            mark(running, recorded_on)
        if recorded_on > 256:  # what differs lies in a sealed segment
            with Recorder(running.socket, timeout_ms=60_000) as client:
                client.seal()
            mark(running, recorded_on)
        size = head_of(lost).size
        assert brought(running, early) == (False, head_of(early).size, [])
        assert brought(running, early, lost) == (True, head_of(early).size, [])
        new = begun_anew(running, old)
        assert kept.is_dir()
        assert not (state / PEER_HEADS).exists()
        assert brought(running, early, lost) == (False, None, []), "it is named from now on"
        assert origin_now(running) == new
        mark(running, 3)
        assert running.stop() == 0
    assert f"{size} entries of {old}" in running.said
    assert str(kept) in running.said
    control = first_boot(state)
    named = [Previous(*one) for one in control.previous]
    assert Previous(old, size, head_of(lost).root) in named
    assert Previous(old, head_of(early).size, head_of(early).root) in named, "where another witness may stand"
    assert len(named) == (3 if recorded_on else 2), "another head of another history that left it"
    assert control.confirmed_by == "witness"
    # What it recorded beside the head that peers hold is another history of one log, and verification says so.
    assert verify(state) == (1 if recorded_on else DECLARED)


def test_a_recorder_that_was_emptied_names_what_it_was(tmp_path: Path) -> None:
    """The same key and no store: the log that it began meanwhile, and the one that peers know of, are named by the next."""
    state = made(tmp_path)
    with Running(state) as running:
        old = origin_now(running)
        lost = mark(running, 20)
        assert running.stop() == 0
    shutil.rmtree(state / LINEAGES)
    (state / CURRENT).unlink()
    with Running(state) as running:
        meanwhile = origin_now(running)
        with Recorder(running.socket, timeout_ms=60_000) as client:
            client.append(Kind.MARK, body={"label": "meanwhile"})
        assert brought(running, lost)[0]
        begun_anew(running, meanwhile)
        mark(running, 1)
        assert running.stop() == 0
    assert origin_of(lineage_of(state)) not in {old, meanwhile}
    named = first_boot(state).previous
    assert [one[0] for one in named] == [old, meanwhile]
    assert tuple(named[0]) == (old, head_of(lost).size, head_of(lost).root)
    assert named[1][1] == 3, "boot, policy, mark"
    assert verify(state) == 0


def test_a_client_goes_on_over_it(tmp_path: Path) -> None:
    """What was received and not answered is recorded in the new incarnation, and nothing more in the old one."""
    state = made(tmp_path)
    with Running(state) as running:
        lost = mark(running, 20)
        assert running.stop() == 0
    shutil.rmtree(state / LINEAGES)
    (state / CURRENT).unlink()
    with Running(state) as running, Recorder(running.socket, timeout_ms=20_000) as client:
        before = client.append(Kind.MARK, body={"label": "before"})
        old = client.hello.origin
        assert brought(running, lost)[0]
        after = client.append(Kind.MARK, body={"label": "after"})
        assert client.hello.origin != old
        assert before.durable
        assert after.durable
        assert running.stop() == 0
    assert verify(state) == 0


def test_only_what_its_own_key_signed_counts(tmp_path: Path) -> None:
    """Notes of others, of other platforms and what is none are named as such, and the log goes on."""
    state = made(tmp_path)
    thief = SeedSigner(bytes(32))
    own = identity.load(state)
    with Running(state) as running:
        origin = origin_now(running)
        note = mark(running, 1)
        forged = sign_checkpoint(Checkpoint(origin, 99, bytes(32)), thief).encode()
        foreign = sign_checkpoint(Checkpoint("acme/arm-8/0123456789abcdef", 99, bytes(32)), own).encode()
        behind, confirmed, ignored = brought(running, forged, foreign, b"nonsense", note)
        assert (behind, confirmed) == (False, head_of(note).size)
        assert [one.split(":")[:2] for one in ignored] == [
            ["peer", " note_signature"],
            ["peer", " origin_mismatch"],
            ["peer", " note_malformed"],
        ]
        assert origin_now(running) == origin
        assert running.stop() == 0


def test_only_the_mesh_may_bring_heads(tmp_path: Path) -> None:
    """Neither the recorder's own user nor root, unless recorder.toml says so."""
    with Running(make_state(tmp_path / "s")) as running, Raw(running.socket) as raw:
        assert raw.ask(Verb.HEADS, [])[1][0] == "not_permitted"


def test_a_flood_of_heads_is_checked_a_few_at_a_time(tmp_path: Path) -> None:
    """One request is under way and others are refused: their signatures would hold up everybody's commits."""
    with Running(made(tmp_path)) as running, Raw(running.socket) as raw:
        thief = SeedSigner(bytes(32))
        note = sign_checkpoint(Checkpoint(origin_now(running), 1_000, bytes(32)), thief).encode()
        running.process.send_signal(signal.SIGSTOP)  # so that all are there when it looks
        for number in range(4):
            raw.send([int(Verb.HEADS), 100 + number, [["peer", note]] * HEADS_MAX])
        running.process.send_signal(signal.SIGCONT)
        answers = [raw.receive() for _ in range(4)]
        faults = [body[0] for status, _, body in answers if status == Status.ERROR]
        assert "busy" in faults
        assert set(faults) == {"busy"}
        first = next(body for status, _, body in answers if status == Status.OK)
        assert len(first[2]) == HEADS_MAX
        assert running.stop() == 0


def test_of_many_sizes_the_greatest_are_compared(tmp_path: Path) -> None:
    """So that an answer takes a bounded time, however many heads are brought."""
    with Running(made(tmp_path)) as running:
        notes = [mark(running, 1) for _ in range(SIZES_MAX + 3)]
        own = identity.load(running.state)
        wrong = head_of(notes[0])
        notes[0] = sign_checkpoint(Checkpoint(wrong.origin, wrong.size, bytes(32)), own).encode()
        assert brought(running, *notes) == (False, head_of(notes[-1]).size, [])
        assert brought(running, notes[0])[0]


def _emptied(tmp_path: Path) -> tuple[Path, bytes]:
    state = made(tmp_path)
    with Running(state) as running:
        lost = mark(running, 20)
        assert running.stop() == 0
    shutil.rmtree(state / LINEAGES)
    (state / CURRENT).unlink()
    with Running(state) as running:
        running.kill()
    return state, lost


def test_a_crash_before_the_new_incarnation_begins(tmp_path: Path) -> None:
    """What peers hold is kept first: the next start goes on from it."""
    state, lost = _emptied(tmp_path)
    old = origin_of(lineage_of(state))
    peerheads.keep(state, [lost], [])
    with Running(state) as running:
        assert origin_now(running) != old
        running.kill()
    assert first_boot(state).confirmed_by == "witness"
    with Running(state) as running:
        new = origin_now(running)
        assert not (state / PEER_HEADS).exists()
        assert brought(running, lost) == (False, None, [])
        assert origin_now(running) == new
        assert running.stop() == 0
    assert verify(state) in {0, DECLARED}


def test_a_crash_before_the_new_incarnation_is_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its boot entry is written and `current` names the old one: the start after it makes another, and the first is nothing."""
    state, lost = _emptied(tmp_path)
    peerheads.keep(state, [lost], [])

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("recorder.daemon.boot.put_in_force", crash)
        with pytest.raises(KeyboardInterrupt):
            boot.start(state, configs.load(state), identity.load(state), SystemClock(), ReadAhead())
    assert len(list((state / LINEAGES).iterdir())) == 2
    with Running(state) as running:
        assert brought(running, lost) == (False, None, [])
        assert running.stop() == 0
    assert len(list((state / LINEAGES).iterdir())) == 3
    assert head_of(lost).origin in [one[0] for one in first_boot(state).previous]
    assert verify(state) in {0, DECLARED}


def test_kept_heads_that_are_named_already_change_nothing(tmp_path: Path) -> None:
    """If we crash between naming them and letting go of them."""
    state, lost = _emptied(tmp_path)
    peerheads.keep(state, [lost], [])
    with Running(state) as running:
        running.kill()
    origin = origin_of(lineage_of(state))
    peerheads.keep(state, [lost], [])
    with Running(state) as running:
        assert origin_now(running) == origin
        assert not (state / PEER_HEADS).exists()


def test_kept_heads_that_are_damaged_are_named(tmp_path: Path) -> None:
    """A start does not guess what they were."""
    state, _ = _emptied(tmp_path)
    (state / PEER_HEADS).write_bytes(b"nonsense")
    with pytest.raises(AssertionError, match=r"peer-heads: .* take it away"):
        Running(state)


def test_kill_at_any_moment(tmp_path: Path) -> None:
    """Between learning and naming: whenever it is killed, one more bringing of the same heads leads to a log that names them."""
    state, lost = _emptied(tmp_path)
    chance = random.Random(5)
    running = Running(state)
    try:
        for _ in range(4):
            with Raw(running.socket) as raw:
                raw.send([int(Verb.HEADS), 1, [["peer", lost]]])
                time.sleep(chance.uniform(0, 0.12))  # where in the course of it the kill falls is what is varied
                running.kill()
            running.restart()
        if brought(running, lost)[0]:
            wait_until(lambda: not brought(running, lost)[0])
        assert running.stop() == 0
    finally:
        running.__exit__()
    assert head_of(lost).origin in [one[0] for one in first_boot(state).previous]
    assert verify(state) in {0, DECLARED}


ORIGIN, ROOT = "acme/arm-7/0123456789abcdef", bytes([1]) * 32


@pytest.mark.parametrize(
    ("named", "is_named"),
    [
        ([], False),
        ([Previous(ORIGIN, 5, ROOT)], True),
        ([Previous(ORIGIN, 6, ROOT)], True),
        ([Previous(ORIGIN, 4, ROOT)], False),
        ([Previous(ORIGIN, 9, None)], False),
        ([Previous("acme/arm-7/fedcba9876543210", 9, ROOT)], False),
        ([Previous(ORIGIN, 4, ROOT), Previous(ORIGIN, 7, ROOT)], True),
    ],
)
def test_named_is_what_a_witness_can_see_continued(named: list[Previous], is_named: bool) -> None:
    """With a root, and no fewer entries than the head has."""
    assert peerheads.is_named(Checkpoint(ORIGIN, 5, ROOT), named) is is_named
