"""One recorded decision, made again from what it consumed, and held against what was recorded of it."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Literal, NamedTuple

from recorder.core import cbor, claims, policy, policy_replay
from recorder.core.entry import decode_in_order
from recorder.core.errors import FormatError, Misuse
from recorder.core.header import Header
from recorder.core.ids import entry_id
from recorder.core.kinds import Decision, Kind
from recorder.core.policy_replay import Artefact
from recorder.core.sign1 import SIGNED
from recorder.core.verify.comparing import COMPARED, Difference, of_artefact, of_decision, others
from recorder.core.verify.held import Family
from recorder.gate import evidence
from recorder.gate.cel import Cel
from recorder.gate.decision import Weighed
from recorder.gate.engine import Engine, Unfit
from recorder.gate.evidence import Before
from recorder.gate.program import Program, replay

PROGRAMS_MAX = 8  # bundles that a process keeps compiled; the cycles of one follow each other
_WHY = 9

Outcome = Literal["same", "different", "external", "table", "withheld", "unasked"]


class Recorded(NamedTuple):
    """A decision as it lies there, and what it was made under."""

    seq: int
    raw: bytes  # of the entry: a cycle or a refused opening
    claims: bytes | None
    bundle: bytes | None  # of the policy entry that its key 7 names; None where that is not here
    before: Before | None = None  # of a stage that follows another one; None where that is not here


class Programs:
    """Bundles compiled by one engine, the last few of them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._compiled: dict[bytes, tuple[bytes, Program]] = {}

    def of(self, bundle: bytes) -> tuple[bytes, Program]:
        """A bundle's hash, and what decides under it.

        Raises:
            FormatError: policy_malformed.
            Unfit: conditions that the engine refuses.

        """
        if bundle not in self._compiled:
            read = policy.read(bundle)
            self._compiled[bundle] = read.hash, Program(read.policy, self.engine)
            if len(self._compiled) > PROGRAMS_MAX:
                del self._compiled[next(iter(self._compiled))]
        return self._compiled[bundle]


@lru_cache(maxsize=1)
def own_programs() -> Programs:
    """By the engine that the recorder decides by, loaded once in a process.

    Raises:
        Misuse: it is not installed.

    """
    return Programs(Cel())


class Redecided(NamedTuple):
    """What became of it."""

    seq: int
    id: str
    kind: str
    decision: str  # as recorded
    outcome: Outcome
    differences: list[Difference]
    told: list[str]  # what is no difference, but belongs to the answer
    clauses: list[Weighed]  # as replayed


def redecide(recorded: Recorded, programs: Programs | None = None) -> Redecided:
    """Make one decision again.

    Args:
        recorded: an entry that can be read, of kind cycle or refusal, that carries its why.
        programs: by whose engine; the recorder's own if left out.

    Raises:
        Misuse: no engine is installed.

    """
    entry = decode_in_order(recorded.raw)
    header = entry.header
    assert header.decision is not None
    base = Redecided(
        recorded.seq, str(entry_id(entry.hash, recorded.seq)), Kind(header.kind).name.lower(),
        Decision(header.decision).name.lower(), "same", [], [], [],
    )  # fmt: skip
    if recorded.bundle is not None and not recorded.bundle.startswith(SIGNED):
        return base._replace(outcome="table")
    if header.decision == Decision.EXTERNAL:
        return base._replace(outcome="external")
    if recorded.claims is None or recorded.bundle is None:
        gone = "the policy" if recorded.bundle is None else "the why"
        return base._replace(outcome="withheld", told=[f"{gone} is not here"])
    try:
        family = cbor.decode(recorded.claims)[_WHY]
        assert header.why is not None
        if claims.digest_of("why", family) != header.why.digest:
            return _differing(base, [Difference("why", header.why.digest, "claims of another digest")])
        why = Family(claims.disclosed("why", family), frozenset(claims.withheld(family)))
    except (FormatError, LookupError, TypeError) as error:
        return _differing(base, [Difference("why", "unreadable", str(error))])
    if why.hides("artefact"):
        return base._replace(outcome="withheld", told=["the artefact is withheld"])
    if "artefact" not in why.values and header.kind == Kind.REFUSAL:
        return base._replace(outcome="unasked")
    return _held_against(base, header, why, recorded, programs or own_programs())


def _held_against(base: Redecided, header: Header, why: Family, recorded: Recorded, programs: Programs) -> Redecided:
    assert recorded.bundle is not None
    data = why.values.get("artefact")
    if not isinstance(data, bytes):
        return _differing(base, [Difference("artefact", data, "bytes, of every decision under a policy bundle")])
    try:
        artefact = policy_replay.decode(data)
    except FormatError as error:
        return _differing(base, [Difference("artefact", str(error), None)])
    differences = list(of_artefact(header, why, artefact, data))
    try:
        digest, program = programs.of(recorded.bundle)
        again = replay(artefact, digest, program)
    except (FormatError, Unfit, Misuse) as error:
        return _differing(base, [*differences, Difference("policy", None, str(error))])
    engine = programs.engine
    is_same_engine = (engine.name, engine.version) == (artefact.engine, artefact.engine_version)
    told = [] if is_same_engine else [_told_engine(artefact, engine)]
    if hidden := why.withheld & COMPARED:
        told.append(f"withheld, so not compared: {', '.join(sorted(hidden))}")
    if beside := others(header, again, in_full=is_same_engine):
        told.append(f"refused for more than the policy: {'; '.join(beside)}")
    differences += of_decision(header, why, again, partial(program.without, again), in_full=is_same_engine)
    if recorded.before is not None and not why.hides("post_evaluation"):
        said, now = why.values.get("post_evaluation"), evidence.since(recorded.before, again)
        differences += [Difference("post_evaluation", said, now)] if said != now else []
    outcome: Outcome = "different" if differences else "same"
    return base._replace(outcome=outcome, differences=differences, told=told, clauses=again.clauses)


def _told_engine(artefact: Artefact, engine: Engine) -> str:
    return (
        f"decided by {artefact.engine} {artefact.engine_version}, replayed by {engine.name} {engine.version}: "
        "texts of errors are not compared"
    )


def _differing(base: Redecided, differences: list[Difference]) -> Redecided:
    return base._replace(outcome="different", differences=differences)
