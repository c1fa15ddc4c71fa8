"""A device's side of the line, without a port, a clock or randomness: bytes and ticks in, frames of the line out.

The law: a frame that has a number is kept until the host says that the lineage has it; what found no room is counted,
and the count is a frame of its own.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from struct import pack
from typing import NamedTuple

from hwsim.firmware import messages, signing
from hwsim.firmware.framing import Splitter, framed
from hwsim.firmware.messages import Ack, Commit, Grant, Hello, Receipt, Time, Values, singles
from recorder.core import cbor
from recorder.core.keys import Signer

__all__ = ["Device", "Grant", "Receipt"]

FRAME_MAX_BYTES = 128
VALUES_MAX = 8
OUTCOME_MAX = 6
RESEND_AFTER_US = 300_000
BOOTED_EVERY_US = 500_000
TAKEN_AFTER, TAKEN_AFTER_US = 3, 30_000


class _Held(NamedTuple):
    raw: bytes
    leaf: bytes
    tick_us: int


@dataclass
class _Session:
    """One host's session; the numbers are seqs of frames."""

    hello: Hello
    mark: bytes
    up: bool = False  # an ack has said where the host is
    sent: int = 0  # the next to send
    signed: int = 0  # the next to sign
    acked: tuple[int, int] = (0, 0)  # received and signed, by the host's last word
    progress_us: int = 0
    taken: int = 0  # number of the next grant or receipt
    told_taken: int = 0  # what the host was told of it
    took_us: int | None = None  # since when it waits to be told
    shows: bool = True  # a hello waits for its answer
    asked_us: int | None = None  # a question after the time waits for its answer


