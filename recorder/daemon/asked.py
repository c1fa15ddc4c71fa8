"""What was asked of witnesses lately, and who has signed: what counts is a cosignature that holds, on a head of ours.

Checking one takes 60 µs, so it is done one by one, between the turns of commits.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from recorder.core.checkpoint import Checkpoint, parse_checkpoint
from recorder.core.cosignature import cosigner_key, verify_cosignature
from recorder.core.errors import FormatError
from recorder.core.message_replies import Signed
from recorder.core.note import NoteSignature, VerifierKey, is_key_name, parse_note
from recorder.writer.asking import Ask

ASKED_MAX = 1024  # entries, the newest ones
BROUGHT_MAX = 256  # pieces of evidence that are not looked at yet, the newest ones
_NS_PER_MS = 1_000_000


class AskedEntry:
    """One entry that asked, and who has signed a head that covers it."""

    __slots__ = ("ask", "durable_ns", "signed")

    def __init__(self, ask: Ask, durable_ns: int) -> None:
        self.ask = ask
        self.durable_ns = durable_ns  # CLOCK_BOOTTIME
        self.signed: list[Signed] = []

    @property
    def is_met(self) -> bool:
        """As many signed as were wanted."""
        return len(self.signed) >= self.ask.wish.k

    @property
    def is_settled(self) -> bool:
        """Nobody is left whose signature would change anything."""
        return self.is_met or len(self.signed) == len(self.ask.chosen)

    @property
    def until_ns(self) -> int:
        """When the time is over that was given."""
        return self.durable_ns + self.ask.wish.within_ms * _NS_PER_MS


class _Brought(NamedTuple):
    seq: int  # of the evidence entry
    durable_ns: int
    note: bytes


class _Line(NamedTuple):
    brought: _Brought
    head: Checkpoint
    line: NoteSignature


class AskedEntries:
    """The newest entries that asked, and evidence on its way into them."""

    def __init__(self, origin: str, root_of: Callable[[int], bytes | None]) -> None:
        """Make it.

        Args:
            origin: of the log.
            root_of: root of the checkpoint of that size that left this recorder lately; None where none did.

        """
        self._origin = origin
        self._root_of = root_of
        self._entries: OrderedDict[int, AskedEntry] = OrderedDict()
        self._keys: dict[tuple[str, bytes], tuple[VerifierKey, dict[int, AskedEntry]]] = {}  # of who has still to sign
        self._brought: deque[_Brought] = deque(maxlen=BROUGHT_MAX)
        self._lines: deque[_Line] = deque()

    def add(self, asks: Iterable[Ask], durable_ns: int) -> None:
        """Take entries that are durable now."""
        for ask in asks:
            entry = self._entries[ask.seq] = AskedEntry(ask, durable_ns)
            for one in ask.chosen:
                if is_key_name(one.name):  # else it can sign nothing
                    key = cosigner_key(one.name, one.public_key)
                    self._keys.setdefault((key.name, key.key_id), (key, {}))[1][ask.seq] = entry
        while len(self._entries) > ASKED_MAX:
            seq, _ = self._entries.popitem(last=False)
            for place, (_, waiting) in list(self._keys.items()):
                waiting.pop(seq, None)
                if not waiting:
                    del self._keys[place]

    def get(self, seq: int) -> AskedEntry | None:
        """What an entry asked; None where it asked nothing since the start, or too long ago."""
        return self._entries.get(seq)

    def bring(self, seq: int, note: bytes, durable_ns: int) -> None:
        """Take evidence that is durable now; `check` looks at it."""
        self._brought.append(_Brought(seq, durable_ns, note))

    @property
    def has_work(self) -> bool:
        """Whether `check` has something to do."""
        return bool(self._lines or self._brought)

    def check(self) -> list[AskedEntry]:
        """Check one signature, or read one note; returns the entries that have one signature more."""
        if not self._lines:
            if self._brought:
                self._read(self._brought.popleft())
            return []
        brought, head, line = self._lines.popleft()
        place = (line.name, line.key_id)
        if place not in self._keys:
            return []
        key, waiting = self._keys[place]
        covered = [seq for seq in waiting if seq < head.size]
        if not covered:
            return []
        try:
            verify_cosignature(head, line, key)
        except FormatError:
            return []  # anyone who may append evidence can send what does not hold
        found = [waiting.pop(seq) for seq in covered]
        for entry in found:
            after_ms = (brought.durable_ns - entry.durable_ns) // _NS_PER_MS
            entry.signed.append(Signed(key.name, after_ms, brought.seq))
        if not waiting:
            del self._keys[place]
        return found

    def _read(self, brought: _Brought) -> None:
        """Find the lines that somebody waits for."""
        try:
            note = parse_note(brought.note)
            head = parse_checkpoint(note.text)
        except FormatError:
            return
        if head.origin == self._origin and self._root_of(head.size) == head.root:
            lines = {(line.name, line.key_id): line for line in reversed(note.signatures)}  # of each key the first one
            self._lines.extend(_Line(brought, head, line) for place, line in lines.items() if place in self._keys)
