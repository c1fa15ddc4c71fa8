"""Bytes, shares and terms as people write them."""

from __future__ import annotations

import pytest

from recorder.core.errors import Misuse
from recorder.core.quantities import Amount, amount, term_s


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (0, Amount(bytes=0)),
        (5_000_000, Amount(bytes=5_000_000)),
        ("500MiB", Amount(bytes=500 << 20)),
        ("4 GiB", Amount(bytes=4 << 30)),
        ("10%", Amount(share=0.1)),
        ("2.5 %", Amount(share=0.025)),
    ],
)
def test_amounts(written: int | str, meant: Amount) -> None:
    """Bytes stay bytes; a share becomes bytes of a whole."""
    assert amount(written) == meant
    assert amount(written).of(1000) == (meant.bytes if meant.bytes is not None else int(1000 * (meant.share or 0)))


@pytest.mark.parametrize("written", [-1, "", "10", "10 MB", "100%", "-1%", "1e3MiB", "MiB", "10%MiB", "٣MiB"])
def test_what_is_no_amount(written: int | str) -> None:
    """One error that names what may stand there."""
    with pytest.raises(Misuse, match=r"GiB|fewer than none"):
        amount(written)


@pytest.mark.parametrize(
    ("written", "seconds"), [("forever", None), ("0h", 0), ("36h", 129_600), ("90d", 7_776_000), ("10y", 315_360_000)]
)
def test_terms(written: str, seconds: int | None) -> None:
    """Hours, days and years of 365 days."""
    assert term_s(written) == seconds


@pytest.mark.parametrize("written", ["", "90", "d", "-1d", "1w", "1.5d", "Forever", "1m"])
def test_what_is_no_term(written: str) -> None:
    """Months and weeks are not guessed at."""
    with pytest.raises(Misuse, match="is no term"):
        term_s(written)
