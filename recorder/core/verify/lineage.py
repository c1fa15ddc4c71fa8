"""A whole lineage, entry by entry in order (FORMAT.md section 8)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from recorder.core.chosen import Candidate
from recorder.core.controls import Previous
from recorder.core.entry import ZERO_HASH, Entry, decode_in_order, entry_hash, external_aad
from recorder.core.errors import FormatError, Misuse
from recorder.core.findings import ProblemLog, problem
from recorder.core.header import Header
from recorder.core.ids import entry_id
from recorder.core.kinds import Commit, Kind
from recorder.core.limits import HASH_BYTES
from recorder.core.note import VerifierKey, is_key_name
from recorder.core.tiles import TileTree
from recorder.core.verdict import Report, Tail, TailBound, make_report
from recorder.core.verify.asked import Asked
from recorder.core.verify.authority import Authority
from recorder.core.verify.axes import Axes
from recorder.core.verify.cycles import Cycles
from recorder.core.verify.deletions import Deletions
from recorder.core.verify.disclosure import NO_CLAIMS, carries_claims
from recorder.core.verify.heads import KnownHeads
from recorder.core.verify.job import Checked, Job
from recorder.core.verify.missing import MissingClaims
from recorder.core.verify.stages import Stages
from recorder.core.verify.tally import Tally
from recorder.core.verify.timeline import Timeline
from recorder.core.verify.windows import KeyWindows

NS = 1_000_000_000


class Verifier:
    """The steps that need the entries in order, in memory that does not grow with their number.

    An entry that cannot be read still has a place: its hash is the next `prev` and a leaf, and the steps that need
    its content pass it by.
    """

    def __init__(
        self,
        origin: str,
        *,
        trusted_identity: bytes | None = None,
        checkpoints: Sequence[bytes] = (),
        selection: bool = False,
        witnessed_size: int = 0,
        previous: Sequence[Previous] = (),
        roots: Sequence[VerifierKey] = (),
        witnesses: Collection[Candidate] = (),
        tail_max: TailBound | None = None,
    ) -> None:
        """Verify the log named `origin` from its first entry on.

        Args:
            origin: name of the log, which every signature covers.
            trusted_identity: the 32-byte key that the log must be of; None leaves its identity unpinned.
            checkpoints: notes of heads known from elsewhere; given here, since roots are kept as sizes pass by.
            selection: claims that are absent were left out on purpose; they are a declared loss.
            witnessed_size: entries that a cosignature covers; what follows them is the unwitnessed tail.
            previous: what boot entries of later incarnations say of this one: what is missing below it is declared.
            roots: keys that credentials may chain to; without any, credentials and delegations are not judged.
            witnesses: that are trusted; without any, who signed for entries that asked is not judged.
            tail_max: the longest unwitnessed tail that passes; without it any does.

        Raises:
            Misuse: origin not allowed as a key name, or a trusted key that is not 32 bytes.

        """
        if not is_key_name(origin):
            raise Misuse(f"{origin[:80]!r} is no origin: it must be allowed as a key name")
        if trusted_identity is not None and len(trusted_identity) != HASH_BYTES:
            raise Misuse(f"an identity key has {HASH_BYTES} bytes, not {len(trusted_identity)}")
        self._aad = external_aad(origin)
        self._log = ProblemLog()
        self._trusted = trusted_identity
        self._selection = selection
        self._witnessed_size = witnessed_size
        self._tail_max = tail_max
        self._witnessed_utc_ns: int | None = None
        self._tree = TileTree()
        self._heads = KnownHeads(self._found, origin, checkpoints, previous)
        self._windows = KeyWindows(self._found, trusted_identity)
        self._axes = Axes(self._found)
        self._cycles = Cycles(self._found)
        self._stages = Stages(self._found)
        self._timeline = Timeline(self._found)
        self._missing = MissingClaims(self._found)
        self._deletions = Deletions(self._found)
        self._authority = Authority(self._found, origin, roots)
        self._asked = Asked(self._found, origin, witnesses)
        self._next_seq = 0
        self._prev = ZERO_HASH
        self._utc_ns = 0
        self._read = 0  # entries that could be decoded
        self._commits = 0
        self._tally = Tally()

    @property
    def entries(self) -> int:
        """How many entries were fed."""
        return self._tree.size

    def feed(self, raw: bytes, claims: bytes | None) -> Job | None:
        """Check the next entry's place in the log; return what is left to check of it, None if it cannot be read.

        Args:
            raw: bytes of the entry.
            claims: bytes of the claims beside it; None where they are not held, or where there are none.

        """
        try:  # steps 1 and 2; that the encoding is deterministic is for the job to say
            entry = decode_in_order(raw)
        except FormatError as error:
            self._found(error.error, self._next_seq, error.detail)
            self._append(self._next_seq, entry_hash(raw))
            return None
        header = entry.header
        seq = header.seq
        self._read += 1
        key = self._windows.admit(entry)  # step 3; 4 is the job's
        if seq != self._next_seq:  # step 5
            self._found("seq_mismatch", seq, f"seq {seq} where {self._next_seq} is due")
        if header.prev != self._prev:
            self._found("prev_mismatch", seq, f"prev is {header.prev.hex()}, the entry below is {self._prev.hex()}")
        row_bytes = self._axes.check(entry)  # step 6
        self._cycles.check(header)
        self._stages.check(header, claims)
        self._append(seq, entry.hash)  # step 7
        claims = self._check_held(header, claims)  # step 8
        self._deletions.check(header, claims)
        self._asked.check(header, claims, self._windows.identity or self._trusted)
        under = self._authority.check(entry, claims)  # step 9; a part of it, and 11, are the job's
        self._timeline.check(header)  # step 10
        self._count(entry)
        self._tally.handed += 1
        return Job(seq, raw, self._aad, key, claims, row_bytes, under)

    def take(self, checked: Checked) -> None:
        """Take what `check_jobs` found, in whatever order jobs were run."""
        self._tally.take(checked)
        self._authority.take(checked)
        self._log.extend(checked.problems)

    def finish(self) -> Report:
        """Check what needs the whole log and report.

        Raises:
            Misuse: results of jobs are still out; a report without them would pass what nobody checked.

        """
        self._tally.finish()
        size = self.entries
        self._heads.finish(self._windows.identity or self._trusted, size)
        self._timeline.finish()
        self._asked.finish()
        self._authority.finish()
        self._report_missing()
        since_ns = self._utc_ns if self._witnessed_utc_ns is None else self._witnessed_utc_ns
        tail = Tail(max(0, size - self._witnessed_size), max(0, self._utc_ns - since_ns) / NS)
        if self._tail_max is not None and (fault := self._tail_max.fault(tail)) is not None:
            self._found("unwitnessed_tail", None, fault)
        checked = {
            **dict.fromkeys((1, 2, 5), size),
            **dict.fromkeys((3, 6, 10), self._read),
            4: self._tally.signatures,
            7: self._heads.count,
            8: self._tally.families,
            **self._authority.checked(),
        }
        return make_report(
            self._log,
            checked,
            entries=size,
            commits=self._commits,
            head=str(entry_id(self._prev, self._next_seq - 1)) if size else None,
            tail=tail,
            pinned=self._trusted is not None,
            notes={
                "refs_unchecked": self._axes.refs_unchecked,
                "claims_not_held": self._missing.count,
                "deletions": self._missing.deletions,
                "deletions_before_term": self._deletions.before_term,
                "deletions_unjudged": self._deletions.unjudged,
                **self._authority.notes(),
                **self._asked.notes(),
            },
            deleted=self._missing.deleted,
            roots=self._authority.roots,
            short=self._asked.listed,
            authority=self._authority.verdict,
        )

    def _found(self, error: str, seq: int | None, detail: str) -> None:
        self._log.add(problem(error, seq, detail))

    def _append(self, seq: int, leaf: bytes) -> None:
        self._tree.append(leaf)
        self._prev = leaf
        self._next_seq = seq + 1  # goes on from what the entry says, so that one removal is found once
        if self._tree.size == self._heads.next_size:
            self._heads.passing(self._tree)

    def _check_held(self, header: Header, claims: bytes | None) -> bytes | None:
        """Note whether claims are held; return those that a job has to check."""
        if carries_claims(header):
            self._missing.note(header, held=claims is not None)
        elif claims == NO_CLAIMS:
            claims = None
        if header.kind == Kind.DELETION:
            self._missing.delete(header.seq, header.control)
        return claims

    def _count(self, entry: Entry) -> None:
        header = entry.header
        self._utc_ns = header.time.utc_ns
        if self._witnessed_utc_ns is None or self._tree.size == self._witnessed_size:
            self._witnessed_utc_ns = self._utc_ns
        if header.kind == Kind.ACTUATION:
            for commit in header.commits or ():
                self._commits += 1 if isinstance(commit, Commit) else commit.count

    def _report_missing(self) -> None:
        left_out = 0
        for name, (first, last) in self._missing.unaccounted():
            left_out += 1
            if not self._selection:
                where = f"entries {first} to {last} of class {name}"
                self._found("claims_missing", first, f"{where}: no claims, and no deletion entry accounts for them")
        if left_out and self._selection:
            self._found("selection_partial", None, f"claims left out in {left_out} ranges")
