"""Requests with wrong parts and wrong bytes."""

from __future__ import annotations

import random
from typing import Any

from recorder.core import cbor
from tests.claims import WHAT, WHO, WHY

ODD: list[Any] = [
    None, True, -1, 0, 1, 2**32, 2**63, 2**64 - 1, "", "arm", "x" * 300, b"", bytes(8), bytes(16), [], [[]], {}, {"a": 1}, {1: 2},
    1.5, -0.0, 1e300,
]  # fmt: skip


def requests(opened: Any) -> list[list[Any]]:
    """One request of every verb, against an open cycle."""
    arm = opened[5]["arm"]
    return [
        [1, 0, 1, None, "fuzz"],
        [2, 0, WHO, WHY, ["arm"], ["motion"], 5, 1000, None, None],
        [3, 0, opened[0], opened[1][:4].hex()],
        [4, 0, opened[0] + 1, "done"],
        [5, 0, "arm"],
        [6, 0, "arm", [["q", "<f4", 2, "rad"]], WHAT, {}],
        [7, 0, opened[0], None, arm, WHAT, {}, 5, None],
        [8, 0, opened[0], None, 0, bytes(16)],
        [9, 0, "emergency_stop", ["arm"], {}, {}, {}, {"reason": "x"}, 5],
        [10, 0, ["arm"], 1, [1, 2], "lost"],
        [11, 0, [bytes(16)]],
        [12, 0, 23, {"text": "x"}, None, None],
        [13, 0],
        [14, 0, 0, 1000],
        [15, 0],
        [16, 0],
        [17, 0],
    ]


def mutated(chance: random.Random, message: list[Any]) -> bytes:
    """A message with some parts replaced, or with some bytes changed."""
    changed = list(message)
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
        changed[chance.randrange(1, len(changed))] = chance.choice(ODD)
    if chance.random() < 0.1:
        changed.append(chance.choice(ODD))
    encoded = bytearray(cbor.pack(changed))
    if chance.random() < 0.2:
        for _ in range(chance.randrange(1, 4)):
            encoded[chance.randrange(len(encoded))] = chance.randrange(256)
    return bytes(encoded)
