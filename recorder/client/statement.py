"""Claims as a controller states them: completed from the hello, checked, and encoded, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recorder.client.answers import Hello
from recorder.client.session import Outgoing, outgoing
from recorder.core import cbor, required
from recorder.core.errors import FormatError, Misuse
from recorder.core.kinds import Stage
from recorder.core.message_requests import REQUESTS
from recorder.core.messages import Verb

Claims = dict[str, Any]
NOBODY: Claims = {"operator": None, "delegation": None}  # who behind an event that names none: a reflex, a watchdog
UNDECIDED: Claims = {"evaluator": None, "clauses": None, "inputs": [], "alternatives": []}
DIGEST_BYTES = 32


def who_of(platform: str, *parts: Claims | None) -> Claims:
    """Put who together, later parts over earlier ones."""
    who: Claims = {"platform": platform}
    for part in parts:
        who.update(part or {})
    return who


def check(family: str, claims: Claims, table: str | None = None) -> None:
    """Refuse claims that the recorder would refuse.

    Raises:
        Misuse: naming the keys that are missing.

    """
    if not isinstance(claims, dict):
        raise Misuse(f"{family} is a map of claims, not {type(claims).__name__}")
    if missing := required.missing(table or family, claims):
        raise Misuse(f"{family} lacks {', '.join(missing)} (FORMAT.md section 4; null says that there is none)")


def wanted(witnesses: int | None, within_ms: int | None) -> list[int] | None:
    """What is asked of witnesses; None where nothing is.

    Raises:
        Misuse: one of the two alone.

    """
    if witnesses is None and within_ms is None:
        return None
    if witnesses is None or within_ms is None:
        raise Misuse("say how many witnesses, and within_ms: one without the other asks for nothing")
    return [witnesses, within_ms]


def given(verb: Verb, *trailing: cbor.Value) -> tuple[cbor.Value, ...]:
    """Trailing elements up to the last that says something: a recorder that does not know them reads the rest."""
    defaults = tuple(REQUESTS[verb]._field_defaults.values())
    said = len(trailing)
    while said and trailing[said - 1] == defaults[said - 1]:
        said -= 1
    return trailing[:said]


def request(verb: Verb, *parts: cbor.Value) -> Outgoing:
    """Encode a request out of what a caller gave.

    Raises:
        Misuse: something in it has no place in the format.

    """
    try:
        return outgoing(verb, *parts)
    except FormatError as error:
        raise Misuse(f"this can't be recorded: {error.detail}") from None


def check_known(hello: Hello | None, action_classes: Sequence[str], actuators: Sequence[str]) -> None:
    """Refuse names that the recorder does not know for this user.

    Raises:
        Misuse: naming those, and which there are.

    """
    if hello is None:
        return  # never met: the recorder will judge
    for names, known, word in (
        (action_classes, hello.classes, "action class"),
        (actuators, hello.actuators, "actuator"),
    ):
        if unknown := [name for name in names if name not in known]:
            raise Misuse(f"no {word} {', '.join(map(repr, unknown))} for this user; there are {', '.join(known)}")


def act_of(what: Claims | None, where: Claims | None) -> tuple[Claims, Claims] | None:
    """Put a contemplated act together; None where none is.

    Raises:
        Misuse: keys are missing, or there is only a where.

    """
    if what is None:
        if where is not None:
            raise Misuse("a where without a what says of no act where it would be")
        return None
    check("what", what)
    check("where", where or {})
    return what, where or {}


def why_of(
    why: Claims | None, inputs: Sequence[Any] | None, alternatives: Sequence[Any] | None, *, is_decided: bool
) -> Claims:
    """Put why together; what the recorder has still to decide is null until it has.

    Raises:
        Misuse: there is none, and nothing that the recorder could decide.

    """
    if why is None and is_decided:
        raise Misuse("say why, or what is contemplated, for the recorder to decide")
    whole = dict(why or {}) if is_decided else {**UNDECIDED, **(why or {})}
    if inputs is not None:
        whole["inputs"] = list(inputs)
    if alternatives is not None:
        whole["alternatives"] = list(alternatives)
    return whole


def delegation_of(named: bytes | str | None) -> Claims:
    """Claim a delegation by the hash of its credential; nothing where None is given.

    Raises:
        Misuse: it is no SHA-256.

    """
    if named is None:
        return {}
    try:
        digest = bytes.fromhex(named) if isinstance(named, str) else named
    except ValueError:
        digest = b""
    if len(digest) != DIGEST_BYTES:
        raise Misuse(f"a delegation is the hash of a credential, 32 bytes or 64 hex digits, not {named!r:.80}")
    return {"delegation": digest}


def stage_of(stage: Stage | str) -> int:
    """Number of a stage that a cycle can be of.

    Raises:
        Misuse: there is none of this name, or it is no cycle's.

    """
    found = stage if isinstance(stage, Stage) else Stage.__members__.get(stage.upper())
    if found is Stage.ABORTED:
        raise Misuse("a cycle is never opened as aborted: Cycle.abort says what was done instead")
    if found is None:
        raise Misuse(f"no stage {stage!r}; there are direct, tentative, witnessed and executed")
    return int(found)
