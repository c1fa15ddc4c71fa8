"""The journal: entries of one transaction, from their drafts to durable bytes.

Entries get their seq when they are drafted and their place in the chain when the transaction is written, so that
commits of one cycle can still join an entry that is already drafted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from msgspec.structs import astuple

from recorder.core import cbor, entry
from recorder.core.delegation import Moment
from recorder.core.errors import Impossible
from recorder.core.keys import Signer, kid
from recorder.core.kinds import IDENTITY_SIGNED, Axis, Kind, Time
from recorder.core.moments import Floor
from recorder.core.spending import NOTHING
from recorder.store.open_cycle import OpenCycle
from recorder.store.store import Store
from recorder.store.tail import Op, Tail
from recorder.writer import header
from recorder.writer.asking import Ask
from recorder.writer.families import Family, Randomness, make
from recorder.writer.gathering import Gathering

CLAIMS_BYTES_MAX = 36 * 1024  # an entry takes no more commits beyond this, so that it fits one `read` reply


class Clock(Protocol):
    """The recorder's clocks, read once a transaction."""

    def read(self) -> tuple[int, int, int, int | None]:
        """UTC ns, CLOCK_BOOTTIME ns, quality 0..3, estimated error in µs or None."""


class Draft:
    """An entry that is not signed yet."""

    __slots__ = (
        "actuators", "ask", "bundle", "claims", "claims_bytes", "commit_claims", "commits", "fields", "gathered",
        "kind", "seq",
    )  # fmt: skip

    def __init__(
        self, kind: Kind, seq: int, fields: header.Fields, claims: dict[int, bytes], bundle: bytes | None
    ) -> None:
        self.kind = kind
        self.seq = seq
        self.fields = fields
        self.claims = claims  # families by header key
        self.bundle = bundle
        self.ask: Ask | None = None
        self.actuators: set[int] = set()
        self.commits: list[bytes] = []
        self.commit_claims: list[bytes] = []  # what, where and perhaps rows of each commit, with their array's head
        self.claims_bytes = 0
        self.gathered: dict[bytes, Gathering] = {}  # by session: its last element here, where that may take more rows

    def settle(self, session_id: bytes) -> None:
        """Finish the session's rows, since something else of it follows."""
        gathering = self.gathered.pop(session_id, None)
        if gathering is not None:
            self.commits[gathering.index], self.commit_claims[gathering.index] = gathering.finish()

    def packed_claims(self) -> bytes:
        """CBOR of the claims beside the entry, joined from families that are encoded already."""
        parts = [(key, cbor.head(0, key) + family) for key, family in self.claims.items()]
        if self.commit_claims:
            commits = (b"\x0a", cbor.head(4, len(self.commit_claims)), *self.commit_claims)
            parts.append((header.COMMITS_KEY, b"".join(commits)))
        if not parts:
            return b""
        return cbor.head(5, len(parts)) + b"".join(part for _, part in sorted(parts))


class Act(NamedTuple):
    """A commit or a message of rows, ready for a draft."""

    actuator: int
    packed: bytes  # element of key 10
    claims: bytes  # CBOR [what, where] or [what, where, rows], at rest
    size: int  # of the claims, about


class Written(NamedTuple):
    """A durable transaction."""

    first: int
    hashes: list[bytes]
    asks: list[Ask]  # of these entries, for witnesses


