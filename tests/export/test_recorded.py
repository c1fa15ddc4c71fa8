"""Exports of what a real recorder stored: rows, commits, times, receipts, events, and the bundle."""

from __future__ import annotations

import math
import re
import time
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import fastjsonschema
import pytest

from hwsim.flight import SHIPPED_FLIGHTS, load_excerpt
from hwsim.replay import run_replay
from recorder.audit.check import check_source
from recorder.audit.opening import open_source
from recorder.audit.rowview import row_of
from recorder.audit.source import entry_named
from recorder.client import Receipt, Recorder
from recorder.core.entry import decode
from tests import running
from tests.claims import WHAT, WHO, WHY
from tests.export.mcaps import Mcap, exported
from tests.running import Running, make_state

FIELDS = [
    ("position_rad", "<f4", 2, "rad"), ("encoder", "<i8", 1, "count"), ("moving", "|b1", 1, ""), ("effort", "<f8", 1, "N.m"),
]  # fmt: skip
WHERE = {"frame": "base", "position_m": [0.5, 0.25, 1.0], "orientation_xyzw": [0.0, 0.0, 0.0, 1.0]}
FLIGHT = SHIPPED_FLIGHTS[1]
FLIGHT_ACTUATORS = '"fc.outputs", "fc.outputs1", "fc.controls0", "fc.controls1", "fc.mode"'
VIEWERS_TYPES = {"boolean", "string", "number", "integer", "object", "array"}


class Session(NamedTuple):
    """What was given to the recorder, and the exports of it."""

    state: Path
    rows: list[tuple[int, tuple[Any, ...]]]  # at_mono_ns, values
    receipts: list[Receipt]
    mcap: Mcap


def values_of(number: int) -> tuple[Any, ...]:
    """One row; every fifth effort is not finite, nor are two positions."""
    positions = [number / 4, {7: math.inf, 8: -math.inf}.get(number, -number / 8)]
    effort = math.nan if number % 5 == 4 else number * 0.1
    return (positions, -(2**62) + number, number % 2 == 0, effort)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    directory = tmp_path_factory.mktemp("recorded")
    rows, receipts = [], []
    with Running(make_state(directory / "s")) as recorder:
        with Recorder(recorder.socket, timeout_ms=60_000) as client:
            with client.open_cycle(
                who=WHO, why=WHY, actuators=["arm", "arm.joint1"], action_classes=["motion"], valid_ms=60_000
            ) as cycle:
                stream = cycle.stream("arm", fields=FIELDS, what=WHAT, where=WHERE)
                began_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
                for number in range(50):
                    at_ns = began_ns + number  # in the past by the time that it is written
                    rows.append((at_ns, values_of(number)))
                    assert stream.record(values_of(number), at_mono_ns=at_ns)
                    if number == 20:
                        client.flush(240)  # so that there are two messages of rows
                client.flush(240)
                for magnitude in (0.0, 0.5, 1.0):
                    what = WHAT | {"magnitude": magnitude}
                    receipts += [cycle.commit("arm.joint1", what=what, where=WHERE, deadline_ms=60_000)]
            client.event("emergency_stop", actuators=["arm", "arm.joint2"], what=WHAT, reason="light curtain")
            client.gap(actuators=["arm"], lost_count=3, duration_ms=10, reason="radio lost")
            client.flush(240)
        assert recorder.stop() == 0
    return Session(directory / "s", rows, receipts, exported(directory / "s", directory / "a.mcap"))


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Mcap:
    directory = tmp_path_factory.mktemp("flown")
    with pytest.MonkeyPatch.context() as patch:
        given = running.CONFIG.replace('actuators = ["arm"', f'actuators = [{FLIGHT_ACTUATORS}, "arm"')
        patch.setattr(running, "CONFIG", given)
        with Running(make_state(directory / "s")) as recorder:
            with Recorder(recorder.socket, timeout_ms=60_000) as client:
                report = run_replay(client, load_excerpt(FLIGHT), speed=4.0)
                assert report.unrecorded_rows == 0
            assert recorder.stop() == 0
    return exported(directory / "s", directory / "flight.mcap")


