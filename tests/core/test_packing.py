"""Maps and words that come again, encoded: the same bytes as another encoder's, however often they came before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import packing
from tests.core.shapes import naive_cbor, values


@given(st.one_of(values, st.lists(st.dictionaries(st.text("ab", max_size=3), values, max_size=4), max_size=3)))
def test_any_value(value: Any) -> None:
    """Maps within maps and lists of them, keys of text or numbers, and what else there is."""
    assert packing.packed(value) == naive_cbor(value)
    assert packing.packed(value) == naive_cbor(value), "and again, when its keys are known"


@pytest.mark.parametrize("length", [packing.WORD_MAX, packing.WORD_MAX + 1, packing.KEYS_MAX, packing.KEYS_MAX + 1])
def test_long_words_and_keys(length: int) -> None:
    """What is not likely to come again is not kept, and is encoded all the same."""
    value = {"a" * length: "b" * length, "": [1.5, {"z": -1, "é": True}]}
    packing._known_keys.cache_clear()
    assert packing.packed(value) == naive_cbor(value)
    kept = packing._known_keys.cache_info().currsize
    assert kept == (length <= packing.KEYS_MAX), "a hostile client cannot fill the memory with its keys"


def test_equal_values_of_other_types_are_others() -> None:
    """1, 1.0 and true are equal to Python, and not to the format."""
    assert [packing.packed({"a": one}) for one in (1, 1.0, True)] == [
        b"\xa1\x61a\x01", b"\xa1\x61a\xf9\x3c\x00", b"\xa1\x61a\xf5",
    ]  # fmt: skip
