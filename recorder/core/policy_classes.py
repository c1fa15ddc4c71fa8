"""Classes of action as a policy states them, and what holds between their columns (FORMAT.md section 9)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct

from recorder.core.kinds import Name, Positive, Uint

NEVER_GATED = ("emergency_stop", "braking", "landing")

OnUnavailable = Literal["hold", "continue_ungated"]
OnFull = Literal["refuse", "notify", "halt"]
ClassName = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9._-]{0,62}\Z")]
Milliseconds = Annotated[int, Meta(ge=1, le=86_400_000)]


class WitnessRule(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How many witnesses are asked for, within what time, and by which rule they are chosen."""

    k: Positive
    within_ms: Milliseconds
    rule: Name
    before: bool = False  # nobody acts on a commit before so many have signed; it is refused where they do not in time


class ClassRules(Struct, frozen=True, forbid_unknown_fields=True):
    """What holds for one class of action."""

    gated: bool
    on_unavailable: OnUnavailable
    retention: Name
    claims: Literal["fields", "whole"]
    max_commits: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    max_valid_ms: Milliseconds
    disk_full_action: OnFull
    verbs: Annotated[list[Literal["commit", "record", "event"]], Meta(min_length=1)]
    witnesses: WitnessRule | None
    disclosure: Name
    confirmation: Name | None  # None: no confirmation is due


class RetentionRule(Struct, frozen=True, forbid_unknown_fields=True):
    """How long the claims of one retention class are kept."""

    keep_s: Uint | None  # None: for ever
    max_bytes: Positive | None
    rows_may_go: bool


def faults_between(name: str, *, gated: bool, on_unavailable: OnUnavailable, on_full: OnFull) -> Iterator[str]:
    """What a class cannot be, whoever states it: a bundle or the configured table."""
    if gated and name in NEVER_GATED:
        yield f"[class.{name}] cannot be gated: refusing it would be the hazard"
    if not gated and on_full != "notify":
        yield f'[class.{name}] is not gated: its disk_full_action can only be "notify"'
    if name in NEVER_GATED and on_unavailable != "continue_ungated":
        yield (
            f"[class.{name}] cannot wait for a recorder: holding it back would be the hazard; "
            f'on_unavailable = "continue_ungated"'
        )
    if on_full == "halt" and on_unavailable != "hold":
        yield (
            f"[class.{name}] halts when the disk is full, and goes on when the recorder is away: "
            f'on_unavailable = "hold", or disk_full_action = "refuse"'
        )
