"""Host and device over a bad line: whatever it does, nothing unsigned is believed and nothing is lost without a word."""

from __future__ import annotations

import random

import pytest

from firmware_bridge.line.happenings import Condition
from firmware_bridge.line.states import State
from tests.bridge.world import Line, Peer, World, sound

COMMITS = (5, 6, 7, 8, 9, 10)
HANDSHAKE_FRAMES = 8  # of the device: booted, its answer to two hellos, four confirmations, their signature


def story(device: Peer, up: Line = sound, down: Line = sound) -> World:
    """Six confirmations, two of them before there is a session, over this line."""
    world = World(device, up, down)
    world.confirm(COMMITS[0])
    world.confirm(COMMITS[1])
    for commit in COMMITS[2:]:
        world.step()
        world.confirm(commit)
    world.run()
    world.check()
    return world


def test_a_sound_line(device: Peer) -> None:
    """All is signed in order, in batches of four, at the latest after the time that the host named."""
    world = story(device)
    assert [made.commit.seq for entry in world.entries for made in entry.confirmations] == list(COMMITS)
    assert world.troubles == []
    assert world.gaps == []
    assert max(len(entry.frames) for entry in world.entries) <= 4


def test_split_at_every_byte(device: Peer) -> None:
    """Bytes one at a time are the same as frames at a time."""

    def split(_: int, frame: bytes) -> list[bytes]:
        return [frame[at : at + 1] for at in range(len(frame))]

    assert story(device, split, split).troubles == []


def faulty(number: int, bad: list[bytes]) -> Line:
    """A line that gives this in place of the frame of a number."""
    return lambda at, frame: bad if at == number else [frame]


def kept(frames: list[bytes]) -> Line:
    """A sound line that keeps a copy."""

    def line(_: int, frame: bytes) -> list[bytes]:
        frames.append(frame)
        return [frame]

    return line


def lines(device: Peer) -> tuple[list[bytes], list[bytes]]:
    """What goes up and down over a sound line."""
    up: list[bytes] = []
    down: list[bytes] = []
    story(device, kept(up), kept(down))
    return up, down


def test_every_frame_dropped_or_repeated(device: Peer) -> None:
    """In both directions."""
    up, down = lines(device)
    for number, frame in enumerate(up):
        for bad in ([], [frame, frame]):
            story(device, up=faulty(number, bad))
    for number, frame in enumerate(down):
        for bad in ([], [frame, frame]):
            story(device, down=faulty(number, bad))


def test_every_two_frames_swapped(device: Peer) -> None:
    """One frame is overtaken by the next, in both directions."""

    def swapping(number: int) -> Line:
        late: list[bytes] = []

        def line(at: int, frame: bytes) -> list[bytes]:
            if at == number:
                late.append(frame)
                return []
            return [frame, *late] if at == number + 1 else [frame]

        return line

    up, down = lines(device)
    for number in range(len(up)):
        story(device, up=swapping(number))
    for number in range(len(down)):
        story(device, down=swapping(number))


