"""Hypothesis strategies of valid values, headers of every kind and mutations of them, spelled apart from the code.

`naive_cbor` is a second encoder after RFC 8949 section 4.2.1 that shares nothing with the one under test.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from math import copysign
from typing import Any

from hypothesis import strategies as st

UINT64_MAX = 2**64 - 1


def naive_cbor(value: Any) -> bytes:
    """Deterministic CBOR, written for being read."""
    if value is None or isinstance(value, bool):
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
    if isinstance(value, int) and not -UINT64_MAX <= value <= UINT64_MAX:
        return naive_bignum(abs(value))
    if isinstance(value, int):
        return naive_head(0, value) if value >= 0 else naive_head(1, -1 - value)
    if isinstance(value, bytes):
        return naive_head(2, len(value)) + value
    if isinstance(value, str):
        return naive_head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return naive_head(4, len(value)) + b"".join(map(naive_cbor, value))
    if isinstance(value, dict):
        pairs = sorted((naive_cbor(key), naive_cbor(item)) for key, item in value.items())
        return naive_head(5, len(value)) + b"".join(key + item for key, item in pairs)
    assert isinstance(value, float)
    return next(_floats(value))


def naive_bignum(value: int) -> bytes:
    """Tag 2, which the format does not have: what a mutation may make of the greatest integer."""
    packed = value.to_bytes(-(-value.bit_length() // 8), "big")
    return b"\xc2" + naive_head(2, len(packed)) + packed


def naive_head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([major << 5 | argument])
    for extra, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 256**size:
            return bytes([major << 5 | extra]) + argument.to_bytes(size, "big")
    raise AssertionError(argument)


def _floats(value: float) -> Iterator[bytes]:
    for first, code in ((0xF9, ">e"), (0xFA, ">f"), (0xFB, ">d")):
        try:
            packed = struct.pack(code, value)
        except OverflowError:
            continue
        back = struct.unpack(code, packed)[0]
        if back == value and copysign(1, back) == copysign(1, value):
            yield bytes([first]) + packed


# --- Plain values

uints = st.one_of(
    st.integers(0, 30), st.integers(0, UINT64_MAX), st.sampled_from([23, 24, 255, 256, 2**32, UINT64_MAX])
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
_scalars = st.one_of(
    st.none(), st.booleans(), uints, st.integers(-(2**63), -1), st.floats(allow_nan=False, allow_infinity=False),
    texts, st.binary(max_size=20),
)  # fmt: skip
values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(texts, inner, max_size=4),
        st.dictionaries(uints, inner, max_size=4),
    ),
    max_leaves=8,
)
families = st.dictionaries(texts, values, max_size=5)

# --- Parts of a header

hashes = st.binary(min_size=32, max_size=32)
bytes16 = st.binary(min_size=16, max_size=16)
names = st.one_of(texts.filter(len), st.just("é" * 256))
reasons = st.one_of(texts.filter(len), st.just("\n" * 1024))
actuators = uints
clock = st.tuples(uints, uints, st.integers(1, UINT64_MAX), st.integers(0, 3), st.none() | uints).map(list)
axis = st.none() | st.tuples(uints, hashes).map(list)
shared = st.tuples(hashes, uints).map(list)
facts = st.tuples(hashes).map(list)
ranges = st.tuples(uints, uints).map(list)
witnesses = st.tuples(st.integers(1, UINT64_MAX), uints, names, hashes, st.lists(st.just(1), max_size=1)).map(
    lambda parts: [*parts[:4], *parts[4]]
)
bounds = st.tuples(
    uints,
    st.integers(1, UINT64_MAX),
    st.lists(actuators, min_size=1, max_size=3),
    st.lists(names, min_size=1, max_size=3),
).map(list)
refs = st.dictionaries(
    st.integers(1, 4),
    st.lists(
        st.tuples(st.none() | texts, uints, hashes, st.lists(uints, max_size=2)).map(lambda ref: [*ref[:3], *ref[3]]),
        min_size=1,
        max_size=2,
    ),
    min_size=1,
)
commits = st.one_of(
    st.tuples(actuators, hashes, hashes, uints, bytes16),
    st.tuples(actuators, hashes, st.integers(1, UINT64_MAX), hashes, hashes, hashes, ranges, bytes16),
).map(list)
scalars = st.sampled_from(
    ["<i1", "|i1", "<u1", "|u1", "|b1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"]
)
fields = st.tuples(st.text("abc_", min_size=1, max_size=64), scalars, st.integers(1, 8), texts).map(list)
schemas = st.lists(fields, min_size=1, max_size=5, unique_by=lambda field: field[0])

_boot = st.tuples(
    hashes,
    hashes,
    bytes16,
    st.none() | hashes,
    st.lists(st.tuples(names, uints, st.none() | hashes).map(list), max_size=2),
    st.sampled_from(["witness", "counter", None]),
    bytes16,
    st.lists(ranges, max_size=2),
)

# Kind: required keys, optional keys; key 12 is optional everywhere but in 6, keys 1 to 5 come by themselves.
_CONTROL: dict[int, st.SearchStrategy[Any]] = {
    1: _boot,
    2: st.tuples(reasons),
    3: st.tuples(hashes),
    6: facts,
    7: facts,
    8: facts,
    9: facts,
    12: st.tuples(st.lists(actuators, max_size=2), st.none() | uints, st.none() | ranges, reasons),
    13: st.tuples(uints, uints, names, st.none() | hashes),
    14: st.tuples(st.lists(uints, min_size=1, max_size=3), hashes),
    15: st.tuples(st.lists(ranges, min_size=1, max_size=2), st.none() | hashes, hashes),
    16: st.tuples(reasons, st.lists(values, max_size=3)),
    17: st.tuples(uints, uints, reasons),
    18: st.tuples(actuators),
    19: st.tuples(schemas),
    20: st.tuples(uints, uints, reasons),
    21: st.tuples(st.lists(bytes16, min_size=1, max_size=3)),
    22: st.tuples(uints, st.none() | uints, st.sampled_from(["add", "release"])),
    24: st.tuples(bytes16, st.none() | bytes16),
}
_BODY = {6: True, 7: True, 8: True, 9: False, 10: True, 11: True, 12: False, 15: False, 18: True, 22: True, 23: True}
_CONTROL_OPTIONAL = {7}
_INTENT = {4, 5, 24}
KINDS = [*range(1, 25), 0, 25, UINT64_MAX]  # the last three are unknown to this version


@st.composite
def headers(draw: st.DrawFn, kind: int) -> dict[int, Any]:
    """A valid header of this kind."""
    header = {1: 1, 2: kind, 3: draw(uints), 4: draw(hashes), 5: draw(clock)}
    if kind not in range(1, 25):
        return header | draw(_unknown)
    if kind in _BODY and (_BODY[kind] or draw(st.booleans())):
        header[11] = draw(hashes)
    if kind == 6 or draw(st.booleans()):
        header[12] = draw(refs)
    if kind in _CONTROL and (kind not in _CONTROL_OPTIONAL or draw(st.booleans())):
        header[15] = list(draw(_CONTROL[kind]))
    if kind in _INTENT:
        header |= draw(_intents(kind))
    if kind == 4 and draw(st.booleans()):
        header[18] = draw(witnesses)
    if kind == 5:
        acted = draw(st.none() | _acted())
        header |= acted or {}
        header[15] = [None if acted else draw(bytes16), draw(st.lists(reasons, min_size=1, max_size=2))]
    if kind == 4:
        header |= draw(_acted())
    if kind == 24:
        header[17] = draw(bounds)
    return header


@st.composite
def _acted(draw: st.DrawFn) -> dict[int, Any]:
    listed = draw(st.lists(commits, min_size=1, max_size=3))
    return {6: {commit[0]: draw(axis) for commit in listed}, 10: listed}


@st.composite
def _intents(draw: st.DrawFn, kind: int) -> dict[int, Any]:
    decision = 1 if kind == 5 else draw(st.sampled_from([0, 2, 3, 4, 5]))
    ungated = decision == 4 if kind == 4 else draw(st.booleans())
    policy = [None, None] if ungated else [draw(hashes), draw(axis)]
    return {
        7: policy, 8: draw(shared), 9: draw(shared), 13: [draw(names), draw(names)], 14: draw(st.integers(0, 4)),
        16: decision,
    }  # fmt: skip


_unknown = st.fixed_dictionaries(
    {},
    optional={
        7: st.tuples(hashes, axis).map(list), 8: shared, 9: shared, 11: hashes, 12: refs,
        13: st.tuples(names, names).map(list), 14: st.integers(0, 4), 15: values.filter(lambda value: value is not None),
        16: st.sampled_from([0, 2, 3, 4, 5]), 17: bounds, 18: witnesses,
    },
)  # fmt: skip

# --- Mutations

_junk: st.SearchStrategy[Any] = st.one_of(
    values,
    st.sampled_from(
        [None, True, False, 0, 1, -1, 1.0, 6, UINT64_MAX, "", "0", "x" * 257, "é" * 65, "x" * 1025, [], {}]
    ),
    st.sampled_from([bytes(count) for count in (0, 7, 15, 16, 17, 31, 32, 33)]),
)


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    """`value` with one place in it changed: something removed, added, cut, lengthened or replaced."""
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], draw(mutated(value[at])), *value[at + 1 :]]
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: draw(mutated(value[key]))}
    if isinstance(value, list) and draw(st.booleans()):
        at = draw(st.integers(0, len(value)))
        return draw(st.sampled_from([value[:at] + value[at + 1 :], value + value[at:], [*value, draw(_junk)]]))
    if isinstance(value, dict) and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(value)) if value else uints)
        rest = {name: item for name, item in value.items() if name != key}
        other = draw(st.integers(0, 20) if all(isinstance(name, int) for name in value) else texts)
        return draw(st.sampled_from([rest, {**value, other: draw(_junk)}, {**rest, other: value.get(key)}]))
    if isinstance(value, bytes) and draw(st.booleans()):
        return draw(st.sampled_from([value[1:], value + b"\0", value[:-1]]))
    if isinstance(value, int) and draw(st.booleans()):
        return draw(st.sampled_from([value - 1, value + 1, bool(value), float(value % 2**53)]))
    return draw(_junk)


@st.composite
def mangled(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with one byte changed, inserted or removed, cut short, or with a tail."""
    at = draw(st.integers(0, max(0, len(data) - 1)))
    byte = draw(st.binary(min_size=1, max_size=1))
    return draw(
        st.sampled_from(
            [
                data[:at] + byte + data[at + 1 :],
                data[:at] + byte + data[at:],
                data[:at] + data[at + 1 :],
                data[:at],
                data + byte,
            ]
        )
    )
