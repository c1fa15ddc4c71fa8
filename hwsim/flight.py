"""A flight in memory: actuator traffic, pose, modes and dropouts with the log's own timestamps; and its compact file.

All `at_us` are microseconds since the autopilot's boot, as PX4 logs them.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwsim.claims import floats

if TYPE_CHECKING:
    from hwsim.ports import Claims, Field

Array: TypeAlias = NDArray[Any]
Times: TypeAlias = NDArray[np.int64]

MODE_ACTUATOR = "fc.mode"
FLIGHT_ACTUATORS = ["fc.outputs", "fc.outputs1", "fc.controls0", "fc.controls1", MODE_ACTUATOR]
"""Every actuator that a flight may act on; a log has some of them."""

_FLIGHTS = Path(__file__).parent / "flights"
DEFAULT_FLIGHT = _FLIGHTS / "px4_auav_x21_60s.npz"
SHIPPED_FLIGHTS = [DEFAULT_FLIGHT, _FLIGHTS / "px4_cube_orange_6s.npz"]
"""A disarmed multirotor in the hand, 60 s with four dropouts; an armed aircraft at 280 Hz, 6.5 s until it disarms."""

EXCERPT_VERSION = 1
US_PER_S = 1_000_000


class UnreadableFlight(Exception):
    """The file is not a flight that can be replayed; the message says in one line which file and why."""


@dataclass(frozen=True)
class Track:
    """The rows of one actuator.

    Attributes:
        at_us: shape (n,).
        fields: the message's fields, in its order.
        columns: one array per field, shape (n,) or (n, count).

    """

    actuator: str
    topic: str
    at_us: Times
    fields: tuple[Field, ...]
    columns: tuple[Array, ...]

    def row(self, index: int) -> tuple[Any, ...]:
        """Return one row as plain Python values, one per field."""
        return tuple(column[index].tolist() for column in self.columns)


@dataclass(frozen=True)
class Pose:
    """Attitude and position, each at its own rate.

    Attributes:
        attitude_at_us: shape (n,).
        orientation_xyzw: shape (n, 4), body (front right down) in north east down.
        position_at_us: shape (m,).
        position: shape (m, 3), NaN where the log says that it is not valid: metres north east down in frame
            "local_ned"; degrees, degrees, metres above the sea in frame "wgs84".
        velocity_mps: shape (m, 3), north east down, NaN where not valid.

    """

    frame: str
    attitude_at_us: Times
    orientation_xyzw: Array
    position_at_us: Times
    position: Array
    velocity_mps: Array

    def where(self, at_us: int) -> Claims:
        """Return the claims of the last samples at or before a time; what there is no sample of is absent."""
        claims: Claims = {"frame": self.frame}
        attitude = int(np.searchsorted(self.attitude_at_us, at_us, "right")) - 1
        if attitude >= 0:
            claims["orientation_xyzw"] = floats(self.orientation_xyzw[attitude])
        place = int(np.searchsorted(self.position_at_us, at_us, "right")) - 1
        if place >= 0:
            position = floats(self.position[place])
            if self.frame == "wgs84":
                claims |= dict(zip(("latitude_deg", "longitude_deg", "altitude_m"), position, strict=True))
            else:
                claims["position_m"] = position
            claims["velocity_mps"] = floats(self.velocity_mps[place])
        return claims


@dataclass(frozen=True)
class Mode:
    """The autopilot's mode from a time on, as PX4's numbers: nav_state, arming_state, failsafe, main_state."""

    at_us: int
    states: dict[str, int]


@dataclass(frozen=True)
class Dropout:
    """The logger lost what came after `at_us`, for `duration_ms`."""

    at_us: int
    duration_ms: int


@dataclass(frozen=True)
class Flight:
    """A flight to replay.

    Attributes:
        name: file name of the log.
        vehicle: what the log says about hardware and software.
        omitted: actuator topics of the log that have no name in `FLIGHT_ACTUATORS`.

    """

    name: str
    vehicle: dict[str, str]
    tracks: tuple[Track, ...]
    pose: Pose
    modes: tuple[Mode, ...]
    dropouts: tuple[Dropout, ...]
    omitted: tuple[str, ...] = ()

    @property
    def start_us(self) -> int:
        """When the first row was logged."""
        return min(int(track.at_us[0]) for track in self.tracks)

    @property
    def end_us(self) -> int:
        """When the last row was logged."""
        return max(int(track.at_us[-1]) for track in self.tracks)

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the last row."""
        return (self.end_us - self.start_us) / US_PER_S

    def mode_at(self, at_us: int) -> Mode | None:
        """Return the last mode at or before a time."""
        return next((mode for mode in reversed(self.modes) if mode.at_us <= at_us), None)

    def first(self, seconds: float) -> Flight:
        """Return the part before `seconds` after the first row."""
        until_us = self.start_us + round(seconds * US_PER_S)
        cut = [_cut(track, until_us) for track in self.tracks]
        attitude, place = self.pose.attitude_at_us < until_us, self.pose.position_at_us < until_us
        pose = replace(
            self.pose,
            attitude_at_us=self.pose.attitude_at_us[attitude],
            orientation_xyzw=self.pose.orientation_xyzw[attitude],
            position_at_us=self.pose.position_at_us[place],
            position=self.pose.position[place],
            velocity_mps=self.pose.velocity_mps[place],
        )
        return replace(
            self,
            tracks=tuple(track for track in cut if len(track.at_us)),
            pose=pose,
            modes=tuple(mode for mode in self.modes if mode.at_us < until_us),
            dropouts=tuple(dropout for dropout in self.dropouts if dropout.at_us < until_us),
        )


