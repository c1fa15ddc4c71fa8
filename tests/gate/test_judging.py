"""The judging of an opening: each rule decides alone, and the evidence is the same whatever was decided."""

from __future__ import annotations

from typing import Any

import pytest

from recorder.core import cbor, observation, policy, policy_replay, revocation
from recorder.core.delegation import Moment
from recorder.core.errors import Misuse
from recorder.core.kinds import Decision, Stage
from recorder.core.observation import Observation
from recorder.core.policy_source import parse
from recorder.core.revocation import Revoked
from recorder.core.scope import Counts
from recorder.core.spending import Spent
from recorder.gate.evidence import Before
from recorder.gate.inputs import Now
from recorder.gate.judging import ARTEFACT_MAX_BYTES, judge
from recorder.gate.program import Program, replay
from tests.credential_builder import (
    ARM,
    BEGIN_S,
    DAY_S,
    EVERYTHING,
    NS,
    ROOT,
    at,
    delegated,
    from_root,
    issued,
    recognised,
    rescoped,
    signer,
    terms,
)
from tests.gate.opening import (
    ANN,
    BEGIN_NS,
    DEPOT,
    ENGINE,
    FORCE,
    HEAD,
    HELD,
    INPUT,
    LIDAR,
    LIMIT,
    NOW,
    POLICY_EXP_S,
    SALT,
    WHAT,
    WHERE,
    asked,
    ground,
    instant,
    judged,
    names,
)
from tests.policies import CLASS, PERMIT, clause

# --- What is granted, and its evidence


def test_admitted() -> None:
    """The decision with its whole evidence: chain, budgets, bounds, and claims over those of the controller."""
    on = ground()
    found = judged(asked(), on)
    assert found[:2] == (Decision.ADMITTED, ["allowed: clause allow"])
    assert found.encoded == {"clauses": cbor.encode(found.why["clauses"])}
    assert found.chain == (HELD.hash, ANN.hash, DEPOT.hash)
    assert found.budgets == ((HELD.hash, 1000), (ANN.hash, 1000))
    assert (found.max_commits, found.not_after_mono_ns) == (100, NOW.mono_ns + 5000 * 1_000_000)
    assert (found.deviate_to, found.nonce) == (None, None)
    artefact = found.why.pop("artefact")
    assert found.why == {
        "evaluator": f"cel-expr-python {ENGINE.version}",
        "policy": on.bundle.hash,
        "clauses": [
            {"id": "limit", "effect": "forbid", "truth": "false"},
            {"id": "slower", "effect": "deviate", "truth": "false"},
            {"id": "allow", "effect": "permit", "truth": "true"},
        ],
        "inputs": [{**FORCE, "signed": False}],
        "contemplated": {"what": WHAT, "where": WHERE},
        "reasons": ["allowed: clause allow"],
        "alternatives": ["wait"],
        "counterfactual": {"without": ["allow"], "decision": "refused"},
        "replay": policy_replay.artefact_hash(artefact),
    }
    again = replay(policy_replay.decode(artefact), on.bundle.hash, on.program)
    assert (again.decision, again.reasons) == (found.decision, found.reasons)
    assert policy_replay.decode(artefact).salt == SALT


def test_deviated() -> None:
    """A deviation says what conformed, what is done instead, by which clause and under which credential."""
    found = judged(asked(why={"inputs": [{**FORCE, "value": 40.0}]}), ground())
    assert (found.decision, found.deviate_to) == (Decision.DEVIATED, "slow")
    assert found.why["deviation"] == {
        "conformant": WHAT, "committed": "slow", "clause": "slower", "credential": HELD.hash,
    }  # fmt: skip
    assert found.why["counterfactual"] == {"without": ["slower"], "decision": "admitted"}


