"""What a start knows of authority is what its predecessor knew: operations and snapshots carry it whole."""

from __future__ import annotations

from typing import Any

import pytest

from recorder.core import cbor
from recorder.core.errors import FormatError
from recorder.core.spending import Spent
from recorder.store import authority
from recorder.store.tail import Op, Tail

ORIGIN = "acme/arm-7/0123456789abcdef"
DELEGATION = b"d" * 32
OPERATIONS: list[list[Any]] = [
    [Op.SIGNED_POLICY, b"policy"],
    [Op.MATRIX, b"matrix"],
    [Op.CREDENTIAL, DELEGATION, b"credential"],
    [Op.REVOCATION, [b"r" * 32], 17],
    [Op.REVOCATION, [b"r" * 32, b"s" * 32], 19],
    [Op.SPENT, DELEGATION, 3, 2_000_000_000, 5_000_000_000],
    [Op.NONCE, b"n" * 16, 9_000_000_000],
    [Op.CLOCK, 4_000_000_000, 1_790_000_000_000_000_000, 1_789_000_000_000_000_000],
]


def moved() -> Tail:
    tail = Tail(ORIGIN)
    for operation in OPERATIONS:
        tail.apply(operation)
    return tail


def test_a_snapshot_carries_all_of_it() -> None:
    stored = cbor.decode(cbor.pack(moved().snapshot()))  # as a segment keeps it
    assert isinstance(stored, list)
    restored = Tail.restore(stored).authority
    assert restored == moved().authority
    assert restored.policy == b"policy"
    assert restored.matrix == b"matrix"
    assert restored.credentials == {DELEGATION: b"credential"}
    assert restored.revocations == {b"r" * 32: 17, b"s" * 32: 19}  # from the first that says so
    assert restored.spent == {DELEGATION: Spent(3, 2_000_000_000, 5_000_000_000)}
    assert restored.nonces == {b"n" * 16: 9_000_000_000}
    assert restored.floor_ns == 1_789_000_000_000_000_000


def test_a_snapshot_of_an_older_recorder_knows_of_none() -> None:
    for parts in (12, 13):
        restored = Tail.restore(Tail(ORIGIN).snapshot()[:parts])
        assert restored.authority == Tail(ORIGIN).authority
        assert restored.holds == {}


def test_an_os_boot_forgets_marks_but_no_use_and_no_nonce() -> None:
    """CLOCK_BOOTTIME begins anew; what was used of a budget stays used, and a nonce is used once per origin."""
    tail = moved()
    tail.apply([Op.BOOT, 2, b"o" * 16, bytes(32), bytes(32)])
    assert tail.authority.nonces == {b"n" * 16: 0}
    assert tail.authority.spent == {DELEGATION: Spent(3, 2_000_000_000, 0)}
    tail.apply([Op.NONCE, b"m" * 16, 1])
    tail.apply([Op.BOOT, 3, b"o" * 16, bytes(32), bytes(32)])
    assert tail.authority.nonces == {b"n" * 16: 0, b"m" * 16: 1}  # the same OS boot: a restart of the recorder alone


def test_of_many_nonces_the_oldest_are_forgotten_once_their_grants_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authority, "NONCES_KEPT", 2)
    known = authority.Authority()
    for at, nonce in enumerate((b"a", b"b", b"c")):
        known.use(nonce * 16, 100, at)
    assert len(known.nonces) == 3  # all of them can still be used
    known.use(b"d" * 16, 200, 100)
    assert len(known.nonces) == 4  # to the very end of their time
    known.use(b"e" * 16, 200, 101)
    assert set(known.nonces) == {b"d" * 16, b"e" * 16}


def test_a_snapshot_whose_nonces_are_cut_is_damaged() -> None:
    stored = moved().snapshot()
    stored[-1][5] = stored[-1][5][:-1]
    with pytest.raises(FormatError, match="record_damaged"):
        Tail.restore(stored)
