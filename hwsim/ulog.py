"""From a PX4 ULog to a `Flight`. The only module that imports pyulog."""

# ruff: noqa: ANN401 - pyulog ships no types
from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from pyulog import ULog
from pyulog.exceptions import ULogException

from hwsim.flight import Array, Dropout, Flight, Mode, Pose, Times, Track, UnreadableFlight

if TYPE_CHECKING:
    from pathlib import Path

    from hwsim.ports import Field

ACTUATOR_OF = {
    ("actuator_outputs", 0): "fc.outputs",
    ("actuator_outputs", 1): "fc.outputs1",
    ("actuator_controls_0", 0): "fc.controls0",
    ("actuator_controls_1", 0): "fc.controls1",
}
ACTUATOR_TOPICS = {topic for topic, _ in ACTUATOR_OF}
MODE_FIELDS = {"vehicle_status": ("nav_state", "arming_state", "failsafe"), "commander_state": ("main_state",)}
POSITION_TOPICS = ("vehicle_local_position", "vehicle_global_position", "vehicle_gps_position")
TOPICS = [*ACTUATOR_TOPICS, *MODE_FIELDS, "vehicle_attitude", *POSITION_TOPICS]
STRAY_US = 1_000_000  # other topics may end a little later than ours

NUMPY_TYPE = {
    "uint64_t": "<u8",
    "int64_t": "<i8",
    "uint32_t": "<u4",
    "int32_t": "<i4",
    "uint16_t": "<u2",
    "int16_t": "<i2",
    "uint8_t": "|u1",
    "int8_t": "|i1",
    "bool": "|u1",
    "float": "<f4",
    "double": "<f8",
}
UNIT = {"timestamp": "us", "timestamp_sample": "us", "output": "us"}  # PWM outputs; controls are normalised: "1"
ELEMENT = re.compile(r"(?P<name>\w+)\[(?P<index>\d+)\]")


def read_ulog(path: Path) -> Flight:
    """Read the actuator traffic, pose, modes and dropouts of a log."""
    try:
        return _flight(path.name, _read(path))
    except OSError as error:
        message = f"{path}: {error.strerror or error}"
        raise UnreadableFlight(message) from error
    except ULogException as error:
        message = f"{path}: not a ULog that can be read: {error}"
        raise UnreadableFlight(message) from error
    except KeyError as error:
        message = f"{path}: a topic lacks the field {error}"
        raise UnreadableFlight(message) from error


def _read(path: Path) -> Any:
    """Read all topics but those that run far ahead of ours.

    pyulog dates a dropout by the latest timestamp that it has read so far.  Of our topics alone that is up to 40 ms too
    early in a real log; with one stray message, such as of `mission` in another, it is 19 minutes too late.
    """
    with path.open("rb") as file:
        log = ULog(file)
    ends_us: dict[str, int] = {}
    for data in log.data_list:
        ends_us[data.name] = max(ends_us.get(data.name, 0), int(data.data["timestamp"].max(initial=0)))
    end_us = max((ends_us[name] for name in TOPICS if name in ends_us), default=0)
    straying = {name for name, at_us in ends_us.items() if at_us > end_us + STRAY_US}
    if not straying or not end_us:
        return log
    with path.open("rb") as file:
        return ULog(file, message_name_filter_list=sorted(ends_us.keys() - straying))


def _flight(name: str, log: Any) -> Flight:
    tracks, omitted = [], []
    for data in log.data_list:
        if data.name not in ACTUATOR_TOPICS or not len(data.data["timestamp"]):
            continue
        actuator = ACTUATOR_OF.get((data.name, data.multi_id))
        if actuator is None:
            omitted.append(f"{data.name}/{data.multi_id}")
        else:
            tracks.append(_track(actuator, data))
    if not tracks:
        message = f"{name}: no actuator topic ({', '.join(sorted(ACTUATOR_TOPICS))})"
        raise UnreadableFlight(message)
    info = log.msg_info_dict
    vehicle = {key: str(info[key]) for key in ("sys_name", "ver_hw", "ver_sw") if key in info}
    dropouts = tuple(Dropout(int(dropout.timestamp), int(dropout.duration)) for dropout in log.dropouts)
    start_us = min(int(track.at_us[0]) for track in tracks)
    return Flight(name, vehicle, tuple(tracks), _pose(log), _modes(log, start_us), dropouts, tuple(omitted))


