"""Makes lineages entry by entry, without the recorder: seeded keys, a clock that is told, claims, and knobs to break things.

Pure and deterministic: the same calls give the same bytes.  Used by tests and by the vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

from recorder.core import cbor, claims, entry, rows
from recorder.core.checkpoint import Checkpoint, sign_checkpoint
from recorder.core.chosen import Choice
from recorder.core.keys import SeedSigner, kid
from recorder.core.kinds import Kind
from recorder.core.merkle import root_of
from recorder.core.note import VerifierKey

ORIGIN = "acme/arm-7/0123456789abcdef"
MS = 1_000_000
JOINT_FIELDS = [["position_rad", "<f4", 2, "rad"], ["effort_nm", "<f4", 1, "N.m"]]
WHO = {"platform": "arm-7", "operator": "j.doe", "delegation": None, "uid": 1000}
WHERE = {"frame": "base", "position_m": [0.5, 0.25, 1.0], "velocity_mps": [0.0, 0.0, 0.0]}
WHY = {"evaluator": "planner/2", "policy": "table", "clauses": ["speed<=1"], "inputs": [], "alternatives": []}

Header = dict[int, Any]
Change = Callable[[Header], None]


class Record(NamedTuple):
    """An entry and the claims beside it."""

    raw: bytes
    claims: bytes | None


class OpenCycle(NamedTuple):
    """What entries of a cycle repeat of it."""

    carrier: int
    digest: bytes
    bundle: bytes
    action_class: str
    stage: int = 0


@dataclass
class Clock:
    """The recorder's clocks; only calls move them."""

    utc_ns: int = 1_760_000_000_000_000_000
    mono_ns: int = 60_000_000_000
    quality: int = 2

    def pass_ns(self, ns: int) -> None:
        """Let both go on."""
        self.utc_ns += ns
        self.mono_ns += ns


