"""FORMAT.md against the code: its tables of kinds and of errors are the ones that the code has."""

from __future__ import annotations

import re
from pathlib import Path

import recorder
from recorder.core.kinds import RULES, Kind
from recorder.core.verdict import FINDINGS

TEXT = Path(recorder.__file__).with_name("FORMAT.md").read_text(encoding="utf-8")


def rows_of(heading: str) -> list[list[str]]:
    """Cells of the first table that has this header line."""
    lines = iter(TEXT.split("\n"))
    assert any(line == heading for line in lines), heading
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_kinds() -> None:
    """Each kind stands in the table with the keys that it requires and permits."""
    listed = {}
    for number, name, required, permitted, control in rows_of("| kind | | required | permitted | control (key 15) |"):
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
    for step, _, names in rows_of("| step | what | errors |"):
        for name in names.split():
            listed[name.strip("*`")] = (int(step), not name.startswith("*"))
    assert listed == {name: (finding.step, finding.in_lineage) for name, finding in FINDINGS.items()}
