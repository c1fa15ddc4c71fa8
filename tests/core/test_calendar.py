"""Times in words."""

from __future__ import annotations

import pytest

from recorder.core.calendar import utc_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01 00:00:00Z"), (1_795_284_482, "2026-11-21 18:08:02Z"),
        (2**63, f"second {2**63}"), (2**40, f"second {2**40}"),
    ],
)  # fmt: skip
def test_a_time_for_people(seconds: int, text: str) -> None:
    assert utc_text(seconds) == text
