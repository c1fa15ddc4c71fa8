"""What the answer to a question leaves out, in words."""

from __future__ import annotations

from recorder.cli import output


def print_unread(unread: int, *, is_whole: bool, left_out: str = "cannot be told") -> None:
    """Print how many entries could not be read, and what of a selection was never looked at."""
    if unread:
        output.say(f"{unread:,} entries cannot be read; run `lineage verify`")
    if not is_whole:
        output.say(f"a selection: what was left out of it {left_out}")
