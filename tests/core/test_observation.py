"""Observations: one spelling, every byte counts, every vector is read or refused as it says."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import PurePath
from typing import Any

import pytest

from recorder.core import observation, sign1
from recorder.core.errors import FormatError, Misuse
from recorder.core.findings import FINDINGS
from recorder.core.sign1 import OBSERVATION
from tests.core.shapes import naive_cbor
from tests.credential_builder import signer
from tests.vectors.make_vectors import on_disk
from tests.vectors.observations import BARE, NEAREST, OBSERVER, made

KEY = signer(OBSERVER).public_key
HELD = {path: json.loads(text) for path, text in on_disk().items() if path.startswith("observation/")}


def spelled() -> dict[str, Any]:
    """An observation's payload, after FORMAT.md section 6."""
    return {
        "name": "lidar.nearest_m", "value": 2.4, "unit": "m", "frame": "base", "at_utc_ns": 1_760_000_000_000_000_001,
        "at_mono_ns": 60_000_000_000, "sequence": 17, "subject": "pallet 12", "credential": NEAREST.credential,
    }  # fmt: skip


def read(raw: bytes) -> observation.Observed:
    """As whoever relies on it: read, and held against the observer's key."""
    observed = observation.read(raw)
    observation.verify(observed, KEY)
    return observed


def test_spelled_to_the_byte() -> None:
    """An observation is the map that the format says, encoded by another encoder, under a label of its own."""
    assert sign1.sign(signer(OBSERVER), OBSERVATION, naive_cbor(spelled())) == made()
    assert read(made()).says == NEAREST
    assert read(made()).signed.hash == sha256(made()).digest()


def test_every_byte_counts() -> None:
    """With any bit of any byte flipped, or any of its end cut off, an observation is refused or its signature does not hold."""
    raw = made()
    for at in range(len(raw)):
        for bit in range(8):
            with pytest.raises(FormatError, match=r"^observation_"):
                read(raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :])
        with pytest.raises(FormatError, match=r"^observation_malformed"):
            read(raw[:at])


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        ({"name": ""}, "length >= 1"),
        ({"name": "x" * 257}, "length <= 256"),
        ({"value": None}, "got `null`"),
        ({"value": b"raw"}, "got `bytes`"),
        ({"value": [1, True]}, "got `bool`"),
        ({"value": ["a"]}, "got `str`"),
        ({"value": [[1.0]]}, "got `array`"),
        ({"value": {"x": 1}}, "got `object`"),
        ({"unit": ""}, "length >= 1"),
        ({"unit": "x" * 65}, "length <= 64"),
        ({"frame": ""}, "length >= 1"),
        ({"at_utc_ns": None}, "got `null`"),
        ({"at_utc_ns": 1.0}, "got `float`"),
        ({"at_mono_ns": -1}, ">= 0"),
        ({"sequence": True}, "got `bool`"),
        ({"sequence": -1}, ">= 0"),
        ({"subject": ""}, "length >= 1"),
        ({"credential": bytes(31)}, "length >= 32"),
        ({"credential": "ann"}, "got `str`"),
        ({"quality": 1}, "not a map of name, value"),
    ],
)
def test_what_is_no_observation(changed: dict[str, Any], detail: str) -> None:
    """A key more, of another type or beyond its range is refused, whoever signed it."""
    with pytest.raises(FormatError) as caught:
        observation.read(sign1.sign(signer(OBSERVER), OBSERVATION, naive_cbor({**spelled(), **changed})))
    assert caught.value.error == "observation_malformed"
    assert detail in caught.value.detail


@pytest.mark.parametrize("key", sorted(spelled()))
def test_a_key_that_is_missing(key: str) -> None:
    """Every key has to be there; null stands where there is nothing to say."""
    less = {part: value for part, value in spelled().items() if part != key}
    with pytest.raises(FormatError, match="observation_malformed: not a map of name, value"):
        observation.read(sign1.sign(signer(OBSERVER), OBSERVATION, naive_cbor(less)))


def test_what_readers_refuse_is_not_made() -> None:
    """What could not be read again is refused before it is signed."""
    for wrong in ({"value": float("nan")}, {"value": None}, {"name": ""}, {"sequence": -1}, {"subject": "\ud800"}):
        with pytest.raises(FormatError, match=r"^observation_malformed"):
            made(NEAREST._replace(**wrong))
    with pytest.raises(Misuse, match=r"an observation of .* bytes is over 8192"):
        made(NEAREST._replace(value=[0.1] * 1000))


def test_another_signer() -> None:
    """The key is compared, not looked up: under any other one the observation does not hold."""
    observed = observation.read(made(BARE, by="mallory"))
    for key in (KEY, b"", KEY[:31]):
        with pytest.raises(FormatError, match=r"observation_signature: lidar.nearest_m, sequence 17"):
            observation.verify(observed, key)
    observation.verify(observed, signer("mallory").public_key)


def test_every_error_of_observations_has_a_vector() -> None:
    """A named error without a vector would be a claim nobody checked."""
    named = {name for name in FINDINGS if name.startswith("observation_")} - {"observation_digest", "observation_entry"}
    assert named == {PurePath(path).stem for path in HELD if path.startswith("observation/broken/")}


@pytest.mark.parametrize("path", sorted(HELD))
def test_vector(path: str) -> None:
    """A vector is read as the values beside it, or refused under the name that it says."""
    vector = HELD[path]
    raw, key = bytes.fromhex(vector["bytes"]), bytes.fromhex(vector["key"])
    assert sha256(raw).hexdigest() == vector["hash"]
    if vector["expected"]["error"] is None:
        observed = observation.read(raw)
        observation.verify(observed, key)
        credential = vector["says"]["credential"]
        assert observed.says._asdict() == vector["says"] | {"credential": credential and bytes.fromhex(credential)}
        return
    with pytest.raises(FormatError) as caught:
        observation.verify(observation.read(raw), key)
    assert caught.value.error == vector["expected"]["error"]
