"""The text that notes, checkpoints, proofs and requests share: one spelling of each value."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import canonical
from recorder.core.errors import FormatError
from tests.core.refusals import perhaps


@given(st.text(max_size=12), st.binary(max_size=12))
def test_base64_and_decimals_are_canonical(text: str, value: bytes) -> None:
    """What is decoded is encoded to the same text, and numbers are written as Python writes them."""
    assert canonical.decode_base64(canonical.encode_base64(value), "some_error") == value
    with perhaps("some_error"):
        assert base64.b64encode(canonical.decode_base64(text, "some_error")).decode() == text
    with perhaps("some_error"):
        assert str(canonical.parse_decimal(text, "some_error")) == text


def test_decimals() -> None:
    """Sizes are ASCII digits without sign, space or leading zero, up to 2^63 - 1."""
    assert canonical.parse_decimal("0", "e") == 0
    assert canonical.parse_decimal(str(2**63 - 1), "e") == 2**63 - 1
    for text in ("", "00", "01", "-1", "+1", " 1", "1 ", "1\n", "1_0", "٣", "²", "1.0", "0x1", str(2**63), "9" * 5000):
        with pytest.raises(FormatError):
            canonical.parse_decimal(text, "e")
    for text in ("AA", "AA=", "AB==", "AA==\n", "A A=", "AA===", "====", "-_==", "AA==AA=="):
        with pytest.raises(FormatError):
            canonical.decode_base64(text, "e")
