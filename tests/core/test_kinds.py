"""Kinds: which keys each requires and permits, the exactness of types, and the rules between keys."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core.controls import RULES
from recorder.core.errors import FormatError
from recorder.core.header import Header, read_header
from recorder.core.kinds import Decision, Kind, Stage
from tests.core.shapes import KINDS, headers, mutated, naive_cbor, values

# FORMAT.md section 3, written out again: required keys, permitted keys; 12 is permitted to all, 1 to 5 are everyone's.
TABLE = {
    1: "15", 2: "15", 3: "15", 4: "6 7 8 9 10 13 14 16 | 18", 5: "7 8 9 13 14 15 16 | 6 10", 6: "11 12 15", 7: "11 | 15",
    8: "11 15", 9: "15 | 11", 10: "11", 11: "11", 12: "15 | 11", 13: "15", 14: "15", 15: "15 | 11", 16: "15", 17: "15",
    18: "11 15", 19: "15", 20: "15", 21: "15", 22: "11 15", 23: "11", 24: "7 8 9 13 14 15 16 17",
}  # fmt: skip
HASH, SIXTEEN = bytes(32), bytes(16)
ACTUATION: dict[int, Any] = {
    1: 1, 2: 4, 3: 9, 4: HASH, 5: [1, 2, 1, 0, None], 6: {3: None}, 7: [HASH, None], 8: [HASH, 1], 9: [HASH, 1],
    10: [[3, HASH, HASH, 5, SIXTEEN]], 13: ["motion", "1y"], 14: 0, 16: 0,
}  # fmt: skip
REFUSAL = {
    **{key: value for key, value in ACTUATION.items() if key not in {6, 10}},
    2: 5,
    15: [SIXTEEN, ["late"]],
    16: 1,
}
ROWS = [3, HASH, 10, HASH, HASH, HASH, [1, 2], SIXTEEN]
EPOCH = {1: 1, 2: 3, 3: 9, 4: HASH, 5: [1, 2, 1, 0, None], 15: [HASH]}


def read(header: Any) -> Header:
    return read_header(naive_cbor(header))


def error_of(header: Any) -> str:
    with pytest.raises(FormatError) as caught:
        read(header)
    return caught.value.error


def test_the_table_of_kinds() -> None:
    """Each kind requires and permits the keys that the format's table names."""
    for number, text in TABLE.items():
        required, _, optional = text.partition("|")
        needed = frozenset(map(int, required.split()))
        assert RULES[number].required == needed, number
        assert RULES[number].permitted == needed | set(map(int, optional.split())) | {12}, number
        assert (RULES[number].control is not None) == (15 in RULES[number].permitted), number
    assert set(RULES) == set(TABLE) == set(Kind)


@pytest.mark.parametrize("kind", KINDS)
def test_required_and_permitted_keys(kind: int) -> None:
    """A header without a required key is refused, and so is one with a key that its kind does not permit."""

    @given(headers(kind))
    def check(header: dict[int, Any]) -> None:
        assert read(header).kind == kind
        needed = {1, 2, 3, 4, 5} | (RULES[kind].required if kind in RULES else set())
        for key in needed:
            assert error_of({name: value for name, value in header.items() if name != key}) in {
                "header_keys",
                "header_value",
            }
        permitted = RULES[kind].permitted if kind in RULES else set(range(3, 19))
        for key in {*range(25), 255, 2**64 - 1} - needed - permitted:
            assert error_of({**header, key: ACTUATION.get(key, 0)}) == "header_keys", key
        for key in header:
            assert error_of({**header, key: None}) == "header_value", key

    check()


@given(st.sampled_from(KINDS).flatmap(headers).flatmap(mutated) | values)
def test_any_value(header: Any) -> None:
    """Any value is a header or refused under one of the three names."""
    try:
        read(header)
    except FormatError as error:
        assert error.error in {"header_keys", "header_value", "cbor_malformed"}


@pytest.mark.parametrize("version", [0, 2, True, 1.0, "1", b"\1", None, [1], 2**64 - 1])
def test_version(version: Any) -> None:
    """Only the integer 1 is version 1; true and 1.0, which Python takes for 1, are not."""
    assert error_of({**EPOCH, 1: version}) == "header_value"


@pytest.mark.parametrize("kind", [-1, True, 3.0, "3", None, [3]])
def test_kind_is_an_unsigned_integer(kind: Any) -> None:
    """A kind is an unsigned integer, known or not."""
    assert error_of({**EPOCH, 2: kind}) == "header_value"


@pytest.mark.parametrize("header", [None, 5, [], {}, {"a": 1}, "header", {2: 3}])
def test_not_a_header(header: Any) -> None:
    """What is not a map with version and kind is no header."""
    assert error_of(header) in {"header_value", "header_keys"}


@pytest.mark.parametrize("number", [True, False, 1.0, -1, "1", b"\1", None, [1], {}])
def test_an_unsigned_integer_is_nothing_else(number: Any) -> None:
    """Booleans, floats and texts do not pass for numbers anywhere, negative numbers not for unsigned ones."""
    for header in (
        {**EPOCH, 3: number}, {**EPOCH, 5: [number, 2, 1, 0, None]}, {**EPOCH, 5: [1, 2, number, 0, 0]},
        {**ACTUATION, 10: [[3, HASH, HASH, number, SIXTEEN]]}, {**ACTUATION, 8: [HASH, number]},
        {**ACTUATION, 7: [HASH, [number, HASH]]}, {**ACTUATION, 10: [[*ROWS[:2], number, *ROWS[3:]]]},
        {**ACTUATION, 12: {1: [[None, 1, HASH, number]]}}, {**ACTUATION, 10: [[*ROWS[:6], [1, number], SIXTEEN]]},
        {**EPOCH, 2: 17, 15: [1, number, "done"]}, {**EPOCH, 2: 14, 15: [[number], HASH]},
    ):  # fmt: skip
        if number != 1 or isinstance(number, bool | float):
            assert error_of(header) == "header_value", header