def test_refused_by_a_clause() -> None:
    """A refusal has the same evidence as a grant; without the clauses that decided, the others would have."""
    found = judged(asked(why={"inputs": [{**FORCE, "value": 60.0}]}), ground())
    assert found[:2] == (Decision.REFUSED, ["over_limit: clause limit"])
    assert found.why["counterfactual"] == {"without": ["limit"], "decision": "deviated"}
    assert found.why.keys() == judged(asked(), ground()).why.keys()
    assert found.chain == (HELD.hash, ANN.hash, DEPOT.hash)


def test_a_clause_that_goes_wrong_denies() -> None:
    """A division by zero is no answer, so it is no."""
    broken = clause("act.valid_ms / (act.max_commits - 100) > 0", identifier="broken")
    found = judged(asked(), ground(LIMIT, broken))
    assert found[:2] == (Decision.REFUSED, ["clause_error: broken: division by zero"])
    assert found.why["counterfactual"] == {"without": ["broken"], "decision": "admitted"}


def test_all_that_stands_against_it_is_told() -> None:
    """A refusal names every reason at once: the caller's, the delegation's, the policy's, the inputs' and the clauses'."""
    request = asked(
        reasons=["not_permitted: elbow"], actuators=["wrist"], why={"inputs": [{**FORCE, "value": 60.0}, 7]}
    )
    found = judged(request, ground(), instant(POLICY_EXP_S * NS))
    assert names(found) == [
        "not_permitted", "delegation_uncovered", "policy_expired", "input_malformed", "over_limit",
    ]  # fmt: skip
    assert found.why["counterfactual"] == {"without": ["limit"], "decision": "refused"}


def test_what_a_clause_grants_is_no_reason_where_something_else_refuses() -> None:
    """Refused for another reason, the clause that would have admitted is not told as one; nor does a deviation act."""
    for force in (10.0, 40.0):
        found = judged(asked(reasons=["deadline_passed"], why={"inputs": [{**FORCE, "value": force}]}), ground())
        assert found[:2] == (Decision.REFUSED, ["deadline_passed"])
        assert found.why["counterfactual"] == {"without": [], "decision": "refused"}
        assert found.deviate_to is None


def test_alternatives_are_cut() -> None:
    """At most 200 are kept, and how many there were is told."""
    assert judged(asked(why={"alternatives": [*range(200)]}), ground()).why["alternatives"] == [*range(200)]
    assert "alternatives_truncated" not in judged(asked(why={"alternatives": [*range(200)]}), ground()).why
    why = judged(asked(why={"alternatives": [*range(201)]}), ground()).why
    assert (why["alternatives"], why["alternatives_truncated"], why["alternatives_total"]) == ([*range(200)], True, 201)


def test_the_next_stage_is_decided_anew() -> None:
    """Its why tells the decision of the stage before and which clauses are otherwise now; the stage is a fact."""
    forbids = clause('act.stage == "witnessed"', identifier="staged")
    before = Before("7-00000000", Decision.ADMITTED, {"staged": "false", "allow": "true", "gone": "true"})
    found = judged(asked(stage=Stage.WITNESSED, before=before), ground(forbids, clause("input.force_n > 99.0")))
    assert found.reasons == ["over_limit: clause staged"]
    assert found.why["post_evaluation"] == {
        "predecessor": "7-00000000", "decision": "admitted", "changed": ["staged", "limit", "gone"],
    }  # fmt: skip


def test_a_class_that_is_not_gated_is_the_callers_mistake() -> None:
    """There is nothing to judge about it."""
    with pytest.raises(Misuse, match="is not gated"):
        judge(asked(action_class="braking"), ground(), moment=at(), now=NOW, salt=SALT)


# --- The delegation


WIDER = issued(
    "ann", terms("identity", "ann", scope=rescoped(ARM, delegations=1, actuators="any"), delegated_from=ANN.hash)
)
OTHER = delegated(ANN, "other arm")
PLATFORM = from_root("identity", role="platform")
EVALUATING = from_root("identity", role="evaluator")


