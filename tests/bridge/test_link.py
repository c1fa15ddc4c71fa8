"""A link's named conditions, its table of states, what it tells a device, and what a device asks it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from firmware_bridge.line import messages, states
from firmware_bridge.line.confirmations import HELD_MAX_FRAMES, Known, Signed
from firmware_bridge.line.framing import Unframer, frame
from firmware_bridge.line.gaps import gaps
from firmware_bridge.line.happenings import Clock, Condition, Trouble, Up
from firmware_bridge.line.link import SILENT_AFTER_US, TIME_EVERY_US, Link
from firmware_bridge.line.messages import Ack, Batch, GivenSignature, Here, Receipt, Resend, Time, Verdict
from firmware_bridge.line.states import Move, State
from recorder.core import deviceframe, sign1
from recorder.core.deviceframe import CommitRef, CommitRequest, Event, first_prev
from recorder.core.devicegap import Missing, Place
from recorder.core.errors import Impossible, Misuse
from recorder.core.keys import Signer, kid
from tests.bridge.world import Peer, World
from tests.credential_builder import signer
from tests.frames import DEVICE, KID, NONCE, ORIGIN, chain, signed

MALLORY = signer("mallory")
SESSION = messages.session_of(NONCE, KID, 1)


@dataclass
class Host:
    """A link that was opened, and what it said."""

    link: Link
    now_us: int = 0

    def get(self, *given: messages.Message | bytes) -> list[object]:
        """Let these messages or frames come."""
        line = b"".join(frame(item if isinstance(item, bytes) else messages.make(item)) for item in given)
        return list(self.link.received(line, self.now_us))

    def up(self, boot: int = 1, oldest: int = 0, next_: int = 0) -> list[object]:
        """A device shows itself."""
        return self.get(here(boot, oldest, next_))


def here(boot: int = 1, oldest: int = 0, next_: int = 0, by: Signer = DEVICE, nonce: bytes = NONCE) -> Here:
    """A device's answer to the hello with this nonce."""
    said = Here(by.public_key, boot, oldest, next_, 0, bytes(64))
    return said._replace(signature=sign1.sign(by, messages.DEVICE, messages.here_payload(ORIGIN, nonce, said))[-64:])


def missing(reason: str, since: tuple[int, int], until: tuple[int, int]) -> Missing:
    """A gap of this device."""
    return Missing(reason, KID, Place(*since), Place(*until))


def host(known: Known | None = None) -> Host:
    """A link on an open port; its nonce is always the same."""
    link = Link(DEVICE.public_key, ORIGIN, known, lambda: NONCE)
    link.opened(0)
    return Host(link)


def batch(frames: list[bytes], nonce: bytes = NONCE, first: int = 0, by: bytes | None = None) -> Batch:
    """The message with the signature over these frames."""
    return Batch(SESSION, first, first + len(frames) - 1, by or signed(frames, nonce, first=first)[-64:])


def troubles(found: list[object]) -> list[Condition]:
    """The conditions among what happened."""
    return [happened.condition for happened in found if isinstance(happened, Trouble)]


FRAMES = chain(Event(1, []), Event(2, []), Event(3, []))


def test_no_move_but_those_of_the_table() -> None:
    """A session needs an open port and a key that was shown."""
    allowed = {(state, move) for state in State for move in Move if _moves(state, move)}
    assert {state for state, move in allowed if move is Move.SHOWN} == {State.CALLING}
    assert {states.after(state, move) for state, move in allowed if move is not Move.SHOWN} == {
        State.CALLING,
        State.SHUT,
    }
    with pytest.raises(Misuse):
        Link(DEVICE.public_key, ORIGIN, None, lambda: NONCE).received(b"", 0)


def _moves(state: State, move: Move) -> bool:
    try:
        states.after(state, move)
    except Impossible:
        return False
    return True


@pytest.mark.parametrize(
    ("known", "said", "condition"),
    [
        (None, here(by=MALLORY), Condition.ANOTHER_KEY),
        (None, here(nonce=bytes(16)), Condition.KEY_NOT_SHOWN),
        (None, here(by=MALLORY)._replace(key=DEVICE.public_key), Condition.KEY_NOT_SHOWN),
        (None, here()._replace(boot=2), Condition.KEY_NOT_SHOWN),
        (None, here()._replace(next=1), Condition.KEY_NOT_SHOWN),
        (Known(3, 5, None), here(2, 0, 9), Condition.BOOT_REUSED),
        (Known(3, 5, None), here(3, 0, 4), Condition.BOOT_REUSED),
    ],
)
def test_a_device_that_is_not_believed(known: Known | None, said: Here, condition: Condition) -> None:
    """Each ends in a condition that is told once; frames and signatures count for nothing before the key was shown."""
    found = host(known)
    assert troubles(found.get(said)) == [condition]
    assert found.get(said, *FRAMES, batch(FRAMES)) == []
    assert found.link.state is State.CALLING


