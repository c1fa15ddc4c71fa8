"""Deterministic CBOR (RFC 8949 section 4.2.1), the subset that the format allows.

No indefinite lengths, no duplicate keys, no tags, nesting at most 16, no trailing bytes, 64-bit integers, finite
floats in their shortest form, simple values false, true and null.  A map has one type of key, text or unsigned
integer: with mixed keys the length-first order of `cbor2` would differ from the bytewise order of the RFC.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, Never

import cbor2

from recorder.core.errors import FormatError
from recorder.core.limits import INT64_MIN, NESTING_MAX, UINT64_MAX

Value = Any  # int, float, str, bytes, bool, None, list[Value], dict[str, Value] or dict[int, Value]

ERROR = "cbor_malformed"

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


def check(value: Value, depth: int = NESTING_MAX) -> None:
    """Refuse what has no place in the format.

    Raises:
        FormatError: cbor_malformed, naming the first offending value.

    """
    # Exact types: bool is an int for Python, and a subclass may encode as something else.
    kind = type(value)
    if kind in _PLAIN:
        return
    if kind is int:
        if not INT64_MIN <= value <= UINT64_MAX:
            raise FormatError(ERROR, f"integer {value} does not fit 64 bits")
    elif kind is float:
        if not isfinite(value):
            raise FormatError(ERROR, f"{value} is not a finite number")
    elif kind is list:
        if depth == 0:
            raise FormatError(ERROR, f"nested deeper than {NESTING_MAX}")
        for item in value:
            if type(item) not in _PLAIN:  # spares most of the calls
                check(item, depth - 1)
    elif kind is dict:
        if depth == 0:
            raise FormatError(ERROR, f"nested deeper than {NESTING_MAX}")
        _check_keys(value)
        for item in value.values():
            if type(item) not in _PLAIN:
                check(item, depth - 1)
    else:
        raise FormatError(ERROR, f"{kind.__name__} has no place in the format")


def _check_keys(value: dict[Any, Value]) -> None:
    kinds = {type(key) for key in value}
    if kinds == {int}:
        if min(value) < 0 or max(value) > UINT64_MAX:
            raise FormatError(ERROR, "integer keys are unsigned and fit 64 bits")
    elif kinds and kinds != {str}:
        raise FormatError(ERROR, "the keys of a map are all text or all unsigned integers")


def encode(value: Value) -> bytes:
    """Encode a value that may come from a user; the only encoding of that value.

    Raises:
        FormatError: cbor_malformed, where the value has no place in the format.

    """
    check(value)
    try:
        return pack(value)
    except UnicodeEncodeError as error:  # a lone surrogate is a Python str but not text
        raise FormatError(ERROR, f"text that is not Unicode: {error}") from None


def pack(value: Value) -> bytes:
    """Encode a value that this project built itself or has checked already."""
    return cbor2.dumps(value, canonical=True)


def pack_ordered(value: Value) -> bytes:
    """Encode, in half the time of `pack`, a value without floats whose maps are in canonical order already."""
    return cbor2.dumps(value)


def head(major: int, argument: int) -> bytes:
    """Head of a data item (RFC 8949 section 3): 2 byte string, 4 array, 5 map, with their length."""
    if argument < 24:
        return bytes((major << 5 | argument,))
    if argument < 256:
        return bytes((major << 5 | 24, argument))
    if argument < 65_536:
        return bytes((major << 5 | 25,)) + argument.to_bytes(2, "big")
    return bytes((major << 5 | 26,)) + argument.to_bytes(4, "big")


def byte_string(data: bytes) -> bytes:
    """A byte string of less than 4 GiB."""
    return head(2, len(data)) + data


def decode(data: bytes) -> Value:
    """Decode bytes that are the deterministic encoding of a value, or refuse them.

    Raises:
        FormatError: cbor_malformed.

    """
    value = load(data)
    check(value)
    if pack(value) != data:
        raise FormatError(ERROR, "not the deterministic encoding (RFC 8949 section 4.2.1), or bytes left over")
    return value


def load(data: bytes) -> Value:
    """Read bytes of which `decode` has the last word elsewhere: neither deterministic nor of the format's types yet.

    It takes 3 µs of a header where `decode` takes 24: a verifier goes through a log in order with this one and leaves
    the comparison to a job that another core runs.

    Raises:
        FormatError: cbor_malformed.

    """
    try:
        return cbor2.loads(
            data,
            semantic_decoders=_NO_TAGS,
            max_depth=NESTING_MAX,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, MemoryError, LookupError) as error:
        raise FormatError(ERROR, str(error)) from None