@dataclass
class LineageBuilder:
    """A lineage as far as it was built; every method that adds an entry returns its seq or what others need of it."""

    origin: str = ORIGIN
    seed: str = "lineage"
    clock: Clock = field(default_factory=Clock)
    transport: bool = False  # claims beside entries in transport form instead of at rest
    withhold: Sequence[str] = ()  # in transport: keys of which only the hash is given
    records: list[Record] = field(default_factory=list)
    who_claims: dict[str, Any] = field(default_factory=lambda: WHO)
    roots: tuple[VerifierKey, ...] = ()  # by which its authority is judged

    def __post_init__(self) -> None:
        self.identity = self.signer("identity")
        self.epoch = self.identity
        self.boots = 0
        self.os_boot = self.octets("os boot", 16)
        self.made: dict[int, int] = {}  # commits by carrier, of cycles that are open
        self._epochs = self._secrets = self._counter = 0
        self._actuators: dict[int, list[Any]] = {}
        self._policies: dict[bytes, list[Any]] = {}
        self._who: list[Any] | None = None
        self._hashes: list[bytes] = []
        self._changes: list[Change] = []
        self.bundle = b""

    # --- Determinism and knobs

    def octets(self, label: str, length: int) -> bytes:
        """Bytes that follow from the seed and a label."""
        return sha256(f"{self.seed}/{label}".encode()).digest()[:length]

    def signer(self, label: str) -> SeedSigner:
        """A key that follows from the seed and a label."""
        return SeedSigner(self.octets(f"key {label}", 32))

    def secret(self) -> bytes:
        """A fresh secret for one family or one message of rows."""
        self._secrets += 1
        return self.octets(f"secret {self._secrets}", 16)

    def request(self) -> bytes:
        """The id of the next message of the only session."""
        self._counter += 1
        return self.octets("session", 8) + self._counter.to_bytes(8, "big")

    def breaking(self, change: Change) -> LineageBuilder:
        """Have the next entry's header changed before it is signed."""
        self._changes.append(change)
        return self

    # --- Entries

    @property
    def seq(self) -> int:
        """Of the next entry."""
        return len(self.records)

    def hash_of(self, seq: int) -> bytes:
        """Hash of an entry that was built."""
        return self._hashes[seq]

    def add(
        self,
        kind: int,
        keys: Header | None = None,
        held: dict[int, Any] | None = None,
        signer: SeedSigner | None = None,
    ) -> int:
        """Add an entry with the header keys given beside 1 to 5, and the claims beside it."""
        self.clock.pass_ns(MS)
        seq = self.seq
        clock = self.clock
        header: Header = {
            1: 1,
            2: int(kind),
            3: seq,
            4: self._hashes[-1] if seq else bytes(32),
            5: [clock.utc_ns, clock.mono_ns, self.boots, clock.quality, 50],
            **(keys or {}),
        }
        for change in self._changes:
            change(header)
        self._changes.clear()
        raw = entry.sign(header, entry.external_aad(self.origin), signer or self.epoch)
        self.append(raw, cbor.encode(held) if held else None)
        for actuator in header.get(6, {}):
            self._actuators[actuator] = [seq, self._hashes[-1]]
        if 7 in header and header[7][0] is not None:
            self._policies[header[7][0]] = [seq, self._hashes[-1]]
        return seq

    def append(self, raw: bytes, held: bytes | None = None) -> None:
        """Append bytes as they are."""
        self.records.append(Record(raw, held))
        self._hashes.append(entry.entry_hash(raw))

    def boot(self, *, new_os_boot: bool = False, carried: Sequence[tuple[int, int]] | None = None) -> int:
        """Start the recorder; open cycles go on unless the operating system has started anew."""
        if new_os_boot:
            self.os_boot = self.octets(f"os boot {self.boots}", 16)
            self.clock.mono_ns = 5_000 * MS
            self.made.clear()
            self._who = None
        self.boots += 1
        goes_on = sorted(self.made.items()) if carried is None else carried
        control = [
            self.identity.public_key, self._new_epoch().public_key, self.octets(f"nonce {self.boots}", 16), None, [], None,
            self.os_boot, [list(item) for item in goes_on],
        ]  # fmt: skip
        return self.add(Kind.BOOT, {15: control}, signer=self.identity)

    def new_epoch(self) -> int:
        """Introduce a new epoch key."""
        return self.add(Kind.EPOCH, {15: [self._new_epoch().public_key]}, signer=self.identity)

    def stop(self) -> int:
        """Stop the recorder."""
        return self.add(Kind.STOP, {15: ["SIGTERM"]})

    def control(self, kind: Kind, *control: Any, body: dict[str, Any] | None = None, refs: Header | None = None) -> int:
        """Add an entry of a kind that has no more than control, body and references."""
        keys: Header = {15: list(control)} if control else {}
        held: dict[int, Any] = {}
        if body is not None:
            keys[11], held[11] = self.family("body", body)
        if refs is not None:
            keys[12] = refs
        return self.add(kind, keys, held)

    def policy(self, bundle: bytes = b"table of bounds 1") -> int:
        """Put a policy bundle in force."""
        self.bundle = sha256(bundle).digest()
        return self.control(Kind.POLICY, self.bundle, body={"bundle": bundle})

    def actuator(self, number: int, name: str | None = None) -> int:
        """Declare an actuator."""
        return self.control(Kind.ACTUATOR, number, body={"name": name or f"joint{number}", "credential": None})

    def schema(self, fields: list[list[Any]] | None = None) -> bytes:
        """Declare a schema of rows and return its id."""
        fields = fields or JOINT_FIELDS
        self.control(Kind.SCHEMA, fields)
        return rows.schema_id(fields)

    def setup(self, *numbers: int) -> LineageBuilder:
        """A boot, a policy and actuators: what nearly every lineage begins with."""
        self.boot()
        self.policy()
        for number in numbers or (1,):
            self.actuator(number)
        return self

    def cycle(
        self,
        actuators: Sequence[int] = (1,),
        *,
        valid_ns: int = 2_000 * MS,
        max_commits: int = 100,
        classes: Sequence[str] = ("motion",),
        why: dict[str, Any] | None = None,
        nonce: bytes | None = None,
        stage: int = 0,
        after: int | None = None,
    ) -> OpenCycle:
        """Open a cycle, of a stage that follows another cycle where `after` says so."""
        seq = self.seq
        digest, held_why = self.family("why", WHY if why is None else why)
        who, held = self.who()
        self.add(
            Kind.CYCLE,
            {
                **self.policy_axis(self.bundle),
                8: who,
                9: [digest, seq],
                13: [classes[0], "standard"],
                14: stage,
                15: [self.request(), nonce],
                16: 0 if nonce is None else 3,
                17: [self.clock.mono_ns + valid_ns, max_commits, list(actuators), list(classes)],
                **self.after(after),
            },
            {**held, 9: held_why},
        )
        self.made[seq] = 0
        return OpenCycle(seq, digest, self.bundle, classes[0], stage)

    def commit(self, cycle: OpenCycle, actuators: Sequence[int] = (1,), *, decision: int = 0) -> int:
        """One message of single commits in one entry."""
        if decision != 5 and cycle.carrier in self.made:
            self.made[cycle.carrier] += len(actuators)
        return self._actuation(*self._commits(actuators), cycle=cycle, decision=decision)

    def asking(
        self, cycle: OpenCycle, choice: Choice, k: int, *, within_ms: int = 100, rule: str = "independent"
    ) -> int:
        """A commit that wants k witnesses, with the choice beside its entry."""
        self.breaking(lambda header: header.update({18: [k, within_ms, rule, choice.digest()]}))
        seq = self.commit(cycle)
        held = cbor.decode(self.records[seq].claims or b"")
        self.records[seq] = self.records[seq]._replace(claims=cbor.encode({**held, 18: [choice.salt, choice.kids]}))
        return seq

    def rows(self, cycle: OpenCycle, schema: bytes, count: int = 3, *, actuator: int = 1, row_bytes: int = 20) -> int:
        """One message of rows in one entry, each of `row_bytes` with its time."""
        first_ns = self.clock.mono_ns
        times = [first_ns + index * MS // 4 for index in range(count)]
        packed = b"".join(
            at.to_bytes(8, "little") + self.octets(f"row {self.seq} {index}", row_bytes - 8)
            for index, at in enumerate(times)
        )
        secret = self.secret()
        what, held_what = self.family("what", self.what())
        where, held_where = self.family("where", WHERE)
        held_rows: Any = rows.to_transport(secret, packed, row_bytes) if self.transport else [secret, packed]
        commit = [
            actuator, schema, count, rows.root_at_rest(secret, packed, row_bytes), what, where, [times[0], times[-1]],
            self.request(),
        ]  # fmt: skip
        self.made[cycle.carrier] += count
        return self._actuation([commit], [[held_what, held_where, held_rows]], cycle=cycle, decision=0)

    def event(
        self, actuators: Sequence[int] = (1,), *, reason: str | None = "emergency stop", aborts: int | None = None
    ) -> int:
        """An ungated actuation, perhaps one that aborts a staged cycle; it carries its why, and where is empty."""
        commits, held = self._commits(actuators, where={})
        if aborts is not None:
            self.breaking(lambda header: header.update({14: 4, **self.after(aborts)}))
        return self._actuation(commits, held, cycle=None, decision=4, reason=reason)

    def refuse(self, cycle: OpenCycle, actuators: Sequence[int] = (1,)) -> int:
        """Refuse commits of a cycle."""
        commits, held = self._commits(actuators)
        who, held_who = self.who()
        keys = {
            6: self.actuator_axis(actuators), **self.policy_axis(cycle.bundle), 8: who, 9: [cycle.digest, cycle.carrier],
            10: commits, 13: [cycle.action_class, "standard"], 14: 0, 15: [None, ["beyond the bounds"]], 16: 1,
        }  # fmt: skip
        return self.add(Kind.REFUSAL, keys, {**held_who, 10: held})

    def refuse_opening(self, why: dict[str, Any] | None = None, reasons: Sequence[str] = ("why lacks clauses",)) -> int:
        """Refuse to open a cycle; why and request stand in the refusal itself."""
        digest, held_why = self.family("why", {"evaluator": "planner/2"} if why is None else why)
        who, held = self.who()
        keys = {
            **self.policy_axis(self.bundle), 8: who, 9: [digest, self.seq], 13: ["motion", "standard"], 14: 0,
            15: [self.request(), list(reasons)], 16: 1,
        }  # fmt: skip
        return self.add(Kind.REFUSAL, keys, {**held, 9: held_why})

    def end(self, cycle: OpenCycle, reason: str = "closed") -> int:
        """End a cycle."""
        return self.control(Kind.CYCLE_END, cycle.carrier, self.made.pop(cycle.carrier), reason)

    # --- Parts of entries

    def family(self, name: str, values: dict[str, Any]) -> tuple[bytes, Any]:
        """Digest of a family and its claims, at rest or in transport."""
        held: Any = [self.secret(), values] if values else {}
        digest = claims.digest_of(name, held)
        return digest, claims.to_transport(name, held, self.withhold) if self.transport else held

    def what(self) -> dict[str, Any]:
        """A committed motion."""
        return {
            "mode": "position", "target": 0.75, "magnitude": 0.5, "unit": "rad", "duration_ms": 20,
            "reversibility": "reversible", "confirm_by_ms": None,
        }  # fmt: skip

    def who(self) -> tuple[list[Any], dict[int, Any]]:
        """Key 8 of the next entry, and its claims if it is the one that carries them."""
        if self._who is not None:
            return self._who, {}
        digest, held = self.family("who", self.who_claims)
        self._who = [digest, self.seq]
        return self._who, {8: held}

    def acting(self, **changed: Any) -> None:
        """Have somebody else ask from now on."""
        self.who_claims, self._who = {**WHO, **changed}, None

    def after(self, predecessor: int | None) -> Header:
        """Key 12 of an entry that takes over from a cycle."""
        return {} if predecessor is None else {12: {1: [[None, predecessor, self.hash_of(predecessor)]]}}

    def actuator_axis(self, actuators: Iterable[int]) -> dict[int, Any]:
        """Key 6."""
        return {actuator: self._actuators.get(actuator) for actuator in actuators}

    def policy_axis(self, bundle: bytes) -> Header:
        """Key 7."""
        return {7: [bundle, self._policies.get(bundle)]}

    def checkpoint(self, size: int | None = None, signer: SeedSigner | None = None, root: bytes | None = None) -> bytes:
        """A signed checkpoint note of the first `size` entries, all of them by default."""
        size = self.seq if size is None else size
        head = Checkpoint(self.origin, size, root or root_of(self._hashes[:size]))
        return sign_checkpoint(head, signer or self.identity).encode()

    def _new_epoch(self) -> SeedSigner:
        self._epochs += 1
        self.epoch = self.signer(f"epoch {self._epochs}")
        return self.epoch

    def _commits(self, actuators: Sequence[int], where: dict[str, Any] | None = None) -> tuple[list[Any], list[Any]]:
        request = self.request()
        commits, held = [], []
        for actuator in actuators:
            what, held_what = self.family("what", self.what())
            where_digest, held_where = self.family("where", WHERE if where is None else where)
            commits.append([actuator, what, where_digest, self.clock.mono_ns, request])
            held.append([held_what, held_where])
        return commits, held

    def _actuation(
        self, commits: list[Any], held: list[Any], *, cycle: OpenCycle | None, decision: int, reason: str | None = None
    ) -> int:
        who, held_who = self.who()
        keys: Header = {
            6: self.actuator_axis(commit[0] for commit in commits),
            8: who,
            10: commits,
            14: 0,
            16: decision,
        }
        if cycle is None:
            digest, held_why = self.family("why", {"valid_for_ms": 500} | ({"reason": reason} if reason else {}))
            keys |= {7: [None, None], 9: [digest, self.seq], 13: ["emergency_stop", "standard"]}
            return self.add(Kind.ACTUATION, keys, {**held_who, 9: held_why, 10: held})
        keys |= {
            **self.policy_axis(cycle.bundle),
            9: [cycle.digest, cycle.carrier],
            13: [cycle.action_class, "standard"],
            14: cycle.stage,
        }
        return self.add(Kind.ACTUATION, keys, {**held_who, 10: held})


def kid_of(signer: SeedSigner) -> bytes:
    """The kid that entries of this key bear."""
    return kid(signer.public_key)
