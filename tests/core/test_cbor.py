"""Deterministic CBOR: known answers, a second encoder, and whatever bytes may come."""

from __future__ import annotations

import math
from typing import Any

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recorder.core import cbor
from recorder.core.errors import FormatError
from tests.core.shapes import mangled, naive_cbor, naive_head, values

# RFC 8949 appendix A, what the format allows.
KNOWN: list[tuple[str, Any]] = [
    ("00", 0), ("01", 1), ("0a", 10), ("17", 23), ("1818", 24), ("1819", 25), ("1864", 100), ("1903e8", 1000),
    ("1a000f4240", 1000000), ("1b000000e8d4a51000", 1000000000000), ("1bffffffffffffffff", 18446744073709551615),
    ("20", -1), ("29", -10), ("3863", -100), ("3903e7", -1000), ("f90000", 0.0), ("f98000", -0.0), ("f93c00", 1.0),
    ("fb3ff199999999999a", 1.1), ("f93e00", 1.5), ("f97bff", 65504.0), ("fa47c35000", 100000.0),
    ("fa7f7fffff", 3.4028234663852886e38), ("fb7e37e43c8800759c", 1.0e300), ("f90001", 5.960464477539063e-8),
    ("f90400", 0.00006103515625), ("f9c400", -4.0), ("fbc010666666666666", -4.1), ("f4", False), ("f5", True),
    ("f6", None), ("40", b""), ("4401020304", b"\1\2\3\4"), ("60", ""), ("6161", "a"), ("6449455446", "IETF"),
    ("62225c", '"\\'), ("62c3bc", "\u00fc"), ("63e6b0b4", "\u6c34"), ("64f0908591", "\U00010151"), ("80", []),
    ("83010203", [1, 2, 3]), ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("98190102030405060708090a0b0c0d0e0f101112131415161718181819", list(range(1, 26))), ("a0", {}),
    ("a201020304", {1: 2, 3: 4}), ("a26161016162820203", {"a": 1, "b": [2, 3]}), ("826161a161626163", ["a", {"b": "c"}]),
    ("a56161614161626142616361436164614461656145", {"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"}),
]  # fmt: skip

# RFC 8949 appendix A, what the format has no place for.
NOT_OURS = [
    "c249010000000000000000",
    "3bffffffffffffffff",
    "c349010000000000000000",
    "f97c00",
    "f97e00",
    "f9fc00",
    "fa7f800000",
    "fa7fc00000",
    "faff800000",
    "fb7ff0000000000000",
    "fb7ff8000000000000",
    "fbfff0000000000000",
    "f7",
    "f0",
    "f8ff",
    "c074323031332d30332d32315432303a30343a30305a",
    "c11a514b67b0",
    "c1fb41d452d9e8200000",
    "d74401020304",
    "d818456449455446",
    "d82076687474703a2f2f7777772e6578616d706c652e636f6d",
    "5f42010243030405ff",
    "7f657374726561646d696e67ff",
    "9fff",
    "9f018202039f0405ffff",
    "9f01820203820405ff",
    "83018202039f0405ff",
    "83019f0203ff820405",
    "bf61610161629f0203ffff",
    "826161bf61626163ff",
    "bf6346756ef563416d7421ff",
]

