"""Why an incarnation began, as its first boot entry has it."""

from __future__ import annotations

from typing import Any

import pytest

from recorder.audit.begun import begun
from recorder.core.controls import Previous
from recorder.core.entry import decode
from tests.audit.test_incarnations import NEW, following
from tests.lineage_builder import LineageBuilder

OLDER = [Previous(f"acme/arm-7/{at:016x}", size, bytes(32)) for at, size in ((1, 7), (2, 5), (2, 1200), (3, 9), (4, 2))]


def words_of(lineage: LineageBuilder) -> list[str | None]:
    return [begun(decode(one.raw).header) for one in lineage.records]


@pytest.mark.parametrize(
    ("by", "why"),
    [(None, "its own last head was not in the store, or the store was given up"), ("witness", "peers held heads to")],
)
def test_the_first_boot_entry_says_why(by: str | None, why: str) -> None:
    """Each incarnation before by its largest head, the latest ones; no other entry says anything."""

    def confirm(header: dict[int, Any]) -> None:
        header[15][4] = [list(one) for one in OLDER]
        header[15][5] = by

    lineage = LineageBuilder(origin=f"acme/arm-7/{NEW}", seed="lineage").breaking(confirm)
    lineage.boot()
    lineage.policy()
    first, *others = words_of(lineage)
    assert first is not None
    assert why in first
    named = "1,200 entries of acme/arm-7/0000000000000002, 9 entries of acme/arm-7/0000000000000003, 2 entries of"
    assert named in first
    assert first.endswith(" and 1 incarnations more")
    assert others == [None]
    assert words_of(following(NEW)) == [None, None]
