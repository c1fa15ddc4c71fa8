"""The vectors of observations: bytes, the key that a reader holds them against, what they say, and the error."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from recorder.core import cbor, observation, sign1
from recorder.core.errors import FormatError
from recorder.core.observation import Observation
from tests.credential_builder import BEGIN_S, NS, signer
from tests.vectors.credentials import ANN

OBSERVER = "lidar of arm-7"
NEAREST = Observation(
    name="lidar.nearest_m",
    value=2.4,
    unit="m",
    frame="base",
    at_utc_ns=BEGIN_S * NS + 1,
    at_mono_ns=60 * NS,
    sequence=17,
    subject="pallet 12",
    credential=ANN.hash,
)
BARE = NEAREST._replace(unit=None, frame=None, at_mono_ns=None, subject=None, credential=None)


def made(said: Observation = NEAREST, by: str = OBSERVER) -> bytes:
    """An observation signed by the key of this name."""
    return observation.make(said, signer(by))


def number() -> bytes:
    """A distance to a named thing, under a credential."""
    return made()


def truth() -> bytes:
    """Whether a gate is shut; all that may be null is null."""
    return made(BARE._replace(name="gate.is_shut", value=True))


def text() -> bytes:
    """What a plate says."""
    return made(BARE._replace(name="plate", value="HH-É 17"))


def numbers() -> bytes:
    """A position, integers among floats."""
    return made(NEAREST._replace(name="position_m", value=[1, -0.5, 2**60]))


def nothing() -> bytes:
    """An empty list: looked, and found nothing."""
    return made(BARE._replace(name="obstacles_m", value=[]))


VALID = [number, truth, text, numbers, nothing]


def observation_malformed() -> bytes:
    """A list with a truth among its numbers, signed all the same."""
    payload = cbor.encode({**NEAREST._asdict(), "value": [1, True]})
    return sign1.sign(signer(OBSERVER), sign1.OBSERVATION, payload)


def observation_signature() -> bytes:
    """Another key signed it, under the kid of the right one."""
    return made()[:-64] + made(by="mallory")[-64:]


BROKEN = [observation_malformed, observation_signature]


def _described(build: Callable[[], bytes], error: str | None) -> dict[str, Any]:
    raw = build()
    try:
        says = observation.read(raw).says._asdict()
    except FormatError:
        says = None
    return {
        "name": build.__name__,
        "description": " ".join((build.__doc__ or "").split()),
        "key": signer(OBSERVER).public_key.hex(),
        "bytes": raw.hex(),
        "hash": sha256(raw).hexdigest(),
        "says": says and {part: value.hex() if isinstance(value, bytes) else value for part, value in says.items()},
        "expected": {"error": error},
    }


def vectors() -> dict[str, dict[str, Any]]:
    """Every vector by its path."""
    found = {f"observation/{build.__name__}.json": _described(build, None) for build in VALID}
    return found | {f"observation/broken/{build.__name__}.json": _described(build, build.__name__) for build in BROKEN}
