"""Deterministic CBOR of what comes again and again: the same words, and maps with the same keys.

The bytes are those of `cbor.pack`, which sorts the keys of each map anew; here the same few words and key sets are
encoded once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from recorder.core import cbor

WORD_MAX = 32  # characters of a word that is likely to come again
KEYS_MAX = 512  # characters of all keys of a map that is likely to come again


class Keys(NamedTuple):
    """What is known of a map by its keys, which are text."""

    head: bytes
    ordered: list[tuple[bytes, str]]  # encoded, in canonical order, which is that of their encodings


@lru_cache(maxsize=4096)
def _word(word: str) -> bytes:
    return cbor.pack(word)


def _keys(keys: tuple[str, ...]) -> Keys:
    return Keys(cbor.head(5, len(keys)), sorted((packed(key), key) for key in keys))


_known_keys = lru_cache(maxsize=256)(_keys)  # a controller sends the same keys again and again


def keys_of(keys: tuple[str, ...]) -> Keys:
    """Encode the keys of a map."""
    return (_known_keys if sum(map(len, keys)) <= KEYS_MAX else _keys)(keys)


def packed(value: cbor.Value) -> bytes:
    """As `cbor.pack`: encode a value that this project built itself or has checked already."""
    kind = type(value)
    if kind is str:
        return _word(value) if len(value) <= WORD_MAX else cbor.pack(value)
    if value is None:
        return b"\xf6"
    if kind is int and value >= 0:
        return cbor.head(0, value)
    if kind is dict and value and type(next(iter(value))) is str:
        head, ordered = keys_of(tuple(value))
        return head + b"".join([key + packed(value[name]) for key, name in ordered])
    if kind is list and value and type(value[0]) is dict:
        return cbor.head(4, len(value)) + b"".join(map(packed, value))
    return cbor.pack(value)