@pytest.mark.parametrize("largest", [2**63 - 1, 2**63, 2**64 - 1])
def test_numbers_reach_64_bits(largest: int) -> None:
    """Unsigned integers go to 2^64-1."""
    assert read({**EPOCH, 3: largest, 5: [largest, largest, largest, 3, largest]}).time.error_us == largest
    commits = [
        [largest, HASH, largest, HASH, HASH, HASH, [largest, largest], SIXTEEN],
        [largest, HASH, HASH, largest, SIXTEEN],
    ]
    assert read({**ACTUATION, 6: {largest: [largest, HASH]}, 10: commits}).commits is not None


@pytest.mark.parametrize("wrong", [bytes(31), bytes(33), b"", "x" * 32, None, [0] * 32])
def test_a_hash_has_32_bytes(wrong: Any) -> None:
    """Hashes have 32 bytes wherever they stand."""
    for header in (
        {**EPOCH, 4: wrong}, {**EPOCH, 15: [wrong]}, {**ACTUATION, 9: [wrong, 1]}, {**ACTUATION, 6: {3: [1, wrong]}},
        {**ACTUATION, 10: [[3, wrong, HASH, 5, SIXTEEN]]}, {**ACTUATION, 12: {2: [[None, 1, wrong]]}},
        {**ACTUATION, 10: [[3, HASH, HASH, 5, wrong]]}, {**ACTUATION, 18: [1, 2, "any", wrong]},
    ):  # fmt: skip
        assert error_of(header) == "header_value"


@pytest.mark.parametrize(
    "commits", [[], {}, None, [[]], [5], [ROWS[:7]], [[*ROWS, 1]], [[3, HASH, HASH, 5]], "x", [{0: 1}]]
)
def test_bad_commits(commits: Any) -> None:
    """Key 10 is a list of commits of five elements and rows of eight."""
    assert error_of({**ACTUATION, 10: commits}) == "header_value"


def test_limits_of_small_numbers() -> None:
    """Quality, stage, decision, reference type, counts and boot numbers keep their ranges."""
    assert read({**ACTUATION, 14: max(Stage), 16: max(Decision), 5: [1, 2, 1, 3, 4]}).stage == 4
    for header in (
        {**EPOCH, 5: [1, 2, 0, 0, None]}, {**EPOCH, 5: [1, 2, 1, 4, None]}, {**EPOCH, 5: [1, 2, 1, 0]},
        {**EPOCH, 5: [1, 2, 1, 0, None, 0]}, {**ACTUATION, 14: 5}, {**ACTUATION, 16: 6}, {**ACTUATION, 12: {}},
        {**ACTUATION, 12: {0: [[None, 1, HASH]]}}, {**ACTUATION, 12: {5: [[None, 1, HASH]]}}, {**ACTUATION, 12: {1: []}},
        {**ACTUATION, 10: [[3, HASH, 0, *ROWS[3:]]]}, {**ACTUATION, 18: [0, 1, "any", HASH]},
        {**ACTUATION, 12: {1: [[None, 1, HASH, 1, 2, 3]]}}, {**ACTUATION, 13: ["", "1y"]}, {**ACTUATION, 13: ["a" * 257, "1y"]},
    ):  # fmt: skip
        assert error_of(header) == "header_value", header


def test_rules_between_keys() -> None:
    """Keys 6 and 10 agree, a null bundle goes with decision 4, and decision 1 with refusals."""
    assert read(ACTUATION).decision == 0
    assert read(REFUSAL).control.reasons == ["late"]
    assert read({**REFUSAL, 6: ACTUATION[6], 10: ACTUATION[10], 15: [None, ["late"]]}).control.request is None
    assert read({**ACTUATION, 7: [None, None], 16: 4}).decision == 4
    assert read({**ACTUATION, 6: {3: None}, 10: [*ACTUATION[10], ROWS]}).commits is not None
    for header in (
        {**ACTUATION, 6: {3: None, 4: None}}, {**ACTUATION, 6: {4: None}}, {**ACTUATION, 7: [None, None]},
        {**ACTUATION, 16: 4}, {**ACTUATION, 16: 1}, {**ACTUATION, 7: [None, [1, HASH]], 16: 4}, {**REFUSAL, 16: 0},
        {**REFUSAL, 15: [None, ["late"]]}, {**REFUSAL, 6: ACTUATION[6], 10: ACTUATION[10]},
        {**EPOCH, 2: 99, 16: 1}, {**EPOCH, 2: 99, 7: [None, [1, HASH]]},
    ):  # fmt: skip
        assert error_of(header) == "header_value", header
    assert error_of({**REFUSAL, 6: ACTUATION[6]}) == error_of({**EPOCH, 2: 99, 10: ACTUATION[10]}) == "header_keys"


def test_unknown_kinds_are_read() -> None:
    """A kind of a later release passes with keys of this version, and its control stays as it is."""
    assert read({**EPOCH, 2: 99, 15: {"a": [1.5]}}).control == {"a": [1.5]}
    assert error_of({**EPOCH, 2: 99, 19: 1}) == "header_keys"
