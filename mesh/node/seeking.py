"""Where platforms of a list answer, as discovery tells whoever asks once and has no process of his own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mesh.fleetlist import FleetList
from mesh.node.config import PORT, Config, Witness
from mesh.node.discovery import Discovery
from mesh.node.present import Present

SEEK_S = 3.5  # discovery asks at once, after 1 s and after 3 s


async def seek(fleet: FleetList, say: Callable[[str], None], seek_s: float = SEEK_S) -> dict[str, list[str]]:
    """Look around for a while; URLs by platform, which prove nothing.

    Args:
        fleet: whose platforms are looked for.
        say: tells a person what stands in the way.
        seek_s: for how long.

    """
    present = Present(dict.fromkeys(fleet.platforms, ()), (), None)
    nothing_announced = Config(Witness([f"127.0.0.1:{PORT}"]))
    looking = asyncio.create_task(Discovery(nothing_announced, fleet, present, None, say).run())
    await asyncio.wait([looking], timeout=seek_s)
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    return {platform: urls for platform in present.peers if (urls := present.urls_of(platform))}
