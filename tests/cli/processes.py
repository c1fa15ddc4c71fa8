"""Other processes as /proc shows them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def children(pid: int) -> dict[int, str]:
    """Command lines of a process's children, by their ids."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        listed: list[int] = []
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            listed = [int(child) for child in (task / "children").read_text().split()]
        for child in listed:
            with suppress(
                FileNotFoundError, ProcessLookupError
            ):  # a child that has just ended hides none of the others
                found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
    return found


def has_ended(pid: int) -> bool:
    """Gone, or dead and not waited for."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] in "ZX"
