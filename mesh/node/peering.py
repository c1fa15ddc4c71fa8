"""How keys, witnesses and addresses of the fleet list belong to platforms."""

from __future__ import annotations

from mesh.fleetlist import FleetList
from mesh.node.config import Discovery
from mesh.node.founding import platform_named
from mesh.node.present import Present
from recorder.core.note import VerifierKey


def platform_of(witness: VerifierKey, fleet: FleetList) -> str | None:
    """The platform that a witness of the list runs on, None where the list does not tell.

    A list says it nowhere.  A witness named PLATFORM.FLEET, as `lineage mesh init` has it, runs on that platform; so
    does one with the URL of a platform's mesh line.  Nothing hangs on it but from which size a first proof begins, and
    where one tries.
    """
    name = platform_named(witness.name)
    if name in fleet.platforms:
        return name
    urls = {
        fleet.trust.urls[one]
        for one, key in fleet.trust.witnesses.items()
        if key == witness and one in fleet.trust.urls
    }
    return next((one for one, listed in fleet.platforms.items() if listed.url in urls), None)


def urls_in(fleet: FleetList) -> dict[str, list[str]]:
    """By platform, where its process answers according to the list: its mesh line first, then that of its witness."""
    urls = {name: [] if one.url is None else [one.url] for name, one in fleet.platforms.items()}
    for name, key in fleet.trust.witnesses.items():
        platform = platform_of(key, fleet)
        if platform is not None and name in fleet.trust.urls:
            urls[platform].append(fleet.trust.urls[name])
    return {platform: list(dict.fromkeys(several)) for platform, several in urls.items()}


def present_of(fleet: FleetList, discovery: Discovery, ours: str | None) -> Present:
    """The table of who is there, as it is at start."""
    return Present(fleet, urls_in(fleet), discovery.peers, ours)
