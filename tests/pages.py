"""LMDB's pages, for tests that damage them."""

from __future__ import annotations

import os
import struct
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")  # LMDB's own
# In a meta page, a header of 16 bytes and then MDB_meta (mdb.c of LMDB 0.9): roots of the free list and of the records.
FREE_ROOT_AT, ROOT_AT, LAST_AT, TXNID_AT = 80, 128, 136, 144
LOWER_AT, PTRS_AT = 12, 16  # in a page of the tree: end of the offsets of its nodes, and their start


def meta(data: Path, at: int) -> int:
    """A number of the newer meta page."""
    content = data.read_bytes()
    newer = max((0, PAGE), key=lambda page: _number(content, page + TXNID_AT))
    return _number(content, newer + at)


def _number(content: bytes, at: int) -> int:
    return int.from_bytes(content[at : at + 8], "little")


def leaves(data: Path) -> list[int]:
    """The pages that the root leads to, by key (MDB_page, MDB_node)."""
    root = data.read_bytes()[meta(data, ROOT_AT) * PAGE :][:PAGE]
    (lower,) = struct.unpack_from("<H", root, LOWER_AT)
    nodes = struct.unpack_from(f"<{(lower - PTRS_AT) // 2}H", root, PTRS_AT)
    return [int.from_bytes(root[node : node + 6], "little") for node in nodes]


def write(data: Path, page: int, content: bytes) -> None:
    """Put other bytes in the place of a page."""
    with data.open("r+b") as file:
        file.seek(page * PAGE)
        file.write(content)


def cut_off_after(leaf: int, data: Path) -> None:
    """Leave one key in a leaf, so that its others are sought in the next one, which is no page any more: SIGABRT."""
    cut, following = leaves(data)[leaf : leaf + 2]
    with data.open("r+b") as file:
        file.seek(cut * PAGE + LOWER_AT)
        file.write((PTRS_AT + 2).to_bytes(2, "little"))
    write(data, following, bytes(PAGE))
