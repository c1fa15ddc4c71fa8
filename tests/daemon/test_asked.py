"""Entries that asked, and the evidence that comes for them: what counts, in what order, and within what bounds."""

from __future__ import annotations

from recorder.core.checkpoint import Checkpoint
from recorder.core.cosignature import cosign
from recorder.core.note import Note, NoteSignature
from recorder.daemon.asked import ASKED_MAX, BROUGHT_MAX, AskedEntries
from recorder.writer.asking import Ask, Wish
from tests.daemon.cosigners import NOW_S, SIGNERS, candidates

ORIGIN = "acme/arm-7/0123456789abcdef"
MS = 1_000_000
NAMES = tuple(SIGNERS)


def root(size: int) -> bytes:
    return size.to_bytes(32, "big")


def note(size: int, *names: str, origin: str = ORIGIN) -> bytes:
    head = Checkpoint(origin, size, root(size))
    return Note(head.text(), tuple(cosign(head, name, SIGNERS[name], NOW_S) for name in names)).encode()


def entries() -> AskedEntries:
    return AskedEntries(ORIGIN, lambda size: root(size) if size < 10_000 else None)


def ask(seq: int, names: tuple[str, ...] = NAMES, k: int = 3) -> Ask:
    return Ask(seq, Wish(k, 100, "any"), tuple(candidates(names)))


def drained(asked: AskedEntries) -> int:
    """Check all there is; how many steps that took."""
    steps = 0
    while asked.has_work:
        asked.check()
        steps += 1
    return steps


def test_a_head_signs_for_all_that_it_covers() -> None:
    """One signature counts for every entry below the head that waits for it, once, with its own delay."""
    asked = entries()
    asked.add([ask(4), ask(7)], 0)
    asked.add([ask(9)], 10 * MS)
    asked.bring(20, note(8, "arm-8"), 15 * MS)
    assert drained(asked) == 2, "one step to read the note, one for the signature"
    asked.bring(21, note(10, *NAMES), 25 * MS)
    drained(asked)
    found = {seq: [(one.name, one.after_ms, one.evidence) for one in entry.signed]
             for seq in (4, 7, 9) if (entry := asked.get(seq))}  # fmt: skip
    assert found[4] == found[7]
    assert found[4][0] == ("arm-8", 15, 20)
    assert sorted(found[4][1:]) == [("arm-10", 25, 21), ("arm-9", 25, 21)]
    assert sorted(found[9]) == [("arm-10", 15, 21), ("arm-8", 15, 21), ("arm-9", 15, 21)]
    asked.bring(22, note(12, *NAMES), 30 * MS)
    assert drained(asked) == 1, "nobody waits for these any more: nothing is verified"


def test_what_counts_for_nothing_costs_nothing() -> None:
    """Another log's head, one that did not leave here, keys that nobody waits for: read, and not verified."""
    asked = entries()
    asked.add([ask(4, ("arm-8",), 1)], 0)
    for wrong in (note(8, "arm-8", origin=ORIGIN.replace("7", "6", 1)), note(10_000, "arm-8"), note(8, "arm-9"), b"x"):
        asked.bring(20, wrong, MS)
        assert drained(asked) == 1
    head = Checkpoint(ORIGIN, 8, root(8))
    good = cosign(head, "arm-8", SIGNERS["arm-8"], NOW_S)
    bad = NoteSignature(good.name, good.key_id, bytes(72))
    asked.bring(20, Note(head.text(), (*[bad] * 50, good)).encode(), MS)
    assert drained(asked) == 2, "of each key the first line of a note, and no other"
    entry = asked.get(4)
    assert entry is not None
    assert entry.signed == []


def test_how_much_is_kept() -> None:
    """The newest entries, and the newest evidence that nobody has looked at; keys of entries that are gone go too."""
    asked = entries()
    asked.add([ask(seq, ("arm-8",), 1) for seq in range(ASKED_MAX + 5)], 0)
    assert asked.get(4) is None
    assert asked.get(5) is not None
    for at in range(BROUGHT_MAX + 5):
        asked.bring(at, note(2, "arm-9"), 0)
    assert drained(asked) == BROUGHT_MAX
    asked.bring(9_000, note(9_000, "arm-8"), 0)
    drained(asked)
    last = asked.get(ASKED_MAX)
    assert last is not None
    assert last.is_met
    assert last.is_settled


def test_met_and_settled() -> None:
    """Settled is when nothing more can change: as many as wanted, or all that were asked."""
    asked = entries()
    asked.add([ask(1, ("arm-8", "arm-9"), 3), ask(2, NAMES, 2)], 0)
    asked.bring(5, note(3, "arm-8"), 0)
    drained(asked)
    short, enough = asked.get(1), asked.get(2)
    assert short is not None
    assert enough is not None
    assert not short.is_settled
    assert not enough.is_settled
    asked.bring(6, note(3, "arm-9"), 0)
    drained(asked)
    assert (short.is_met, short.is_settled) == (False, True)
    assert (enough.is_met, enough.is_settled) == (True, True)