@pytest.mark.parametrize(
    ("known", "boot", "oldest", "expected"),
    [
        (None, 1, 0, []),
        (None, 3, 0, [missing("boots_unseen", (1, 0), (3, 0))]),
        (None, 1, 4, [missing("not_held", (1, 0), (1, 4))]),
        (Known(3, 5, None), 3, 5, []),
        (Known(3, 5, None), 3, 2, []),
        (Known(3, 5, None), 3, 7, [missing("not_held", (3, 5), (3, 7))]),
        (Known(3, 5, None), 4, 0, [missing("device_rebooted", (3, 5), (4, 0))]),
        (
            Known(3, 5, None),
            6,
            2,
            [
                missing("device_rebooted", (3, 5), (4, 0)),
                missing("boots_unseen", (4, 0), (6, 0)),
                missing("not_held", (6, 0), (6, 2)),
            ],
        ),
    ],
)
def test_gaps(known: Known | None, boot: int, oldest: int, expected: list[Missing]) -> None:
    """Each frame that cannot come any more is in one gap, and no other is."""
    assert gaps(KID, known, boot, oldest) == expected
    assert host(known).up(boot, oldest, 9) == [*expected, Up(boot, 0)]


def test_a_boot_that_nobody_signed() -> None:
    """`booted` bears no signature: whoever is on the line can end a session by it, and neither make a gap nor lose a frame."""
    found = host()
    found.up()
    for boot in (2, 7, 2**32 - 1):
        assert found.get(messages.Booted(KID, boot)) == []
        assert found.link.state is State.CALLING
        found.now_us += 1_000_000
        found.link.at(found.now_us)
        assert [type(one) for one in found.up()] == [Up], (
            "no gap: the boot that counts is the one in `here`, which is signed"
        )
    (signed_,) = found.get(*FRAMES, batch(FRAMES))
    assert isinstance(signed_, Signed)
    assert signed_.boot == 1
    assert found.get(messages.Booted(bytes(8), 9)) == []
    assert found.link.state is State.UP, "and another device's says nothing"


def test_signatures_that_do_not_count() -> None:
    """Of another session, by another key, over other frames: the session ends, and nothing was believed."""
    for by in (
        signed(FRAMES, nonce=bytes(16))[-64:],
        signed(FRAMES, boot=2)[-64:],
        signed(FRAMES, origin="acme/arm-8/00")[-64:],
        signed(FRAMES[:2])[-64:],
        MALLORY.sign(b"")[-64:],
    ):
        found = host()
        found.up(next_=3)
        assert troubles(found.get(*FRAMES, batch(FRAMES, by=by))) == [Condition.SIGNATURE_BROKEN]
        assert found.link.state is State.CALLING
    found = host()
    found.up(next_=3)
    assert found.get(*FRAMES, batch(FRAMES)._replace(session=b"????")) == [], "of an earlier session: it is left aside"
    assert len(found.get(batch(FRAMES))) == 1
    assert found.get(batch(FRAMES)) == [], "a repeat"


def test_frames_that_do_not_hang_together() -> None:
    """Another key's, another boot's, one that does not name the one before it, a clock that goes back."""
    prev = deviceframe.read(FRAMES[1]).prev
    bad = [
        chain(Event(1, []), kid=bytes(8))[0],
        chain(Event(1, []), boot=2)[0],
        deviceframe.make(KID, 1, 0, 1, bytes(8), Event(1, [])),
    ]
    for raw in bad:
        found = host()
        found.up()
        assert troubles(found.get(raw)) == [Condition.CHAIN_BROKEN]
    found = host()
    found.up()
    assert troubles(found.get(FRAMES[0], deviceframe.make(KID, 1, 1, 999, prev, Event(1, [])))) == [
        Condition.CHAIN_BROKEN
    ]
    found = host(Known(1, 1, b"another!"))
    found.up(next_=3)
    assert troubles(found.get(FRAMES[1])) == [Condition.CHAIN_BROKEN], "not what the lineage has below it"


