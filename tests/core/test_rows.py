"""Rows: sizes against numpy, leaves against a naive second implementation, each row provable alone."""

from __future__ import annotations

import struct
from hashlib import sha256, shake_128
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import merkle, rows
from recorder.core.errors import FormatError
from tests.core.shapes import bytes16, hashes, mutated, naive_cbor, schemas, values


def naive_leaves(secret: bytes, packed: bytes, size: int) -> list[bytes]:
    stream = shake_128(secret).digest(16 * (len(packed) // size))
    return [
        sha256(b"\0" + stream[16 * n : 16 * n + 16] + packed[size * n : size * n + size]).digest()
        for n in range(len(packed) // size)
    ]


class Nodes:
    """The complete subtrees of a few leaves."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves = leaves

    def node(self, level: int, index: int) -> bytes:
        return merkle.root_of(self.leaves[index << level : (index + 1) << level])


packings = st.tuples(bytes16, st.integers(8, 40), st.integers(1, 20)).flatmap(
    lambda drawn: st.tuples(
        st.just(drawn[0]), st.binary(min_size=drawn[1] * drawn[2], max_size=drawn[1] * drawn[2]), st.just(drawn[1])
    )
)


@given(schemas)
def test_a_row_is_a_packed_numpy_record(schema: list[Any]) -> None:
    """The struct format reads what numpy writes under the same names and types, its time in front."""
    text = rows.struct_format(schema)
    record = np.dtype([("at_mono_ns", "<u8"), *((name, kind, (count,)) for name, kind, count, _ in schema)])
    assert struct.calcsize(text) == record.itemsize == rows.size_of(text)
    row = np.zeros(1, record)
    row["at_mono_ns"] = 2**64 - 2
    for name, *_ in schema:
        row[name] = 1
    unpacked = struct.unpack(text, row.tobytes())
    assert unpacked[0] == 2**64 - 2
    assert list(unpacked[1:]) == [1] * sum(field[2] for field in schema)
    assert rows.schema_id(schema) == sha256(naive_cbor(schema)).digest()


FIELD = ["a", "<f4", 1, "rad"]
BAD_SCHEMAS: list[Any] = [
    None, {}, [], "a", [[]], [FIELD[:3]], [[*FIELD, 1]], [FIELD, FIELD], [["", "<f4", 1, ""]], [["a" * 65, "<f4", 1, ""]],
    [["a", "<f4", 1, "u" * 65]], [["a", "<f4", 1, None]], [[1, "<f4", 1, ""]], [["a", ">f4", 1, ""]], [["a", "f4", 1, ""]],
    [["a", "<f16", 1, ""]], [["a", 4, 1, ""]], [["a", ["<f4"], 1, ""]], [["a", "<f4", 0, ""]], [["a", "<f4", -1, ""]],
    [["a", "<f4", True, ""]], [["a", "<f4", 1.0, ""]], [["a", "<f4", 4097, ""]], [["a", "<f8", 512, ""]],
    [["a", "<f4", 2**64 - 1, ""]], [[f"f{n}", "|u1", 1, ""] for n in range(257)], [["a", "|S4", 1, ""]],
]  # fmt: skip


@pytest.mark.parametrize("schema", BAD_SCHEMAS, ids=lambda schema: repr(schema)[:40])
def test_bad_schema(schema: Any) -> None:
    """A schema outside the grammar is refused by name."""
    with pytest.raises(FormatError) as caught:
        rows.struct_format(schema)
    assert caught.value.error == "schema_malformed"


def test_the_largest_schemas() -> None:
    """256 fields are allowed, and a row of 4,096 bytes."""
    assert rows.size_of(rows.struct_format([[f"f{n}", "|u1", 1, ""] for n in range(256)])) == 264
    assert rows.size_of(rows.struct_format([["a", "<f8", 511, "é" * 64]])) == 4096


@given(st.one_of(values, schemas.flatmap(mutated)))
def test_any_schema(schema: Any) -> None:
    """Any value is a schema with a size that struct agrees with, or schema_malformed."""
    try:
        text = rows.struct_format(schema)
    except FormatError as error:
        assert error.error == "schema_malformed"
    else:
        assert 8 < struct.calcsize(text) == rows.size_of(text) <= rows.ROW_MAX_BYTES


@given(packings, st.data())
def test_leaves_root_and_disclosure(packing: tuple[bytes, bytes, int], data: st.DataObject) -> None:
    """At rest, in transport, and with any rows withheld, the leaves and their root are those of the format."""
    secret, packed, size = packing
    expected = naive_leaves(secret, packed, size)
    assert rows.leaves(secret, packed, size) == expected
    assert rows.root_at_rest(secret, packed, size) == merkle.root_of(expected)
    sent = rows.to_transport(secret, packed, size)
    assert secret not in naive_cbor(sent) or secret in packed
    gone = data.draw(st.sets(st.sampled_from(range(len(expected)))))
    partly = {n: expected[n] if n in gone else row for n, row in sent.items()}
    for form in ([secret, packed], sent, partly):
        assert rows.leaves_of(form, len(expected), size) == expected
        assert rows.leaves_of(form, len(expected), None) == expected
    for other in (size - 1, size + 1):
        with pytest.raises(FormatError, match="rows_malformed"):
            rows.leaves_of(sent, len(expected), other)


@given(packings, st.data())
def test_a_row_is_provable_alone(packing: tuple[bytes, bytes, int], data: st.DataObject) -> None:
    """One row with its salt and an inclusion proof leads to the root; no other row, salt or place does."""
    secret, packed, size = packing
    leaves = rows.leaves(secret, packed, size)
    root = rows.root_at_rest(secret, packed, size)
    at = data.draw(st.integers(0, len(leaves) - 1))
    salt, row = rows.to_transport(secret, packed, size)[at]
    proof = merkle.prove_inclusion(Nodes(leaves), at, len(leaves))
    merkle.verify_inclusion(rows.leaf(salt, row), at, len(leaves), proof, root)
    flipped = bytes([row[0] ^ 1]) + row[1:]
    for wrong in (rows.leaf(salt, flipped), rows.leaf(bytes(16), row), rows.leaf(row[:16], salt + row[16:])):
        with pytest.raises(FormatError, match="inclusion_proof"):
            merkle.verify_inclusion(wrong, at, len(leaves), proof, root)
    for place in {0, len(leaves) - 1} - {at}:
        with pytest.raises(FormatError, match="inclusion_proof"):
            merkle.verify_inclusion(rows.leaf(salt, row), place, len(leaves), proof, root)


def test_times_of() -> None:
    """The times of the first and the last row are their first eight bytes, little-endian."""
    packed = b"".join(struct.pack("<Q2s", at, b"xy") for at in (5, 6, 2**64 - 1))
    assert rows.times_of(packed, 10) == (5, 2**64 - 1)


BAD_ROWS: list[tuple[Any, int, int | None]] = [
    (None, 1, None), (b"x" * 8, 1, None), ([], 1, 8), ([bytes(16)], 1, 8), ([bytes(15), bytes(8)], 1, 8),
    ([bytes(16), "x" * 8], 1, 8), ([bytes(16), b""], 1, None), ([bytes(16), bytes(7)], 1, None), ([bytes(16), bytes(17)], 2, None),
    ([bytes(16), bytes(16)], 3, 8), ([bytes(16), bytes(8), 1], 1, 8), ([bytes(16), bytes(8)], 0, None), ({}, 1, 8),
    ({1: bytes(32)}, 1, 8), ({"0": bytes(32)}, 1, 8), ({0: bytes(31)}, 1, 8), ({0: [bytes(16)]}, 1, 8),
    ({0: [bytes(15), bytes(8)]}, 1, 8), ({0: [bytes(16), bytes(9)]}, 1, 8), ({0: [bytes(16), "x" * 8]}, 1, 8),
    ({0: [bytes(16), bytes(7)]}, 1, None), ({0: [bytes(16), bytes(8)], 1: [bytes(16), bytes(9)]}, 2, None),
    ({0: bytes(32)}, 2, 8), ({0: bytes(32)}, 2**64 - 1, 8), ({}, 2**64 - 1, None), ([bytes(16), bytes(8)], 2**64 - 1, None),
    ([bytes(16), bytes(8)], 2**64 - 1, 8),
]  # fmt: skip


@pytest.mark.parametrize(("form", "count", "size"), BAD_ROWS, ids=repr)
@pytest.mark.timeout(10)
def test_bad_rows(form: Any, count: int, size: int | None) -> None:
    """What is not exactly `count` rows is refused by name and at once, however large the count."""
    with pytest.raises(FormatError) as caught:
        rows.leaves_of(form, count, size)
    assert caught.value.error == "rows_malformed"


forms = st.one_of(
    packings.map(lambda packing: [packing[0], packing[1]]),
    packings.map(lambda packing: rows.to_transport(*packing)),
    st.dictionaries(st.integers(0, 2), hashes),
)


@given(
    st.one_of(values, forms.flatmap(mutated)),
    st.integers(0, 2**64 - 1) | st.integers(0, 4),
    st.none() | st.integers(9, 12),
)
def test_any_rows(form: Any, count: int, size: int | None) -> None:
    """Any value is rows with as many leaves as the header counts, or rows_malformed."""
    try:
        leaves = rows.leaves_of(form, count, size)
    except FormatError as error:
        assert error.error == "rows_malformed"
    else:
        assert len(leaves) == count
        assert all(len(leaf) == 32 for leaf in leaves)
