"""Step 6 without cycles: predecessors on the axes, references, declarations, carriers of who, order of requests.

What is remembered is bounded; each bound says what happens beyond it.
"""

from __future__ import annotations

from hashlib import sha256

from recorder.core import cbor, rows
from recorder.core.entry import Entry
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.kinds import Axis, Commit, Kind, PolicyAxis, Ref, Rows, Shared
from recorder.core.limits import HASH_BYTES, NONCES_KEPT, SESSION_BYTES
from recorder.core.verify.found import Found

HASHES_KEPT = 65_536  # 2 MiB; the hash in a reference to an older entry is counted as not checked
SESSIONS_KEPT = 4_096  # the daemon has 256 open ones; a session unused for longer starts anew here
WHO_KEPT = 8_192  # carriers of who by last use; a referrer to an older one is found as carrier_mismatch
SCHEMAS_KEPT = 65_536  # as many as anyone declares; beyond it the oldest counts as undeclared


class Axes:
    """What entries in order must agree about with the entries below them."""

    __slots__ = (
        "_actuators", "_declared", "_found", "_hashes", "_nonces", "_os_boot", "_policies", "_schemas", "_sessions",
        "_who", "refs_unchecked",
    )  # fmt: skip

    def __init__(self, found: Found) -> None:
        self._found = found
        self._actuators: dict[int, Axis] = {}  # latest entry by actuator
        self._policies: dict[bytes, Axis] = {}  # latest entry by bundle
        self._declared: set[int] = set()
        self._schemas: dict[bytes, int] = {}  # row size by id
        self._sessions: dict[bytes, bytes] = {}  # latest counter, u64be
        self._nonces: dict[bytes, None] = {}
        self._who: dict[int, bytes] = {}  # digest by carrier
        self._os_boot = b""
        self._hashes = bytearray(HASHES_KEPT * HASH_BYTES)
        self.refs_unchecked = 0

    def check(self, entry: Entry) -> tuple[int | None, ...]:
        """Judge the next entry; return the size of a row for each of its commits, () where none is rows."""
        header = entry.header
        kind, seq = header.kind, header.seq
        row_bytes: tuple[int | None, ...] = ()
        if header.actuator_axis is not None:
            here = Axis(seq, entry.hash)
            for actuator, previous in header.actuator_axis.items():
                if self._actuators.get(actuator) != previous:
                    self._found(
                        "actuator_axis",
                        seq,
                        f"key 6, actuator {actuator}: {_instead(previous, self._actuators.get(actuator))}",
                    )
                self._actuators[actuator] = here
                if actuator not in self._declared:
                    self._found("actuator_undeclared", seq, f"no actuator entry below declares number {actuator}")
        if header.commits is not None:
            row_bytes = self._check_commits(seq, header.commits)
        if header.policy_axis is not None:
            self._check_policy(seq, entry.hash, header.policy_axis)
        if header.who is not None:
            self._check_who(seq, header.who)
        if header.refs is not None:
            self._check_refs(seq, header.refs)
        if kind not in (Kind.ACTUATION, Kind.CONFIRMATION):
            self._check_control(header)
        at = seq % HASHES_KEPT * HASH_BYTES
        self._hashes[at : at + HASH_BYTES] = entry.hash
        return row_bytes

    def _check_policy(self, seq: int, entry_hash: bytes, axis: PolicyAxis) -> None:
        if axis.bundle is None:
            return
        if self._policies.get(axis.bundle) != axis.previous:
            self._found("policy_axis", seq, f"key 7: {_instead(axis.previous, self._policies.get(axis.bundle))}")
        self._policies[axis.bundle] = Axis(seq, entry_hash)

    def _check_who(self, seq: int, who: Shared) -> None:
        digest, carrier = who
        if carrier != seq:
            held = self._who.pop(carrier, None)
            if held is not None:
                self._who[carrier] = held
            if held != digest:
                self._found(
                    "carrier_mismatch", seq, f"entry {carrier} of this OS boot carries no who of digest {digest.hex()}"
                )
            return
        self._who[seq] = digest
        if len(self._who) > WHO_KEPT:
            del self._who[next(iter(self._who))]

    def _check_commits(self, seq: int, commits: list[Commit | Rows]) -> tuple[int | None, ...]:
        sizes: list[int | None] = []
        has_rows = False
        request = b""
        for commit in commits:
            if commit.request != request:  # the commits of one message stand side by side and share its id
                request = commit.request
                self._check_request(seq, request)
            if isinstance(commit, Rows):
                has_rows = True
                sizes.append(self._schemas.get(commit.schema))
                if sizes[-1] is None:
                    self._found("schema_undeclared", seq, f"no schema entry below declares {commit.schema.hex()}")
            else:
                sizes.append(None)
        return tuple(sizes) if has_rows else ()

    def _check_request(self, seq: int, request: bytes) -> None:
        session, counter = request[:SESSION_BYTES], request[SESSION_BYTES:]
        last = self._sessions.pop(session, None)
        if last is not None and counter <= last:
            self._found("request_order", seq, f"request {request.hex()} after counter {last.hex()} of its session")
            counter = last
        self._sessions[session] = counter
        if len(self._sessions) > SESSIONS_KEPT:
            del self._sessions[next(iter(self._sessions))]

    def _check_refs(self, seq: int, refs: dict[int, list[Ref]]) -> None:
        for listed in refs.values():
            for ref in listed:
                if ref.origin is not None:
                    self.refs_unchecked += 1
                elif ref.seq >= seq:
                    self._found("ref_order", seq, f"key 12 names entry {ref.seq}, which does not lie below")
                elif seq - ref.seq >= HASHES_KEPT:
                    self.refs_unchecked += 1
                else:
                    at = ref.seq % HASHES_KEPT * HASH_BYTES
                    if self._hashes[at : at + HASH_BYTES] != ref.hash:
                        self._found("ref_hash", seq, f"key 12: the hash of entry {ref.seq} is not {ref.hash.hex()}")

    def _check_control(self, header: Header) -> None:
        kind, seq, control = header.kind, header.seq, header.control
        if kind == Kind.ACTUATOR:
            self._declared.add(control.number)
        elif kind == Kind.SCHEMA:
            self._declare_schema(seq, control.fields)
        elif kind == Kind.CYCLE:
            self._check_request(seq, control.request)
            if control.nonce is not None:
                self._check_nonce(seq, control.nonce)
        elif kind == Kind.REFUSAL and control.request is not None:
            self._check_request(seq, control.request)
        elif kind == Kind.BOOT and control.os_boot != self._os_boot:
            self._os_boot = control.os_boot
            self._who.clear()

    def _declare_schema(self, seq: int, fields: list[list[object]]) -> None:
        try:
            size = rows.size_of(rows.struct_format(fields))
        except FormatError as error:
            self._found(error.error, seq, error.detail)
            return
        self._schemas[sha256(cbor.pack(fields)).digest()] = size
        if len(self._schemas) > SCHEMAS_KEPT:
            del self._schemas[next(iter(self._schemas))]

    def _check_nonce(self, seq: int, nonce: bytes) -> None:
        if nonce in self._nonces:
            self._found("nonce_reused", seq, f"nonce {nonce.hex()} of an external decision was used before")
        self._nonces[nonce] = None
        if len(self._nonces) > NONCES_KEPT:
            del self._nonces[next(iter(self._nonces))]


def _instead(named: Axis | None, found: Axis | None) -> str:
    named_text, found_text = (f"{axis.seq}-{axis.hash.hex()[:8]}" if axis else "none" for axis in (named, found))
    return f"names {named_text}, the log has {found_text}"
