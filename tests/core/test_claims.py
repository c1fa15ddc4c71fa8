"""Claims: digests against a naive second implementation, disclosure, erasure, and whatever may lie beside an entry."""

from __future__ import annotations

from hashlib import sha256, shake_128
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import cbor, claims
from recorder.core.errors import FormatError
from tests.core.shapes import bytes16, families, hashes, mutated, naive_cbor, texts, values

names = st.sampled_from(claims.FAMILIES)
wholes = st.dictionaries(st.just("*"), values, min_size=1)


def naive_salts(secret: bytes, family: dict[str, Any]) -> dict[str, bytes]:
    """Each key's salt, by FORMAT.md section 4."""
    ordered = sorted(family, key=naive_cbor)
    stream = shake_128(secret).digest(16 * len(ordered))
    return {key: stream[16 * n : 16 * n + 16] for n, key in enumerate(ordered)}


def naive_digest(name: str, secret: bytes, family: dict[str, Any]) -> bytes:
    salts = naive_salts(secret, family)
    hashed = {key: sha256(naive_cbor([salts[key], key, value])).digest() for key, value in family.items()}
    return sha256(naive_cbor(["lineage/family/1", name, hashed])).digest()


def test_known_answer() -> None:
    """One family spelled to the byte: who, the secret 00..0f, two claims."""
    secret = bytes(range(16))
    salts = shake_128(secret).digest(32)
    first = sha256(b"\x83\x50" + salts[:16] + b"\x68operator" + b"\xf6").digest()
    second = sha256(b"\x83\x50" + salts[16:] + b"\x68platform" + b"\x63arm").digest()
    spelled = b"\x83\x70lineage/family/1\x63who\xa2\x68operator\x58\x20" + first + b"\x68platform\x58\x20" + second
    assert claims.digest_at_rest("who", secret, {"platform": "arm", "operator": None}) == sha256(spelled).digest()
    assert claims.digest_in_transport("who", {}) == sha256(b"\x83\x70lineage/family/1\x63who\xa0").digest()


@given(names, bytes16, st.one_of(families, wholes))
def test_digest_is_the_naive_one(name: str, secret: bytes, family: dict[str, Any]) -> None:
    """At rest, in transport and after a trip through CBOR a family has the digest that the format defines."""
    expected = naive_digest(name, secret, family)
    assert claims.digest_at_rest(name, secret, family) == expected
    assert claims.at_rest_whole(name, secret, family) == claims.at_rest(name, secret, {claims.WHOLE: family})
    assert cbor.decode(claims.at_rest_whole(name, secret, family)[1]) == [secret, {claims.WHOLE: family}]
    transport = claims.to_transport(name, [secret, family])
    for form in ([secret, family], transport):
        assert claims.digest_of(name, form) == expected
        assert claims.digest_of(name, cbor.decode(cbor.encode(form))) == expected
    assert len({claims.digest_at_rest(other, secret, family) for other in claims.FAMILIES}) == len(claims.FAMILIES)


@given(st.lists(texts, unique=True))
def test_canonical_keys(keys: list[str]) -> None:
    """Salts go to keys in the order of their encodings, whatever the order of the map."""
    assert claims.canonical_keys(keys) == sorted(keys, key=naive_cbor)


@given(bytes16, st.integers(0, 40))
def test_salts_are_a_prefix_of_one_stream(secret: bytes, count: int) -> None:
    """The salts are consecutive 16-byte pieces of SHAKE-128(secret)."""
    assert b"".join(claims.salts(secret, count)) == shake_128(secret).digest(16 * count)
    assert all(len(salt) == 16 for salt in claims.salts(secret, count))


@given(names, bytes16, st.one_of(families, wholes), st.data())
def test_erasing_keeps_the_digest(name: str, secret: bytes, family: dict[str, Any], data: st.DataObject) -> None:
    """Whatever is withheld, at once or bit by bit, the digest stays; values and salts of what is withheld are gone."""
    gone = data.draw(st.sets(st.sampled_from(sorted(family)))) if family else set()
    sent = claims.to_transport(name, [secret, family], withhold=gone)
    assert claims.digest_of(name, sent) == naive_digest(name, secret, family)
    one_by_one: Any = [secret, family]
    for key in gone:
        one_by_one = claims.to_transport(name, one_by_one, withhold=[key])
    assert not gone or one_by_one == sent
    assert set(claims.withheld(sent)) == gone
    assert claims.withheld([secret, family]) == []
    salts = naive_salts(secret, family)
    for key, value in family.items():
        hashed = sha256(naive_cbor([salts[key], key, value])).digest()
        assert sent[key] == (hashed if key in gone else [salts[key], value])
    assert claims.to_transport(name, sent, withhold=gone) == sent
    if gone != {"*"} and set(family) != {"*"}:
        left = {key: value for key, value in family.items() if key not in gone}
        assert naive_cbor(claims.disclosed(name, sent)) == naive_cbor(left)


