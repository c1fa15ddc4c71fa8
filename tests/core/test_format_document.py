"""FORMAT.md against the code: its tables of kinds and of errors are the ones that the code has."""

from __future__ import annotations

import re

from recorder.core.kinds import RULES, Kind
from recorder.core.verdict import FINDINGS
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
