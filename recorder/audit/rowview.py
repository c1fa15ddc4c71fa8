"""One row of a message of rows: its values, and the path from it to the root that the entry holds."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import closing
from typing import Any, NamedTuple

from recorder.audit.source import Held, LineageSource, kind_of
from recorder.core import cbor, rows
from recorder.core.entry import Entry, decode
from recorder.core.errors import FormatError, Misuse
from recorder.core.kinds import Kind, Rows
from recorder.core.merkle import combine, inclusion_nodes, parents_of, root_of


class RowView(NamedTuple):
    """A row as it can be shown."""

    row: int
    rows: int  # in this message
    at_mono_ns: int | None  # None where the row is withheld
    values: dict[str, Any] | None  # None where it is withheld or its schema is not here
    fields: list[list[Any]] | None  # of the schema, whose hash the entry holds; None where it is not here
    salt: bytes | None  # None where it is withheld
    packed: bytes | None  # the row as `fields` say; None where it is withheld
    leaf: bytes  # SHA-256(0x00 ‖ salt ‖ packed)
    path: list[bytes]  # from the leaf's sibling upwards, to `root`
    root: bytes
    holds: bool  # the rows that are here lead to the root in the header


def rows_named(entry: Entry, index: int, row: int) -> Rows:
    """The message of rows of which `row` is one, by the header alone.

    Raises:
        Misuse: no such commit or row.

    """
    seq, commits = entry.header.seq, entry.header.commits or []
    if index >= len(commits):
        raise Misuse(f"entry {seq} has {len(commits)} commits, none with index {index}")
    commit = commits[index]
    if not isinstance(commit, Rows):
        raise Misuse(f"commit {seq}.{index} is a single one, it has no rows")
    if row >= commit.count:
        raise Misuse(f"commit {seq}.{index} has {commit.count} rows, none with number {row}")
    return commit


def row_of(source: LineageSource, held: Held, entry: Entry, index: int, row: int) -> RowView:
    """Look at one row.

    Raises:
        Misuse: no such commit or row.
        FormatError: rows_malformed, claims_malformed: what lies beside the entry cannot be read.

    """
    commit = rows_named(entry, index, row)
    fields = _schema(source, commit.schema, held.seq)
    row_bytes = None if fields is None else rows.size_of(rows.struct_format(fields))
    try:
        beside = cbor.decode(held.claims)[10][index][2]
    except (TypeError, KeyError, IndexError):
        raise FormatError("rows_malformed", f"no rows lie beside entry {held.seq}") from None
    leaves = rows.leaves_of(beside, commit.count, row_bytes)
    salt, packed = _disclosed(beside, commit.count, row)
    return RowView(
        row=row,
        rows=commit.count,
        at_mono_ns=None if packed is None else int.from_bytes(packed[: rows.TIME_BYTES], "little"),
        values=None if packed is None or fields is None else _values(fields, packed),
        fields=fields,
        salt=salt,
        packed=packed,
        leaf=leaves[row],
        path=_path(leaves, row),
        root=commit.rows_root,
        holds=root_of(leaves) == commit.rows_root,
    )


def _disclosed(beside: Any, count: int, row: int) -> tuple[bytes | None, bytes | None]:  # noqa: ANN401 -- `leaves_of` accepted it
    """Salt and packed row; of rows at rest this row's salt alone, as in transport, never their secret."""
    if isinstance(beside, list):
        size = len(beside[1]) // count
        salt, packed = rows.to_transport(beside[0], beside[1], size)[row]
        return salt, packed
    one = beside[row]
    return (one[0], one[1]) if isinstance(one, list) else (None, None)


def _values(fields: list[list[Any]], packed: bytes) -> dict[str, Any]:
    numbers = list(struct.unpack(rows.struct_format(fields), packed))[1:]
    values: dict[str, Any] = {}
    for name, _, count, unit in fields:
        taken, numbers = numbers[:count], numbers[count:]
        values[f"{name} [{unit}]" if unit else name] = taken[0] if count == 1 else taken
    return values


def _path(leaves: Sequence[bytes], row: int) -> list[bytes]:
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        levels.append(parents_of(levels[-1]))
    return [
        combine([levels[level][at] for level, at in group]) for group in inclusion_nodes(row, len(leaves))
    ]  # fmt: skip


def _schema(source: LineageSource, schema: bytes, below: int) -> list[list[Any]] | None:
    with closing(source.read(0)) as entries:
        for held in entries:
            if held.seq >= below:
                return None
            if kind_of(held.raw) == Kind.SCHEMA:
                try:
                    fields: list[list[Any]] = decode(held.raw).header.control.fields
                    if rows.schema_id(fields) == schema:
                        rows.struct_format(fields)
                        return fields
                except FormatError:
                    continue
    return None
