"""A consistency proof that is lost here, out of peers' archives: how a head that is named follows one that is held.

Nobody is trusted for it: the boot entry has the root of the larger head, which pins that of every smaller one.
"""

from __future__ import annotations

from collections.abc import Iterable

from mesh.node.post import Unreachable
from mesh.node.sources import Get, Source
from recorder.core.controls import Previous
from recorder.core.errors import FormatError
from recorder.core.merkle import verify_consistency

SOURCES_MAX = 16  # peers that are asked for one proof


async def proof_of(wanted: Iterable[tuple[int, Previous]], urls: Iterable[str], get: Get) -> tuple[bytes, ...] | None:
    """Ask peers one after the other; the first proof that holds, or None.

    Args:
        wanted: entries that a witness holds of an incarnation, and a larger head of it that the boot entry names.
        urls: of peers.
        get: sends.

    """
    pairs = [(size, one.origin, one.size, one.root) for size, one in wanted if one.root is not None]
    for url in list(dict.fromkeys(urls))[:SOURCES_MAX]:
        for size, origin, end, root in pairs:
            try:
                shown = await Source(url, get).proof(origin, size, end)
                verify_consistency(size, shown.root, end, root, shown.hashes)
            except (Unreachable, FormatError):
                continue  # it keeps less, or its tree is another one: the next may have it
            return shown.hashes
    return None
