"""Policies as their authors write them: defaults, and faults in the words and places of the file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core.policy import Fault
from recorder.core.policy_source import Place, SourceError, parse
from tests.policies import CLASS, EXAMPLE, HEAD, INPUT, clause, example, source


def faults(text: str) -> list[str]:
    with pytest.raises(SourceError) as refused:
        parse(text)
    return refused.value.faults


def test_the_example_is_a_policy() -> None:
    """The shipped file is read, and its times and terms are in seconds."""
    read = example().policy
    assert (read.name, read.version, read.engine, read.issuer) == ("arm-cell", 1, "cel", None)
    assert (read.nbf, read.exp) == (1_793_491_200, 1_825_027_200)
    assert read.retention["1y"].keep_s == 365 * 86_400
    assert parse(EXAMPLE.read_text(), bytes(32)).policy.issuer == bytes(32)


def test_what_is_left_out_has_the_value_of_the_configuration() -> None:
    """Defaults are those of `recorder.toml`; an ungated class is recorded on out of the reserve."""
    read = parse(source()).policy
    motion, braking = read.classes["motion"], read.classes["braking"]
    assert (motion.retention, motion.claims, motion.max_commits, motion.max_valid_ms) == (
        "1y",
        "fields",
        1_000_000,
        60_000,
    )
    assert (motion.disk_full_action, braking.disk_full_action) == ("refuse", "notify")
    assert (motion.verbs, motion.witnesses, motion.confirmation) == (["commit", "record", "event"], None, None)
    assert (read.at_risk.rows_window_ms, read.at_risk.at_risk_ms) == (50, 2000)
    assert (read.clauses[0].classes, read.clauses[0].deviate_to) == ("any", None)
    force = read.inputs["force_n"]
    assert (force.required, force.max_age_ms, force.signed) == (True, None, False)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("name = ", "not TOML: Invalid value (at end of document)"),
        ("a = 1\nb == 2\n", "2:4: not TOML: Invalid value"),
        ("a" * 1_000_001, "1000001 characters, at most 1000000 are allowed"),
        ("x = " + "[" * 5000, "not TOML that can be read: it nests too deep"),
        (source(head="x = 1\n" + HEAD), "'x' is none of name, version, valid_from, valid_until, engine, input, class, clause, at_risk, retention"),
        (source(head=HEAD.replace("version = 3\n", "")), "version is missing"),
        (source(head=HEAD.replace("= 3", "= -3")), "Expected `int` >= 0 - at `$.version`"),
        (source(head=HEAD.replace("2026-11-01T00:00:00Z", "2026-11-01")), "valid_from is a moment to the second with its zone, such as 2026-11-21T00:00:00Z"),
        (source(head=HEAD.replace("2026-11-01T00:00:00Z", "2026-11-01T00:00:00")), "valid_from is a moment to the second with its zone, such as 2026-11-21T00:00:00Z"),
        (source(head=HEAD.replace("2027", "2026")), "not before 1793491200, expired at 1793491200: never in force"),
        (source(inputs="input = 1\n"), "Expected `object`, got `int` - at `$.inputs`"),
        (source(inputs="input.a = 1\n"), "Expected `object`, got `int` - at `$.inputs[...]`"),
        (source(inputs="clause = 1\n").replace("[[clause]]", "[[x]]"), "'x' is none of name, version, valid_from, valid_until, engine, input, class, clause, at_risk, retention"),
        (source(clause("true", "allow")), "clause limit: Invalid enum value 'allow' - at `$.clauses[0].effect`"),
        (source(clause("true", priority="1")), "clause limit: Object contains unknown field `priority` - at `$.clauses[0]`"),
        (source(clause("true", "deviate")), "clause limit: deviate_to says what to do instead: a deviate clause needs it, others have none"),
        (source(clause("true", identifier="allow")), "clause allow: 2 clauses have this id"),
        (source(classes=CLASS.replace("= true", "= false")).replace('"hold"', '"hold"\ndisk_full_action = "halt"'), '[class.motion] is not gated: its disk_full_action can only be "notify"'),
        (source(inputs=INPUT + "[retention.1y]\nkeep = '1 week'\n"), "[retention.1y]: '1 week' is no term: hours, days or years such as \"36h\", \"90d\" or \"10y\", or \"forever\""),
        (source(inputs=INPUT + "[retention.1y]\nmax_bytes = '10%'\n"), "Expected `int` >= 1 - at `$.retention[...].max_bytes`"),
        (source(inputs=INPUT + "[retention.1y]\nmax_bytes = 1.5\n"), "[retention.1y]: expected string or bytes-like object, got 'float'"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, fault: str) -> None:
    """Each fault is one line that says where it is, in the words of the file."""
    assert faults(text)[0] == fault


def test_all_faults_between_the_parts_are_told_at_once() -> None:
    """An author hears of everything that does not fit together, not of the first."""
    text = source(
        clause("true", identifier="allow"),
        clause("true", "deviate", "slow"),
        classes=CLASS.replace("braking", "motions"),
    )
    assert len(faults(text.replace("2027", "2025"))) == 4


def test_places() -> None:
    """A place in a condition is told as line and column of the file, whatever way the text is written."""
    text = source(
        '[[clause]]\nid = "one"\neffect = "forbid"\nreason = "r"\n  when   =  "input.force_n > 1.0"\n',
        "[[clause]]\nid = \"two\"\neffect = \"forbid\"\nreason = \"r\"\nwhen = '''\ntrue\n  && input.force_n > 1.0'''\n",
        "[[clause]]\nid = \"half\"\neffect = \"forbid\"\nreason = \"r\"\nwhen = '''true\n   && input.force_n > 1.0'''\n",
        '[[clause]]\nid = "three"\neffect = "forbid"\nreason = "r"\nwhen = "\\u0074rue"\n',
    )
    read = parse(text)
    lines = text.split("\n")

    def shown(index: int, line: int, column: int) -> str:
        return read.line(Fault("wrong", index), (line, column))

    first = next(number for number, line in enumerate(lines, 1) if "when   =" in line)
    assert read.places[0] == Place(first, 14)
    assert shown(0, 1, 6) == f"{first}:19: clause one: wrong"
    second = lines.index("  && input.force_n > 1.0'''") + 1
    assert shown(1, 2, 6) == f"{second}:6: clause two: wrong"
    assert lines[second - 1][5] == "i"
    third = lines.index("   && input.force_n > 1.0'''") + 1
    assert shown(2, 1, 2) == f"{third - 1}:12: clause half: wrong"
    assert shown(2, 2, 7) == f"{third}:7: clause half: wrong"
    assert shown(3, 1, 1) == "clause three: 1:1 of its condition: wrong"
    assert read.line(Fault("wrong", 3)) == "clause three: wrong"
    assert read.line(Fault("wrong")) == "wrong"


def test_places_are_left_out_where_headers_do_not_tell_them() -> None:
    """Inline tables, or a header inside of a text: then the place in the condition is told."""
    inline = HEAD + 'clause = [{id = "a", effect = "permit", when = "true", reason = "r"}]\n' + CLASS
    assert parse(inline).places == [None]
    assert parse(source(clause("true // \n[[clause]]\n"))).places == [None, None]


@given(st.text(max_size=60), st.integers(0, 400), st.integers(0, 40))
def test_any_text_is_a_policy_or_refused(text: str, at: int, cut: int) -> None:
    """Whatever is written into a policy, or cut out of it, gives a policy or faults, and nothing else."""
    whole = source(clause("true"))
    try:
        parse(whole[:at] + text + whole[at + cut :])
    except SourceError as error:
        assert error.faults
        assert all(error.faults)