def save_excerpt(flight: Flight, path: Path) -> None:
    """Write a flight as a compressed npz: one JSON text and plain arrays."""
    arrays: dict[str, Array] = {f"pose/{name}": value for name, value in vars(flight.pose).items() if name != "frame"}
    for number, track in enumerate(flight.tracks):
        arrays[f"track{number}/at_us"] = track.at_us
        for (name, *_), column in zip(track.fields, track.columns, strict=True):
            arrays[f"track{number}/{name}"] = column
    tracks = [{"actuator": track.actuator, "topic": track.topic, "fields": track.fields} for track in flight.tracks]
    text = {
        "version": EXCERPT_VERSION,
        "name": flight.name,
        "vehicle": flight.vehicle,
        "frame": flight.pose.frame,
        "tracks": tracks,
        "modes": [asdict(mode) for mode in flight.modes],
        "dropouts": [asdict(dropout) for dropout in flight.dropouts],
        "omitted": flight.omitted,
    }
    np.savez_compressed(path, meta=np.array(json.dumps(text, sort_keys=True)), **arrays)  # type: ignore[arg-type]


def load_excerpt(path: Path = DEFAULT_FLIGHT) -> Flight:
    """Read what `save_excerpt` wrote."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return _excerpt({name: stored[name] for name in stored.files})
    except FileNotFoundError:
        message = f"{path}: no such file"
        raise UnreadableFlight(message) from None
    except (OSError, zipfile.BadZipFile, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{path}: not a flight excerpt of version {EXCERPT_VERSION}: {error}"
        raise UnreadableFlight(message) from error


def _excerpt(stored: dict[str, Array]) -> Flight:
    text = json.loads(str(stored["meta"]))
    if text["version"] != EXCERPT_VERSION:
        message = f"version {text['version']}"
        raise ValueError(message)
    tracks = []
    for number, track in enumerate(text["tracks"]):
        fields = tuple((str(name), str(kind), int(count), str(unit)) for name, kind, count, unit in track["fields"])
        columns = tuple(stored[f"track{number}/{name}"] for name, *_ in fields)
        tracks.append(Track(track["actuator"], track["topic"], stored[f"track{number}/at_us"], fields, columns))
    pose = Pose(text["frame"], **{name[5:]: array for name, array in stored.items() if name.startswith("pose/")})
    modes = tuple(Mode(**mode) for mode in text["modes"])
    dropouts = tuple(Dropout(**dropout) for dropout in text["dropouts"])
    return Flight(text["name"], text["vehicle"], tuple(tracks), pose, modes, dropouts, tuple(text["omitted"]))


def _cut(track: Track, until_us: int) -> Track:
    before = track.at_us < until_us
    return replace(track, at_us=track.at_us[before], columns=tuple(column[before] for column in track.columns))
