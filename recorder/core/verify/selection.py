"""A selection: some entries of a log, each with its inclusion proof under one checkpoint.

Steps 1, 2, 4 and 8 and inclusion are checked; 3, 9 and 11 as far as the entries that they need are here.  Axes, cycle
bounds and completeness need the entries between: the report says that they were not checked.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence

from recorder.core.checkpoint import parse_checkpoint
from recorder.core.chosen import Candidate
from recorder.core.entry import Entry, decode_in_order, external_aad
from recorder.core.errors import FormatError, Misuse
from recorder.core.findings import ProblemLog, problem
from recorder.core.header import Header
from recorder.core.ids import entry_id
from recorder.core.keys import kid
from recorder.core.kinds import Commit, Kind, Rows
from recorder.core.merkle import verify_inclusion
from recorder.core.note import VerifierKey, is_key_name, parse_note
from recorder.core.rows import schema_id, size_of, struct_format
from recorder.core.verdict import Report, Tail, make_report
from recorder.core.verify.asked import ERROR as WITNESS_CHOICE
from recorder.core.verify.asked import by_kid, choice_beside, choice_fault
from recorder.core.verify.authority import Authority
from recorder.core.verify.heads import signature_fault
from recorder.core.verify.job import Checked, Job
from recorder.core.verify.tally import Tally


class SelectionVerifier:
    """Entries one by one, introductions and schemas before the entries that need them."""

    def __init__(
        self,
        origin: str,
        checkpoint: bytes,
        *,
        trusted_identity: bytes | None = None,
        roots: Sequence[VerifierKey] = (),
        witnesses: Collection[Candidate] = (),
    ) -> None:
        """Verify entries against one checkpoint note.

        Args:
            origin: name of the log.
            checkpoint: the note that all inclusion proofs lead to; its own signature is checked under the identity
                key that the first boot entry names, or the trusted one.
            trusted_identity: the 32-byte key that the log must be of, if known.
            roots: keys that credentials may chain to; without any, credentials and delegations are not judged.
            witnesses: that are trusted: whom entries asked is held against its rule, not who signed.

        Raises:
            Misuse: origin not allowed as a key name.

        """
        if not is_key_name(origin):
            raise Misuse(f"{origin[:80]!r} is no origin: it must be allowed as a key name")
        self._origin = origin
        self._aad = external_aad(origin)
        self._note = checkpoint
        self._trusted = trusted_identity
        self._identity = trusted_identity
        self._log = ProblemLog()
        self._authority = Authority(self._found, origin, roots, whole=False)
        self._witnesses = by_kid(witnesses)
        self._introduced: list[tuple[int, bytes]] = []  # seq and epoch key, rising
        self._schemas: dict[bytes, int] = {}
        self._entries = self._commits = self._included = 0
        self._last: Entry | None = None
        self._tally = Tally()
        self._checkpoint = None
        try:
            self._checkpoint = parse_checkpoint(parse_note(checkpoint).text)
        except FormatError as error:
            self._found("checkpoint_malformed", None, error.detail)
        if self._checkpoint is not None and self._checkpoint.origin != origin:
            self._found("origin_mismatch", None, f"a checkpoint of {self._checkpoint.origin}, not of {origin}")

    def feed(self, raw: bytes, claims: bytes | None, proof: Sequence[bytes]) -> Job | None:
        """Check one entry and its proof; return what is left to check of it, None if it cannot be read."""
        self._entries += 1
        try:
            entry = decode_in_order(raw)
        except FormatError as error:
            self._found(error.error, None, error.detail)
            return None
        header = entry.header
        if self._checkpoint is not None:
            self._included += 1
            try:
                verify_inclusion(entry.hash, header.seq, self._checkpoint.size, proof, self._checkpoint.root)
            except FormatError as error:
                self._found(error.error, header.seq, error.detail)
        key = self._key_of(entry)
        row_bytes = self._collect(entry)
        self._check_choice(header, claims)
        under = self._authority.check(entry, claims)
        self._last = entry
        self._tally.handed += 1
        return Job(header.seq, raw, self._aad, key, claims, row_bytes, under)

    def take(self, checked: Checked) -> None:
        """Take what `check_jobs` found."""
        self._tally.take(checked)
        self._authority.take(checked)
        self._log.extend(checked.problems)

    def finish(self) -> Report:
        """Check the checkpoint's signature and report; what a selection cannot show is a declared loss.

        Raises:
            Misuse: results of jobs are still out.

        """
        self._tally.finish()
        if fault := signature_fault(self._note, self._origin, self._identity):
            self._found("checkpoint_signature", None, fault)
        self._found("selection_partial", None, "a selection: axes, cycle bounds and completeness were not checked")
        head = self._last
        return make_report(
            self._log,
            {
                1: self._entries,
                2: self._entries,
                4: self._tally.signatures,
                7: self._included,
                8: self._tally.families,
                **self._authority.checked(),
            },
            entries=self._entries,
            commits=self._commits,
            head=str(entry_id(head.hash, head.header.seq)) if head is not None else None,
            tail=Tail(0, 0.0),
            pinned=self._trusted is not None,
            notes=self._authority.notes(),
            roots=self._authority.roots,
            authority=self._authority.verdict,
        )

    def _check_choice(self, header: Header, claims: bytes | None) -> None:
        """Step 8, as far as one entry tells."""
        if header.witnesses is None or (choice := choice_beside(header.witnesses, claims)) is None:
            return
        if wrong := choice_fault(header.witnesses, choice, self._witnesses):
            self._found(WITNESS_CHOICE, header.seq, wrong)

    def _found(self, error: str, seq: int | None, detail: str) -> None:
        self._log.add(problem(error, seq, detail))

    def _key_of(self, entry: Entry) -> bytes | None:
        """The key that must have signed: of the introductions given, the nearest below."""
        header = entry.header
        if header.kind == Kind.BOOT:
            if self._identity is None:
                self._identity = header.control.identity_key
            elif header.control.identity_key != self._identity:
                error = "identity_untrusted" if self._trusted else "identity_changed"
                self._found(error, header.seq, f"identity key {header.control.identity_key.hex()}")
        at = bisect_left(self._introduced, (header.seq, b""))
        if header.kind in (Kind.BOOT, Kind.EPOCH):
            key = self._identity
            self._introduced.insert(at, (header.seq, header.control.epoch_key))
        else:
            key = self._introduced[at - 1][1] if at else None
        if key is not None and kid(key) == entry.kid:
            return key
        known = any(kid(epoch) == entry.kid for _, epoch in self._introduced)
        self._found(
            "key_window" if known else "kid_unknown",
            header.seq,
            f"kid {entry.kid.hex()} is not that of the nearest introduction below among the entries given",
        )
        return None

    def _collect(self, entry: Entry) -> tuple[int | None, ...]:
        header = entry.header
        if header.kind == Kind.SCHEMA:
            try:
                self._schemas[schema_id(header.control.fields)] = size_of(struct_format(header.control.fields))
            except FormatError as error:
                self._found(error.error, header.seq, error.detail)
        commits = header.commits or []
        if header.kind == Kind.ACTUATION:
            self._commits += sum(1 if isinstance(commit, Commit) else commit.count for commit in commits)
        if any(isinstance(commit, Rows) for commit in commits):
            return tuple(self._schemas.get(commit.schema) if isinstance(commit, Rows) else None for commit in commits)
        return ()