@given(names, families, st.data())
def test_the_secret_never_leaves(name: str, family: dict[str, Any], data: st.DataObject) -> None:
    """No form of transport contains the secret, which would open every sibling of a disclosed claim."""
    secret = bytes.fromhex("c0ffee00deadbeef0123456789abcdef")
    gone = data.draw(st.sets(st.sampled_from(sorted(family)))) if family else set()
    assert secret not in cbor.encode(claims.to_transport(name, [secret, family], withhold=gone))


def test_a_whole_map_opens() -> None:
    """A family under the only key "*" reads like one with its claims apart; a text under it stays where it is."""
    whole = {"mode": "hold"}
    assert claims.disclosed("what", [bytes(16), {"*": whole}]) == whole
    assert claims.disclosed("what", {"*": [bytes(16), whole]}) == whole
    assert claims.disclosed("what", [bytes(16), {"*": "x"}]) == {"*": "x"}
    assert claims.disclosed("what", {"*": bytes(32)}) == {}


@given(names, bytes16, families.filter(len), st.data())
def test_a_changed_claim_changes_the_digest(
    name: str, secret: bytes, family: dict[str, Any], data: st.DataObject
) -> None:
    """Another value, salt or key makes another digest, so that two readers cannot be shown two values."""
    sent = claims.to_transport(name, [secret, family])
    key = data.draw(st.sampled_from(sorted(family)))
    other = data.draw(values.filter(lambda value: naive_cbor(value) != naive_cbor(family[key])))
    salt = data.draw(bytes16.filter(lambda drawn: drawn != sent[key][0]))
    renamed = {name: claim for name, claim in sent.items() if name != key} | {key + "_": sent[key]}
    for changed in ({**sent, key: [sent[key][0], other]}, {**sent, key: [salt, family[key]]}, renamed):
        if changed.keys() == sent.keys() or key + "_" not in sent:
            assert claims.digest_of(name, changed) != claims.digest_of(name, sent)
    assert claims.digest_of(name, {k: v for k, v in sent.items() if k != key}) != claims.digest_of(name, sent)


MALFORMED: list[Any] = [
    None, 0, True, "who", b"", b"x" * 32, 1.5, [], [bytes(16)], [bytes(15), {}], [bytes(16), []], [bytes(16), {1: 2}],
    [bytes(16), {}, {}], ["x" * 16, {}], {"a": None}, {"a": bytes(31)}, {"a": bytes(33)}, {"a": []}, {"a": [bytes(16)]},
    {"a": [bytes(15), 1]}, {"a": [bytes(16), 1, 2]}, {"a": ["x" * 16, 1]}, {1: bytes(32)}, {"a": {}}, {"a": "x" * 32},
]  # fmt: skip


@pytest.mark.parametrize("family", MALFORMED, ids=repr)
def test_malformed(family: Any) -> None:
    """What is neither form is refused by name."""
    with pytest.raises(FormatError) as caught:
        claims.digest_of("who", family)
    assert caught.value.error == "claims_malformed"


valid = st.one_of(
    st.tuples(bytes16, families).map(list),
    st.dictionaries(texts, st.one_of(hashes, st.tuples(bytes16, values).map(list)), max_size=4),
)


@given(names, st.one_of(values, valid.flatmap(mutated), valid))
def test_anything_beside_an_entry(name: str, family: Any) -> None:
    """Whatever CBOR can say beside an entry has a digest or is refused; reading it raises nothing else either."""
    try:
        digest = claims.digest_of(name, family)
    except FormatError as error:
        assert error.error in {"claims_malformed", "cbor_malformed"}
        return
    assert len(digest) == 32
    sent = claims.to_transport(name, family)
    assert claims.digest_of(name, sent) == digest
    assert naive_cbor(claims.disclosed(name, sent)) == naive_cbor(claims.disclosed(name, family))