class Journal:
    """Drafts for the next transaction, on top of a store."""

    def __init__(self, store: Store, identity: Signer, clock: Clock, randomness: Randomness) -> None:
        self.store = store
        self.tail: Tail = store.tail
        self.randomness = randomness
        self._clock = clock
        self._identity = identity
        self._identity_kid = kid(identity.public_key)
        self._epoch: Signer | None = None
        self._epoch_kid = b""
        self._aad = entry.external_aad(store.tail.origin)
        self._drafts: list[Draft] = []
        self._operations: list[list[Any]] = []
        self._made: set[int] = set()
        self._spending: dict[bytes, None] = {}  # in the order of their first use
        self._opened: list[int] = []
        self.floor = Floor(store.tail.authority.floor_ns)
        self.now = self.tick()

    def tick(self) -> Time:
        """Read the clocks; what is drafted from now on was admitted at this time."""
        utc_ns, mono_ns, quality, error_us = self._clock.read()
        self.now = Time(utc_ns, mono_ns, self.tail.boot, quality, error_us)
        return self.now

    @property
    def moment(self) -> Moment:
        """Bounds of the time at which the next draft is made."""
        return self.floor.moment(self.now, self.next_seq)

    def use_epoch(self, signer: Signer) -> None:
        """Sign with this key from now on; its introduction is durable already."""
        self._epoch = signer
        self._epoch_kid = kid(signer.public_key)

    @property
    def next_seq(self) -> int:
        """Seq of the next draft."""
        return self.tail.size + len(self._drafts)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self._drafts

    def draft(
        self,
        kind: Kind,
        fields: Mapping[int, Any] | header.Fields,
        claims: dict[int, bytes] | None = None,
        *,
        bundle: bytes | None = None,
    ) -> Draft:
        """Draft the next entry.

        Args:
            kind: header key 2.
            fields: header keys but 1 to 7 and 10, by number or packed.
            claims: families at rest by header key (8, 9, 11); those of key 10 come with `add_commit`.
            bundle: for kinds on the policy axis; key 7 is [null, null] for an actuation without one.

        """
        packed = fields if isinstance(fields, header.Fields) else header.pack_fields(fields)
        drafted = Draft(kind, self.next_seq, packed, claims or {}, bundle)
        self._drafts.append(drafted)
        return drafted

    def add_commit(self, drafted: Draft, act: Act) -> int:
        """Add a commit to a draft; returns its index."""
        drafted.actuators.add(act.actuator)
        drafted.commits.append(act.packed)
        drafted.commit_claims.append(act.claims)
        drafted.claims_bytes += act.size
        return len(drafted.commits) - 1

    def gather(self, drafted: Draft, session_id: bytes, actuator: int, gathering: Gathering) -> None:
        """Add rows, whose index is the draft's next, to which the session's next messages may add more."""
        drafted.actuators.add(actuator)
        drafted.commits.append(b"")
        drafted.commit_claims.append(b"")
        drafted.gathered[session_id] = gathering

    def has_room(self, drafted: Draft, size: int) -> bool:
        """Whether a draft can take another commit."""
        return len(drafted.commits) < entry.COMMITS_MAX and drafted.claims_bytes + size <= CLAIMS_BYTES_MAX

    def move(self, *operation: Any) -> None:  # noqa: ANN401 -- Op and its arguments
        """Move the tail; stored with the next transaction."""
        moved = list(operation)
        self.tail.apply(moved)
        self._operations.append(moved)

    def open_cycle(self, cycle: OpenCycle) -> None:
        """Note a cycle that is drafted; its hash follows when it is signed."""
        self.tail.apply([Op.CYCLE, *astuple(cycle)])
        self._opened.append(cycle.carrier)

    def count(self, carrier: int, made: int) -> None:
        """Note the commits made under a cycle; stored once a transaction, however many there were."""
        cycle = self.tail.cycles[carrier]
        if cycle.budgets:
            self._spend(cycle, made - cycle.made)
        cycle.made = made
        self._made.add(carrier)

    def spend_time(self, cycle: OpenCycle) -> None:
        """Note that the credentials of a cycle are used from now until its end."""
        spent = self.tail.authority.spent
        for digest, _ in cycle.budgets:
            have = spent.get(digest, NOTHING)
            spent[digest] = have.opening(self.now.mono_ns, cycle.not_after_mono_ns)
            self._spending[digest] = None

    def _spend(self, cycle: OpenCycle, commits: int) -> None:
        spent = self.tail.authority.spent
        for digest, _ in cycle.budgets:
            spent[digest] = spent[digest].committing(commits)
            self._spending[digest] = None

    def family(self, name: str, claims: dict[str, Any], *, whole: bool = False) -> Family:
        """Salt and digest a family of this transaction."""
        return make(name, claims, self.randomness, whole=whole)

    def write(self) -> Written:
        """Sign and store what was drafted, durable on return.

        Raises:
            SyncFailedError: whether it is durable is not known.

        """
        first, prev = self.tail.size, self.tail.head
        actuators: dict[int, int] = {}
        bundles: dict[bytes, int] = {}
        axes: dict[int, Axis] = {}
        policies: dict[bytes, Axis] = {}
        raws: list[bytes] = []
        hashes: list[bytes] = []
        claims: list[bytes] = []
        time = header.pack_time(self.now)
        for offset, drafted in enumerate(self._drafts):
            for session_id in tuple(drafted.gathered):
                drafted.settle(session_id)
            kind, touched, bundle = drafted.kind, drafted.actuators, drafted.bundle
            actuator_axis = policy_axis = None
            if touched:
                heads = self.tail.actuator_heads
                actuator_axis = header.pack_actuator_axis({one: axes.get(one) or heads.get(one) for one in touched})
                actuators.update(dict.fromkeys(touched, offset))
            if bundle is not None:
                policy_axis = header.pack_policy_axis(
                    bundle, policies.get(bundle) or self.tail.policy_heads.get(bundle)
                )
                bundles[bundle] = offset
            elif kind == Kind.ACTUATION:
                policy_axis = header.NO_BUNDLE
            raw = self._sign(
                kind,
                header.pack_header(
                    kind, drafted.seq, prev, time, actuator_axis, policy_axis, drafted.fields, drafted.commits
                ),
            )
            prev = entry.entry_hash(raw)
            here = Axis(drafted.seq, prev)
            axes.update(dict.fromkeys(touched, here))
            if bundle is not None:
                policies[bundle] = here
            raws.append(raw)
            hashes.append(prev)
            claims.append(drafted.packed_claims())
        self._operations[:0] = self._opened_cycles(first, hashes)
        for carrier in self._made & self.tail.cycles.keys():
            self._operations.append([Op.MADE, carrier, self.tail.cycles[carrier].made])
        self._made.clear()
        for digest in self._spending:
            self._operations.append([Op.SPENT, digest, *self.tail.authority.spent[digest]])
        self._spending.clear()
        self.floor.passing(self.now)
        self.move(Op.CLOCK, self.now.mono_ns, self.now.utc_ns, self.floor.utc_ns)
        self.store.append(raws, hashes, claims, self._operations, actuators, bundles)
        asks = [drafted.ask for drafted in self._drafts if drafted.ask is not None]
        self._drafts, self._operations = [], []
        return Written(first, hashes, asks)

    def _opened_cycles(self, first: int, hashes: list[bytes]) -> list[list[Any]]:
        """Operations that open the drafted cycles, now that their hashes are known; they come before all others."""
        opened = []
        for carrier in self._opened:
            cycle = self.tail.cycles.get(carrier)
            if cycle is not None:  # else closed within the same transaction
                cycle.hash = hashes[carrier - first]
                opened.append([Op.CYCLE, *astuple(cycle)])
        self._opened = []
        return opened

    def _sign(self, kind: Kind, payload: bytes) -> bytes:
        if kind in IDENTITY_SIGNED:
            return entry.sign_payload(payload, self._aad, self._identity, self._identity_kid)
        if self._epoch is None:
            raise Impossible("no epoch key was introduced yet")
        return entry.sign_payload(payload, self._aad, self._epoch, self._epoch_kid)
