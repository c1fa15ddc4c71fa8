"""Printed ids: what is printed is parsed back, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core.errors import FormatError
from recorder.core.ids import EntryId, check, entry_id, parse_id, parse_typed

HASH = bytes.fromhex("0123abcd" + "00" * 28)
NUMBERS = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize(
    ("given_id", "printed"),
    [
        (entry_id(HASH, 0), "0-0123abcd"),
        (entry_id(HASH, 12, 3), "12.3-0123abcd"),
        (entry_id(HASH, 12, 3, 400), "12.3.400-0123abcd"),
        (entry_id(HASH, 12, 0, 0), "12.0.0-0123abcd"),
    ],
)
def test_known_ids(given_id: EntryId, printed: str) -> None:
    """Entry, commit and row each have their form."""
    assert str(given_id) == printed
    assert parse_id(printed) == given_id


@given(seq=NUMBERS, index=st.none() | NUMBERS, row=st.none() | NUMBERS, digest=st.binary(min_size=32, max_size=32))
def test_printed_is_parsed_back(seq: int, index: int | None, row: int | None, digest: bytes) -> None:
    """Every id survives printing."""
    made = entry_id(digest, seq, index, row)
    assert parse_id(str(made)) == made
    check(made.digits, digest)


@pytest.mark.parametrize("numbers", [(12,), (12, 3), (12, 0, 400)])
def test_people_may_leave_out_the_digits(numbers: tuple[int, ...]) -> None:
    """With them it is the printed id, without them the same place."""
    whole = entry_id(HASH, *numbers)
    assert parse_typed(str(whole)) == whole
    bare = ".".join(map(str, numbers))
    assert parse_typed(bare) == replace(whole, digits="")
    for text in (f"{bare}-", f"{bare}.", f"0{bare}", f"{bare}.1.2.3", ""):
        with pytest.raises(FormatError, match="id_malformed"):
            parse_typed(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "-0123abcd", "1-0123abc", "1-0123abcde", "1-0123ABCD", "01-0123abcd", "1.-0123abcd", "1.2.3.4-0123abcd",
        " 1-0123abcd", "1-0123abcd\n", "+1-0123abcd", "1.02-0123abcd", "18446744073709551616-0123abcd", "1_0-0123abcd",
        "١-0123abcd", "1.18446744073709551616-0123abcd",
    ],
)  # fmt: skip
def test_other_spellings_are_refused(text: str) -> None:
    """An id has one spelling."""
    with pytest.raises(FormatError) as caught:
        parse_id(text)
    assert caught.value.error == "id_malformed"


@given(st.text(alphabet="0123456789abcdef.-", max_size=40) | st.text(max_size=20))
def test_any_text_gives_an_id_or_the_error(text: str) -> None:
    """What parses prints the same; the rest raises `FormatError`."""
    try:
        parsed = parse_id(text)
    except FormatError:
        return
    assert str(parsed) == text


def test_digits_are_checked() -> None:
    """An id whose digits are of another entry is refused."""
    with pytest.raises(FormatError) as caught:
        check("0123abce", HASH)
    assert caught.value.error == "id_mismatch"