def test_a_flood_without_a_signature() -> None:
    """What is held is bounded."""
    found = host()
    found.up()
    prev = first_prev(kid(DEVICE.public_key), 1)
    seen: list[Condition] = []
    for seq in range(HELD_MAX_FRAMES + 2):
        raw = deviceframe.make(KID, 1, seq, seq, prev, Event(1, []))
        prev = deviceframe.read(raw).leaf[:8]
        seen += troubles(found.get(raw))
    assert seen == [Condition.FLOODED]


def test_the_last_number() -> None:
    """Nothing can follow it, so it is of no chain; the host goes on."""
    found = host()
    found.up(oldest=2**64 - 1, next_=2**64 - 1)
    raw = deviceframe.make(KID, 1, 2**64 - 1, 5, bytes(8), Event(1, []))
    assert troubles(found.get(raw)) == [Condition.CHAIN_BROKEN]
    found.link.at(400_000)
    assert isinstance(messages.read(_only(found.link.take_output()[-200:].split(b"\0")[-2] + b"\0")), messages.Hello)


def test_sessions_that_a_device_ends() -> None:
    """Five a second at the most, however it ends them: each has its entries."""
    nonces = (bytes([count]) * 16 for count in range(1, 99))
    link = Link(DEVICE.public_key, ORIGIN, None, lambda: next(nonces))
    link.opened(0)
    sessions = 0
    for boot, now_us in enumerate(range(0, 2_000_000, 1_000), 1):
        for said in map(messages.read, Unframer().feed(link.take_output())):
            if isinstance(said, messages.Hello):
                found = link.received(frame(messages.make(here(boot, nonce=said.nonce))), now_us)
                sessions += any(isinstance(happened, Up) for happened in found)
        if boot % 2:
            link.received(frame(chain(Event(1, []), boot=2**32 - 1)[0]), now_us)
        link.received(frame(messages.make(messages.Booted(KID, boot + 1))), now_us)
        link.at(now_us)
    assert 9 <= sessions <= 10


def test_clocks_that_were_not_asked_for() -> None:
    """The instants are the host's own."""
    found = host()
    found.up()
    found.link.at(TIME_EVERY_US)
    found.now_us = TIME_EVERY_US + 900
    assert found.get(messages.TimeIs(SESSION, TIME_EVERY_US + 899, 7)) == []
    assert found.get(messages.TimeIs(SESSION, TIME_EVERY_US, 7)) == [Clock(TIME_EVERY_US, TIME_EVERY_US + 900, 7)]


def test_noise_silence_and_what_cannot_be_read() -> None:
    """Told once each, and asked for again."""
    found = host()
    found.up()
    found.link.take_output()
    found.now_us = 500_000
    assert troubles(list(found.link.received(b"\x7f\x80noise\0", found.now_us))) == [Condition.NOISE]
    assert Ack(SESSION, 0, 0, 0, Resend.FRAMES) == messages.read(_only(found.link.take_output()))
    assert troubles(found.get(b"\x81\x01")) == [Condition.UNREADABLE]
    assert troubles(found.get(b"\x81\x01")) == []
    assert troubles(list(found.link.at(SILENT_AFTER_US))) == [Condition.SILENT]
    assert found.link.state is State.CALLING
    assert list(found.link.at(SILENT_AFTER_US * 2)) == []


def _only(line: bytes) -> bytes:
    (raw,) = Unframer().feed(line)
    return raw


def test_repeats_ask_for_nothing() -> None:
    """What has come is left aside; what is beyond a hole asks for the hole, once."""
    found = host()
    found.up(next_=3)
    found.get(FRAMES[0])
    found.link.take_output()
    found.now_us = 50_000
    found.get(FRAMES[0], FRAMES[0])
    assert found.link.take_output() == b""
    found.get(FRAMES[2], FRAMES[2])
    assert messages.read(_only(found.link.take_output())) == Ack(SESSION, 1, 0, 0, Resend.FRAMES)


def test_signatures_out_of_turn() -> None:
    """A repeat is left aside while later frames wait; one behind a signature that was lost asks for that one."""
    found = host()
    found.up(next_=3)
    assert len(found.get(FRAMES[0], batch(FRAMES[:1]), *FRAMES[1:])) == 1
    found.link.take_output()
    found.now_us = 50_000
    assert found.get(batch(FRAMES[:1])) == []
    assert found.get(batch(FRAMES[2:], first=2)) == []
    assert Ack(SESSION, 3, 1, 0, Resend.SIGNATURES) in [
        messages.read(raw) for raw in Unframer().feed(found.link.take_output())
    ]
    assert len(found.get(batch(FRAMES[1:], first=1))) == 1


