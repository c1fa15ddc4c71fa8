"""Whether a delegation lets a cycle be opened, and how much of it is left (FORMAT.md section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from recorder.core.delegation import NS, Moment, require_role
from recorder.core.errors import FormatError
from recorder.core.limits import HASH_BYTES
from recorder.core.scope import Act, covers
from recorder.core.spending import Left, Spent, left
from recorder.gate.authorities import Authorities


class Delegated(NamedTuple):
    """What a delegation grants a cycle."""

    reasons: list[str]  # why it grants it nothing
    chain: tuple[bytes, ...]  # hashes of its links, itself first; empty where it is not here
    left: Left | None  # None where it is not here
    not_after_mono_ns: int | None  # until its budget, or the first of its links to expire, ends; None: not bounded


def judge(
    hash_: bytes | None,
    act: Act,
    *,
    identity: bytes,
    authorities: Authorities,
    moment: Moment,
    now_mono_ns: int,
    spent: Mapping[bytes, Spent],
) -> Delegated:
    """Hold a delegation against the act that is contemplated.

    Args:
        hash_: of the credential that the cycle names, None where it names none.
        act: what is contemplated.
        identity: the platform's identity key: somebody let this platform act, and no other one.
        authorities: what is known of credentials.
        moment: of the opening.
        now_mono_ns: CLOCK_BOOTTIME of the opening.
        spent: budgets, by hash of a link.

    """
    if hash_ is None or len(hash_) != HASH_BYTES:
        return Delegated(["delegation_missing: who.delegation is the hash of no credential"], (), None, None)
    try:
        standing = authorities.standing(hash_, moment)
    except FormatError as error:
        return Delegated([f"{error.error}: {error.detail}"], (), None, None)
    links = standing.chain.links
    held = links[0]
    reasons = []
    try:
        require_role(held, "operator", "platform")
    except FormatError as error:
        reasons.append(f"{error.error}: {error.detail}")
    if held.terms.key != identity:
        reasons.append(f"delegation_holder: {held.terms.subject} is not the identity key of this platform")
    # Indeterminate goes: a device seldom knows the time for certain, and the floor holds what is over.
    if standing.verdict == "invalid":
        reasons += [f"{reason.error}: {reason.detail}" for reason in standing.reasons]
    reasons += [f"delegation_uncovered: {part}" for part in covers(held.terms.scope, act)]
    budget = left(standing.chain, spent, now_mono_ns)
    if budget.exhausted is not None:
        reasons.append(f"budget_exhausted: nothing is left of credential {budget.exhausted.hex()[:8]}")
    not_after = budget.not_after_mono_ns
    if moment.earliest_utc_ns is not None:
        expires_ns = min([link.terms.expires_s for link in links]) * NS
        last = now_mono_ns + expires_ns - moment.earliest_utc_ns - 1  # at exp it is over, a nanosecond before it is not
        not_after = last if not_after is None else min(not_after, last)
    return Delegated(reasons, tuple([link.hash for link in links]), budget, not_after)
