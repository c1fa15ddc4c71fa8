"""What the entries of a lineage say of authority, counted from them alone, to be held against what a recorder knows."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from recorder.audit.describe import values_of
from recorder.core import cbor, credential, policy
from recorder.core.credential import Credential
from recorder.core.delegation import NS
from recorder.core.entry import Entry, decode
from recorder.core.kinds import Decision, Kind, RefType, Rows
from recorder.core.revocation import read as read_list
from recorder.core.spending import NOTHING, Spent
from recorder.store.open_cycle import OpenCycle
from recorder.store.store import Store
from recorder.writer.context import Context

DECIDED = frozenset({Decision.ADMITTED, Decision.DEVIATED, Decision.EXTERNAL})


class Recount:
    """All of it, after the last entry that was read."""

    def __init__(self, store: Store) -> None:
        """Count nothing yet; `read_on` does."""
        self._store = store
        self._size = 0
        self.bundle = b""  # hash of the one in force
        self.bundles: dict[bytes, bytes] = {}  # by hash
        self.credentials: dict[bytes, Credential] = {}
        self.matrix: bytes | None = None
        self.revoked: dict[bytes, int] = {}  # with the seq of the first list; of lists by a root
        self.spent: dict[bytes, Spent] = {}
        self.used: dict[bytes, bytes] = {}  # grants by nonce
        self.cycles: dict[int, OpenCycle] = {}
        self.found: list[str] = []
        self._os_boot = b""
        self._last_kind = 0

    def links(self, digest: bytes) -> list[Credential]:
        """A credential and those above it."""
        links = [self.credentials[digest]]
        while (above := links[-1].terms.delegated_from) is not None:
            links.append(self.credentials[above])
        return links

    def delegations(self) -> list[bytes]:
        """Hashes of the credentials that somebody delegated."""
        return [digest for digest, one in self.credentials.items() if one.terms.delegated_from is not None]

    def is_revoked(self, digest: bytes) -> bool:
        """Whether one of its links is."""
        return any(link.hash in self.revoked for link in self.links(digest))

    def left(self, digest: bytes, now_mono_ns: int) -> tuple[int, int] | None:
        """Commits and nanoseconds that a chain still has; None where nothing bounds it."""
        found = None
        for link in self.links(digest):
            counts = link.terms.scope.counts
            if counts is None:
                continue
            spent = self.spent.get(link.hash, NOTHING)
            ahead = max(0, spent.until_mono_ns - now_mono_ns)  # paid for already, by cycles that can still act
            here = max(0, counts.commits - spent.commits), max(0, counts.seconds * NS - spent.ns) + ahead
            found = here if found is None else (min(found[0], here[0]), min(found[1], here[1]))
        return found

    def read_on(self) -> None:
        """Count what the store has got meanwhile."""
        for _, raw, claims in self._store.read(self._size):
            self._take(raw, claims)
        self._size = self._store.tail.size

    def _take(self, raw: bytes, claims: bytes) -> None:
        entry = decode(raw)
        header, said = entry.header, values_of(claims)
        match header.kind:
            case Kind.BOOT:
                self._boot(header.seq, header.control)
            case Kind.POLICY:
                if self._last_kind == Kind.BOOT and self.bundle not in (b"", header.control.digest):
                    self.found.append(f"entry {header.seq}: a start put another policy in force")
                self.bundle = header.control.digest
                self.bundles[self.bundle] = said["body"]["bundle"]
            case Kind.CREDENTIAL:
                self._installed(header.seq, said["body"])
            case Kind.CYCLE:
                self._opened(entry, said)
            case Kind.CYCLE_END:
                self.cycles.pop(header.control.carrier, None)
            case Kind.ACTUATION:
                self._acted(entry)
        self._last_kind = header.kind

    def _boot(self, seq: int, control: Any) -> None:
        if control.os_boot != self._os_boot:
            self._os_boot = control.os_boot
            self.cycles.clear()
            self.spent = {digest: spent._replace(until_mono_ns=0) for digest, spent in self.spent.items()}
        goes_on = [[cycle.carrier, cycle.made] for cycle in self.cycles.values()]
        if [list(item) for item in control.carried] != goes_on:
            self.found.append(f"entry {seq}: carries over {control.carried}, and {goes_on} were open")

    def _installed(self, seq: int, body: dict[str, bytes]) -> None:
        match body:
            case {"credential": raw}:
                read = credential.read(raw)
                self.credentials[read.hash] = read
            case {"matrix": raw}:
                self.matrix = raw
            case {"revocation": raw}:
                for item in read_list(raw).revoked:
                    self.revoked.setdefault(item.credential, seq)

    def _verbs(self, action_class: str) -> list[str]:
        return sorted(policy.read(self.bundles[self.bundle]).policy.classes[action_class].verbs)

    def _opened(self, entry: Entry, said: dict[str, Any]) -> None:
        header, who, why = entry.header, said["who"], said["why"]
        assert header.bounds is not None
        assert header.who is not None
        assert header.why is not None
        assert header.classes is not None
        assert header.policy_axis is not None
        assert header.policy_axis.bundle is not None
        delegation = who["delegation"] if "contemplated" in why else None
        bounded = [] if delegation is None else [link for link in self.links(delegation) if link.terms.scope.counts]
        act = why.get("contemplated")
        self.cycles[header.seq] = OpenCycle(
            header.seq, entry.hash, header.who.digest, header.who.carrier, header.why.digest, header.policy_axis.bundle,
            header.bounds.not_after_mono_ns, header.bounds.max_commits, list(header.bounds.actuators),
            list(header.bounds.action_classes), who["uid"], 0, int(header.decision or 0), int(header.stage or 0),
            delegation, [(link.hash, link.terms.scope.counts.commits) for link in bounded if link.terms.scope.counts],
            None if act is None else [act["what"], act["where"]], why.get("deviation", {}).get("committed"),
            {one["id"]: one["truth"] for one in why["clauses"]} if delegation is not None else {},
            None if act is None else sha256(cbor.pack([act["what"], act["where"]])).digest(),
            None if act is None else self._verbs(header.classes.action_class),
        )  # fmt: skip
        for link in bounded:
            spent = self.spent.get(link.hash, NOTHING)
            self.spent[link.hash] = spent.opening(header.time.mono_ns, header.bounds.not_after_mono_ns)
        if header.control.nonce is not None:
            self.used[header.control.nonce] = why["grant"]
        for ref in (header.refs or {}).get(RefType.STAGE_PREDECESSOR, []):
            if ref.seq not in self.cycles:
                self.found.append(f"entry {header.seq}: follows cycle {ref.seq}, which is not open")

    def _acted(self, entry: Entry) -> None:
        header = entry.header
        assert header.why is not None
        cycle = self.cycles.get(header.why.carrier)
        if cycle is None or header.decision not in DECIDED:
            return
        made = sum(commit.count if isinstance(commit, Rows) else 1 for commit in header.commits or [])
        cycle.made += made
        for digest, _ in cycle.budgets:
            spent = self.spent[digest]
            self.spent[digest] = spent._replace(commits=spent.commits + made)


def differences(context: Context, made: Recount) -> list[str]:
    """What a recorder knows and its entries do not say, or the other way round; empty where they agree."""
    tail = context.journal.tail
    known = tail.authority
    pairs: list[tuple[str, Any, Any]] = [
        ("the policy that decides", context.table.digest, made.bundle),
        ("the policy of the tail", tail.bundle, made.bundle),
        ("credentials", known.credentials, {digest: one.signed.raw for digest, one in made.credentials.items()}),
        ("the matrix", known.matrix, made.matrix),
        ("revocations", known.revocations, made.revoked),
        ("what was spent", known.spent, made.spent),
        ("nonces", set(known.nonces), set(made.used)),
        ("cycles", set(tail.cycles), set(made.cycles)),
    ]  # fmt: skip
    found = [
        f"{name}: known is {_short(here)}, recorded {_short(there)}" for name, here, there in pairs if here != there
    ]
    for carrier in tail.cycles.keys() & made.cycles.keys():
        here, there = tail.cycles[carrier], made.cycles[carrier]
        for field in OpenCycle.__struct_fields__:
            known_part, recorded = getattr(here, field), getattr(there, field)
            if field == "budgets":
                known_part = [tuple(one) for one in known_part]
            if known_part != recorded:
                found.append(f"cycle {carrier}, {field}: known is {_short(known_part)}, recorded {_short(recorded)}")
    return found


def _short(value: Any) -> str:
    return (value.hex()[:16] if isinstance(value, bytes) else str(value))[:200]
