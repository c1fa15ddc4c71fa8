"""Why an incarnation began, in words: its first boot entry names what it goes on after, and who made that known."""

from __future__ import annotations

from recorder.core.controls import Boot
from recorder.core.header import Header

LISTED_MAX = 3


def begun(header: Header) -> str | None:
    """What the first entry of a lineage says of those before; None of any other entry, or where there are none."""
    boot = header.control
    if header.seq != 0 or not isinstance(boot, Boot) or not boot.previous:
        return None
    sizes: dict[str, int] = {}
    for one in boot.previous:
        sizes[one.origin] = max(one.size, sizes.get(one.origin, 0))
    told = [f"{size:,} entries of {origin}" for origin, size in list(sizes.items())[-LISTED_MAX:]]
    more = f" and {len(sizes) - len(told)} incarnations more" if len(sizes) > len(told) else ""
    why = "its own last head was not in the store, or the store was given up"
    if boot.confirmed_by == "witness":
        why = "peers held heads to which the store did not lead: it was emptied, or an older copy was put back"
    return f"begun because {why}; it goes on after {', '.join(told)}{more}"
