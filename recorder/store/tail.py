"""The tail: all that the next entry depends on, as a value that operations move forward.

The writer moves its tail by operations and stores them with the entries; opening a store starts from the snapshot at
the head of the live segment and applies the same operations through the same `apply`.  So recovery is the happy path,
and a record costs some bytes of operations instead of a copy of the whole tail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec.structs import astuple

from recorder.core import cbor
from recorder.core.entry import ZERO_HASH, entry_hash
from recorder.core.errors import FormatError
from recorder.core.kinds import Axis
from recorder.core.spending import Spent
from recorder.core.tiles import Tile, TileTree
from recorder.store.authority import Authority
from recorder.store.open_cycle import OpenCycle
from recorder.store.record import DAMAGED
from recorder.store.sessions import Sessions


class Op:
    """Operations on a tail; the arguments follow in the list.  Plain numbers: they are encoded with every record."""

    ENTRIES = 0  # {actuator: offset of its last entry}, {bundle: offset}: moves the heads of the axes
    BOOT = 1  # boot, OS boot id, identity key, epoch key
    STOP = 2
    EPOCH = 3  # epoch key
    POLICY = 4  # bundle digest
    ACTUATOR = 5  # name, number
    SCHEMA = 6  # schema id, fields
    CYCLE = 7  # the fields of OpenCycle
    MADE = 8  # carrier, commits made so far
    CYCLE_GONE = 9  # carrier
    REQUEST = 10  # session, counter, seq, digest of the message, uid
    CLOCK = 11  # mono_ns, utc_ns of the last entry, UTC that it is at least or None
    HOLD = 12  # seq of the hold entry, first, last or None
    RELEASE = 13  # seq of the hold entry that no longer holds
    ERASE = 14  # seq of the deletion entry, and the other fields of Erasure
    ERASED = 15  # seqs of the deletion entries that are carried out
    SIGNED_POLICY = 16  # the signed bundle, or None where the configured table is in force
    MATRIX = 17  # the signed matrix
    CREDENTIAL = 18  # hash, the signed credential
    REVOCATION = 19  # what a list revokes (gate.authorities), seq of its entry
    SPENT = 20  # hash of a credential, and the fields of core.spending.Spent
    NONCE = 21  # nonce, and the CLOCK_BOOTTIME after which its decision cannot be used
    FORGET = 22  # hashes of credentials that are good for nothing any more, keys of revocations that say nothing more


class Hold(NamedTuple):
    """A legal hold in force."""

    first: int
    last: int | None  # None: whatever follows, until it is released


class Erasure(NamedTuple):
    """What a durable deletion entry has announced and is not carried out yet: a start goes on with it."""

    ordinal: int  # of the sealed segment
    first: int
    last: int
    retention_class: str
    rows_only: bool  # only claims of entries that have rows


class Tail:
    """State after the last durable entry; see `Op` for what moves it."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.tree = TileTree()
        self.head = ZERO_HASH
        self.boot = 0
        self.os_boot = bytes(16)
        self.identity_key = bytes(32)
        self.epoch_key = bytes(32)
        self.stopped = False
        self.bundle = ZERO_HASH
        self.mono_ns = 0
        self.utc_ns = 0
        self.actuators: dict[str, int] = {}
        self.schemas: dict[bytes, list[list[Any]]] = {}
        self.schema_bytes = 0  # of them all, as CBOR
        self.actuator_heads: dict[int, Axis] = {}
        self.policy_heads: dict[bytes, Axis] = {}
        self.cycles: dict[int, OpenCycle] = {}
        self.sessions = Sessions()
        self.holds: dict[int, Hold] = {}
        self.erasures: dict[int, Erasure] = {}
        self.authority = Authority()
        self._moves: dict[int, Callable[..., None]] = {
            Op.BOOT: self._boot,
            Op.STOP: self._stop,
            Op.EPOCH: self._epoch,
            Op.POLICY: self._policy,
            Op.ACTUATOR: self.actuators.__setitem__,
            Op.SCHEMA: self._schema,
            Op.CYCLE: self._cycle,
            Op.MADE: self._made,
            Op.CYCLE_GONE: self._cycle_gone,
            Op.REQUEST: self._request,
            Op.CLOCK: self._clock,
            Op.HOLD: self._hold,
            Op.RELEASE: self._release,
            Op.ERASE: self._erase,
            Op.ERASED: self._erased,
            Op.SIGNED_POLICY: self._signed_policy,
            Op.MATRIX: self._matrix,
            Op.CREDENTIAL: self._credential,
            Op.REVOCATION: self._revocation,
            Op.SPENT: self._spent,
            Op.NONCE: self._nonce,
            Op.FORGET: self._forget,
        }

    @property
    def size(self) -> int:
        """Entries so far, which is the next seq."""
        return self.tree.size

    def apply(self, operation: list[Any]) -> None:
        """Move by one operation other than ENTRIES."""
        self._moves[operation[0]](*operation[1:])

    def entries(self, hashes: list[bytes], actuators: dict[int, int], bundles: dict[bytes, int]) -> list[Tile]:
        """Append entries by their hashes and move the heads of the axes; returns the tiles that became full."""
        first = self.size
        tiles = [tile for leaf in hashes for tile in self.tree.append(leaf)]
        for actuator, offset in actuators.items():
            self.actuator_heads[actuator] = Axis(first + offset, hashes[offset])
        for bundle, offset in bundles.items():
            self.policy_heads[bundle] = Axis(first + offset, hashes[offset])
        self.head = hashes[-1]
        return tiles

    def replay(self, entries: list[bytes], operations: list[list[Any]]) -> None:
        """Move by a stored record.

        Raises:
            FormatError: record_damaged, where the operations are none that a writer stored.

        """
        hashes = [entry_hash(raw) for raw in entries]
        try:
            for operation in operations:
                if operation[0] == Op.ENTRIES:
                    self.entries(hashes, operation[1], operation[2])
                else:
                    self.apply(operation)
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise FormatError(DAMAGED, f"operations on the tail do not apply: {error!r}") from error

    def snapshot(self) -> list[Any]:
        """A value for `restore`."""
        return [
            self.origin,
            self.tree.size,
            self.tree.snapshot(),
            self.head,
            [self.boot, self.os_boot, self.identity_key, self.epoch_key, self.stopped, self.bundle],
            [self.mono_ns, self.utc_ns],
            self.actuators,
            [[schema, fields] for schema, fields in self.schemas.items()],
            [[actuator, *axis] for actuator, axis in self.actuator_heads.items()],
            [[bundle, *axis] for bundle, axis in self.policy_heads.items()],
            [list(astuple(cycle)) for cycle in self.cycles.values()],
            self.sessions.snapshot(),
            [[[seq, *hold] for seq, hold in self.holds.items()], [[seq, *item] for seq, item in self.erasures.items()]],
            self.authority.snapshot(),
        ]

    @classmethod
    def restore(cls, snapshot: list[Any]) -> Tail:
        """The tail that `snapshot` wrote.

        Raises:
            FormatError: record_damaged.

        """
        try:
            later: list[Any] = [[[], []], []]  # holds and erasures, authority: older recorders wrote 12 or 13 parts
            snapshot = [*snapshot, *later[len(snapshot) - 12 :]]
            origin, size, tree, head, window, clock, actuators, schemas, heads, policies, cycles = snapshot[:11]
            sessions, kept, authority = snapshot[11:]
            tail = cls(origin)
            tail.tree = TileTree.restore(size, tree)
            tail.head = head
            tail.boot, tail.os_boot, tail.identity_key, tail.epoch_key, tail.stopped, tail.bundle = window
            tail.mono_ns, tail.utc_ns = clock
            tail.actuators.update(actuators)
            for schema, fields in schemas:
                tail._schema(schema, fields)
            tail.actuator_heads = {actuator: Axis(seq, digest) for actuator, seq, digest in heads}
            tail.policy_heads = {bundle: Axis(seq, digest) for bundle, seq, digest in policies}
            tail.cycles = {cycle[0]: OpenCycle(*cycle) for cycle in cycles}
            tail.sessions = Sessions.restore(sessions)
            tail.holds = {seq: Hold(*fields) for seq, *fields in kept[0]}
            tail.erasures = {seq: Erasure(*fields) for seq, *fields in kept[1]}
            tail.authority = Authority.restore(authority)
        except (TypeError, ValueError, AttributeError, AssertionError, IndexError) as error:
            raise FormatError(DAMAGED, f"the snapshot of the tail cannot be read: {error!r}") from error
        return tail

    def _boot(self, boot: int, os_boot: bytes, identity_key: bytes, epoch_key: bytes) -> None:
        if os_boot != self.os_boot:
            self.authority.boot()
        self.boot, self.os_boot, self.identity_key, self.epoch_key = boot, os_boot, identity_key, epoch_key
        self.stopped = False

    def _stop(self) -> None:
        self.stopped = True

    def _epoch(self, epoch_key: bytes) -> None:
        self.epoch_key = epoch_key

    def _policy(self, bundle: bytes) -> None:
        self.bundle = bundle

    def _schema(self, schema: bytes, fields: list[list[Any]]) -> None:
        if schema not in self.schemas:
            self.schema_bytes += len(cbor.pack(fields))
        self.schemas[schema] = fields

    def _cycle(self, *fields: Any) -> None:  # noqa: ANN401 -- the fields of OpenCycle
        cycle = OpenCycle(*fields)
        self.cycles[cycle.carrier] = cycle

    def _made(self, carrier: int, made: int) -> None:
        self.cycles[carrier].made = made

    def _cycle_gone(self, carrier: int) -> None:
        self.cycles.pop(carrier, None)  # opened and closed within one transaction, it was never stored

    def _request(self, session: bytes, counter: int, seq: int, digest: bytes, uid: int) -> None:
        self.sessions.add(session, counter, seq, digest, uid)

    def _clock(self, mono_ns: int, utc_ns: int, floor_ns: int | None = None) -> None:
        self.mono_ns, self.utc_ns = mono_ns, utc_ns
        self.authority.floor_ns = floor_ns

    def _hold(self, seq: int, first: int, last: int | None) -> None:
        self.holds[seq] = Hold(first, last)

    def _release(self, seq: int) -> None:
        self.holds.pop(seq, None)  # a snapshot may already be without it

    def _erase(self, seq: int, *fields: Any) -> None:  # noqa: ANN401 -- the fields of Erasure
        self.erasures[seq] = Erasure(*fields)

    def _erased(self, seqs: list[int]) -> None:
        for seq in seqs:
            self.erasures.pop(seq, None)  # a segment that is sealed on request may have it in its snapshot already

    def _signed_policy(self, raw: bytes | None) -> None:
        self.authority.policy = raw

    def _matrix(self, raw: bytes) -> None:
        self.authority.matrix = raw

    def _credential(self, digest: bytes, raw: bytes) -> None:
        self.authority.credentials[digest] = raw

    def _revocation(self, revoked: list[bytes], seq: int) -> None:
        for key in revoked:
            self.authority.revocations.setdefault(key, seq)

    def _spent(self, digest: bytes, *fields: int) -> None:
        self.authority.spent[digest] = Spent(*fields)

    def _nonce(self, nonce: bytes, until_mono_ns: int) -> None:
        self.authority.use(nonce, until_mono_ns, self.mono_ns)

    def _forget(self, credentials: list[bytes], revocations: list[bytes]) -> None:
        self.authority.forget(credentials, revocations)
