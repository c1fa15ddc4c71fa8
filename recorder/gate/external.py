"""The grant of an external evaluator, at the gate: who signed it, and whether it is for the cycle that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from recorder.core import cbor, grant
from recorder.core.delegation import Moment
from recorder.core.errors import FormatError
from recorder.core.grant import Grant
from recorder.gate.authorities import Authorities

NONCES_MAX = 4096  # to remember at once: each is in memory and in every snapshot of the tail


class External(NamedTuple):
    """A grant as it came, and what it is worth so far."""

    raw: bytes
    says: Grant | None  # None: it cannot be read
    by: str | None  # the evaluator; None where that is not certain
    reasons: tuple[str, ...]  # why it is worth nothing

    @property
    def not_after_mono_ns(self) -> int | None:
        """Up to which a cycle under it may act."""
        return None if self.says is None else self.says.not_after_mono_ns

    @property
    def claims(self) -> dict[str, cbor.Value]:
        """What the why of a cycle says of it."""
        return {"evaluator": self.by, grant.CLAIM: self.raw}

    def reasons_against(self, **cycle: Any) -> list[str]:  # noqa: ANN401 -- those of `grant.check`
        """Why it does not let a cycle be opened, which is as `grant.check` has it."""
        if self.says is None:
            return [*self.reasons]
        try:
            grant.check(self.says, **cycle)
        except FormatError as error:
            return [*self.reasons, f"{error.error}: {error.detail}"]
        return [*self.reasons]


def read(
    raw: bytes, authorities: Authorities, moment: Moment, nonces: Mapping[bytes, int], now_mono_ns: int
) -> External:
    """Read a grant and judge who signed it.

    Args:
        raw: the grant.
        authorities: what is known of credentials.
        moment: of the opening.
        nonces: of the grants that were used, with the CLOCK_BOOTTIME after which they are good for nothing.
        now_mono_ns: CLOCK_BOOTTIME.

    """
    try:
        read = grant.read(raw)
    except FormatError as error:
        return External(raw, None, None, (f"{error.error}: {error.detail}",))
    reasons = []
    if read.says.nonce in nonces:
        reasons.append(f"nonce_reused: {read.says.nonce.hex()}")
    if len(nonces) >= NONCES_MAX and sum(until >= now_mono_ns for until in nonces.values()) >= NONCES_MAX:
        reasons.append(f"nonces_full: {NONCES_MAX} grants that were used are not over yet")
    try:
        standing = authorities.standing(read.says.credential, moment)
        evaluator = standing.chain.links[0]
        grant.verify(read, evaluator)
    except FormatError as error:
        return External(raw, read.says, None, (*reasons, f"{error.error}: {error.detail}"))
    if standing.verdict == "invalid":
        reasons += [f"{reason.error}: {reason.detail}" for reason in standing.reasons]
    return External(raw, read.says, evaluator.terms.subject, tuple(reasons))
