"""What a start knows of authority is what its predecessor knew: operations and snapshots carry it whole."""

from __future__ import annotations

from typing import Any

from recorder.core import cbor
from recorder.core.spending import Spent
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


def test_an_os_boot_forgets_nonces_and_marks_but_no_use() -> None:
    """CLOCK_BOOTTIME begins anew; what was used of a budget stays used."""
    tail = moved()
    tail.apply([Op.BOOT, 2, b"o" * 16, bytes(32), bytes(32)])
    assert tail.authority.nonces == {}
    assert tail.authority.spent == {DELEGATION: Spent(3, 2_000_000_000, 0)}
    tail.apply([Op.NONCE, b"m" * 16, 1])
    tail.apply([Op.BOOT, 3, b"o" * 16, bytes(32), bytes(32)])
    assert tail.authority.nonces == {b"m" * 16: 1}  # the same OS boot: a restart of the recorder alone


def test_a_nonce_is_forgotten_when_its_decision_is_over() -> None:
    tail = moved()
    tail.apply([Op.CLOCK, 9_000_000_000, 0, None])
    tail.apply([Op.NONCE, b"m" * 16, 20_000_000_000])
    assert set(tail.authority.nonces) == {b"n" * 16, b"m" * 16}  # usable to the very end of its time
    tail.apply([Op.CLOCK, 9_000_000_001, 0, None])
    tail.apply([Op.NONCE, b"o" * 16, 20_000_000_000])
    assert set(tail.authority.nonces) == {b"m" * 16, b"o" * 16}
