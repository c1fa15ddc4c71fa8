"""Requests about the own log: what it proves to a witness."""

from __future__ import annotations

from mesh.node.ownlog import Head, OwnLog
from mesh.node.places import DamagedError
from mesh.node.tree import LogTree
from mesh.submission import Attempt, request_for
from mesh.succession import UNPROVED, Succession
from recorder.core.controls import Previous
from recorder.core.entry import decode
from recorder.core.errors import FormatError
from recorder.core.merkle import prove_consistency, prove_inclusion, root_at


class OwnProofs:
    """A `submitting.Proofs` of one head; used on the thread of the own log."""

    def __init__(self, own: OwnLog, latest: Head) -> None:
        self._own = own
        self._latest = latest

    def add_checkpoint(self, attempt: Attempt) -> bytes:
        """Body of `add-checkpoint`; raises DamagedError."""
        return request_for(attempt, self._latest.head, self._latest.note, self._tree().reader())

    def add_incarnation(self, held: dict[str, int], consistency: tuple[bytes, ...] | None = None) -> bytes:
        """Body of `add-incarnation`, by a proof from elsewhere if given.

        Raises FormatError, incarnation_unproved, and what `submitting` says.
        """
        head = self._latest.head
        raw = self._own.boot_entry()
        inclusion = prove_inclusion(self._tree().reader(), 0, head.size)
        if consistency is None:
            consistency = self._consistency(_named(raw, held), held)
        return Succession(raw, tuple(inclusion), consistency, self._latest.note).encode()

    def wanted(self, held: dict[str, int]) -> list[tuple[int, Previous]]:
        """Between which heads a consistency proof would do: what the witness holds, and a larger one that is named."""
        named = _named(self._own.boot_entry(), held)
        return [(held[one.origin], one) for one in named if held[one.origin] < one.size]

    def _tree(self) -> LogTree:
        tree = self._own.tree(self._latest.head.origin)
        if tree.size < self._latest.head.size:
            raise DamagedError("the tree of our own log is being made again")
        return tree

    def _consistency(self, named: list[Previous], held: dict[str, int]) -> tuple[bytes, ...]:
        """From the size that the witness holds of an incarnation to one with which the boot entry names it.

        Of two histories that a boot entry names side by side the witness holds one.
        """
        for one in named:
            if held[one.origin] == one.size:
                return ()
        for one in named:
            tree, have = self._own.tree(one.origin), held[one.origin]
            if have < one.size <= tree.size and root_at(tree.reader(), one.size) == one.root:
                return tuple(prove_consistency(tree.reader(), have, one.size))
        if not named:
            return ()
        detail = ", ".join(f"{held[one.origin]} entries of {one.origin}, named with {one.size}" for one in named)
        raise FormatError(UNPROVED, f"the witness holds {detail}: nothing kept here leads from one to the other")


def _named(boot: bytes, held: dict[str, int]) -> list[Previous]:
    """What a boot entry says of incarnations that a witness holds."""
    named: list[Previous] = decode(boot).header.control.previous
    return [one for one in named if one.origin in held]
