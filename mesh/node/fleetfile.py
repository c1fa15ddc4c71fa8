"""The fleet list in force: the newest that a root of this device's own trust file signed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mesh.fleetlist import LIST_MAX_BYTES, UNSIGNED, FleetList, newer, open_fleet_list
from mesh.node.places import FLEET, FLEET_HELD, TRUST, MeshError
from recorder.core.errors import FormatError
from recorder.core.note import VerifierKey
from recorder.core.trust import parse_trust
from recorder.store.layout import replace_file


def fleet_in_force(state: Path) -> FleetList:
    """Read what was brought and what is held; hold the newer one.

    Raises:
        MeshError: neither is there, or one cannot be used; the message names the file.
        OSError: it cannot be kept.

    """
    roots = _roots(state)
    held, brought = (_opened(state / name, roots) for name in (FLEET_HELD, FLEET))
    if brought is not None:
        try:
            if newer(held, brought):
                replace_file(state / FLEET_HELD, brought.note)
                return brought
        except FormatError as error:
            raise MeshError(f"{state / FLEET}: {error}; bring the newest list of this fleet") from None
    if held is None:
        raise MeshError(
            f"{state / FLEET} is missing: a fleet list that a root signed (`lineage mesh list`) belongs there"
        )
    return held


def fleet_to_start(state: Path, say: Callable[[str], None]) -> tuple[FleetList, bool]:
    """The list to start under, and whether there is nothing to come back to.

    As `fleet_in_force`; but what was brought and cannot be used leaves the list that is held in force here too, and is
    said.  A power cut may leave half of a file that was copied here, also of a list that is held since; a disk that is
    full may take no newer one.

    Raises:
        MeshError: there is none that can be used; the message is about the one that was brought.
        OSError: the first one cannot be kept.

    """
    try:
        return fleet_in_force(state), True
    except (MeshError, OSError) as error:
        try:
            fleet = fleet_held(state)
        except MeshError:
            raise error from None
        say(f"{error}; fleet list {fleet.version} stays in force")
        return fleet, isinstance(error, MeshError)


def fleet_held(state: Path) -> FleetList:
    """The list that the process holds, for whoever only looks.

    Raises:
        MeshError: there is none yet, or it cannot be used.

    """
    held = _opened(state / FLEET_HELD, _roots(state))
    if held is None:
        raise MeshError(f"{state / FLEET_HELD} is missing: `lineage mesh run --state {state}` was never started")
    return held


def _roots(state: Path) -> tuple[VerifierKey, ...]:
    try:
        return parse_trust((state / TRUST).read_bytes()).roots
    except FileNotFoundError:
        raise MeshError(f"{state / TRUST} is missing; `lineage mesh init --state {state}` makes it") from None
    except (OSError, FormatError) as error:
        raise MeshError(f"{state / TRUST}, whose roots sign fleet lists: {error}") from error


def _opened(path: Path, roots: tuple[VerifierKey, ...]) -> FleetList | None:
    try:
        with path.open("rb") as file:
            return open_fleet_list(file.read(LIST_MAX_BYTES + 1), roots)
    except FileNotFoundError:
        return None
    except FormatError as error:
        what = f"it has to be signed by a root of {path.with_name(TRUST)}"
        advice = f"; {what if error.error == UNSIGNED else 'bring it again, as `lineage mesh list` made it'}"
        raise MeshError(f"{path}: {error}{advice}") from error
    except OSError as error:
        raise MeshError(f"{path}: {error}") from error
