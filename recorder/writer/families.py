"""Claim families as the writer stores them: at rest, with a fresh secret each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from recorder.core import cbor
from recorder.core.claims import NOTHING, at_rest, at_rest_whole, family_digest
from recorder.core.limits import SALT_BYTES

Randomness = Callable[[int], bytes]


class Family(NamedTuple):
    """A family's digest for the header and its claims for the store."""

    digest: bytes
    claims: bytes  # CBOR, at rest


def make(
    name: str,
    claims: dict[str, cbor.Value],
    randomness: Randomness,
    *,
    whole: bool = False,
    known: Mapping[str, bytes] = NOTHING,
) -> Family:
    """Salt and digest claims that `cbor.check` has passed; `whole` puts them under the only key "*".

    An empty family has nothing to salt and is `{}`.  `known` are values that are encoded already.
    """
    if not claims:
        return Family(family_digest(name, {}), b"\xa0")
    secret = randomness(SALT_BYTES)
    return Family(*(at_rest_whole(name, secret, claims) if whole else at_rest(name, secret, claims, known)))
