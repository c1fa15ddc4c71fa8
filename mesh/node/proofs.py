"""Requests about the own log: what it proves to a witness."""

from __future__ import annotations

from mesh.node.ownlog import Head, OwnLog
from mesh.submission import Attempt, request_for
from mesh.succession import UNPROVED, Succession
from recorder.core.entry import decode
from recorder.core.errors import FormatError
from recorder.core.kinds import Previous
from recorder.core.merkle import prove_consistency, prove_inclusion, root_at


class OwnProofs:
    """A `submitting.Proofs` of one head; used on the thread of the own log."""

    def __init__(self, own: OwnLog, latest: Head) -> None:
        self._own = own
        self._latest = latest

    def add_checkpoint(self, attempt: Attempt) -> bytes:
        """Body of `add-checkpoint`."""
        tree = self._own.tree(self._latest.head.origin)
        return request_for(attempt, self._latest.head, self._latest.note, tree.reader())

    def add_incarnation(self, held: dict[str, int]) -> bytes:
        """Body of `add-incarnation`; raises FormatError, incarnation_unproved."""
        head = self._latest.head
        raw = self._own.boot_entry()
        named: list[Previous] = decode(raw).header.control.previous
        inclusion = prove_inclusion(self._own.tree(head.origin).reader(), 0, head.size)
        consistency = next((self._consistency(one, held[one.origin]) for one in named if one.origin in held), ())
        return Succession(raw, tuple(inclusion), consistency, self._latest.note).encode()

    def _consistency(self, named: Previous, held: int) -> tuple[bytes, ...]:
        """From the size that the witness holds of an incarnation to the one that the boot entry names."""
        if held == named.size:
            return ()
        tree = self._own.tree(named.origin)
        if held > named.size or tree.size < named.size or root_at(tree.reader(), named.size) != named.root:
            detail = f"the witness holds {held} entries of {named.origin}, the boot entry names {named.size}"
            raise FormatError(UNPROVED, f"{detail}: nothing kept here leads from one to the other")
        return tuple(prove_consistency(tree.reader(), held, named.size))
