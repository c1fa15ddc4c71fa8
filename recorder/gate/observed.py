"""Observations as inputs: signed ones are read, held against their observer's credential, and taken at their word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from recorder.core import cbor, observation
from recorder.core.delegation import Moment
from recorder.core.errors import FormatError
from recorder.core.observation import Observation
from recorder.gate.authorities import Authorities

Resolve = Callable[[str], Mapping[str, cbor.Value] | None]


class Observers(NamedTuple):
    """What vouches for observations at a decision."""

    authorities: Authorities
    moment: Moment
    resolve: Resolve  # from the printed id of an observation entry to its body; None where there is none

    def signed(self, raw: object, name: str) -> Observation:
        """Take a signed observation of something.

        Raises:
            FormatError: observation_malformed; observation_signature; parent_unknown: the observer's credential is not
                here; the first reason why that credential does not stand; input_malformed: it is of something else.

        """
        if not isinstance(raw, bytes):
            raise FormatError(observation.ERROR, "not bytes")
        read = observation.read(raw)
        if read.says.credential is None:
            raise FormatError("observation_signature", f"{name[:64]} names no credential of its observer")
        standing = self.authorities.standing(read.says.credential, self.moment)
        observation.verify(read, standing.chain.links[0].terms.key)
        if standing.verdict == "invalid":
            raise FormatError(standing.reasons[0].error, standing.reasons[0].detail)
        if read.says.name != name:
            raise FormatError("input_malformed", f"{name[:64]} is an observation of {read.says.name[:64]}")
        return read.says

    def recorded(self, printed: object) -> Mapping[str, Any]:
        """Body claims of an observation entry of this log.

        Raises:
            FormatError: input_unknown.

        """
        body = self.resolve(printed) if isinstance(printed, str) else None
        if body is None:
            raise FormatError("input_unknown", f"no observation {str(printed)[:80]} is here")
        return body