@pytest.mark.parametrize(
    ("changed", "reasons"),
    [
        ({"delegation": None}, ["delegation_missing"]),
        ({"delegation": b"short"}, ["delegation_missing"]),
        ({"delegation": bytes(32)}, ["parent_unknown"]),
        ({"delegation": OTHER.hash}, ["delegation_holder"]),
        ({"delegation": EVALUATING.hash}, ["role_mismatch"]),
        ({"delegation": PLATFORM.hash}, []),
        ({"actuators": ["elbow", "wrist"]}, ["delegation_uncovered"]),
        ({"act": ({**WHAT, "magnitude": 1.6}, WHERE)}, ["delegation_uncovered"]),
        ({"act": ({**WHAT, "magnitude": float("nan")}, WHERE)}, ["delegation_uncovered"]),
        ({"act": ({**WHAT, "unit": "km/s"}, WHERE)}, ["delegation_uncovered"]),
        ({"act": (WHAT, {"frame": "cell"})}, ["delegation_uncovered"]),
        ({"act": None}, ["contemplated_missing", "delegation_uncovered"]),
    ],
)  # fmt: skip
def test_the_delegation(changed: dict[str, Any], reasons: list[str]) -> None:
    """It is there, of this platform, for acting, and covers the class, actuators, magnitude and place."""
    request, on = asked(**changed), ground(more=(OTHER, EVALUATING, PLATFORM))
    found = judge(request, on, moment=at(seq=9), now=NOW, salt=SALT)
    assert [name for name in names(found) if name != "allowed"] == reasons
    assert (found.decision == Decision.ADMITTED) == (not reasons)


def test_a_scope_that_was_widened_does_not_get_in() -> None:
    """Whoever signs himself more than he was given has a credential that is not installed, so nothing is here."""
    assert WIDER.terms.scope.actuators == "any"
    with pytest.raises(Exception, match="delegation_scope"):
        ground(more=(WIDER,))
    on = ground()
    on.authorities.add(WIDER)  # as though it had been
    found = judged(asked(delegation=WIDER.hash, actuators=["wrist"]), on)
    assert names(found) == ["delegation_scope"]


def test_expiry_to_the_nanosecond() -> None:
    """A nanosecond before exp it acts, for that nanosecond; at exp it is over, whatever the clock says now."""
    long = HEAD.replace("2025-10-10", "2026-10-10")
    bundle = policy.read(policy.sign(parse(long + INPUT + CLASS + LIMIT + PERMIT).policy, signer(ROOT.name)))
    on = ground(bundle=bundle, program=Program(bundle.policy, ENGINE))
    ends = BEGIN_NS + DAY_S * NS
    found = judged(asked(), on, instant(ends - 1))
    assert (found.decision, found.not_after_mono_ns) == (Decision.ADMITTED, NOW.mono_ns)
    assert judged(asked(), on, instant(ends - 2)).not_after_mono_ns == NOW.mono_ns + 1
    assert names(judged(asked(), on, instant(ends))) == ["credential_expired"] * 3
    assert judged(asked(), on, instant(ends + NS)).not_after_mono_ns == NOW.mono_ns
    assert names(judged(asked(), on, Moment(ends, None, 9))) == ["credential_expired"] * 3
    assert names(judged(asked(), on, instant(BEGIN_NS - 1))) == ["credential_early"] * 3


def test_an_unknown_time_is_no_refusal() -> None:
    """Where the clock was never set, or runs free, what may be over and is not known to be goes on."""
    free = rescoped(ARM, times="any", delegations=1)
    anchor = from_root("ann2", scope=rescoped(free, delegations=2))
    held = delegated(anchor, "identity", scope=free)
    request, on = asked(delegation=held.hash), ground(more=(anchor, held))
    for moment in (Moment(None, None, 9), Moment(BEGIN_NS, None, 9)):
        assert judged(request, on, moment, Now(NOW.mono_ns, None)).decision == Decision.ADMITTED
    assert judged(asked(), on, now=Now(NOW.mono_ns, None)).reasons == [
        "delegation_uncovered: times: the time is not known"
    ]


