"""A decision in words: what was decided by which clauses, on which inputs, and what would have been otherwise.

Claims are others' words and of any shape: what is not of the shape that a recorder writes is left to be told as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from recorder.audit.links import granted_in
from recorder.core.header import Header
from recorder.core.kinds import Decision, Kind, Stage

MS = 1_000_000
DIGITS = 16  # of a digest, as people are shown it
UNTOLD = frozenset({"artefact", "grant", "policy", "replay"})  # bytes for programs; `--json` has them


def decided(header: Header, why: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Tell a decision.

    Args:
        header: of the entry that carries the why.
        why: its claims, as far as they can be read.

    Returns:
        Lines, and the claims that none of them tells.

    """
    if header.kind not in (Kind.CYCLE, Kind.REFUSAL) or header.decision is None:
        return [], dict(why)
    left = {key: value for key, value in why.items() if key not in UNTOLD}
    lines = [*_decision(header, why, left), *_stage(header, left)]
    for told in (_clauses, _counterfactual, _post_evaluation, _alternatives):
        lines += told(left)
    lines += _inputs(header.time.mono_ns, left)
    if isinstance(why.get("artefact"), bytes):
        lines.append(f"`lineage replay {header.seq}` makes it again")
    return lines, left


def _decision(header: Header, why: Mapping[str, Any], left: dict[str, Any]) -> Iterator[str]:
    reasons = left.pop("reasons", None)
    if header.kind == Kind.REFUSAL:
        yield f"refused: {'; '.join(header.control.reasons)}"
    else:
        granted = granted_in(why)
        how = _how(header.decision, left) if granted is None else f": granted by credential {_word(granted.credential)}"
        yield f"{Decision(header.decision or 0).name.lower()}{how}"
        if isinstance(reasons, list) and reasons:
            yield f"reasons: {'; '.join(map(_word, reasons))}"
    if isinstance(left.get("evaluator"), str):
        yield f"evaluated by {left.pop('evaluator')}"


def _how(decision: int | None, left: dict[str, Any]) -> str:
    if decision == Decision.EXTERNAL:
        return ": decided elsewhere"
    if decision == Decision.DEVIATED and isinstance(left.get("deviation"), dict):
        return f" {_deviation(left.pop('deviation'))}"
    permits = [
        one["id"]
        for one in _maps(left.get("clauses"))
        if (one.get("effect"), one.get("truth")) == _PERMITS and "id" in one
    ]
    return f" by {_plural('clause', permits)}" if permits else ""


_PERMITS = ("permit", "true")


def _deviation(said: Mapping[str, Any]) -> str:
    conformant = said.get("conformant")
    instead = conformant.get("mode", "another act") if isinstance(conformant, dict) else conformant
    return (
        f"to {_word(said.get('committed'))} instead of {_word(instead)} by clause {_word(said.get('clause'))} "
        f"under credential {_word(said.get('credential'))}"
    )


def _stage(header: Header, left: Mapping[str, Any]) -> Iterator[str]:
    stage = Stage(header.stage or 0)
    if stage != Stage.DIRECT:
        contemplated = left.get("contemplated")
        what = contemplated.get("what") if isinstance(contemplated, dict) else None
        mode = f" of {_word(what['mode'])}" if isinstance(what, dict) and "mode" in what else ""
        yield f"stage {stage.name.lower()}{mode}"


def _clauses(left: dict[str, Any]) -> Iterator[str]:
    items = _maps(left.get("clauses"))
    if items and all({"id", "effect", "truth"} <= one.keys() for one in items):
        del left["clauses"]
        for one in items:
            yield f"clause {_word(one['id'])} ({_word(one['effect'])}): {_word(one['truth'])}"


def _counterfactual(left: dict[str, Any]) -> Iterator[str]:
    said = left.get("counterfactual")
    if isinstance(said, dict) and isinstance(said.get("without"), list) and "decision" in said:
        del left["counterfactual"]
        yield f"without {_plural('clause', said['without'])} it would have been {_word(said['decision'])}"


def _post_evaluation(left: dict[str, Any]) -> Iterator[str]:
    said = left.get("post_evaluation")
    if isinstance(said, dict) and isinstance(said.get("changed"), list) and "predecessor" in said:
        del left["post_evaluation"]
        changed = _plural("clause", said["changed"]) if said["changed"] else "no clause"
        before = f"{_word(said['predecessor'])} ({_word(said.get('decision'))})"
        yield f"decided anew after {before}: {changed} came out otherwise"


def _alternatives(left: dict[str, Any]) -> Iterator[str]:
    """How many there were; they themselves are told as they are."""
    total = left.get("alternatives_total")
    if left.get("alternatives_truncated") is True and isinstance(total, int):
        del left["alternatives_total"], left["alternatives_truncated"]
        recorded = left.get("alternatives")
        yield f"{len(recorded) if isinstance(recorded, list) else 0} of {total:,} alternatives recorded"


def _inputs(decided_ns: int, left: dict[str, Any]) -> Iterator[str]:
    items = _maps(left.get("inputs"))
    if not items or not all({"name", "value"} <= one.keys() for one in items):
        return
    del left["inputs"]
    for one in items:
        unit, at_ns = one.get("unit"), one.get("at_mono_ns")
        words = [f"{_word(one['value'])}{f' {unit}' if isinstance(unit, str) and unit else ''}"]
        if isinstance(at_ns, int):
            words.append(
                f"{int((decided_ns - at_ns) / MS)} ms old"
            )  # to 0: what came with the message is read a moment later
        if "signed" in one:
            words.append("signed" if one["signed"] is True else "not signed")
        words += [f"{key} {_word(one[key])}" for key in ("entry", "credential") if one.get(key) is not None]
        yield f"input {_word(one['name'])}: {', '.join(words)}"


def _maps(value: object) -> list[dict[str, Any]]:
    """A list of maps; empty where it is anything else."""
    is_list = isinstance(value, list) and all(isinstance(one, dict) for one in value)
    return list(value) if is_list and isinstance(value, list) else []


def _plural(word: str, names: list[Any]) -> str:
    return f"{word}{'s' if len(names) != 1 else ''} {', '.join(map(_word, names)) or 'none'}"


def _word(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()[:DIGITS]
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(value)