def flips(device: Peer, step: int) -> None:
    """One bit of the whole traffic is another, every so many bits."""
    for upwards, frames in zip((True, False), lines(device), strict=True):
        for bit in range(0, sum(map(len, frames)) * 8, step):
            number, left = 0, bit
            while left >= len(frames[number]) * 8:
                left -= len(frames[number]) * 8
                number += 1
            bad = bytearray(frames[number])
            bad[left // 8] ^= 1 << left % 8
            line = faulty(number, [bytes(bad)])
            story(device, *((line, sound) if upwards else (sound, line)))


def test_flipped_bits(device: Peer) -> None:
    """Bits all over the traffic, in turn each bit of a byte."""
    flips(device, 8 * 5 + 3)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_bit_flipped(device: Peer) -> None:
    """The long form."""
    flips(device, 1)


@pytest.mark.parametrize("who", ["host", "device"])
def test_power_loss_at_every_point(device: Peer, who: str) -> None:
    """Either side loses its power after each step, before, in and after the handshake, and each frame of it half sent."""
    for at in range(14):
        world = World(device)
        world.confirm(5)
        for _ in range(at):
            world.step()
        if who == "host":
            world.new_host()
        else:
            world.reboot()
            world.confirm(20)
        world.confirm(21)
        world.run()
        world.check()
        # A boot that no host has heard of is a gap too: its number says that it was there.
        assert [gap.reason for gap in world.gaps] in (
            [["device_rebooted"], ["boots_unseen"]] if who == "device" else [[]]
        )


def cut_at(number: int, at: int, is_off: list[bool]) -> Line:
    """A line that ends for good within the frame of a number."""

    def line(place: int, sent: bytes) -> list[bytes]:
        is_off[0] = is_off[0] or place == number
        return [sent[:at]] if place == number else [] if is_off[0] else [sent]

    return line


@pytest.mark.parametrize(
    ("who", "after"),
    [
        ("host", "down"),
        ("device", "up"),
        pytest.param("host", "up", marks=pytest.mark.slow),
        pytest.param("device", "down", marks=pytest.mark.slow),
        pytest.param("both", "up", marks=pytest.mark.slow),
        pytest.param("both", "down", marks=pytest.mark.slow),
    ],
)
def test_power_loss_at_every_byte(device: Peer, who: str, after: str) -> None:
    """Whoever loses its power, after each byte that either sends, from the first one to the first signature's last."""
    frames = lines(device)[0 if after == "up" else 1]
    for number, frame in enumerate(frames[:HANDSHAKE_FRAMES]):
        for at in range(len(frame)):
            is_off = [False]
            cut = cut_at(number, at, is_off)
            world = World(device, *((cut, sound) if after == "up" else (sound, cut)))
            world.confirm(5)
            for step in range(20):
                world.step()
                if is_off[0]:
                    break
                if step < 3:
                    world.confirm(6 + step)
            assert is_off[0]
            world.up = world.down = sound
            if who != "host":
                world.reboot()
            if who != "device":
                world.new_host()
            world.confirm(20)
            world.run()
            world.check()
            assert len(world.gaps) == (who != "host")


@pytest.mark.parametrize("who", ["host", "device"])
def test_a_recording_of_the_line_is_worth_nothing(device: Peer, who: str) -> None:
    """All that the device sent comes again, at each point of the next session: in this boot to another host, or in the next boot."""
    recorded = b"".join(lines(device)[0])

    def replaying(number: int) -> Line:
        return lambda at, frame: [recorded, frame] if at == number else [frame]

    for number in range(HANDSHAKE_FRAMES):
        world = story(device)
        entries, world.sent_up = len(world.entries), 0
        world.up = replaying(number)
        if who == "host":
            world.new_host()
        else:
            world.reboot()
        for commit in COMMITS:
            world.confirm(20 + commit)
            world.step()
        world.run()
        world.check()
        fresh = [made.commit.seq for entry in world.entries[entries:] for made in entry.confirmations]
        assert fresh == [20 + commit for commit in COMMITS]


def test_the_bridge_dies_before_it_has_recorded(device: Peer) -> None:
    """What it had received, and even signed, is still with the device, and comes again under another nonce."""
    world = World(device)
    world.recording = False
    for commit in COMMITS:
        world.confirm(commit)
        world.step()
    for _ in range(20):
        world.step()
    assert world.link.state is State.UP
    assert not world.entries
    world.recording = True
    world.new_host()
    world.run()
    world.check()
    assert world.gaps == []
    assert world.refused[1] == 0


def test_a_frame_cut_off_by_a_reboot(device: Peer) -> None:
    """Half a frame and then a boot message: at most what is glued together is lost, and the gap is told."""
    world = story(device)
    world.confirm(30)
    frames = world.device.poll(world.now_us)
    world._take(world.link.received(frames[0][:20], world.now_us))
    world.reboot()
    world.confirm(31)
    world.run()
    world.check()
    assert [(gap.since, gap.frames, gap.reason) for gap in world.gaps] == [((1, 6), None, "device_rebooted")]
    assert Condition.NOISE in {trouble.condition for trouble in world.troubles}


def test_the_cable_is_pulled(device: Peer) -> None:
    """What the ring holds comes later, what it does not is counted, and the count is signed."""
    world = story(device)
    world.step()  # the acknowledgement that empties the ring
    world.link.closed()
    for commit in range(100, 120):
        world.confirm(commit)
        world.device.poll(world.now_us)
    world.link.opened(world.now_us)
    world.run()
    world.confirm(120)
    world.run()
    world.check()
    assert world.refused[1] == 12
    assert world.link.state is State.UP


@pytest.mark.parametrize("seeds", [25, pytest.param(4000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_everything_at_once(device: Peer, seeds: int) -> None:
    """Frames lost, repeated, damaged and behind noise, reboots, new hosts and pulled cables, by chance and repeatably."""
    for seed in range(seeds):
        chance = random.Random(seed)
        rate = chance.choice([0.02, 0.1, 0.3])
        bad = [True]

        def line(
            _: int, frame: bytes, chance: random.Random = chance, rate: float = rate, bad: list[bool] = bad
        ) -> list[bytes]:
            drawn = chance.random() / rate if bad else 1.0
            if drawn < 0.25:
                return []
            if drawn < 0.5:
                return [frame, frame]
            if drawn < 0.75:
                at, bit = chance.randrange(len(frame)), chance.randrange(8)
                return [frame[:at] + bytes((frame[at] ^ 1 << bit,)) + frame[at + 1 :]]
            return [chance.randbytes(chance.randrange(1, 40)) + frame] if drawn < 1 else [frame]

        world = World(device, line, line)
        for commit in range(chance.randrange(20, 150)):
            if chance.random() < 0.5:
                world.confirm(commit)
            drawn = chance.random()
            if drawn > 0.99:
                world.reboot()
            elif drawn > 0.98:
                world.new_host()
            elif drawn > 0.97:
                world.link.closed()
                world.link.opened(world.now_us)
            world.step()
        bad.clear()
        world.run(steps=600)
        world.check()
