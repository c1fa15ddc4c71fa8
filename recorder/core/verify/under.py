"""What a job must know of the entries below its own to judge a decision, or what was done under one."""

from __future__ import annotations

from typing import NamedTuple


class Deciding(NamedTuple):
    """A cycle, or its refusal, under a signed policy: what its replay is held against beside its own claims."""

    bundle: bytes  # the exact bytes
    who: bytes | None  # CBOR of the claims that are here; None where it is not known which are not
    names: tuple[str | None, ...]  # of the actuators of the bounds, in their order; None where one is withheld


class Acting(NamedTuple):
    """Commits under a cycle that a delegation covers."""

    what: bytes | None  # CBOR of the contemplated one; None where it is not here
    scope: bytes | None  # CBOR of the delegation's scope; None where it is not here
    deviate_to: str | None  # what a deviation asks for instead
    names: tuple[tuple[int, str], ...]  # by number the actuators of the cycle, as far as they are known
    is_timed: bool  # the clock said what time of the day it was


class Confirming(NamedTuple):
    """A device's batch."""

    origin: str  # of the log
    key: bytes | None  # of the credential; None where there is none to judge by


Under = Deciding | Acting | Confirming