def _track(actuator: str, data: Any) -> Track:
    """Join the elements of array fields, which pyulog flattens, into one column each."""
    fields: list[Field] = []
    columns: list[Array] = []
    members: dict[str, list[Any]] = {}
    for field in data.field_data:
        match = ELEMENT.fullmatch(field.field_name)
        members.setdefault(match["name"] if match else field.field_name, []).append(field)
    for name, elements in members.items():
        kind = NUMPY_TYPE[elements[0].type_str]
        parts = [data.data[element.field_name].astype(kind) for element in elements]
        is_array = ELEMENT.fullmatch(elements[0].field_name) is not None
        columns.append(np.stack(parts, axis=1) if is_array else parts[0])
        fields.append((name, kind, len(parts), UNIT.get(name, "1")))
    return Track(actuator, data.name, _times(data), tuple(fields), tuple(columns))


def _pose(log: Any) -> Pose:
    """Take attitude, and position from the best topic that the log has."""
    attitude = _topic(log, "vehicle_attitude")
    attitude_at_us = np.zeros(0, np.int64)
    orientation = np.zeros((0, 4), np.float32)
    if attitude is not None:
        attitude_at_us = _times(attitude)
        orientation = _columns(attitude, "q[1]", "q[2]", "q[3]", "q[0]")  # PX4 puts w first
    for name in POSITION_TOPICS:
        data = _topic(log, name)
        if data is not None:
            frame, position, velocity = _place(data)
            return Pose(frame, attitude_at_us, orientation, _times(data), position, velocity)
    empty = np.zeros((0, 3), np.float32)
    return Pose("local_ned", attitude_at_us, orientation, np.zeros(0, np.int64), empty, empty)


def _place(data: Any) -> tuple[str, Array, Array]:
    """Return frame, position (m, 3) and velocity (m, 3), NaN where the log marks them as not valid."""
    if data.name == "vehicle_local_position":
        position, velocity = _columns(data, "x", "y", "z"), _columns(data, "vx", "vy", "vz")
        position[data.data["xy_valid"] == 0, :2] = np.nan
        position[data.data["z_valid"] == 0, 2] = np.nan
        velocity[data.data["v_xy_valid"] == 0, :2] = np.nan
        velocity[data.data["v_z_valid"] == 0, 2] = np.nan
        return "local_ned", position, velocity
    if data.name == "vehicle_global_position":
        return "wgs84", _columns(data, "lat", "lon", "alt"), _columns(data, "vel_n", "vel_e", "vel_d")
    position = _columns(data, "lat", "lon", "alt") * np.array([1e-7, 1e-7, 1e-3])  # integers in the log
    velocity = _columns(data, "vel_n_m_s", "vel_e_m_s", "vel_d_m_s")
    velocity[data.data["vel_ned_valid"] == 0] = np.nan
    return "wgs84", position, velocity


def _modes(log: Any, start_us: int) -> tuple[Mode, ...]:
    """Return the states whenever one changed; a mode from before the first row counts from there on."""
    samples: list[tuple[int, dict[str, int]]] = []
    for topic, names in MODE_FIELDS.items():
        data = _topic(log, topic)
        if data is not None:
            present = [name for name in names if name in data.data]
            rows = zip(_times(data).tolist(), *(data.data[name].tolist() for name in present), strict=True)
            samples += [(max(at, start_us), dict(zip(present, row, strict=True))) for at, *row in rows]
    modes: list[Mode] = []
    states: dict[str, int] = {}
    for at_us, seen in sorted(samples, key=lambda sample: sample[0]):
        merged = states | seen
        if merged != states:
            if modes and modes[-1].at_us == at_us:
                modes.pop()  # both topics at one instant are one change
            modes.append(Mode(at_us, merged))
        states = merged
    return tuple(modes)


def _topic(log: Any, name: str) -> Any | None:
    return next((data for data in log.data_list if data.name == name and data.multi_id == 0), None)


def _times(data: Any) -> Times:
    times: Times = data.data["timestamp"].astype(np.int64)
    return times


def _columns(data: Any, *names: str) -> Array:
    """Return the named fields side by side, shape (n, len(names))."""
    return np.stack([data.data[name] for name in names], axis=1)
