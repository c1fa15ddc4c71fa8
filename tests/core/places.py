"""One full header of each kind, and every header that differs from a given one in one place, at the edges of its type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

HASH, SIXTEEN, LARGE = b"\x11" * 32, b"\x22" * 16, 2**64 - 1

_PLACE: dict[int, Any] = {
    1: 1, 3: 9, 4: HASH, 5: [1, 2, 1, 3, 4],
    12: {1: [[None, 1, HASH, 2, 3], ["a/b/c", LARGE, HASH]], 4: [[None, 1, HASH, 2]]},
}  # fmt: skip
_INTENT: dict[int, Any] = {7: [HASH, [1, HASH]], 8: [HASH, 1], 9: [HASH, 2], 13: ["motion", "1y"], 14: 4, 16: 5}
_ACTED: dict[int, Any] = {
    6: {3: [1, HASH], LARGE: None},
    10: [[3, HASH, HASH, 5, SIXTEEN], [LARGE, HASH, 1, HASH, HASH, HASH, [6, 7], SIXTEEN]],
}
_BOUNDS: list[Any] = [1, 1, [0, LARGE], ["motion", "é" * 256]]
_WITNESSES: list[Any] = [1, 0, "any", HASH]
_BOOT = [HASH, HASH, SIXTEEN, HASH, [["a/b/c", 0, HASH], ["a/b/d", 1, None]], "witness", SIXTEEN, [[1, 2]]]

_REST: dict[int, dict[int, Any]] = {
    1: {15: _BOOT},
    2: {15: ["sigterm"]},
    3: {15: [HASH]},
    4: {**_INTENT, **_ACTED, 18: _WITNESSES},
    5: {**_INTENT, **_ACTED, 15: [None, ["late", "\n" * 1024]], 16: 1},
    6: {11: HASH, 15: [HASH]},
    7: {11: HASH, 15: [HASH]},
    8: {11: HASH, 15: [HASH]},
    9: {11: HASH, 15: [HASH]},
    10: {11: HASH},
    11: {11: HASH},
    12: {11: HASH, 15: [[1, 2], 0, [1, 2], "flood"]},
    13: {15: [0, 1, "1y", HASH]},
    14: {15: [[0, 1], HASH]},
    15: {11: HASH, 15: [[[0, 1], [3, 4]], HASH, HASH]},
    16: {15: ["sync", [1, None, {"a": 1.5}]]},
    17: {15: [0, 1, "done"]},
    18: {11: HASH, 15: [0]},
    19: {15: [[["a", "<f8", 1, "rad"], ["b" * 64, "|b1", 2, ""]]]},
    20: {15: [0, 1, "ntp"]},
    21: {15: [[SIXTEEN, bytes(16)]]},
    22: {11: HASH, 15: [0, 1, "release"]},
    23: {11: HASH},
    24: {**_INTENT, 15: [SIXTEEN, SIXTEEN], 17: _BOUNDS},
    0: {**_INTENT, **_ACTED, 11: HASH, 15: {"a": [1]}, 17: _BOUNDS, 18: _WITNESSES},
    25: {15: 1.5},
}
FULL = {kind: {**_PLACE, 2: kind, **rest} for kind, rest in _REST.items()}
OPENING = {**_PLACE, 2: 5, **_INTENT, 15: [SIXTEEN, ["late"]], 16: 1}  # refused: the other shape of a refusal
UNGATED = {**FULL[4], 7: [None, None], 16: 4}

_EDGES: dict[type, list[Any]] = {
    int: [None, True, -1, 0, 1, 2, 3, 4, 5, 6, 255, 4096, 4097, LARGE, 1.0, "1", b"\1", []],
    bytes: [
        None,
        b"",
        bytes(15),
        bytes(16),
        bytes(17),
        bytes(31),
        bytes(32),
        bytes(33),
        "x" * 32,
        "x" * 16,
        0,
        [0] * 32,
    ],
    str: [
        None,
        "",
        "x",
        "x" * 64,
        "x" * 65,
        "é" * 256,
        "é" * 257,
        "\n" * 1024,
        "\n" * 1025,
        b"x",
        0,
        ["x"],
        "add",
        "counter",
        "<f4",
    ],
    list: [None, [], {}, 0, [None], [[]], [0], b"", True],
    dict: [None, [], {}, 0, {1: None}, {"a": 1}],
    float: [None, 0, "x", True],
    type(None): [False, 0, "", b"", bytes(16), bytes(32), [], [0, bytes(32)], {}],
}


def neighbours(value: Any) -> Iterator[Any]:
    """Every value that differs from this one in one place."""
    yield from _EDGES[type(value)]
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield value[:at] + value[at + 1 :]
            yield [*value[:at], item, *value[at:]]
            yield from ([*value[:at], other, *value[at + 1 :]] for other in neighbours(item))
        yield from ([*value, more] for more in (0, None, "x"))
    elif isinstance(value, dict):
        for key, item in value.items():
            rest = {name: kept for name, kept in value.items() if name != key}
            yield rest
            yield from ({**value, key: other} for other in neighbours(item))
            yield from ({**rest, other: item} for other in (0, 5, 19, LARGE) if not isinstance(key, str))
        for more in set(range(20)) - value.keys():
            yield from ({**value, more: other} for other in (HASH, 0, [HASH]))
