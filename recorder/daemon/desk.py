"""Requests that the daemon itself answers: hello, checkpoint, seal, status, subscribe."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any

from recorder.config import Config
from recorder.core.checkpoint import Checkpoint, sign_checkpoint
from recorder.core.ids import entry_id
from recorder.core.keys import Signer
from recorder.core.limits import REQUEST_MAX_BYTES
from recorder.core.message_replies import Head
from recorder.core.message_requests import Hello
from recorder.core.messages import PROTOCOL_VERSION, Status
from recorder.daemon.connection import Connection
from recorder.daemon.ownforks import OwnForks
from recorder.daemon.peerheads import PeerHeads
from recorder.daemon.room import Room
from recorder.store import head as heads
from recorder.store.errors import StoreError, SyncFailedError
from recorder.writer.context import Context, failed
from recorder.writer.session import Answer, Session

ROOTS_MAX = 1024  # of the latest checkpoints: what witnesses sign is one of them


class Desk:
    """Answers about the lineage, and its checkpoints."""

    def __init__(
        self,
        context: Context,
        config: Config,
        identity: Signer,
        known: Checkpoint | None,
        room: Room,
        peer_heads: PeerHeads,
        own_forks: OwnForks,
    ) -> None:
        self._context = context
        self.peer_heads = peer_heads
        self.own_forks = own_forks
        self._room = room
        self._config = config
        self._identity = identity
        self.known = known
        self.known_note = b""
        self.checkpointed_s = time.monotonic()
        self.checkpoint_failure: str | None = None
        self._roots: OrderedDict[int, bytes] = OrderedDict()
        self._sessions_issued = 0
        self._writes = 0
        self._last_write_s = self._worst_write_s = 0.0

    def note_write(self, took_s: float) -> None:
        """Remember how long a transaction took, for status."""
        self._writes += 1
        self._last_write_s = took_s
        self._worst_write_s = max(self._worst_write_s, took_s)

    def hello(self, connection: Connection, asked: Hello) -> Answer:
        """Open or resume a session."""
        if asked.version != PROTOCOL_VERSION:
            return failed("protocol_version", f"this recorder speaks version {PROTOCOL_VERSION}, not {asked.version}")
        tail = self._context.journal.tail
        if asked.session is None:
            self._sessions_issued += 1
            session_id = tail.boot.to_bytes(4, "big") + self._sessions_issued.to_bytes(4, "big")
        elif (
            not self._issued(asked.session)
            or tail.sessions.is_closed(asked.session)
            or tail.sessions.uid(asked.session) not in {None, connection.peer.uid}  # numbers can be guessed
        ):
            return failed("session_closed", "no such session here, or too many newer ones; say hello for a new one")
        else:
            session_id = asked.session
        durable = tail.sessions.last_counter(session_id)
        connection.session = Session(session_id, connection.peer, connection.permissions, durable)
        return Answer(Status.OK, self._welcome(connection, session_id, durable))

    def _issued(self, session_id: bytes) -> bool:
        """Whether a session number is one of ours: of an earlier start, or counted in this one."""
        boot, number = int.from_bytes(session_id[:4], "big"), int.from_bytes(session_id[4:], "big")
        current = self._context.journal.tail.boot
        return 0 < boot < current or (boot == current and 0 < number <= self._sessions_issued)

    def _welcome(self, connection: Connection, session_id: bytes, durable: int) -> dict[str, Any]:
        tail, table = self._context.journal.tail, self._context.table
        return {
            "protocol": PROTOCOL_VERSION,
            "session": session_id,
            "durable_counter": durable,
            "origin": tail.origin,
            "platform": self._context.platform,
            "boot": tail.boot,
            "bundle": table.digest,
            "classes": {
                name: {
                    "gated": row.gated,
                    "on_unavailable": row.on_unavailable,
                    "retention": row.retention,
                    "claims": row.claims,
                }
                for name, row in table.classes.items()
            },
            "actuators": {name: tail.actuators.get(name) for name in connection.permissions.actuators},
            "at_risk_rows": self.at_risk_rows,
            "at_risk_ms": table.at_risk.at_risk_ms,
            "max_message_bytes": REQUEST_MAX_BYTES,
            "mono_ns": self._context.journal.now.mono_ns,
        }

    @property
    def at_risk_rows(self) -> int:
        """Rows that a power cut may take from one stream at 4 kHz, the fastest loop that we promise for."""
        return 4 * self._context.table.at_risk.at_risk_ms

    def checkpoint(self) -> bytes:
        """Sign the tree as it is; the head file has it before anyone else.

        Raises:
            StoreError: the head file cannot be written; nothing left.

        """
        tail = self._context.journal.tail
        if self.known is not None and self.known.size == tail.size and self.known_note:
            return self.known_note
        new = Checkpoint(tail.origin, tail.size, tail.tree.root())
        note = sign_checkpoint(new, self._identity).encode()
        try:
            heads.write(self._context.journal.store.lineage, self.known, new, note)
        except OSError as error:
            raise StoreError(f"the head file cannot be written: {error}") from error
        self.known, self.known_note, self.checkpointed_s = new, note, time.monotonic()
        self._roots[new.size] = new.root
        if len(self._roots) > ROOTS_MAX:
            self._roots.popitem(last=False)
        self._context.uncovered.checkpointed(new.size, self._context.journal.now.utc_ns)
        return note

    def root_of(self, size: int) -> bytes | None:
        """Root of the checkpoint of that size, of those that left lately."""
        return self._roots.get(size)

    def try_checkpoint(self) -> None:
        """Checkpoint by the interval; a head file that cannot be written shows in status and is tried again later."""
        try:
            self.checkpoint()
            self.checkpoint_failure = None
        except StoreError as error:
            self.checkpoint_failure = str(error)
            self.checkpointed_s = time.monotonic()

    def is_checkpoint_due(self) -> bool:
        """Whether the interval is over and there is something new."""
        if time.monotonic() - self.checkpointed_s < self._config.recorder.checkpoint_s:
            return False
        return self.known is None or self.known.size < self._context.journal.tail.size

    def answer_checkpoint(self, *, seal: bool) -> Answer:
        """CHECKPOINT and SEAL.

        Raises:
            SyncFailedError: a new segment may or may not have been begun.

        """
        try:
            if seal:
                self._context.journal.store.seal()
            return Answer(Status.OK, self.checkpoint())
        except SyncFailedError:  # no answer then: whether the roll is durable is not known
            raise
        except (StoreError, OSError) as error:
            return failed("checkpoint_failed", str(error))

    def subscribe(self, connection: Connection) -> Answer:
        """Start pushing heads to a reader."""
        connection.subscribed = True
        tail = self._context.journal.tail
        return Answer(Status.OK, Head(tail.size, [], 0).sent())

    def unwitnessed(self) -> dict[str, Any]:
        """What no evidence covers, and a warning where that is more than the configuration lets be."""
        uncovered, bounds = self._context.uncovered, self._config.witnesses
        now_ns = self._context.journal.now.utc_ns
        entries, since_ns = uncovered.entries(self._context.journal.tail.size), uncovered.since_utc_ns
        seconds = 0.0 if since_ns is None or not entries else max(0.0, (now_ns - since_ns) / 1e9)
        is_expected = uncovered.size > 0 or any(one.mesh for one in self._config.controllers)
        is_over = entries > bounds.warn_entries or seconds > bounds.warn_s
        return {
            "covered": uncovered.size,
            "entries": entries,
            "seconds": round(seconds, 1),
            "warn_entries": bounds.warn_entries,
            "warn_s": bounds.warn_s,
            "is_over": is_expected and is_over,
        }

    def page(self) -> dict[str, Any]:
        """Status: plain values, also for the status page."""
        journal, store, tail = self._context.journal, self._context.journal.store, self._context.journal.tail
        known, signed = self.known, self._context.table.signed
        return {
            "origin": tail.origin,
            "boot": tail.boot,
            "entries": tail.size,
            "head": str(entry_id(tail.head, tail.size - 1)) if tail.size else None,
            "policy": None if signed is None else f"{signed.policy.name} version {signed.policy.version}",
            "cycles": len(tail.cycles),
            "actuators": len(tail.actuators),
            "segments": store.segments,
            "live_free_bytes": store.live_free_bytes,
            "prepare_failure": store.prepare_failure,
            "prepared_replaced": store.replaced,
            "store_full": store.is_full,
            "room": self._room.page(),
            "checkpoint_size": known.size if known else 0,
            "uncheckpointed_entries": tail.size - (known.size if known else 0),
            "checkpoint_age_s": round(time.monotonic() - self.checkpointed_s, 1),
            "checkpoint_failure": self.checkpoint_failure,
            "confirmed_size": self.peer_heads.confirmed,
            "confirmed_by": self.peer_heads.confirmed_by,
            "unwitnessed": self.unwitnessed(),
            "forked": [one._asdict() for one in self.own_forks.known],
            "transactions": self._writes,
            "last_transaction_ms": round(self._last_write_s * 1e3, 3),
            "worst_transaction_ms": round(self._worst_write_s * 1e3, 3),
            "clock_quality": journal.now.quality,
            "clock_error_us": journal.now.error_us,
            "at_risk_rows": self.at_risk_rows,
            "at_risk_ms": self._context.table.at_risk.at_risk_ms,
            "rows_window_ms": self._context.table.at_risk.rows_window_ms,
        }
