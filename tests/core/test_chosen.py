"""The choice of witnesses: made again from its salt, independent operators first, bound by its hash."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core.chosen import ANY, INDEPENDENT, choose, chosen_hash, kids_of, operator_of
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
salts = st.binary(min_size=16, max_size=16)


@given(salts, st.permutations(NAMES), st.sampled_from([INDEPENDENT, ANY]))
def test_made_again_by_whoever_has_the_salt(salt: bytes, order: list[str], rule: str) -> None:
    """The order in which candidates are known does not matter; fewer asked for are the first of more."""
    whole = choose(TRUST, NAMES, 6, rule, salt)
    assert sorted(whole) == sorted(NAMES)
    assert [choose(TRUST, order, count, rule, salt) for count in range(7)] == [whole[:count] for count in range(7)]


@given(salts)
def test_independent_operators_come_first(salt: bytes) -> None:
    """One of each operator, then the second ones, then the third; the own operator's after all others, oneself never."""
    operators = [operator_of(TRUST, name) for name in choose(TRUST, NAMES, 6, INDEPENDENT, salt)]
    assert [sorted(operators[:3]), sorted(operators[3:5]), operators[5:]] == [["a", "b", "c"], ["a", "b"], ["a"]]
    mine = choose(TRUST, NAMES, 6, INDEPENDENT, salt, own="a2")
    assert [operator_of(TRUST, name) for name in mine[2:]] == ["b", "a", "a"]
    assert "a2" not in mine


def test_the_salt_decides() -> None:
    """Every witness of an operator comes up under some salt, and by the rule `any` operators do not count."""
    salted = [sha256(bytes([at])).digest()[:16] for at in range(60)]
    assert {choose(TRUST, NAMES, 3, INDEPENDENT, salt)[place] for salt in salted for place in range(3)} == set(NAMES)
    assert any({one[0] for one in choose(TRUST, NAMES, 3, ANY, salt)} == {"a"} for salt in salted)


def test_bound_by_its_hash() -> None:
    """The hash is that of the salt and the kids in order, in CBOR by another encoder."""
    kids = kids_of(TRUST, ["c", "a1"])
    assert kids == [kid(KEYS["c"].public_key), kid(KEYS["a1"].public_key)]
    assert chosen_hash(SALT, kids) == sha256(naive_cbor([SALT, kids])).digest()
    assert chosen_hash(SALT, kids) != chosen_hash(SALT, kids[::-1])


def test_what_cannot_be_chosen() -> None:
    """Another rule is the policy's fault; a stranger, another salt, or a choice of nobody is the caller's."""
    with pytest.raises(FormatError, match="witness_rule"):
        choose(TRUST, NAMES, 1, "nearest", SALT)
    with pytest.raises(Misuse, match="'x'"):
        choose(TRUST, ["x", "c"], 1, ANY, SALT)
    for salt, kids in ((SALT[1:], [bytes(8)]), (SALT, []), (SALT, [bytes(7)])):
        with pytest.raises(Misuse):
            chosen_hash(salt, kids)
    with pytest.raises(Misuse):
        choose(TRUST, NAMES, 1, ANY, b"")
