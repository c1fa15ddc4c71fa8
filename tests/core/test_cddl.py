"""`recorder/format.cddl` against our reader: both take the same headers, but for the rules that CDDL cannot say.

The validator is `cddl-verifier`.  `pycddl` 0.6.4 misjudges arrays whose elements are choices or optional (an array
`["x" / null]` accepts null only), which the format is made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cddl_verifier import Validator
from hypothesis import event, given, settings
from hypothesis import strategies as st

import recorder
from recorder.core import bundle, cbor, claims, entry, rows, volume
from recorder.core.controls import RULES
from recorder.core.errors import FormatError
from recorder.core.header import read_header
from recorder.core.keys import SeedSigner
from recorder.core.kinds import Kind
from tests.core.places import FULL, OPENING, UNGATED, neighbours
from tests.core.shapes import (
    KINDS,
    bytes16,
    families,
    hashes,
    headers,
    mutated,
    naive_cbor,
    names,
    ranges,
    schemas,
    uints,
    values,
)

SIGNER = SeedSigner(bytes(32))
AAD = entry.external_aad("fleet/arm/0123456789abcdef")
CDDL = Validator(Path(recorder.__file__).with_name("format.cddl").read_text(encoding="utf-8"))
RULE_OF = {kind: kind.name.lower().replace("_", "-") for kind in Kind} | {
    Kind.ACTUATOR: "actuator-entry",
    Kind.SCHEMA: "schema-entry",
}


def conforms(value: Any, rule: str) -> bool:
    return bool(CDDL.validate(naive_cbor(value), root_type=rule).valid)


def reads(header: Any) -> bool:
    """Whether our reader takes the header; for a schema entry, whether its rows can be read too."""
    try:
        read = read_header(naive_cbor(header))
        if read.kind == Kind.SCHEMA:
            rows.struct_format(read.control.fields)
    except FormatError:
        return False
    return True


def combines(header: dict[int, Any]) -> bool:
    """The rules of a header that CDDL cannot say, as the head of format.cddl lists them; its shape is right already."""
    if (6 in header) != (10 in header):
        return False
    if 10 in header and {commit[0] for commit in header[10]} != set(header[6]):
        return False
    if header[2] == Kind.REFUSAL and (10 in header) != (header[15][0] is None):
        return False
    if header[2] == Kind.ACTUATION and (header[16] == 4) != (header[7][0] is None):
        return False
    if 7 in header and header[7][0] is None and header[7][1] is not None:
        return False
    return header[2] != Kind.SCHEMA or schema_fits(header[15][0])


def schema_fits(schema: list[Any]) -> bool:
    """The rules of a schema that CDDL cannot say: its length, its names, the size of a row."""
    size = 8 + sum(count * int(kind[2]) for _, kind, count, _ in schema)
    return len(schema) <= 256 and size <= 4096 and len({field[0] for field in schema}) == len(schema)


@pytest.mark.parametrize("kind", KINDS)
def test_valid_headers_of_each_kind(kind: int) -> None:
    """An entry that we sign is one for the CDDL, under its own kind's rule and under no other kind's."""
    rule = RULE_OF[Kind(kind)] if kind in RULES else "unknown"

    @settings(max_examples=15)
    @given(headers(kind), st.sampled_from(sorted({*RULE_OF.values(), "unknown"} - {rule})))
    def check(header: dict[int, Any], other: str) -> None:
        assert reads(header)
        assert combines(header)
        assert conforms(header, rule)
        raw = entry.sign(header, AAD, SIGNER)
        assert CDDL.validate(raw, root_type="entry").valid
        assert not conforms(header, other)

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_headers_of_each_kind(kind: int) -> None:
    """A header changed in one place is taken by both or refused by both, the listed combinations apart."""

    @settings(max_examples=25)
    @given(headers(kind).flatmap(mutated).filter(lambda header: encodes(header) and naming(header)))
    def check(header: dict[int, Any]) -> None:
        known = header[2] in RULES
        conforming = conforms(header, RULE_OF[Kind(header[2])] if known else "unknown")
        event(f"conforming: {conforming}")
        assert reads(header) == (conforming and combines(header)), header

    check()


HEADERS = [*FULL.values(), OPENING, UNGATED]


def some(at: int, every: int) -> Iterator[dict[int, Any]]:
    """Neighbours of a header: all that change its control, and of the others, which most kinds share, one in `every`.

    Which ones differs from header to header.
    """
    header = HEADERS[at]
    for number, changed in enumerate(filter(naming, filter(encodes, neighbours(header)))):
        if changed.get(15) != header.get(15) or number % every == at % every:
            yield changed


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("at", range(len(HEADERS)), ids=lambda at: f"{HEADERS[at][2]}")
def test_every_place_of_each_kind(at: int, every: int) -> None:
    """A full header with each of its places, in turn, at or beyond the edges of its type: both agree on every one."""
    assert reads(HEADERS[at])
    taken = refused = 0
    for changed in some(at, every):
        conforming = conforms(changed, RULE_OF[Kind(changed[2])] if changed[2] in RULES else "unknown")
        assert reads(changed) == (conforming and combines(changed)), changed
        taken += conforming
        refused += not conforming
    assert taken > 10
    assert refused > 100


def encodes(value: Any) -> bool:
    try:
        cbor.check(value)
    except FormatError:
        return False
    return True


def naming(header: Any) -> bool:
    """Whether it is a map that names its kind: else there is no rule to hold it against."""
    return isinstance(header, dict) and type(header.get(2)) is int


@given(st.sampled_from(KINDS).flatmap(headers), st.data())
def test_a_missing_and_an_extra_key(header: dict[int, Any], data: st.DataObject) -> None:
    """Without a required key, or with a key of no use to its kind, neither takes a header."""
    kind = header[2]
    required = {1, 3, 4, 5} | (RULES[kind].required if kind in RULES else set())
    permitted = RULES[kind].permitted if kind in RULES else set(range(3, 19))
    rule = RULE_OF[Kind(kind)] if kind in RULES else "unknown"
    gone = data.draw(st.sampled_from(sorted(required)))
    less = {key: value for key, value in header.items() if key != gone}
    extra = data.draw(st.sampled_from(sorted({*range(24)} - permitted - {1, 2, 3, 4, 5})))
    more = {**header, extra: data.draw(values)}
    for changed in (less, more):
        assert not reads(changed)
        assert not conforms(changed, rule)


@settings(max_examples=50)
@given(st.one_of(values, st.sampled_from(KINDS).flatmap(headers).flatmap(mutated)).filter(encodes))
def test_the_rule_for_any_header(value: Any) -> None:
    """The rule `header`, the choice of all kinds, agrees with our reader on anything."""
    assert reads(value) == (conforms(value, "header") and combines(value))


def test_malformed_entries() -> None:
    """Around the header: another algorithm, an unprotected header, a short signature, no tag, a text as payload."""
    header = {1: 1, 2: 3, 3: 7, 4: bytes(32), 5: [1, 2, 1, 0, None], 15: [bytes(32)]}
    raw = entry.sign(header, AAD, SIGNER)
    assert CDDL.validate(raw, root_type="entry").valid
    for wrong in (
        raw[1:], raw[:-1], raw + b"\0", raw.replace(b"\xa2\x01\x32", b"\xa2\x01\x27"), raw[:-66] + b"\x58\x3f" + raw[-63:],
        raw.replace(b"\xa0\x58", b"\xa1\x01\x01\x58"), raw.replace(b"\x48", b"\x68", 1), raw.replace(b"\x58\x55", b"\x78\x55"),
    ):  # fmt: skip
        assert wrong != raw
        assert not CDDL.validate(wrong, root_type="entry").valid
        with pytest.raises(FormatError):
            entry.decode(wrong)


# --- What lies beside an entry

at_rest = st.tuples(bytes16, families.filter(len)).map(list)
in_transport = at_rest.map(lambda family: claims.to_transport("who", family, withhold=list(family[1])[::2]))
rows_at_rest = st.tuples(bytes16, st.binary(min_size=16, max_size=32)).map(list)
rows_in_transport = st.dictionaries(
    st.integers(0, 5), hashes | st.tuples(bytes16, st.binary(min_size=8)).map(list), min_size=1
)


def records(family: st.SearchStrategy[Any], packed: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[int, Any]]:
    commit = st.one_of(st.tuples(family, family), st.tuples(family, family, packed)).map(list)
    return st.fixed_dictionaries(
        {}, optional={8: family, 9: family, 10: st.lists(commit, min_size=1, max_size=2), 11: family}
    )


@given(records(at_rest | in_transport, rows_at_rest | rows_in_transport))
def test_claims_records(record: dict[int, Any]) -> None:
    """Claims in either form make a record."""
    assert conforms(record, "claims-record")


@given(records(in_transport, rows_in_transport), at_rest, rows_at_rest)
def test_claims_in_transport(record: dict[int, Any], family: list[Any], packed: list[Any]) -> None:
    """What leaves the recorder is in transport throughout: a secret anywhere breaks the rule."""
    assert conforms(record, "claims-in-transport")
    for key in (8, 9, 11):
        assert not conforms({**record, key: family}, "claims-in-transport")
    for commit in ([family, {}], [{}, family], [{}, {}, packed]):
        assert not conforms({**record, 10: [commit]}, "claims-in-transport")


@given(st.one_of(values, (at_rest | in_transport).flatmap(mutated), at_rest).filter(encodes))
def test_families(family: Any) -> None:
    """What the CDDL calls a family has a digest with us, and nothing else has but [secret, {}], refused by verification."""
    if isinstance(family, list) and len(family) == 2 and family[1] == {}:
        assert not conforms(family, "family")
        return
    try:
        claims.digest_of("body", family)
    except FormatError:
        assert not conforms(family, "family")
    else:
        assert conforms(family, "family")


manifests = st.fixed_dictionaries(
    {
        "format": st.just(bundle.FORMAT), "origin": names, "whole": st.booleans(), "entries": uints,
        "ranges": st.lists(ranges, max_size=2), "withheld": st.lists(names, max_size=2), "made_utc_ns": uints,
        "recorded": st.booleans(), "members": st.dictionaries(names, hashes, max_size=2),
    }
)  # fmt: skip


@given(st.one_of(manifests, manifests.flatmap(mutated)).filter(encodes))
def test_manifests(manifest: Any) -> None:
    """What the CDDL calls a manifest we read, and nothing else."""
    try:
        read = bundle.parse_manifest(naive_cbor(manifest))
    except FormatError as error:
        assert error.error == "bundle_malformed"
        assert not conforms(manifest, "manifest")
    else:
        assert conforms(manifest, "manifest")
        assert read.encode() == naive_cbor(manifest)


volumes = st.fixed_dictionaries(
    {
        "format": st.just(volume.FORMAT), "origin": names, "made_utc_ns": uints,
        "number": st.integers(0, bundle.VOLUMES_MAX + 1),
    }
)  # fmt: skip


@given(st.one_of(volumes, volumes.flatmap(mutated)).filter(encodes))
def test_volumes(place: Any) -> None:
    """What the CDDL calls a volume we read, and nothing else."""
    try:
        read = volume.parse_volume(naive_cbor(place))
    except FormatError as error:
        assert error.error == "bundle_malformed"
        assert not conforms(place, "volume")
    else:
        assert conforms(place, "volume")
        assert read.encode() == naive_cbor(place)


def test_receipts() -> None:
    """A receipt is two entries."""
    header = {1: 1, 2: 15, 3: 7, 4: bytes(32), 5: [1, 2, 1, 0, None], 15: [[[0, 6]], None, bytes(32)]}
    raw = entry.sign(header, AAD, SIGNER)
    assert CDDL.validate(bundle.encode_receipt(raw, raw), root_type="receipt").valid
    assert not CDDL.validate(bundle.encode_receipt(raw, raw[:-1]), root_type="receipt").valid


@given(st.one_of(values, schemas, schemas.flatmap(mutated)).filter(encodes))
def test_schemas(schema: Any) -> None:
    """What the CDDL calls a schema we can pack rows by, but for its length, its names and the size of a row."""
    try:
        rows.struct_format(schema)
    except FormatError:
        assert not (conforms(schema, "schema") and schema_fits(schema))
    else:
        assert conforms(schema, "schema")
        assert schema_fits(schema)