def test_revoked_before_and_after() -> None:
    """A link that is revoked from a seq on refuses from there on, and what lies before it stands."""
    on = ground()
    raw = revocation.make(1, [Revoked(ANN.hash, BEGIN_S, "lost")], signer("depot"))
    on.authorities.revoke(on.authorities.judge_revocation(raw), 10)
    assert judged(asked(), on, instant(BEGIN_NS + NS, seq=9)).decision == Decision.ADMITTED
    assert names(judged(asked(), on, instant(BEGIN_NS + NS, seq=10))) == ["credential_revoked"]


def test_a_clock_set_back_to_before_a_revocation() -> None:
    """It acts from a seq on: neither the time that the list states nor the recorder's own counts."""
    on = ground()
    raw = revocation.make(1, [Revoked(ANN.hash, BEGIN_S + 60, "lost")], signer("depot"))
    on.authorities.revoke(on.authorities.judge_revocation(raw), 10)
    for moment in (instant(BEGIN_NS + NS, seq=11), Moment(None, None, 11)):
        assert names(judged(asked(), on, moment)) == ["credential_revoked"]


def test_a_recognised_intermediate_and_an_unknown_root() -> None:
    """What an intermediate of the matrix issued acts; under a root that is not trusted here nothing does."""
    by = issued("works", terms("identity", "works", role="platform"))
    on = ground()
    on.authorities.add(by)
    assert names(judged(asked(delegation=by.hash), on)) == ["issuer_unknown"]  # not before a matrix names it
    on.authorities.recognise(on.authorities.judge_matrix(recognised(("works", EVERYTHING)).raw))
    on.authorities.add(on.authorities.judge_credential(by.signed.raw))
    assert judged(asked(delegation=by.hash), on).decision == Decision.ADMITTED
    foreign = issued("mallory", terms("identity", "mallory"))
    on.authorities.add(foreign)  # as though the trust file had named mallory once
    assert names(judged(asked(delegation=foreign.hash), on)) == ["issuer_unknown"]


# --- Bounds and budgets


def test_bounds_are_cut_to_what_is_left() -> None:
    """Commits and time are those of the link with the least left, and the clauses hear of them as granted."""
    heard = clause("act.max_commits != 3 || act.valid_ms != 2000 || grant.commits_left != 3 || grant.ms_left != 2000")
    spent = {ANN.hash: Spent(997, 0, 0), HELD.hash: Spent(5, 3598 * NS, 0)}
    found = judged(asked(), ground(heard, clause("input.force_n > 50.0", identifier="force"), spent=spent))
    assert found[:2] == (Decision.ADMITTED, ["allowed: clause allow"])
    assert (found.max_commits, found.not_after_mono_ns) == (3, NOW.mono_ns + 2 * NS)


@pytest.mark.parametrize(
    ("spent", "admitted"),
    [
        ({ANN.hash: Spent(999, 0, 0)}, True),
        ({ANN.hash: Spent(1000, 0, 0)}, False),
        ({HELD.hash: Spent(0, 3600 * NS - 1, 0)}, True),
        ({HELD.hash: Spent(0, 3600 * NS, NOW.mono_ns)}, False),
        ({HELD.hash: Spent(0, 3600 * NS, NOW.mono_ns + 1)}, True),
        ({OTHER.hash: Spent(2000, 9999 * NS, 0)}, True),
    ],
)
def test_an_exhausted_budget(spent: dict[bytes, Spent], admitted: bool) -> None:
    """With the last commit or the last nanosecond of any link gone, nothing is opened."""
    found = judged(asked(), ground(spent=spent))
    assert names(found) == (["allowed"] if admitted else ["budget_exhausted"])
    assert found.max_commits >= 1
    assert found.not_after_mono_ns >= NOW.mono_ns