HAZARDS = {
    "empty": "",
    "non-minimal integer": "1817",
    "non-minimal negative": "3800",
    "non-minimal length of bytes": "580100",
    "non-minimal length of text": "780161",
    "non-minimal length of list": "980100",
    "non-minimal length of map": "b8010000",
    "non-minimal float": "fa3f800000",
    "non-minimal double": "fb3ff8000000000000",
    "minus nine quintillion less one": "3b8000000000000000",
    "array of 2^64-1": "9bffffffffffffffff",
    "map of 2^64-1": "bbffffffffffffffff",
    "bytes of 2^64-1": "5bffffffffffffffff",
    "text of 2^64-1": "7bffffffffffffffff",
    "bytes of 1 GiB, absent": "5a40000000",
    "list of a billion, absent": "9a3b9aca00",
    "duplicate text keys": "a2616101616102",
    "duplicate integer keys": "a201010102",
    "keys out of order": "a2616201616102",
    "integer keys out of order": "a202010102",
    "mixed keys": "a20101616101",
    "negative key": "a12001",
    "boolean key": "a1f501",
    "null key": "a1f601",
    "bytes key": "a1414101",
    "float key": "a1f93c0001",
    "list key": "a18001",
    "map key": "a1a001",
    "true beside 1 as keys": "a20101f501",
    "invalid UTF-8": "62c328",
    "overlong UTF-8": "62c0af",
    "surrogate in UTF-8": "63eda080",
    "half a character": "61c3",
    "break alone": "ff",
    "reserved additional": "1c",
    "simple value in two bytes": "f818",
    "bignum that would fit": "c24101",
    "self-described": "d9d9f700",
    "shared value": "d81c80",
    "shared reference without value": "d81d00",
    "list that holds itself": "d81c81d81d00",
    "string reference": "d90100826161d81900",
    "regular expression": "d823612b",
    "set": "d9010280",
    "bigfloat of 2^(2^40)": "c5821b000001000000000003",
    "decimal of 10^(2^62)": "c4821b400000000000000003",
    "rational over zero": "d81e820100",
    "unknown tag": "daffffffff00",
    "two values": "0000",
    "value and a break": "00ff",
}


def laughs(levels: int, width: int) -> bytes:
    """Shared references (tags 28 and 29), each level naming the one before `width` times: width^levels on walking."""
    parts = [naive_head(4, levels)]
    for level in range(levels):
        inner = b"\x00" if level == 0 else b"\xd8\x1d" + naive_head(0, level - 1)
        parts += [b"\xd8\x1c", naive_head(4, width), inner * width]
    return b"".join(parts)


def refused(data: bytes) -> FormatError:
    with pytest.raises(FormatError) as caught:
        cbor.decode(data)
    assert caught.value.error == "cbor_malformed"
    return caught.value


@pytest.mark.parametrize(("encoded", "value"), KNOWN)
def test_known_answer(encoded: str, value: Any) -> None:
    """The examples of RFC 8949 appendix A that the format allows read and write as printed there."""
    decoded = cbor.decode(bytes.fromhex(encoded))
    assert decoded == value
    assert type(decoded) is type(value)
    assert cbor.encode(value).hex() == encoded
    assert naive_cbor(value).hex() == encoded
    if isinstance(value, float):
        assert math.copysign(1, decoded) == math.copysign(1, value)


@pytest.mark.parametrize("encoded", NOT_OURS)
def test_rfc_examples_outside_the_subset(encoded: str) -> None:
    """Tags, bignums, infinities, NaN, undefined, simple values and indefinite lengths are refused."""
    refused(bytes.fromhex(encoded))


@pytest.mark.parametrize("name", HAZARDS)
@pytest.mark.timeout(10)
def test_hazard(name: str) -> None:
    """What cbor2 would accept, raise oddly on or choke on is refused at once, alone and inside a list."""
    data = bytes.fromhex(HAZARDS[name])
    refused(data)
    refused(b"\x81" + data)


@pytest.mark.timeout(10)
def test_shared_references_cost_nothing() -> None:
    """A few hundred bytes that unfold to 250^15 values are refused at the first tag."""
    refused(laughs(15, 250))


def test_nesting_ends_at_sixteen() -> None:
    """Sixteen containers within each other are allowed, seventeen are not, either way and of either kind."""
    for opened in (b"\x81", b"\xa1\x00", b"\xa1\x60"):
        assert cbor.encode(cbor.decode(opened * 15 + b"\x80")) == opened * 15 + b"\x80"
        assert cbor.encode(cbor.decode(opened * 16 + b"\x00")) == opened * 16 + b"\x00"
        for inner in (b"\x80", b"\xa0", opened + b"\x00"):
            refused(opened * 16 + inner)
        refused(opened * 100_000 + b"\x00")
    value: list[Any] = []
    for _ in range(16):
        value = [value]
    with pytest.raises(FormatError):
        cbor.encode(value)
    value.append(value)
    with pytest.raises(FormatError):
        cbor.encode(value)


