"""Every rule of authority is broken twice by a test: before a recorder or a bridge that refuses it, and in a lineage that verify judges.

The table is the list of rules that must not be broken, with what breaks each.  A name that leads to no test, to a
skipped one, or to one that does not speak of the error is a failure: a rule loses its test only by being taken out here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.vectors.broken import BROKEN
from tests.vectors.make_vectors import HERE

TESTS = Path(__file__).parent
GATE, JUDGING, AUTHORITIES = "daemon/test_gate.py", "gate/test_judging.py", "gate/test_authorities.py"
GRANTS = "gate/test_judging_grants.py"
LINK, PROCESS, DEVICES = "bridge/test_link.py", "bridge/test_process.py", "core/test_verify_devices.py"
TIME, VERIFY = "daemon/test_gate_time.py", "core/test_verify_authority.py"


class Broken(NamedTuple):
    """What breaks a rule, and the error by which that is noticed."""

    by: str  # `FILE::TEST` below tests/, or `broken/ERROR.json` among the vectors
    error: str


def vector(error: str) -> Broken:
    return Broken(f"broken/{error}.json", error)


def case(file: str, name: str, error: str) -> Broken:
    return Broken(f"{file}::test_{name}", error)


# By rule, in the words of those who asked for it: what breaks it online, and what offline.
RULES: dict[str, tuple[list[Broken], list[Broken]]] = {
    "scope widened in delegation": (
        [
            case(JUDGING, "a_scope_that_was_widened_does_not_get_in", "delegation_scope"),
            case(AUTHORITIES, "credentials_that_are_not_installed", "delegation_scope"),
        ],
        [vector("delegation_scope")],
    ),
    "expired by one nanosecond": (
        [case(JUDGING, "expiry_to_the_nanosecond", "credential_expired")],
        [
            case(VERIFY, "a_delegation_is_over_at_exp_and_not_a_nanosecond_before", "credential_expired"),
            vector("credential_expired"),
        ],
    ),
    "revoked before and after": (
        [
            case(JUDGING, "revoked_before_and_after", "credential_revoked"),
            case(GATE, "a_revocation_ends_what_rests_on_it_and_survives_a_restart", "credential_revoked"),
        ],
        [case(VERIFY, "revoked_before_and_after", "credential_revoked"), vector("credential_revoked")],
    ),
    "budget exceeded by one": (
        [case(GATE, "a_budget_is_spent_across_cycles_and_restarts", "budget_exhausted")],
        [
            case(VERIFY, "a_budget_of_commits_is_shared_by_cycles_and_restarts", "budget_exceeded"),
            vector("budget_exceeded"),
        ],
    ),
    "unknown root": (
        [case(JUDGING, "a_recognised_intermediate_and_an_unknown_root", "issuer_unknown")],
        [case(VERIFY, "an_unknown_root", "issuer_unknown"), vector("issuer_unknown")],
    ),
    "recognised intermediate": (
        [case(JUDGING, "a_recognised_intermediate_and_an_unknown_root", "issuer_unknown")],
        [case(VERIFY, "what_a_recognised_intermediate_issued", "issuer_unknown")],
    ),
    "wrong role": (
        [case(JUDGING, "the_delegation", "role_mismatch"), case(GRANTS, "grants_that_grant_nothing", "role_mismatch")],
        [vector("role_mismatch")],
    ),
    "a credential issued again under the same serial with more scope": (
        [case(AUTHORITIES, "the_same_serial_is_another_credential", "serial")],
        [
            case(VERIFY, "a_credential_of_the_same_serial_lends_no_scope", "delegation_uncovered"),
            case(VERIFY, "the_same_serial_with_more_scope_is_noted", "same_serial"),
        ],
    ),
    "replayed grant and nonce": (
        [case(GRANTS, "grants_that_grant_nothing", "nonce_reused")],
        [case(VERIFY, "a_grant_is_used_once", "nonce_reused"), vector("nonce_reused")],
    ),
    "a why of an earlier OS boot": (
        [
            case(TIME, "the_why_of_an_earlier_os_boot_is_worth_nothing", "cycle_unknown"),
            case(GRANTS, "grants_that_grant_nothing", "grant_os_boot"),
        ],
        [vector("cycle_os_boot"), vector("grant_os_boot")],
    ),
    "clause that divides by zero": (
        [case(JUDGING, "a_clause_that_goes_wrong_denies", "clause_error: broken: division by zero")],
        [vector("replay_differs")],
    ),
    "policy rolled back": (
        [case(GATE, "a_policy_is_followed_by_a_newer_one_and_by_nothing_else", "policy_older")],
        [
            case(VERIFY, "the_same_bundle_again_is_no_error_and_an_older_one_or_a_table_is", "policy_older"),
            vector("policy_older"),
        ],
    ),
    "inputs altered after the decision": (
        [case(GRANTS, "grants_that_grant_nothing", "grant_inputs")],
        [vector("replay_mismatch"), vector("grant_inputs"), vector("observation_entry")],
    ),
    "stage skipped": (
        [case(GATE, "stages_follow_each_other_and_are_decided_anew", "stage_skipped")],
        [vector("stage_order"), vector("stage_changed")],
    ),
    "clock set back to before a revocation": (
        [
            case(TIME, "a_clock_set_back_to_before_a_revocation_revives_nothing", "credential_revoked"),
            case(JUDGING, "a_clock_set_back_to_before_a_revocation", "credential_revoked"),
        ],
        [case(VERIFY, "a_clock_set_back_revives_nothing", "credential_revoked")],
    ),
    "a confirmation in a device's name": (
        [case(LINK, "signatures_that_do_not_count", "SIGNATURE_BROKEN")],
        [vector("confirmation_signature"), case(DEVICES, "a_thief_of_the_hosts_keys", "confirmation_signature")],
    ),
    "a confirmation by another actuator's device": (
        [case(LINK, "a_device_that_is_not_believed", "ANOTHER_KEY")],
        [case(DEVICES, "whose_word_it_is", "confirmation_signature")],
    ),
    "a confirmation of another commit": (
        [case(PROCESS, "a_commit_that_is_not_there", "unknown_commit")],
        [vector("confirmation_frames"), case(DEVICES, "key_12_names_what_the_frames_confirm", "confirmation_frames")],
    ),
    "frames of a device that are not there": (
        [case(LINK, "gaps", "not_held")],
        [vector("frames_unaccounted"), case(DEVICES, "frames_are_accounted_for", "frames_unaccounted")],
    ),
}
ONLINE, OFFLINE = ("daemon/", "gate/", "bridge/"), ("core/", "audit/", "broken/")
ALL = [(rule, side, one) for rule, sides in RULES.items() for side, ones in enumerate(sides) for one in ones]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_broken_on_both_sides(rule: str) -> None:
    """The recorder refuses it, and whoever verifies finds it."""
    for ones, places in zip(RULES[rule], (ONLINE, OFFLINE), strict=True):
        assert ones
        assert all(one.by.startswith(places) for one in ones)


@pytest.mark.parametrize("one", [one for _, _, one in ALL], ids=[f"{rule}-{one.by}" for rule, _, one in ALL])
def test_what_breaks_a_rule_is_there(one: Broken) -> None:
    """A vector that is made and kept, or a test that runs and speaks of the error."""
    if one.by.startswith("broken/"):
        assert one.error in BROKEN
        assert (HERE / one.by).is_file()
        return
    test = _test(one.by)
    marks = [mark.name for mark in getattr(test, "pytestmark", [])]
    assert not {"skip", "xfail"} & set(marks)
    assert one.error in inspect.getsource(test)


def _test(named: str) -> Callable[..., Any]:
    """The function that a test id names.

    Raises:
        ImportError, AttributeError: there is none.

    """
    path, name = named.split("::")
    module = import_module(".".join(["tests", *Path(path).with_suffix("").parts]))
    assert module.__file__ is not None
    assert Path(module.__file__) == TESTS / path
    test: Callable[..., Any] = getattr(module, name)
    assert inspect.isfunction(test)
    assert test.__module__ == module.__name__  # its own, which pytest collects there
    return test
