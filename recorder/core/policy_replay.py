"""What a decision was made of, and its replay artefact: the bytes to make it again (FORMAT.md section 9)."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from msgspec import ValidationError, convert

from recorder.core import cbor
from recorder.core.errors import FormatError
from recorder.core.kinds import Bytes16, Hash, Name
from recorder.core.policy import InputName
from recorder.core.policy_classes import ClassName

ERROR = "replay_malformed"
FORMAT: Literal["lineage/replay/1"] = "lineage/replay/1"


class Given(NamedTuple):
    """An input as it reached the gate."""

    value: Any
    unit: str
    age_ms: int | None  # at the decision; below 0 where it claims a time to come, None where it claims none
    signed: bool  # an observer's signature over it was verified


class Situation(NamedTuple):
    """All that a decision rests on beside the bundle."""

    action_class: str
    inputs: Mapping[str, Given]
    facts: Mapping[str, Any]  # by the names of `policy_terms.FACTS`; what is absent is left out


class Artefact(NamedTuple):
    """A decision's situation, with what decided it."""

    salt: bytes  # inputs are of low entropy: without it the artefact's hash would give them away
    bundle: bytes  # hash of the policy bundle
    engine: str
    engine_version: str
    situation: Situation

    def encode(self) -> bytes:
        """The bytes that are stored; the values of its situation have been checked (`cbor.check`)."""
        return cbor.pack(
            [
                FORMAT, self.salt, self.bundle, self.engine, self.engine_version, self.situation.action_class,
                {name: list(given) for name, given in self.situation.inputs.items()}, dict(self.situation.facts),
            ]
        )  # fmt: skip


_Artefact = tuple[
    Literal["lineage/replay/1"], Bytes16, Hash, Name, Name, ClassName, dict[InputName, Given], dict[Name, Any]
]


def artefact_hash(data: bytes) -> bytes:
    """What the claim `replay` of a why names."""
    return sha256(data).digest()


def decode(data: bytes) -> Artefact:
    """Read an artefact.

    Raises:
        FormatError: replay_malformed.

    """
    try:
        _, salt, bundle, engine, version, action_class, inputs, facts = convert(
            cbor.decode(data), _Artefact, builtin_types=(bytes,)
        )
    except FormatError as error:
        raise FormatError(ERROR, error.detail) from None
    except ValidationError as error:
        raise FormatError(ERROR, str(error)) from None
    return Artefact(salt, bundle, engine, version, Situation(action_class, inputs, facts))
