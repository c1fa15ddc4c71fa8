"""libFuzzer (Atheris) on the host's parser and on the link behind it: `python -m tests.bridge.fuzz_host CORPUS [OPTIONS]`.

The first byte of an input says what the rest is: the line itself, or messages of a length byte and that many bytes each, which are
put into frames here, so that what is mutated lies behind the CRC; and whether the device has shown its key before.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["firmware_bridge.line", "recorder.core"]):
    from firmware_bridge.line import messages
    from firmware_bridge.line.framing import STUFFED_MAX_BYTES, Unframer, frame
    from firmware_bridge.line.happenings import Trouble
    from firmware_bridge.line.link import Link
    from recorder.core import confirmation, deviceframe, sign1
    from recorder.core.deviceframe import Event

from firmware_bridge.line.confirmations import HELD_MAX_FRAMES, Signed
from firmware_bridge.line.messages import Ack, Batch, Booted, Here, Resend, Taken, TimeIs
from tests.frames import DEVICE, KID, NONCE, ORIGIN, chain, confirmed, signed

SESSION = messages.session_of(NONCE, KID, 1)
FRAMES = chain(confirmed(7), Event(3, [(2, 0.5)]), confirmed(8))
RAW, UP = 1, 2  # bits of the first byte
STEP_US = 60_000


def here() -> bytes:
    """The device's answer to the one nonce that is used here."""
    said = Here(DEVICE.public_key, 1, 0, 3, 5, bytes(64))
    proof = sign1.sign(DEVICE, messages.DEVICE, messages.here_payload(ORIGIN, NONCE, said))[-64:]
    return messages.make(said._replace(signature=proof))


HERE = here()
BATCH = messages.make(Batch(SESSION, 0, 2, signed(FRAMES)[-64:]))


def seeds() -> list[bytes]:
    """A session as it should be, cut into messages, and one of each kind that a device may send."""
    others = [
        messages.make(one)
        for one in (Booted(KID, 1), Taken(SESSION, 1), TimeIs(SESSION, 0, 9), Ack(SESSION, 1, 1, 1, Resend.FRAMES))
    ]
    whole = [HERE, *FRAMES, BATCH]
    told = [bytes((UP,)) + b"".join(bytes((len(one),)) + one for one in said) for said in ([*FRAMES, BATCH], others)]
    return [bytes(1) + b"".join(bytes((len(one),)) + one for one in whole), *told, bytes((RAW,)) + frame(HERE)]


def one_input(data: bytes) -> None:
    """Whatever comes: no exception, bounded memory, nothing believed that the device did not sign, and the next frame is read."""
    if not data:
        return
    kind, rest = data[0], data[1:]
    link = Link(DEVICE.public_key, ORIGIN, None, lambda: NONCE)
    link.opened(0)
    now_us = 0
    happened = list(link.received(frame(HERE), now_us)) if kind & UP else []
    pieces = []
    if kind & RAW:
        pieces = [rest]
    else:
        at = 0
        while at < len(rest):
            size = rest[at]
            message = rest[at + 1 : at + 1 + size]
            pieces += [frame(message)] if message else []
            at += 1 + size
    for piece in pieces:
        now_us += STEP_US
        happened += link.received(piece, now_us)
        happened += link.at(now_us)
        for told in Unframer().feed(link.take_output()):
            messages.read(told)  # what we say is what we read
    for one in happened:
        if isinstance(one, Signed):
            read, frames = confirmation.of_body(one.body)
            assert confirmation.verify(read, frames, DEVICE.public_key) == one.frames
            assert frames == FRAMES[one.first : one.last + 1], "believed, and never signed"
        elif isinstance(one, Trouble):
            assert len(one.detail) < 10_000
    held = 0 if link._chain is None else len(link._chain._frames)
    assert held <= HELD_MAX_FRAMES
    assert len(link._unframer._held) <= STUFFED_MAX_BYTES
    unframer = Unframer()
    unframer.feed(b"".join(pieces))
    assert unframer.feed(b"\0" + frame(HERE))[-1:] == [HERE], "the next frame is read"
    assert isinstance(deviceframe.read(FRAMES[0]).body, deviceframe.Confirmation)


if __name__ == "__main__":
    corpus = Path(sys.argv[1])
    corpus.mkdir(exist_ok=True)
    for number, seed in enumerate(seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