class Device:
    """One boot of one device; after a reset there is another one, with the same key and a boot number that is new."""

    def __init__(self, signer: Signer, boot: int, *, ring: int = 32, batch_signer: Signer | None = None) -> None:
        """Begin a boot; `batch_signer` is the fault of a device that signs with a key that is not the one it shows."""
        self.key = signer.public_key
        self.kid = sha256(self.key).digest()[:8]
        self.boot = boot
        self._signer, self._batch_signer = signer, batch_signer or signer
        self._ring_frames = ring
        self._ring: deque[_Held] = deque()
        self._next = 0
        self._prev = signing.leaf_of(cbor.pack([self.kid, boot]))[:8]
        self._urgent = 0  # frames below are signed without waiting
        self._tick_us = 0
        self._dropped: tuple[int, int, int] | None = None  # how many, first and last tick
        self._session: _Session | None = None
        self._splitter = Splitter()
        self._greets = True  # nobody has been told yet that this boot began
        self._booted_us = 0

    @property
    def noise(self) -> int:
        """Pieces of the line that were no frame."""
        return self._splitter.noise

    @property
    def is_up(self) -> bool:
        """Whether a host is there that has told how far it is."""
        return self._session is not None and self._session.up

    @property
    def free(self) -> int:
        """For how many frames there is room."""
        return self._ring_frames - len(self._ring)

    @property
    def made(self) -> int:
        """How many frames this boot has made."""
        return self._next

    # --- evidence ---------------------------------------------------------------------------------------------------

    def confirm(self, commit: Commit, outcome: int, reached: Values, *, at_once: bool = False) -> bool:
        """What became of a commit; false where it is lost, and counted."""
        code = outcome if outcome <= OUTCOME_MAX else 0
        return self._make(17, [list(commit), outcome, singles(reached)], at_once=at_once, code=code)

    def request(self, grant: Grant, asked: Values, duration_ms: int | None, confirm_by_ms: int | None) -> int | None:
        """Ask to have a commit admitted; the number that its receipt will name, None where it is lost."""
        body = [grant.grant, grant.actuator, singles(asked), duration_ms, confirm_by_ms]
        return self._next - 1 if self._make(16, body, at_once=grant.irreversible) else None

    def event(self, code: int, values: Values = (), *, at_once: bool = True) -> bool:
        """Something that the firmware did or saw."""
        return self._make(18, [code, singles(values)], at_once=at_once, code=code)

    def observe(self, values: Values) -> bool:
        """Readings of its own sensors."""
        return self._make(19, [singles(values)])

    def fault(self, code: int, detail: int) -> bool:
        """Something wrong with the device itself."""
        return self._make(20, [code, detail], code=code)

    # --- the line ---------------------------------------------------------------------------------------------------

    def received(self, chunk: bytes, tick_us: int) -> list[Grant | Receipt]:
        """Bytes from the line; the grants and receipts among them, each once and in order."""
        self._advance(tick_us)
        told: list[Grant | Receipt] = []
        for raw in self._splitter.fed(chunk):
            message = messages.read(raw)
            session = self._session
            if isinstance(message, Hello):
                self._hello(message)
            elif message is None or session is None or message.session != session.mark:
                continue  # of another session, or nothing that this version knows
            elif isinstance(message, Ack):
                self._ack(session, message)
            elif not session.up:
                continue
            elif isinstance(message, Time):
                session.asked_us = message.host_us
            else:
                if message.number == session.taken:
                    session.taken += 1
                    told.append(message)
                if session.took_us is None:  # a repeat is answered too: the last answer may be lost
                    session.took_us = self._tick_us
        return told

    def sends(self, tick_us: int, room: int = 2**31) -> list[bytes]:
        """What goes out now: whole frames, and no more bytes than the line has room for."""
        self._advance(tick_us)
        if self._dropped is not None and self.free:
            self._tell_dropped()
        out = _Out(room)
        self._answer(out)
        session = self._session
        if session is None or not session.up:
            return out.frames
        oldest = self._next - len(self._ring)
        if session.sent <= session.acked[0] and session.signed <= session.acked[1]:  # nothing is under way
            session.progress_us = self._tick_us
        elif self._tick_us - session.progress_us >= RESEND_AFTER_US:
            session.sent, session.signed = (max(oldest, place) for place in session.acked)
            session.progress_us = self._tick_us
        while session.sent < self._next and out.put(self._ring[session.sent - oldest].raw):
            session.sent += 1
        self._sign_due(session, oldest, out)
        return out.frames

    def _advance(self, tick_us: int) -> None:
        self._tick_us = max(self._tick_us, tick_us)  # a tick never falls

    def _answer(self, out: _Out) -> None:
        """Booted first, then what was asked; what finds no room is answered later."""
        session = self._session
        is_due = session is None and self._tick_us >= self._booted_us + BOOTED_EVERY_US
        if (self._greets or is_due) and out.put(messages.make(10, self.kid, self.boot)):
            self._greets, self._booted_us = False, self._tick_us
        if session is None:
            return
        if session.shows and out.put(self._here(session)):
            session.shows = False
        if self._is_taken_due(session) and out.put(messages.make(7, session.mark, session.taken)):
            session.told_taken, session.took_us = session.taken, None
        if session.asked_us is not None and out.put(messages.make(9, session.mark, session.asked_us, self._tick_us)):
            session.asked_us = None

    def _is_taken_due(self, session: _Session) -> bool:
        if session.took_us is None:
            return False
        return session.taken - session.told_taken >= TAKEN_AFTER or self._tick_us - session.took_us >= TAKEN_AFTER_US

    def _here(self, session: _Session) -> bytes:
        numbers = [self._next - len(self._ring), self._next, self._tick_us]
        signature = signing.signed(self._signer, self.kid, "lineage/device/1\n", [*self._says(session), *numbers])
        return messages.make(2, self.key, self.boot, *numbers, signature)

    def _hello(self, hello: Hello) -> None:
        before = self._session
        if before is not None and (before.hello.nonce, before.hello.origin) == (hello.nonce, hello.origin):
            before.shows = True
            return
        mark = sha256(hello.nonce + self.kid + pack(">I", self.boot)).digest()[:4]
        self._session = _Session(hello, mark)

    def _ack(self, session: _Session, ack: Ack) -> None:
        oldest = self._next - len(self._ring)
        if not ack.recorded <= ack.signed <= ack.received <= self._next or ack.received < oldest:
            return  # of frames that are gone, or were never made
        if not session.up:
            session.up = True
            session.sent, session.signed = ack.received, ack.signed
        if ack.resend or session.acked != (ack.received, ack.signed):
            session.progress_us = self._tick_us
        session.acked = (ack.received, ack.signed)
        session.sent = ack.received if ack.resend else max(session.sent, ack.received)
        session.signed = ack.signed if ack.resend == 2 else max(session.signed, ack.signed)
        for _ in range(ack.recorded - oldest):
            self._ring.popleft()
        # Another host may have recorded what this one has not seen the signature of.
        session.signed = max(session.signed, oldest, ack.recorded)

    # --- frames -----------------------------------------------------------------------------------------------------

    def _make(self, kind: int, body: list[object], *, at_once: bool = False, code: int = 1) -> bool:
        values = [pair for part in body if isinstance(part, list) for pair in part if isinstance(pair, list)]
        says = len(values) <= VALUES_MAX and all(quantity and isfinite(value) for quantity, value in values)
        if not says or not 1 <= code <= 255 or self.free < 1 + (self._dropped is not None):
            self._drop()
            return False
        if self._dropped is not None:
            self._tell_dropped()
        if not self._append(kind, body):
            self._drop()
            return False
        if at_once:
            self._urgent = self._next
        return True

    def _append(self, kind: int, body: list[object]) -> bool:
        raw = cbor.pack([1, kind, self.kid, self.boot, self._next, self._tick_us, self._prev, *body])
        if len(raw) > FRAME_MAX_BYTES:
            return False
        held = _Held(raw, signing.leaf_of(raw), self._tick_us)
        self._ring.append(held)
        self._prev = held.leaf[:8]
        self._next += 1
        return True

    def _drop(self) -> None:
        count, first_us, _ = self._dropped or (0, self._tick_us, 0)
        self._dropped = (count + 1, first_us, self._tick_us)

    def _tell_dropped(self) -> None:
        assert self._dropped is not None
        self._append(21, list(self._dropped))
        self._dropped = None

    # --- signing ----------------------------------------------------------------------------------------------------

    def _sign_due(self, session: _Session, oldest: int, out: _Out) -> None:
        """Sign what was sent, where enough of it or long enough waits."""
        hello = session.hello
        at_most = max(1, min(hello.batch_frames, self._ring_frames // 2))
        while session.signed < session.sent:
            waits = list(self._ring)[session.signed - oldest : session.sent - oldest]
            is_due = self._tick_us - waits[0].tick_us >= hello.batch_ms * 1000 or self._urgent > session.signed
            if len(waits) < at_most and not is_due:
                return
            batch = waits[:at_most]
            ends = (session.signed, session.signed + len(batch) - 1)
            root = signing.root_of([held.leaf for held in batch])
            signature = signing.signed(
                self._batch_signer, self.kid, "lineage/confirmation/1\n", [*self._says(session), *ends, root]
            )
            if not out.put(messages.make(4, session.mark, *ends, signature)):
                return
            session.signed += len(batch)

    def _says(self, session: _Session) -> list[object]:
        """What each signature begins with: it holds for one log, one session and one boot."""
        return [session.hello.origin, session.hello.nonce, self.boot]


class _Out:
    """Frames of the line until there is no room for one more."""

    def __init__(self, room: int) -> None:
        self.frames: list[bytes] = []
        self._room = room

    def put(self, message: bytes) -> bool:
        line = framed(message)
        if len(line) > self._room:
            self._room = 0  # what comes later must not overtake it
            return False
        self._room -= len(line)
        self.frames.append(line)
        return True