class Number(int):
    """An integer that could encode as something else."""


@pytest.mark.parametrize(
    "value",
    [
        math.nan, math.inf, -math.inf, 2**64, -(2**63) - 1, "\ud800", ["\udfff"], {"\ud800": 1}, {1: "\udc00"}, (1, 2), {1},
        frozenset(), object(), bytearray(b"x"), memoryview(b"x"), 1j, Number(1), [Number(1)], {Number(1): 1}, {True: 1},
        {None: 1}, {1: 1, "a": 2}, {-1: 1}, {2**64: 1}, {1.0: 1}, {b"a": 1}, {(1,): 1}, cbor2.CBORTag(18, 1),
        cbor2.undefined, cbor2.CBORSimpleValue(1), range(3),
    ],
)  # fmt: skip
def test_encode_refuses(value: Any) -> None:
    """What a user hands in is encoded only if it would be read back as the same value."""
    for wrapped in (value, [value], {"a": value}, {1: [value]}):
        with pytest.raises(FormatError):
            cbor.encode(wrapped)


@given(values)
def test_encoding_is_the_only_one(value: Any) -> None:
    """A value reads back as itself and is encoded as a second implementation encodes it."""
    data = cbor.encode(value)
    assert data == naive_cbor(value) == cbor.pack(value)
    assert naive_cbor(cbor.decode(data)) == data
    refused(data + b"\x00")
    for cut in range(len(data)):
        refused(data[:cut])


@given(st.one_of(st.binary(max_size=64), values.map(naive_cbor).flatmap(mangled)))
@example(b"\xa2\x01\x00\xf5\x00")
def test_any_bytes(data: bytes) -> None:
    """Arbitrary bytes are refused as malformed, or are the encoding of a value and nothing but that."""
    try:
        value = cbor.decode(data)
    except FormatError as error:
        assert error.error == "cbor_malformed"
    else:
        assert naive_cbor(value) == cbor.encode(value) == data


@given(
    st.lists(
        st.sampled_from([bytes([n]) for n in range(256)] + [b"\xd8\x1c", b"\xd8\x1d", b"\xc2\x41", b"\xfb"]),
        max_size=30,
    )
)
def test_any_heads(parts: list[bytes]) -> None:
    """The same for bytes that are mostly heads of something."""
    test_any_bytes.hypothesis.inner_test(b"".join(parts))  # type: ignore[attr-defined]


labels = (
    st.integers(-(2**63), 2**64 - 1) | st.integers(-30, 30) | st.sampled_from([-24, -25, -256, -257, -70001, 23, 24])
)


@given(st.dictionaries(labels, st.none() | st.dictionaries(labels, st.none(), max_size=2), max_size=4))
def test_labels(value: dict[int, Any]) -> None:
    """Negative keys are taken where labels are asked for and nowhere else, and only in maps that have one order by both RFCs."""
    data = naive_cbor(value)  # in the order of RFC 8949
    maps = [value, *(inner for inner in value.values() if inner is not None)]
    older = [sorted(item, key=lambda key: (len(naive_cbor(key)), naive_cbor(key))) for item in maps]
    newer = [sorted(item, key=naive_cbor) for item in maps]
    if older == newer:
        assert cbor.decode(data, labels=True) == value
        assert cbor.encode(value, labels=True) == data
    else:
        with pytest.raises(FormatError, match="whose place depends on the order"):
            cbor.decode(data, labels=True)
        with pytest.raises(FormatError, match="whose place depends on the order"):
            cbor.encode(value, labels=True)
    if any(key < 0 for item in maps for key in item):
        refused(data)
        with pytest.raises(FormatError, match="unsigned"):
            cbor.encode(value)


def test_labels_of_other_types() -> None:
    """Where labels are permitted, all else is refused as ever."""
    for value in ({-1: 1, "a": 2}, {-(2**63) - 1: 1}, {2**64: 1}, {True: 1}, {b"a": 1}):
        with pytest.raises(FormatError):
            cbor.encode(value, labels=True)
