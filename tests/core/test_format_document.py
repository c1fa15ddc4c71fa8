"""FORMAT.md against the code: its tables of kinds and of errors are the ones that the code has."""

from __future__ import annotations

import re
from typing import get_args, get_type_hints

from recorder.core.controls import RULES
from recorder.core.findings import FINDINGS
from recorder.core.kinds import Kind
from recorder.core.scope import Any_, Role, Scope
from recorder.core.sign1 import USES
from tests.documents import rows_of, text_of

TEXT = text_of("FORMAT.md")


def test_kinds() -> None:
    """Each kind stands in the table with the keys that it requires and permits."""
    listed = {}
    for number, name, required, permitted, control in rows_of(
        TEXT, "| kind | | required | permitted | control (key 15) |"
    ):
        keys = {int(key) for key in required.split()}
        listed[int(number)] = name
        rule = RULES[int(number)]
        assert rule.required == keys, name
        assert rule.permitted == keys | {int(key) for key in permitted.split()} | {12}, name
        assert bool(control) == (rule.control is not None), name
        if rule.control is not None:
            inner = re.sub(r"\[[^\[\]]*\]", "", re.sub(r"\[[^\[\]]*\]", "", control.strip("`")[1:-1]))
            assert len(inner.split(",")) == len(rule.control._fields), name
    assert listed == {kind: kind.name.lower().replace("_", " ") for kind in Kind}


def test_errors() -> None:
    """Each named error stands in the table under its step, in italics if it is not one of a whole lineage."""
    listed = {}
    for step, _, names in rows_of(TEXT, "| step | what | errors |"):
        for name in names.split():
            listed[name.strip("*`")] = (int(step), not name.startswith("*"))
    assert listed == {name: (finding.step, finding.in_lineage) for name, finding in FINDINGS.items()}


def test_uses_of_cose() -> None:
    """Each use of COSE_Sign1 apart from a log stands in the table with its label, its size and its error."""
    listed = {}
    for label, _, size, error in rows_of(TEXT, "| external_aad | what | at most | error |"):
        listed[label.removesuffix(" LF").strip("`") + "\n"] = (
            int(size.removesuffix(" bytes").replace(",", "")),
            error.strip("`"),
        )
    assert listed == {use.label: (use.max_bytes, use.error) for use in USES}


def test_scopes_and_roles() -> None:
    """The parts of a scope and the roles stand there as the code has them; "any" where a part may be that."""
    listed = {part.strip("`"): bool(any_) for part, _, any_ in rows_of(TEXT, '| key | value | `"any"` |')}
    hints = get_type_hints(Scope)
    assert listed == {part: Any_ in get_args(hints[part]) for part in Scope.__struct_fields__}
    roles = next(row[2] for row in rows_of(TEXT, "| label | name | value |") if row[1] == "role")
    assert tuple(roles.split("`")[1].split()) == get_args(Role)


def test_errors_of_chains() -> None:
    """Each error that a chain can show is explained, and each of step 9 is one of these or of what is read alone."""
    explained = {name.strip("`") for name, _ in rows_of(TEXT, "| error | |")}
    assert explained <= FINDINGS.keys()
    rest = {name for name, finding in FINDINGS.items() if finding.step == 9} - explained
    of_policies = {f"policy_{what}" for what in ("signature", "scope", "early", "expired", "older")}
    of_grants = {f"grant_{what}" for what in ("signature", "origin", "os_boot", "expired", "beyond", "inputs")}
    alone = {"matrix_signature", "matrix_version", "request_signature", "observation_signature", "observation_entry"}
    alone.add("confirmation_signature")
    done = {"delegation_missing", "delegation_holder", "delegation_uncovered", "budget_exceeded", "decision_missing"}
    done |= {"class_mixed", "cycle_decision", "verb_not_permitted", "beyond_contemplated"}  # of lineages alone
    assert rest == alone | of_policies | of_grants | done
