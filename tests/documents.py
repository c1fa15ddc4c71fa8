"""The project's documents, as the tests read them."""

from __future__ import annotations

from pathlib import Path

import recorder


def text_of(name: str) -> str:
    """A document that lies in the package."""
    return Path(recorder.__file__).with_name(name).read_text(encoding="utf-8")


def rows_of(text: str, heading: str) -> list[list[str]]:
    """Cells of the first table that has this header line."""
    lines = iter(text.split("\n"))
    assert any(line == heading for line in lines), heading
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows
