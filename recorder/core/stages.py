"""Stages of an act: the one table of which may follow which (FORMAT.md section 4, "Stages").

The recorder refuses an opening by it, and verification judges a lineage by it.
"""

from __future__ import annotations

from recorder.core.kinds import Stage

SUCCESSORS: dict[Stage | None, frozenset[Stage]] = {
    None: frozenset({Stage.DIRECT, Stage.TENTATIVE}),
    Stage.TENTATIVE: frozenset({Stage.WITNESSED, Stage.ABORTED}),
    Stage.WITNESSED: frozenset({Stage.EXECUTED, Stage.ABORTED}),
}
_NOTHING: frozenset[Stage] = frozenset()


def successor_error(before: Stage | None, after: Stage) -> str | None:
    """Say why one stage cannot follow another; None where it can.

    Args:
        before: of the predecessor; None where none is named.
        after: of what follows.

    """
    may = SUCCESSORS.get(before, _NOTHING)
    if after in may:
        return None
    follows = " or ".join(stage.name.lower() for stage in sorted(may)) or "nothing"
    if before is None:
        return f"{after.name.lower()} without a predecessor, as {follows} may be"
    return f"{after.name.lower()} after {before.name.lower()}, which {follows} may follow"


def end_reason(after: Stage) -> str:
    """The reason in the cycle end of a predecessor that `after` takes over from."""
    return f"stage: {after.name.lower()}"
