"""Why an entry stands there: what it leads to, what that leads to, and whether each step of it holds.

Every entry of the tree is held against the key that must have signed it and against its claims, every link against the
entry that it names: who asks why need not have asked `lineage verify` before.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any, NamedTuple

from recorder.audit.declared import DECLARING, Declared
from recorder.audit.deleted import accounted
from recorder.audit.describe import values_of, withheld_of
from recorder.audit.links import CREDENTIALS, DEVICE, KEY, MATRIX, SUPERSEDES, WHO, Link, links_of, who_links
from recorder.audit.source import Held, LineageSource, entry_at, identity_key, kind_of
from recorder.core.entry import Entry, decode, entry_hash, external_aad
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.ids import entry_id
from recorder.core.kinds import IDENTITY_SIGNED, Kind, Rows, kind_name
from recorder.core.verify.disclosure import carries_claims
from recorder.core.verify.job import Job, check_job
from recorder.store.errors import StoreError

NODES_MAX = 1_000  # entries that each use the one before may be as many as the lineage has
_TARGETS = {
    "cycle": Kind.CYCLE, "policy": Kind.POLICY, "actuator": Kind.ACTUATOR, "schema": Kind.SCHEMA,
    "confirms": Kind.ACTUATION, "ends": Kind.CYCLE, **dict.fromkeys((*CREDENTIALS, DEVICE, MATRIX), Kind.CREDENTIAL),
}  # fmt: skip

Place = tuple[int, bool]  # seq, and whether only its claims of who are meant


class Step(NamedTuple):
    """A link with what was found behind it."""

    link: Link
    to: Place | None  # None: not followed, for the reason in `remark`
    remark: str = ""
    is_broken: bool = False


class Node(NamedTuple):
    """An entry of the tree."""

    held: Held
    id: str
    entry: Entry | None  # None: it cannot be read, and `found` says why
    values: dict[str, Any]  # claims that can be read
    withheld: list[str]  # keys of claims of which only the hash is here, as `family.key`
    claims_gone: str  # "" where they are here or none belong to it; else what has become of them
    steps: list[Step]
    found: list[str]  # what does not hold of the entry itself


class Why(NamedTuple):
    """A tree, as a graph: an entry stands in it once, however many links lead to it."""

    root: Place
    nodes: dict[Place, Node]  # breadth first
    is_cut: bool  # NODES_MAX were reached

    @property
    def holds(self) -> bool:
        """No entry and no link of it is wrong; what is not here does not count."""
        return not any(node.found or any(step.is_broken for step in node.steps) for node in self.nodes.values())


def why(source: LineageSource, held: Held, index: int | None = None) -> Why:
    """Follow all links of an entry, or of one commit of it.

    Goes once through all entries below it, and through those above where claims are gone.

    Args:
        source: where they lie.
        held: the entry.
        index: of the commit in its key 10; None for all that it holds.

    """
    root = (held.seq, False)
    read = _Read(source, held)
    links: dict[Place, list[Link]] = {}
    pending = [root]
    known = {root}
    for place in pending:
        links[place] = read.links(place, index if place == root else None)
        for link in links[place]:
            to = _place(link, place[0])
            if to is not None and to not in known and len(pending) < NODES_MAX and read.entry(to[0]) is not None:
                known.add(to)
                pending.append(to)
    gone = read.claims_gone({seq for seq, _ in pending})
    nodes = {place: read.node(place, links[place], known, gone.get(place[0], "")) for place in pending}
    return Why(root, nodes, len(pending) == NODES_MAX)


def _place(link: Link, below: int) -> Place | None:
    if link.seq is None or link.is_foreign or link.seq >= below or link.relation == SUPERSEDES:
        return None
    return link.seq, link.relation == WHO


class _Read:
    """The entries of one tree, each read once."""

    def __init__(self, source: LineageSource, asked: Held) -> None:
        self._source = source
        self._identity = identity_key(source)
        self._aad = external_aad(source.origin)
        self._held: dict[int, Held | None] = {asked.seq: asked}
        self._decoded: dict[int, Entry | None] = {}
        self._unreadable: dict[int, str] = {}
        self._declared = Declared()
        with closing(source.read(0)) as entries:
            for held in entries:
                if held.seq >= asked.seq:
                    break
                if kind_of(held.raw) in DECLARING and (found := self._decode(held)) is not None:
                    is_credential = found.header.kind == Kind.CREDENTIAL
                    self._declared.note(found.header, values_of(held.claims).get("body") if is_credential else None)

    def entry(self, seq: int) -> Held | None:
        """An entry; None where it is not here."""
        if seq not in self._held:
            try:
                self._held[seq] = entry_at(self._source, seq)
            except StoreError:
                self._held[seq] = None
        return self._held[seq]

    def links(self, place: Place, index: int | None) -> list[Link]:
        """Links of an entry that is here."""
        seq, is_who = place
        decoded, held = self._entry(seq), self._held[seq]
        if decoded is None or held is None:
            return []
        values = values_of(held.claims)
        if is_who:
            key = Link(KEY, self._declared.introduction(seq))
            return [*who_links(decoded.header, values, self._declared), key]
        return list(links_of(decoded.header, values, self._declared, index))

    def node(self, place: Place, links: list[Link], known: set[Place], claims_gone: str) -> Node:
        """Look at an entry that is here, with the links that were followed."""
        held, decoded = self._held[place[0]], self._entry(place[0])
        assert held is not None
        steps = [] if decoded is None else [self._judged(link, decoded.header, known) for link in links]
        printed = str(entry_id(entry_hash(held.raw), held.seq))
        found = [self._unreadable[held.seq]] if decoded is None else self._check(decoded, held)
        return Node(held, printed, decoded, values_of(held.claims), withheld_of(held.claims), claims_gone, steps, found)

    def claims_gone(self, seqs: set[int]) -> dict[int, str]:
        """What has become of claims that belong beside these entries and are not here."""
        missing: dict[int, Header] = {}
        for seq in seqs:
            held, decoded = self._held[seq], self._entry(seq)
            if held is not None and not held.claims and decoded is not None and carries_claims(decoded.header):
                missing[seq] = decoded.header
        by = accounted(self._source, missing) if missing else {}
        return {
            seq: f"deleted, by {entry_id(entry_hash(by[seq].raw), by[seq].seq)}" if seq in by else "not here"
            for seq in missing
        }

    def _entry(self, seq: int) -> Entry | None:
        if seq not in self._decoded:
            held = self.entry(seq)
            self._decoded[seq] = None if held is None else self._decode(held)
        return self._decoded[seq]

    def _decode(self, held: Held) -> Entry | None:
        try:
            found = decode(held.raw)
        except FormatError as error:
            self._unreadable[held.seq] = str(error)
            return None
        if found.header.seq != held.seq:
            self._unreadable[held.seq] = f"seq_mismatch: it says that it is entry {found.header.seq}"
            return None
        return found

    def _check(self, decoded: Entry, held: Held) -> list[str]:
        """Signature, and claims against digests."""
        key = self._key(decoded.header)
        commits = decoded.header.commits or ()
        job = Job(held.seq, held.raw, self._aad, key, held.claims or None, (None,) * len(commits))
        found = [f"{one.error}: {one.detail}" for one in check_job(job)]
        if key is None:
            found.append("kid_unknown: the introduction of its key is not here")
        return found

    def _key(self, header: Header) -> bytes | None:
        if header.kind in IDENTITY_SIGNED:
            return self._identity
        seq = self._declared.introduction(header.seq)
        introduced = None if seq is None else self._entry(seq)
        key: bytes | None = None if introduced is None else introduced.header.control.epoch_key
        return key

    def _judged(self, link: Link, header: Header, known: set[Place]) -> Step:
        """Hold a link against what it names."""
        if link.is_foreign:
            return Step(link, None, f"entry {link.seq}-{link.digits[:8]} of {link.of}")
        if link.seq is None:
            return self._undeclared(link)
        if link.seq >= header.seq:
            return Step(link, None, f"names entry {link.seq}, which is not below", is_broken=True)
        to = _place(link, header.seq)
        held = self.entry(link.seq)
        if held is None:
            return Step(link, None, f"entry {link.seq} is not here", is_broken=self._source.is_whole)
        fault = self._fault(link, header, held)
        if to not in known:
            return Step(link, None, fault or f"{entry_id(entry_hash(held.raw), held.seq)}, not followed", bool(fault))
        return Step(link, to, fault, bool(fault))

    def _undeclared(self, link: Link) -> Step:
        if link.relation in CREDENTIALS:
            return Step(link, None, f"no credential entry {link.of[:16]} below")
        return Step(link, None, f"nothing below declares {link.of[:16] or 'its key'}", is_broken=self._source.is_whole)

    def _fault(self, link: Link, header: Header, held: Held) -> str:
        """What is wrong with a link to an entry that is here; "" where nothing is."""
        target = self._entry(held.seq)
        digits = entry_hash(held.raw).hex()
        if not digits.startswith(link.digits):
            return f"ref_hash: it names {held.seq}-{link.digits[:8]}, here stands {held.seq}-{digits[:8]}"
        if target is None:
            return ""  # the node says so
        kind, wanted = target.header.kind, _TARGETS.get(link.relation)
        if wanted is not None and kind != wanted:
            return f"{held.seq}-{digits[:8]} is no {kind_name(wanted)} entry, but {kind_name(kind)}"
        if link.relation == "cycle" and header.why is not None and header.why != target.header.why:
            return "cycle_digest: the cycle has another why"
        if link.relation == WHO and header.who is not None and header.who != target.header.who:
            return "carrier_mismatch: the entry carries another who"
        return _no_such(link, target.header)


def _no_such(link: Link, target: Header) -> str:
    if link.index is None:
        return ""
    commits = target.commits or []
    if link.index >= len(commits):
        return f"it names commit {link.index} of {len(commits)}"
    commit = commits[link.index]
    count = commit.count if isinstance(commit, Rows) else 0
    return f"it names row {link.row} of {count}" if link.row is not None and link.row >= count else ""
