"""Deterministic CBOR (RFC 8949 section 4.2.1), the subset that the format allows.

No indefinite lengths, no duplicate keys, no tags, nesting at most 16, no trailing bytes, 64-bit integers, finite
floats in their shortest form, simple values false, true and null.  A map has one type of key, text or unsigned
integer: with mixed keys the length-first order of `cbor2` would differ from the bytewise order of the RFC.  Where a
caller says `labels`, integer keys may be negative, as some of COSE and CWT are, as long as both orders are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any, Never

import cbor2

from recorder.core.errors import FormatError
from recorder.core.limits import INT64_MIN, MESSAGE_NESTING_MAX, NESTING_MAX, UINT64_MAX

Value = Any  # int, float, str, bytes, bool, None, list[Value], dict[str, Value] or dict[int, Value]

ERROR = "cbor_malformed"

# `cbor2.loads` ignores what follows the first item: with a second one behind it, that has to be ours.
_PAIR = b"\x82"
_END = b"\x43end"  # a byte string

_SMALL_HEADS = [[bytes((major << 5 | argument,)) for argument in range(24)] for major in range(8)]
_HEADS_2, _HEADS_4, _HEADS_8 = ([bytes((major << 5 | info,)) for major in range(8)] for info in (25, 26, 27))
_UINT32_MAX = 2**32 - 1

_PLAIN = frozenset({str, bytes, bool, type(None)})  # every value of these has a place in the format


def _refuse_tag(_decoder: object) -> Never:
    raise FormatError(ERROR, "a tag; the format has none here")


class _NoTags(dict[int, Callable[[object], Never]]):
    """Semantic decoders for `cbor2` that refuse every tag when it is met, before its content is decoded.

    Refusing them afterwards is too late: a few hundred bytes of shared references (tags 28, 29) decode to a value
    that takes years to walk, and a bigfloat (tag 5) of ten bytes asks for gigabytes.
    """

    def __missing__(self, tag: int) -> Callable[[object], Never]:
        return _refuse_tag


_NO_TAGS = _NoTags()


def check(value: Value, depth: int = NESTING_MAX, *, labels: bool = False) -> None:
    """Refuse what has no place in the format.

    Raises:
        FormatError: cbor_malformed, naming the first offending value.

    """
    # Exact types: bool is an int for Python, and a subclass may encode as something else.
    kind = type(value)
    if kind is list:
        _check_items(value, depth, labels=labels)
    elif kind is dict:
        if depth:
            _check_keys(value, labels=labels)
        _check_items(value.values(), depth, labels=labels)
    else:
        _check_items((value,), 1, labels=labels)


def _check_items(items: Iterable[Value], depth: int, *, labels: bool) -> None:
    if depth == 0:
        raise FormatError(
            ERROR, f"nested deeper than {NESTING_MAX} maps and arrays, or {MESSAGE_NESTING_MAX} in a message"
        )
    for item in items:
        kind = type(item)
        if kind in _PLAIN:
            continue
        if kind is float:
            if not isfinite(item):
                raise FormatError(ERROR, f"{item} is not a finite number")
        elif kind is int:
            if not INT64_MIN <= item <= UINT64_MAX:
                raise FormatError(ERROR, f"integer {item} does not fit 64 bits")
        elif kind is list or kind is dict:
            check(item, depth - 1, labels=labels)
        else:
            raise FormatError(ERROR, f"{kind.__name__} has no place in the format")


def _check_keys(value: dict[Any, Value], *, labels: bool) -> None:
    kinds = set(map(type, value))
    if kinds == {int}:
        if min(value) < (INT64_MIN if labels else 0) or max(value) > UINT64_MAX:
            raise FormatError(ERROR, f"integer keys {'' if labels else 'are unsigned and '}fit 64 bits")
        negative = [key for key in value if key < 0] if labels else []
        if negative and len(pack(max(value))) > len(pack(max(negative))):
            raise FormatError(ERROR, "a label whose place depends on the order: RFC 7049 and RFC 8949 differ")
    elif kinds and kinds != {str}:
        raise FormatError(ERROR, "the keys of a map are all text or all unsigned integers")


def encode(value: Value, *, labels: bool = False) -> bytes:
    """Encode a value that may come from a user; the only encoding of that value.

    Raises:
        FormatError: cbor_malformed, where the value has no place in the format.

    """
    check(value, labels=labels)
    return _encode(value, canonical=True)


def encode_as_given(value: Value) -> bytes:
    """Encode as `encode` does, maps in the order and floats of the width that they have: for messages.

    Raises:
        FormatError: cbor_malformed.

    """
    check(value, MESSAGE_NESTING_MAX)
    return _encode(value, canonical=False)


def _encode(value: Value, *, canonical: bool) -> bytes:
    try:
        return cbor2.dumps(value, canonical=canonical)
    except UnicodeEncodeError as error:  # a lone surrogate is a Python str but not text
        raise FormatError(ERROR, f"text that is not Unicode: {error}") from None


def pack(value: Value) -> bytes:
    """Encode a value that this project built itself or has checked already."""
    return cbor2.dumps(value, canonical=True)


def pack_ordered(value: Value) -> bytes:
    """Encode, in half the time of `pack`, a value without floats whose maps are in canonical order already."""
    return cbor2.dumps(value)


def head(major: int, argument: int) -> bytes:
    """Head of a data item (RFC 8949 section 3): 0 unsigned integer, 2 byte string, 4 array, 5 map, and argument."""
    if argument < 24:
        return _SMALL_HEADS[major][argument]
    if argument < 256:
        return bytes((major << 5 | 24, argument))
    if argument < 65_536:
        return _HEADS_2[major] + argument.to_bytes(2, "big")
    if argument <= _UINT32_MAX:
        return _HEADS_4[major] + argument.to_bytes(4, "big")
    return _HEADS_8[major] + argument.to_bytes(8, "big")


def byte_string(data: bytes) -> bytes:
    """A byte string of less than 4 GiB."""
    return head(2, len(data)) + data


def decode(data: bytes, *, labels: bool = False) -> Value:
    """Decode bytes that are the deterministic encoding of a value, or refuse them.

    Raises:
        FormatError: cbor_malformed.

    """
    value = load(data)
    check(value, labels=labels)
    if pack(value) != data:
        raise FormatError(ERROR, "not the deterministic encoding (RFC 8949 section 4.2.1), or bytes left over")
    return value


def load(data: bytes) -> Value:
    """Read bytes without asking for the deterministic encoding, nor yet for the format's types.

    It takes 3 µs of a header where `decode` takes 24: a verifier goes through a log in order with this one and leaves
    the comparison, which also finds bytes left over, to a job that another core runs.

    Raises:
        FormatError: cbor_malformed.

    """
    return _load(data, NESTING_MAX)


def load_message(data: bytes) -> Value:
    """As `load`, and refuse bytes that are left over: with what goes over a socket that is all there is to check.

    Raises:
        FormatError: cbor_malformed.

    """
    value, end = _load(_PAIR + data + _END, MESSAGE_NESTING_MAX + 1)
    if end != _END[1:]:
        raise FormatError(ERROR, "bytes left over")
    return value


def _load(data: bytes, depth: int) -> Value:
    try:
        return cbor2.loads(
            data,
            semantic_decoders=_NO_TAGS,
            max_depth=depth,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, MemoryError, LookupError) as error:
        raise FormatError(ERROR, str(error)) from None
