"""One port's link to one device, without the port: bytes and clocks in, bytes and happenings out.

The law: what `Signed` has was signed by the expected key, for this log, this session and this boot, frame by frame in
order; and of each boot that was ever seen, every seq is in one `Signed`, in one `Missing`, or still to come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from firmware_bridge.line import messages
from firmware_bridge.line.calling import Calling
from firmware_bridge.line.confirmations import HELD_MAX_FRAMES, Chain, Known, Signed
from firmware_bridge.line.framing import Noise, Unframer, frame
from firmware_bridge.line.gaps import gaps
from firmware_bridge.line.happenings import Arrived, Clock, Condition, Happening, Trouble, Up
from firmware_bridge.line.messages import (
    SESSION_BYTES,
    Ack,
    Batch,
    Booted,
    Grant,
    Hello,
    Here,
    Message,
    Receipt,
    Resend,
    Taken,
    Time,
    TimeIs,
)  # fmt: skip
from firmware_bridge.line.outbox import Outbox
from firmware_bridge.line.states import Move, State, after
from recorder.core.deviceframe import CommitRequest, Frame
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import kid

TIME_EVERY_US = 250_000  # a question that every device answers: silence is silence
SILENT_AFTER_US = 1_000_000
QUESTIONS_KEPT = 8  # that may still be answered, on a slow line
RESEND_EVERY_US = 20_000  # not twice for one hole: what was asked for is on its way
ACK_EVERY_US = 100_000


class Link:
    """A link to the device with one key; `known` is how far the lineage is with it."""

    def __init__(
        self,
        key: bytes,
        origin: str,
        known: Known | None,
        nonce: Callable[[], bytes],
        *,
        batch_frames: int = 32,
        batch_ms: int = 100,
    ) -> None:
        self.state = State.SHUT
        self._key, self._origin = key, origin
        self._front = known  # all below it is signed and handed out
        self._recorded = (known.boot, known.next) if known is not None else (0, 0)
        self._unframer = Unframer()
        self._outbox = Outbox()
        self._calling = Calling(Hello(bytes(16), origin, batch_frames, batch_ms), nonce)
        self._chain: Chain | None = None
        self.session = bytes(SESSION_BYTES)  # what marks messages of this session
        self._out = bytearray()
        self._told: set[Condition] = set()
        self._heard_us = self._asked_us = self._acked_us = self._resend_us = 0
        self._questions: deque[int] = deque(maxlen=QUESTIONS_KEPT)
        self._acked: tuple[int, int, int] | None = None

    def opened(self, now_us: int) -> None:
        """The port is there."""
        self._move(Move.OPENED)
        self._heard_us = now_us
        self._told.clear()
        self._out = bytearray(b"\0")  # ends whatever the device has of an earlier writer
        self._call(now_us)

    def closed(self) -> None:
        """The port is gone; what was received and not signed has to come again."""
        self._move(Move.CLOSED)
        self._suspend()
        self._out.clear()
        self._unframer = Unframer()

    def take_output(self) -> bytes:
        """What to write to the port."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def grant(self, grant: int, actuator: int, commits: int, valid_ms: int, *, irreversible: bool) -> list[Happening]:
        """Tell the device what it may ask for."""
        return self._say(Grant(self.session, 0, grant, actuator, commits, valid_ms, irreversible))

    def receipt(self, receipt: Receipt) -> list[Happening]:
        """Tell the device what became of a commit; session and number are put in here."""
        return self._say(receipt)

    def recorded(self, signed: Signed) -> None:
        """The entry of this batch is durable: the device may forget its frames.

        Raises:
            Misuse: batches are recorded in order.

        """
        if (signed.boot, signed.first) < self._recorded:
            raise Misuse(f"boot {signed.boot}, frames from {signed.first} on were recorded before")
        self._recorded = (signed.boot, signed.last + 1)

    def at(self, now_us: int) -> list[Happening]:
        """Time has passed; call it after `received` too, and then write `take_output`."""
        found: list[Happening] = []
        if self.state is State.SHUT:
            return found
        if now_us - self._heard_us >= SILENT_AFTER_US:
            self._heard_us = now_us
            found += self._trouble(Condition.SILENT, f"nothing to be read for {SILENT_AFTER_US // 1000} ms")
            self._move(Move.SILENT)
            self._suspend()
            self._call(now_us)
        elif self.state is State.CALLING:
            self._greet(now_us, is_asked=False)
        elif self.state is State.UP:
            if now_us - self._asked_us >= TIME_EVERY_US:
                self._send(Time(self.session, now_us))
                self._questions.append(now_us)
                self._asked_us = now_us
                self._acked = None  # the device may wait for the one that was lost
            self._acknowledge(now_us, Resend.NOTHING)
            for message in self._outbox.due(now_us):
                self._send(message)
        return found

    def received(self, chunk: bytes, now_us: int) -> list[Happening]:
        """Take what came from the port, in pieces of any size.

        Raises:
            Misuse: the port is not open.

        """
        if self.state is State.SHUT:
            raise Misuse("bytes of a port that was not opened")
        found: list[Happening] = []
        for raw in self._unframer.feed(chunk):
            try:
                message = messages.read(raw)
            except FormatError as error:
                found += self._trouble(Condition.UNREADABLE, error.detail)
                continue
            if isinstance(message, Frame):
                found += self._frame(message, now_us)
            else:
                found += self._message(message, now_us)
        noise = self._unframer.take_noise()
        if noise != Noise():
            found += self._trouble(Condition.NOISE, f"{noise.frames} frames of {noise.bytes} bytes are none")
            self._acknowledge(now_us, Resend.FRAMES)
        return found

    def _message(self, message: Message, now_us: int) -> list[Happening]:
        if isinstance(message, Here):
            return self._here(message, now_us)
        if isinstance(message, Booted):
            return self._booted(message, now_us)
        if self.state is not State.UP or getattr(message, "session", None) != self.session:
            return []  # of an earlier session, or an echo of our own before there was one
        if isinstance(message, Batch):
            return self._signature(message, now_us)
        if isinstance(message, Taken):
            self._heard_us = now_us
            self._outbox.taken(message.number)
        elif isinstance(message, TimeIs) and message.host_us in self._questions:
            self._heard_us = now_us
            return [Clock(message.host_us, now_us, message.tick_us)]
        return []  # the host's own messages, as a line that echoes gives them back

    def _here(self, here: Here, now_us: int) -> list[Happening]:
        """A device answers our hello; steps in the order in which they would mislead us."""
        if self.state is not State.CALLING:
            return []  # the answer to a hello that was sent twice
        if here.key != self._key:
            return self._wrong(now_us, Condition.ANOTHER_KEY, f"a device with the key {here.key.hex()} is here")
        if not messages.here_holds(self._origin, self._calling.hello.nonce, here):
            return self._wrong(now_us, Condition.KEY_NOT_SHOWN, "the signature is not of this session, or of this key")
        known = self._front
        if known is not None and (here.boot, here.next) < (known.boot, known.next if here.boot == known.boot else 0):
            return self._wrong(
                now_us,
                Condition.BOOT_REUSED,
                f"boot {here.boot} with {here.next} frames, after boot {known.boot} with {known.next}",
            )
        found: list[Happening] = [*gaps(kid(self._key), known, here.boot, here.oldest)]
        same_boot = known is not None and known.boot == here.boot
        start = known if known is not None and same_boot and known.next >= here.oldest else None
        self._chain = Chain(self._key, start if start is not None else Known(here.boot, here.oldest, None))
        self._move(Move.SHOWN)
        self.session = messages.session_of(self._calling.hello.nonce, kid(self._key), here.boot)
        self._heard_us = now_us
        self._told.clear()
        self._outbox.begin(self.session, keep=same_boot)
        self._acked = None
        self._acknowledge(now_us, Resend.FRAMES)
        return [*found, Up(here.boot, here.tick_us)]

    def _booted(self, booted: Booted, now_us: int) -> list[Happening]:
        """The device says that it began anew; the gap is told when it shows its key and what it has."""
        if booted.kid != kid(self._key):
            return []
        if self.state is State.UP and self._chain is not None and booted.boot != self._chain.boot:
            self._move(Move.REBOOTED)
            self._suspend()
            self._call(now_us)
        elif self.state is State.CALLING:
            self._greet(now_us, is_asked=True)
        return []

    def _frame(self, frame_: Frame, now_us: int) -> list[Happening]:
        chain = self._chain
        if self.state is not State.UP or chain is None or frame_.seq < chain.received:
            return []  # before the handshake nothing is believed; a repeat is what we asked for
        try:
            if not chain.add(frame_):
                full = chain.received - chain.signed >= HELD_MAX_FRAMES
                self._acknowledge(now_us, Resend.NOTHING if full else Resend.FRAMES)
                return self._trouble(Condition.FLOODED, f"{HELD_MAX_FRAMES} frames without a signature") if full else []
        except FormatError as error:
            return self._broken(now_us, Condition.CHAIN_BROKEN, error.detail)
        self._heard_us = now_us
        return [Arrived(frame_)] if isinstance(frame_.body, CommitRequest) else []

    def _signature(self, batch: Batch, now_us: int) -> list[Happening]:
        assert self._chain is not None
        try:
            signed = self._chain.sign(self._origin, self._calling.hello.nonce, batch.first, batch.last, batch.signature)
        except FormatError as error:
            return self._broken(now_us, Condition.SIGNATURE_BROKEN, error.detail)
        if signed is None:
            lost = batch.first > self._chain.signed or batch.last >= self._chain.received
            self._acknowledge(now_us, Resend.SIGNATURES if lost else Resend.NOTHING)
            return []
        self._heard_us = now_us
        return [signed]

    def _acknowledge(self, now_us: int, resend: Resend) -> None:
        """Say how far we are where it is news, or where a hole is to be filled and not asked for just now."""
        chain = self._chain
        if self.state is not State.UP or chain is None:
            return
        boot, recorded = self._recorded
        where = (chain.received, chain.signed, recorded if boot == chain.boot else 0)
        again = resend is not Resend.NOTHING and (self._acked is None or now_us - self._resend_us >= RESEND_EVERY_US)
        moved = self._acked is None or where[1:] != self._acked[1:]
        if again or moved or (where != self._acked and now_us - self._acked_us >= ACK_EVERY_US):
            self._send(Ack(self.session, *where, resend if again else Resend.NOTHING))
            self._acked, self._acked_us = where, now_us
            if again:
                self._resend_us = now_us

    def _call(self, now_us: int) -> None:
        """Begin a session anew: what was signed for an earlier nonce counts no more."""
        self._calling.anew()
        self._greet(now_us, is_asked=True)

    def _greet(self, now_us: int, *, is_asked: bool) -> None:
        if (hello := self._calling.due(now_us, is_asked=is_asked)) is not None:
            self._send(hello)
            self._asked_us = now_us

    def _suspend(self) -> None:
        """Forget what is not signed: the device has it still, or a gap will say so."""
        if self._chain is not None:
            self._front = self._chain.front
        self._chain = None

    def _wrong(self, now_us: int, condition: Condition, detail: str) -> list[Happening]:
        self._move(Move.WRONG)
        self._heard_us = now_us
        return self._trouble(condition, detail)

    def _broken(self, now_us: int, condition: Condition, detail: str) -> list[Happening]:
        self._move(Move.BROKEN)
        self._suspend()
        self._call(now_us)
        return self._trouble(condition, detail)

    def _say(self, message: Grant | Receipt) -> list[Happening]:
        if self._outbox.put(message):
            return []
        return self._trouble(Condition.BEHIND, "grants and receipts wait to be taken, and no more are told")

    def _trouble(self, condition: Condition, detail: str) -> list[Happening]:
        if condition in self._told:
            return []
        self._told.add(condition)
        return [Trouble(condition, detail)]

    def _move(self, move: Move) -> None:
        self.state = after(self.state, move)

    def _send(self, message: Message) -> None:
        self._out += frame(messages.make(message))