def finite(fields: Any, values: tuple[Any, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A row as JSON should hold it: fields, and those that are not finite."""

    def text(number: float) -> Any:
        return number if math.isfinite(number) else {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(number)]

    here, not_here = {}, {}
    for (name, _, count, _), value in zip(fields, values, strict=True):
        parts = [value] if count == 1 else list(value)
        if all(math.isfinite(part) for part in parts):
            here[name] = value
        else:
            not_here[name] = text(parts[0]) if count == 1 else [text(part) for part in parts]
    return here, not_here


def test_rows_are_those_that_were_recorded(session: Session) -> None:
    """Every row, in order, under its fields' names; what JSON cannot hold stands as text, in its place."""
    got = session.mcap.values("/actuators/arm")
    assert len(got) == len(session.rows) == 50
    for value, (at_ns, given) in zip(got, session.rows, strict=True):
        facts = value["_lineage"]
        here, not_here = finite(FIELDS, given)
        assert value == here | {"_lineage": facts}
        assert facts.get("not_finite", {}) == not_here
        assert facts["at_mono_ns"] == at_ns
    assert session.rows[7][1][0][1] == math.inf, "the sample has a field of several numbers, one of them infinite"


def test_a_rows_id_leads_to_the_same_row_elsewhere(session: Session) -> None:
    """The printed id in each message names the row whose inclusion `lineage show` proves."""
    with closing(open_source(session.state)) as source:
        for value in session.mcap.values("/actuators/arm")[::7]:
            held, named = entry_named(source, value["_lineage"]["id"])
            assert named.index is not None
            assert named.row is not None
            view = row_of(source, held, decode(held.raw), named.index, named.row)
            assert view.holds
            assert view.at_mono_ns == value["_lineage"]["at_mono_ns"]
            assert view.values is not None
            assert view.values["encoder [count]"] == value["encoder"]


def test_times_are_utc_by_the_clocks_of_the_entry(session: Session) -> None:
    """UTC of the entry, less how much earlier than it the act says that it was; log and publish time are the same."""
    with closing(open_source(session.state)) as source:
        for topic in ("/actuators/arm", "/actuators/arm.joint1"):
            for message in session.mcap.of(topic):
                facts = message.value.get("_lineage", message.value)
                clocks = decode(entry_named(source, re.sub(r"\.[0-9.]+", "", facts["id"]))[0].raw).header.time
                assert facts["at_mono_ns"] < clocks.mono_ns
                assert message.log_time == clocks.utc_ns - (clocks.mono_ns - facts["at_mono_ns"])
                assert message.publish_time == message.log_time
        for message in session.mcap.of("/lineage")[1:]:
            assert message.log_time == decode(entry_named(source, message.value["file"])[0].raw).header.time.utc_ns
    assert sum(
        int(count) for name, count in session.mcap.metadata["lineage/clock"].items() if "entries" in name
    ) == int(session.mcap.metadata["lineage"]["entries exported"])


def test_commits_come_with_their_claims(session: Session) -> None:
    """All claims of what and where as they were given, nulls included, and the usual numbers beside them."""
    got = session.mcap.values("/actuators/arm.joint1")
    assert [value["magnitude"] for value in got] == [0.0, 0.5, 1.0]
    for value, receipt in zip(got, session.receipts, strict=True):
        assert value["id"] == receipt.entry_id
        assert value["what"] == WHAT | {"magnitude": value["magnitude"]}
        assert value["what"]["confirm_by_ms"] is None
        assert value["where"] == WHERE
        assert (value["mode"], value["target"], value["unit"], value["duration_ms"]) == ("position", 1.5, "rad", 10)
        assert (value["decision"], value["stage"], value["action_class"]) == ("external", "direct", "motion")
        assert "missing" not in value


def test_every_act_has_a_receipt(session: Session) -> None:
    """Seq, index, id and hash of each commit and rows message; rows add up, what and where of rows are there."""
    receipts = session.mcap.values("/receipts")
    given = {receipt.entry_id for receipt in session.receipts}
    assert given <= {value["id"] for value in receipts}
    rows = [value for value in receipts if value["flags"] == ["rows"]]
    assert sum(value["count"] for value in rows) == 50
    assert len(rows) > 1
    assert all((value["actuator"], value["what"], value["where"]) == ("arm", WHAT, WHERE) for value in rows)
    with closing(open_source(session.state)) as source:
        for value in receipts:
            held, named = entry_named(source, value["id"])
            assert (value["seq"], value["index"]) == (held.seq, named.index)
            commits = decode(held.raw).header.commits
            assert commits is not None
            assert value["hash"] == decode(held.raw).hash.hex()
            assert value["request"] == commits[value["index"]].request.hex()


def test_the_why_of_each_act_is_found_by_its_cycle(session: Session) -> None:
    """/why has who, why and bounds once; commits, rows and receipts name it."""
    whys = {value["seq"]: value for value in session.mcap.values("/why")}
    commit = session.mcap.values("/actuators/arm.joint1")[0]
    why = whys[commit["cycle"]]
    assert why["why"].items() >= WHY.items()
    assert why["who"].items() >= WHO.items()
    assert why["bounds"]["actuators"] == ["arm", "arm.joint1"]
    assert why["bounds"]["action_classes"] == ["motion"]
    assert why["bounds"]["valid_ms"] == 60_000
    assert {value["_lineage"]["cycle"] for value in session.mcap.values("/actuators/arm")} == {commit["cycle"]}
    assert {value["cycle"] for value in session.mcap.values("/receipts")} <= whys.keys()
    event = session.mcap.values("/events")[0]
    assert whys[event["line"]]["why"]["reason"] == "light curtain"
    assert "bounds" not in whys[event["line"]]


def test_what_happened_beside_acts_is_a_log(session: Session) -> None:
    """Events on /events; boot, declarations, gap and stop on /lineage, after the verdict, with levels."""
    (event,) = session.mcap.values("/events")
    assert session.mcap.of("/events")[0].log_time == session.mcap.of("/actuators/arm/commits")[0].log_time
    assert event["message"] == "emergency_stop on arm, arm.joint2: light curtain"
    log = session.mcap.values("/lineage")
    assert [log[0]["name"], log[1]["name"], log[-1]["name"]] == ["verification", "boot", "stop"]
    (gap,) = (one for one in log if one["name"] == "gap")
    assert (gap["level"], log[0]["level"], log[1]["level"]) == (3, 2, 2)
    assert gap["details"]["control"]["reason"] == "radio lost"
    # The event's commits stand beside the rows of the same actuator, on a topic of their own.
    (stop,) = session.mcap.values("/actuators/arm/commits")
    assert (stop["decision"], stop["cycle"]) == ("ungated", event["line"])
    assert [value["decision"] for value in session.mcap.values("/actuators/arm.joint2")] == ["ungated"]


def test_a_pose_is_one_that_foxglove_knows(session: Session) -> None:
    """One for each commit, and one for all rows that share a where."""
    poses = session.mcap.of("/where/arm.joint1")
    assert len(poses) == 3
    assert len(session.mcap.of("/where/arm")) == 1
    assert poses[0].schema == "foxglove.PoseInFrame"
    assert poses[0].value["frame_id"] == "base"
    assert poses[0].value["pose"]["position"] == {"x": 0.5, "y": 0.25, "z": 1.0}
    assert poses[0].value["pose"]["orientation"] == {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}
    assert poses[0].value["timestamp"] == {
        "sec": poses[0].log_time // 10**9,
        "nsec": poses[0].log_time % 10**9,
    }


def test_the_attached_bundle_verifies(session: Session, tmp_path: Path) -> None:
    """Written out, it is a bundle like any other; its digest is in the metadata, its checksum and index are right."""
    (attached,) = session.mcap.attachments
    (index,) = session.mcap.attachment_indexes
    assert session.mcap.statistics.attachment_count == 1
    assert (attached.name, attached.media_type) == (index.name, "application/zip")
    assert session.mcap.metadata["lineage/bundle"]["sha256"] == sha256(attached.data).hexdigest()
    raw = (session.state.parent / "a.mcap").read_bytes()[index.offset : index.offset + index.length]
    assert int.from_bytes(raw[1:9], "little") == len(raw) - 9
    assert int.from_bytes(raw[-4:], "little") == crc32(raw[9:-4])
    assert index.data_size == len(attached.data)
    path = tmp_path / attached.name
    path.write_bytes(attached.data)
    with closing(open_source(path)) as source:
        report = check_source(source)
        assert source.origin == session.mcap.metadata["lineage"]["origin"]
    assert (report.integrity, report.exit_status()) == ("pass", 3)
    assert report.head == session.mcap.metadata["lineage"]["head"]
    assert session.mcap.metadata["lineage/verification"]["completeness"] == report.completeness == "lossy"
    assert session.mcap.metadata["lineage/verification"]["sound"] == "true"


def test_a_flight_comes_back_as_it_was_flown(flown: Mcap) -> None:
    """Every row of every track, with the log's own values, at the log's own intervals."""
    flight = load_excerpt(FLIGHT)
    for track in flight.tracks:
        got = flown.of(f"/actuators/{track.actuator}")
        assert len(got) == len(track.at_us)
        for row, message in enumerate(got):
            here, not_here = finite(track.fields, track.row(row))
            facts = message.value["_lineage"]
            assert message.value == here | {"_lineage": facts}
            assert facts.get("not_finite", {}) == not_here
        assert [message.log_time for message in got] == sorted(message.log_time for message in got)
    assert [value["what"]["arming_state"] for value in flown.values("/actuators/fc.mode")] == [2, 1]


def assert_viewers_can_read(schema: dict[str, Any], path: str) -> None:
    """The subset of JSON Schema that Foxglove's reader takes."""
    assert schema["type"] == "object", path
    assert isinstance(schema["properties"], dict), path
    for name, one in schema["properties"].items():
        at = f"{path}.{name}"
        assert not {"oneOf", "anyOf", "allOf", "$ref", "contentEncoding"} & one.keys(), at
        assert isinstance(one["type"], str), at
        assert one["type"] in VIEWERS_TYPES, at
        if one["type"] == "object":
            assert_viewers_can_read(one, at)
        elif one["type"] == "array":
            assert one["items"]["type"] in VIEWERS_TYPES - {"array"}, at
            if one["items"]["type"] == "object":
                assert_viewers_can_read(one["items"], at)


@pytest.mark.parametrize("which", ["session", "flown"])
def test_every_message_is_as_its_schema_says(which: str, request: pytest.FixtureRequest) -> None:
    """A validator of JSON Schema accepts each message, and each schema is one that viewers can read."""
    found = request.getfixturevalue(which)
    mcap: Mcap = found.mcap if isinstance(found, Session) else found
    validators = {name: fastjsonschema.compile(schema) for name, schema in mcap.schemas.items()}
    for name, schema in mcap.schemas.items():
        assert_viewers_can_read(schema, name)
    assert mcap.messages
    for message in mcap.messages:
        validators[message.schema](message.value)


def test_units_stand_in_the_schema(session: Session) -> None:
    """A field's description begins with its unit, and ends with its type."""
    channel = session.mcap.channels["/actuators/arm"]
    properties = session.mcap.schemas[f"lineage.Row.{channel.metadata['schema'][:16]}"]["properties"]
    assert {name: properties[name]["description"] for name, *_ in FIELDS} == {
        "position_rad": "rad (<f4)", "encoder": "count (<i8)", "moving": "no unit (|b1)", "effort": "N.m (<f8)",
    }  # fmt: skip
    assert properties["position_rad"]["items"] == {"type": "number"}
    assert [properties[name]["type"] for name, *_ in FIELDS] == ["array", "integer", "boolean", "number"]
