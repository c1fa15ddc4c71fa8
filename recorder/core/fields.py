"""A map in deterministic CBOR whose keys are the fields of a type: all of them, and no others."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from msgspec import ValidationError, convert

from recorder.core import cbor
from recorder.core.errors import FormatError

_Shape = TypeVar("_Shape", bound=NamedTuple)


def read_fields(data: bytes, shape: type[_Shape], error: str, what: str = "") -> _Shape:
    """Read it; `what` it is stands before each detail, as in "manifest: ".

    Raises:
        FormatError: `error`.

    """
    names = shape._fields
    try:
        value = cbor.decode(data)
    except FormatError as failure:
        raise FormatError(error, f"{what}{failure.detail}") from None
    if not isinstance(value, dict) or value.keys() != set(names):
        raise FormatError(error, f"{what}not a map of {', '.join(names)}")
    try:
        return convert([value[name] for name in names], shape, builtin_types=(bytes,))
    except ValidationError as failure:
        raise FormatError(error, f"{what}{failure}") from None