def test_grant_facts_are_absent_where_nothing_bounds() -> None:
    """A clause that asks hears that there is no budget."""
    free = from_root("identity", scope=rescoped(ARM, counts=None))
    bounded = clause("given.grant.commits_left || given.grant.ms_left || input.force_n > 50.0")
    on = ground(bounded, more=(free,))
    assert judged(asked(delegation=free.hash), on).decision == Decision.ADMITTED
    assert judged(asked(), on).decision == Decision.REFUSED
    small = from_root("identity", scope=rescoped(ARM, counts=Counts(0, 0)))
    assert names(judged(asked(delegation=small.hash), ground(more=(small,)))) == ["budget_exhausted"]


# --- Policy and inputs


def test_the_policys_window() -> None:
    """It acts a nanosecond before its exp and no longer at it, by the floor; before nbf it does not either."""
    ends = POLICY_EXP_S * NS
    assert judged(asked(), ground(), instant(ends - 1)).decision == Decision.ADMITTED
    assert names(judged(asked(), ground(), instant(ends))) == ["policy_expired"]
    assert names(judged(asked(), ground(), Moment(ends, None, 9))) == ["policy_expired"]
    assert "policy_early" in names(judged(asked(), ground(), instant(BEGIN_NS - 10 * DAY_S * NS)))


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ([], "input_missing"),
        ([{**FORCE, "at_mono_ns": NOW.mono_ns - 101_000_000}], "input_stale"),
        ([{**FORCE, "unit": "lbf"}], "input_unit"),
        ([{**FORCE, "value": "10"}], "input_type"),
        ([FORCE, 7], "input_malformed"),
        ([FORCE, FORCE], "input_malformed"),
        ([FORCE, {"name": "x", "entry": "7-00000000"}], "input_unknown"),
        ([FORCE, {"name": "x", "observation": b"x"}], "observation_malformed"),
        ("force", "input_malformed"),
    ],
)
def test_inputs_that_refuse(inputs: Any, reason: str) -> None:
    """One that cannot be taken, or is not as the policy wants it, refuses; what was sent is kept."""
    found = judged(asked(why={"inputs": inputs}), ground())
    assert names(found)[0] == reason
    assert len(found.why["inputs"]) == (len(inputs) if isinstance(inputs, list) else 1)


def test_a_signed_input() -> None:
    """Where the policy asks for a signature, what the controller says is not taken, and what the observer signed is."""
    on = ground(inputs=INPUT + "signed = true\n")
    assert names(judged(asked(), on)) == ["input_unsigned"]
    said = Observation("force_n", 10.0, "N", None, BEGIN_NS + NS, NOW.mono_ns, 1, None, LIDAR.hash)
    raw = observation.make(said, signer("lidar"))
    found = judged(asked(why={"inputs": [{"name": "force_n", "observation": raw}]}), on)
    assert found.decision == Decision.ADMITTED
    assert found.why["inputs"][0]["credential"] == LIDAR.hash
    forged = observation.make(said, signer("mallory"))
    found = judged(asked(why={"inputs": [{"name": "force_n", "observation": forged}]}), on)
    assert names(found) == ["observation_signature", "input_missing"]


def test_an_artefact_has_a_greatest_size() -> None:
    """What was consumed is stored a second time, so too much of it refuses, and the artefact is left out."""
    named = "".join(f'[input.t{number}]\ntype = "string"\n' for number in range(5))
    uses = clause(" || ".join(f'input.t{number} == "x"' for number in range(5)))
    inputs = [{"name": f"t{number}", "value": "t" * 4096} for number in range(5)]
    found = judged(asked(why={"inputs": inputs}), ground(uses, inputs=named))
    assert names(found) == ["artefact_too_large"]
    assert found.reasons[0].endswith(f"over {ARTEFACT_MAX_BYTES}")
    assert found.why.keys().isdisjoint({"artefact", "replay"})
