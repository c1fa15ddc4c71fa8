"""How keys, witnesses and addresses of the fleet list belong to platforms."""

from __future__ import annotations

from mesh.fleetlist import FleetList
from mesh.node.config import Discovery
from mesh.node.founding import platform_named
from mesh.node.present import Present
from recorder.core.note import VerifierKey
from recorder.core.trust import Trust


def platform_of(witness: VerifierKey, fleet: FleetList) -> str | None:
    """The platform that a witness of the list runs on, None where the list does not tell.

    A list says it nowhere.  A witness named PLATFORM.FLEET, as `lineage mesh init` has it, runs on that platform; so
    does one with the URL of a platform's mesh line.  Nothing hangs on it but from which size a first proof begins, and
    where one tries.
    """
    name = platform_named(witness.name)
    if name in fleet.platforms or name in {log.name for log in fleet.trust.logs}:
        return name
    urls = {
        fleet.trust.urls[one]
        for one, key in fleet.trust.witnesses.items()
        if key == witness and one in fleet.trust.urls
    }
    return next((one for one, listed in fleet.platforms.items() if listed.url in urls), None)


def urls_in(fleet: FleetList) -> dict[str, list[str]]:
    """By platform, where its process answers according to the list: its mesh line first, then that of its witness.

    A platform has a log line; without a mesh line its digests count for nothing, but it may be asked and pulled from.
    """
    urls: dict[str, list[str]] = {log.name: [] for log in fleet.trust.logs}
    for name, one in fleet.platforms.items():
        urls[name] = [] if one.url is None else [one.url]
    for name, key in fleet.trust.witnesses.items():
        platform = platform_of(key, fleet)
        if platform is not None and name in fleet.trust.urls:
            urls[platform].append(fleet.trust.urls[name])
    return {platform: list(dict.fromkeys(several)) for platform, several in urls.items()}


def ours_in(fleet: FleetList, mesh: VerifierKey | None, witness: VerifierKey | None) -> str | None:
    """Name this platform, by the key of its digests or by that of its witness; None where the list does not tell."""
    if mesh is not None:
        return mesh.name
    return None if witness is None else platform_of(witness, fleet)


def is_out_of_reach(trust: Trust, ours: VerifierKey | None) -> bool:
    """Whether a quorum is asked for that no log of ours can have, since our own witness would have to be in it."""
    return trust.quorum is not None and not trust.is_quorum([key for key in trust.witnesses.values() if key != ours])


def present_of(fleet: FleetList, discovery: Discovery, ours: str | None, witness: VerifierKey | None = None) -> Present:
    """The table of who is there, as it is at start; `witness` is our own key, whose URL is nobody else's."""
    others = [
        fleet.trust.urls[name]
        for name, key in fleet.trust.witnesses.items()
        if name in fleet.trust.urls and key != witness and platform_of(key, fleet) is None
    ]
    return Present(urls_in(fleet), [*discovery.peers, *others], ours)
