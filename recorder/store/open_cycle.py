"""A cycle that can still be used, as a part of the tail: what commits under it, and its next stage, are held to."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from recorder.core.kinds import Decision, Stage


class OpenCycle(Struct):
    """A cycle that can still be used; `made` moves with every commit, so it is changed in place."""

    carrier: int
    hash: bytes
    who: bytes  # digest; its carrier is the cycle's own or an earlier entry
    who_carrier: int
    why: bytes
    bundle: bytes
    not_after_mono_ns: int
    max_commits: int
    actuators: list[int]
    action_classes: list[str]
    uid: int  # who opened it
    made: int = 0
    decision: int = Decision.EXTERNAL
    stage: int = Stage.DIRECT
    delegation: bytes | None = None  # hash of the credential that it rests on, where a policy decided
    budgets: list[tuple[bytes, int]] = []  # those of the chain that bound commits, and how many they do
    act: list[dict[str, Any]] | None = None  # what and where as contemplated, where a policy decided
    deviate_to: str | None = None
    truths: dict[str, str] = {}  # of the clauses that admitted it, for the next stage to compare
    act_digest: bytes | None = None  # of what was contemplated, whoever decided
    verbs: list[str] | None = None  # that a policy lets it be recorded by, the one it was opened under; None: any
