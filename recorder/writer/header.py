"""Headers packed piece by piece: the same bytes as `cbor.pack` of the whole map, in half the time.

Most of a header comes again with every commit of a cycle, so it is packed once (`pack_fields`); numbers and hashes are
put together without building a list for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from recorder.core import cbor
from recorder.core.header import VERSION
from recorder.core.kinds import Axis, Commit, Time, Witnesses

COMMITS_KEY = 10
_VERSION_AND_KIND = b"\x01" + cbor.pack(VERSION) + b"\x02"
_PREV = b"\x04\x58\x20"  # key 4, a 32-byte string
_HASH = b"\x58\x20"
_NULL = b"\xf6"
NO_BUNDLE = b"\x82" + _NULL + _NULL  # key 7 of an actuation without a cycle


class Fields(NamedTuple):
    """Header keys from 8 on, but for the commits (key 10) that stand between them."""

    number: int
    before: bytes  # key 8, 9
    after: bytes  # key 11 to 18


def pack_fields(fields: Mapping[int, Any]) -> Fields:
    """Pack values that have been checked, by header key."""
    before: list[bytes] = []
    after: list[bytes] = []
    for key in sorted(fields):
        (before if key < COMMITS_KEY else after).append(cbor.head(0, key) + cbor.pack(fields[key]))
    return Fields(len(fields), b"".join(before), b"".join(after))


@lru_cache(maxsize=256)
def fields_of_commits(
    who: tuple[bytes, int], why: tuple[bytes, int], action_class: str, retention: str, stage: int, decision: int
) -> Fields:
    """What the commits of one cycle, class and decision have in common, packed once for all of them."""
    return pack_fields({8: list(who), 9: list(why), 13: [action_class, retention], 14: stage, 16: decision})


def with_witnesses(fields: Fields, asked: Witnesses) -> Fields:
    """Fields with key 18, which stands behind all others."""
    return Fields(
        fields.number + 1,
        fields.before,
        fields.after + b"\x12" + cbor.pack(list(asked) if asked.before else list(asked[:4])),
    )


def pack_commit(commit: Commit) -> bytes:
    """An element of key 10."""
    actuator, what, where, at_mono_ns, request = commit
    return b"".join(
        (b"\x85", cbor.head(0, actuator), _HASH, what, _HASH, where, cbor.head(0, at_mono_ns), b"\x50", request)
    )


def pack_time(time: Time) -> bytes:
    """Key 5."""
    return b"\x05" + cbor.pack_ordered(list(time))


def pack_axis(axis: Axis | None) -> bytes:
    """A place on an axis, or null at its start."""
    return _NULL if axis is None else b"\x82" + cbor.head(0, axis.seq) + _HASH + axis.hash


def pack_actuator_axis(axes: Mapping[int, Axis | None]) -> bytes:
    """Value of key 6."""
    parts = [cbor.head(0, actuator) + pack_axis(axes[actuator]) for actuator in sorted(axes)]
    return cbor.head(5, len(parts)) + b"".join(parts)


def pack_policy_axis(bundle: bytes, axis: Axis | None) -> bytes:
    """Value of key 7."""
    return b"\x82" + _HASH + bundle + pack_axis(axis)


def pack_header(
    kind: int,
    seq: int,
    prev: bytes,
    time: bytes,
    actuator_axis: bytes | None,
    policy_axis: bytes | None,
    fields: Fields,
    commits: Sequence[bytes],
) -> bytes:
    """Put a header together.

    Args:
        kind: key 2.
        seq: key 3.
        prev: key 4, 32 bytes.
        time: `pack_time`.
        actuator_axis: `pack_actuator_axis`, or None.
        policy_axis: `pack_policy_axis`, `NO_BUNDLE`, or None.
        fields: the rest.
        commits: `pack_commit` of each, or none.

    """
    number = 5 + (actuator_axis is not None) + (policy_axis is not None) + fields.number + bool(commits)
    parts = [
        cbor.head(5, number), _VERSION_AND_KIND, cbor.head(0, kind), b"\x03", cbor.head(0, seq), _PREV, prev, time,
    ]  # fmt: skip
    if actuator_axis is not None:
        parts += (b"\x06", actuator_axis)
    if policy_axis is not None:
        parts += (b"\x07", policy_axis)
    parts.append(fields.before)
    if commits:
        parts += (b"\x0a", cbor.head(4, len(commits)), *commits)
    parts.append(fields.after)
    return b"".join(parts)
