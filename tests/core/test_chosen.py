"""The choice of witnesses: made again from its salt, independent operators first, bound by its hash."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import cbor
from recorder.core.chosen import ANY, INDEPENDENT, Choice, candidates_of, choice_of, operator_of, own_of, read_choice
from recorder.core.chosen import choose as choose_of
from recorder.core.cosignature import cosigner_key
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import SeedSigner, kid
from recorder.core.trust import parse_trust
from tests.core.shapes import naive_cbor

NAMES = ["a1", "a2", "a3", "b1", "b2", "c"]
KEYS = {name: cosigner_key(f"{name}.example", SeedSigner(sha256(name.encode()).digest()).public_key) for name in NAMES}
TRUST = parse_trust(
    "".join(f"witness {name} {one}\n" for name, one in KEYS.items()).encode()
    + b"group a any a1 a2 a3\ngroup b any b1 b2\ngroup both all a b\nquorum both\n"
)
SALT = bytes(range(16))


def choose(names: list[str], count: int, rule: str, salt: bytes, own: str | None = None) -> list[str]:
    """Names in, names out."""
    oneself = None if own is None else own_of(TRUST, KEYS[own])
    chosen = choose_of(candidates_of(TRUST, names), count, rule, salt, oneself)
    return [one.name.removesuffix(".example") for one in chosen]


salts = st.binary(min_size=16, max_size=16)


@given(salts, st.permutations(NAMES), st.sampled_from([INDEPENDENT, ANY]))
def test_made_again_by_whoever_has_the_salt(salt: bytes, order: list[str], rule: str) -> None:
    """The order in which candidates are known does not matter; fewer asked for are the first of more."""
    whole = choose(NAMES, 6, rule, salt)
    assert sorted(whole) == sorted(NAMES)
    assert [choose(order, count, rule, salt) for count in range(7)] == [whole[:count] for count in range(7)]


@given(salts)
def test_independent_operators_come_first(salt: bytes) -> None:
    """One of each operator, then the second ones, then the third; the own operator's after all others, oneself never."""
    operators = [operator_of(TRUST, name) for name in choose(NAMES, 6, INDEPENDENT, salt)]
    assert [sorted(operators[:3]), sorted(operators[3:5]), operators[5:]] == [["a", "b", "c"], ["a", "b"], ["a"]]
    mine = choose(NAMES, 6, INDEPENDENT, salt, own="a2")
    assert [operator_of(TRUST, name) for name in mine[2:]] == ["b", "a", "a"]
    assert "a2" not in mine


def test_the_salt_decides() -> None:
    """Every witness of an operator comes up under some salt, and by the rule `any` operators do not count."""
    salted = [sha256(bytes([at])).digest()[:16] for at in range(60)]
    assert {choose(NAMES, 3, INDEPENDENT, salt)[place] for salt in salted for place in range(3)} == set(NAMES)
    assert any({one[0] for one in choose(NAMES, 3, ANY, salt)} == {"a"} for salt in salted)


def test_bound_by_its_hash() -> None:
    """The hash is that of the salt and the kids in order, in CBOR by another encoder."""
    choice = choice_of(candidates_of(TRUST, ["c", "a1"]), SALT)
    assert choice.kids == [kid(KEYS["c"].public_key), kid(KEYS["a1"].public_key)]
    assert choice.digest() == sha256(naive_cbor([SALT, choice.kids])).digest()
    assert choice.digest() != Choice(SALT, choice.kids[::-1]).digest()
    assert read_choice(cbor.decode(choice.encode())) == choice


def test_nobody_to_ask_is_a_choice_too() -> None:
    """With no candidate the entry binds that: an empty list, under a salt of its own."""
    assert choose([], 3, INDEPENDENT, SALT) == []
    assert choose(["a2"], 3, INDEPENDENT, SALT, own="a2") == []
    nobody = choice_of([], SALT)
    assert nobody.digest() == sha256(naive_cbor([SALT, []])).digest() != choice_of([], SALT[::-1]).digest()


def test_what_cannot_be_chosen() -> None:
    """Another rule is the policy's fault; a stranger or another salt is the caller's; what is kept is of one shape."""
    with pytest.raises(FormatError, match="witness_rule"):
        choose(NAMES, 1, "nearest", SALT)
    with pytest.raises(Misuse, match="'x'"):
        choose(["x", "c"], 1, ANY, SALT)
    for salt, kids in ((SALT[1:], [bytes(8)]), (SALT, [bytes(7)])):
        with pytest.raises(Misuse):
            Choice(salt, kids).encode()
        with pytest.raises(FormatError, match="claims_malformed"):
            read_choice([salt, kids])
    wrongs: list[object] = [[SALT], [SALT, [], 1], [SALT, "x"], {}, None]
    for wrong in wrongs:
        with pytest.raises(FormatError, match="claims_malformed"):
            read_choice(wrong)
    with pytest.raises(Misuse):
        choose(NAMES, 1, ANY, b"")