def test_a_device_that_waits_for_the_first_ack_gets_another() -> None:
    """With each question after the time, so that a lost one costs no session."""
    found = host()
    found.up()
    found.link.take_output()
    found.link.at(TIME_EVERY_US)
    sent = [messages.read(raw) for raw in Unframer().feed(found.link.take_output())]
    assert sent == [Time(SESSION, TIME_EVERY_US), Ack(SESSION, 0, 0, 0, Resend.NOTHING)]


def test_a_condition_is_told_again_in_the_next_session() -> None:
    """And after the cable was pulled."""
    found = host()
    for _ in range(2):
        found.up()
        assert troubles(found.get(b"\x81\x01", b"\x81\x01")) == [Condition.UNREADABLE]
        found.now_us += SILENT_AFTER_US
        found.link.at(found.now_us)
    found.link.closed()
    found.link.opened(0)
    assert troubles(found.get(b"\x81\x01")) == [Condition.UNREADABLE]


def test_recorded_in_order() -> None:
    """What was recorded once is not recorded again."""
    found = host()
    found.up(next_=3)
    first, second = found.get(*FRAMES[:2], batch(FRAMES[:2])) + found.get(FRAMES[2], batch(FRAMES[2:], first=2))
    found.link.recorded(first)  # type: ignore[arg-type]
    found.link.recorded(second)  # type: ignore[arg-type]
    with pytest.raises(Misuse):
        found.link.recorded(first)  # type: ignore[arg-type]


def test_a_given_signature_signs_nothing_else() -> None:
    """It completes the bytes; whether it holds is for the verifier."""
    raw = sign1.sign(GivenSignature(DEVICE.public_key, bytes(64)), sign1.CONFIRMATION, b"x")
    assert not sign1.verify(sign1.read(raw, sign1.CONFIRMATION), DEVICE.public_key)


def test_grant_request_receipt(device: Peer) -> None:
    """Over a line that loses every third frame: all grants and receipts come once, in order; the request comes at once."""
    world = World(device, down=lambda at, raw: [] if at % 3 == 1 else [raw])
    world.run()
    for grant in range(6):
        world.link.grant(grant, 3, 100, 5000, irreversible=grant == 5)
    world.run(lambda: len(device.granted) == 6)
    assert device.granted == [[grant, 3, 100, 5000, int(grant == 5)] for grant in range(6)]
    number = device.do("request 5 3 2:0.5") - 1
    world.run(lambda: bool(world.arrived))
    assert world.arrived[0].frame.body == CommitRequest(5, 3, [(2, 0.5)], 200, None)
    assert world.arrived[0].frame.seq == number
    ref = CommitRef(77, 1, bytes(16))
    world.link.receipt(Receipt(bytes(4), 0, number, 3, Verdict.ADMITTED, ref, True))
    world.link.receipt(Receipt(bytes(4), 0, number + 1, 3, Verdict.REFUSED, None, False))
    world.link.receipt(Receipt(bytes(4), 0, None, 3, Verdict.LATE, ref, False))
    world.run(lambda: len(device.receipts) == 3)
    assert device.receipts == [[1, number, 0, 1, 77, 1], [1, number + 1, 1, 0, 0, 0], [0, 0, 2, 1, 77, 1]]


def test_what_waits_for_another_boot_is_not_said_to_this_one(device: Peer) -> None:
    """A receipt that a reboot overtook names a request that this boot never made."""
    world = World(device)
    world.run()
    world.link.grant(1, 3, 100, 5000, irreversible=False)
    world.reboot()
    world.run(lambda: world.link.state is State.UP and bool(world.gaps))
    for _ in range(40):
        world.step()
    assert device.granted == []
    world.link.closed()
    world.link.grant(2, 3, 1, 1, irreversible=False)
    world.link.opened(world.now_us)
    world.run(lambda: bool(device.granted))
    assert device.granted == [[2, 3, 1, 1, 0]]


def test_clocks_and_irreversible(device: Peer) -> None:
    """The device's clock lies within what was sent and answered; what is irreversible is signed without waiting."""
    world = World(device)
    for _ in range(40):
        world.step()
    assert world.clocks
    assert all(clock.sent_us <= clock.tick_us <= clock.answered_us for clock in world.clocks)
    world.confirm(1)
    device.do("confirm 2 1 1")
    assert world.now_us > 500_000
    world.asked[1].append(2)
    before = world.now_us
    world.run()
    assert world.now_us - before <= 2_000, "within two steps, and not after 20 ms"
    assert [made.tick_us for made in world.entries[-1].frames] == [before, before]
