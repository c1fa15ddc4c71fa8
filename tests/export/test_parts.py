"""Exports of lineages made by hand: parts, what is missing, what fails verification, odd schemas and names."""

from __future__ import annotations

import json
import os
import random
import tracemalloc
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from recorder.audit.check import check_source
from recorder.audit.opening import open_source
from recorder.core import cbor, rows
from recorder.core.kinds import Kind, Time
from recorder.core.note import ED25519, VerifierKey
from recorder.core.trust import Trust, parse_trust
from recorder.export.clock import utc_of
from recorder.export.export import UnsoundError
from recorder.export.mcapfile import ExportError, McapFile
from recorder.export.pose import pose_in
from tests.audit.lineages import rezipped, small, to_bundle, write_state
from tests.export.mcaps import Mcap, export, exported
from tests.lineage_builder import WHERE, LineageBuilder, Record

MS = 1_000_000


def assert_valid(mcap: Mcap) -> None:
    validators = {name: fastjsonschema.compile(schema) for name, schema in mcap.schemas.items()}
    for message in mcap.messages:
        validators[message.schema](message.value)


def state_of(lineage: LineageBuilder, directory: Path) -> Path:
    return write_state(directory / "s", lineage)


# --- One input, one output


def test_the_same_bundle_gives_the_same_file(tmp_path: Path) -> None:
    """Byte for byte, and the bundle in it is the very file that was given."""
    to_bundle(state_of(small(), tmp_path), tmp_path / "a.lineage")
    export(tmp_path / "a.lineage", tmp_path / "1.mcap")
    export(tmp_path / "a.lineage", tmp_path / "2.mcap")
    assert (tmp_path / "1.mcap").read_bytes() == (tmp_path / "2.mcap").read_bytes()
    assert Mcap(tmp_path / "1.mcap").attachments[0].data == (tmp_path / "a.lineage").read_bytes()


def test_a_state_and_its_bundle_say_the_same(tmp_path: Path) -> None:
    """Only what tells of the making of the bundle may differ."""
    state = state_of(small(), tmp_path)
    to_bundle(state, tmp_path / "a.lineage")
    one, other = exported(state, tmp_path / "1.mcap"), exported(tmp_path / "a.lineage", tmp_path / "2.mcap")
    assert one.messages[1:] == other.messages[1:]
    assert one.channels.keys() == other.channels.keys()


def test_nothing_but_the_file_is_left(tmp_path: Path) -> None:
    """The bundle that was made on the way is gone, and a name that is taken stays as it is."""
    state = state_of(small(), tmp_path)
    target = tmp_path / "out" / "a.mcap"
    with pytest.raises(ExportError, match="is no directory"):
        export(state, target)
    target.parent.mkdir()
    export(state, target)
    assert [path.name for path in target.parent.iterdir()] == ["a.mcap"]
    before = target.read_bytes()
    with pytest.raises(ExportError, match="is there already"):
        export(state, target)
    assert target.read_bytes() == before


# --- Parts


def test_a_part_has_its_own_entries_and_the_whys_that_they_name(tmp_path: Path) -> None:
    """What a selection needs beside what was asked for is in the bundle, and not on the timeline, but for the why."""
    lineage = LineageBuilder().setup(1, 2)
    old = lineage.cycle([1])
    lineage.commit(old)
    lineage.end(old)
    lineage.clock.pass_ns(3_600_000 * MS)
    cycle = lineage.cycle([1])
    seqs = [lineage.commit(cycle) for _ in range(6)]
    lineage.end(cycle)
    mcap = exported(state_of(lineage, tmp_path), tmp_path / "a.mcap", str(seqs[2]), str(seqs[4]))
    assert [value["seq"] for value in mcap.values("/receipts")] == seqs[2:5]
    assert [value["seq"] for value in mcap.values("/why")] == [cycle.carrier]
    assert [value["name"] for value in mcap.values("/lineage")] == ["verification"]
    assert mcap.channels.keys() == {"/receipts", "/why", "/lineage", "/actuators/joint1", "/where/joint1"}
    assert mcap.statistics.message_end_time - mcap.statistics.message_start_time < 100 * MS
    assert mcap.metadata["lineage"]["entries"] == f"{seqs[2]} to {seqs[4]}"
    assert mcap.metadata["lineage"]["whole"] == "false"
    assert int(mcap.metadata["lineage"]["entries in the bundle"]) > 3
    assert_valid(mcap)
    (tmp_path / "part.lineage").write_bytes(mcap.attachments[0].data)
    source = open_source(tmp_path / "part.lineage")
    assert check_source(source).problem_counts == {"selection_partial": 1}
    source.close()
    again = exported(tmp_path / "part.lineage", tmp_path / "b.mcap")
    assert [(one.topic, one.value) for one in again.messages] == [(one.topic, one.value) for one in mcap.messages]


# --- What is not here


@pytest.fixture
def withheld() -> LineageBuilder:
    """Some claims given as hashes only, in a bundle from elsewhere."""
    lineage = LineageBuilder(transport=True, withhold=("magnitude", "operator", "clauses", "position_m")).setup(1)
    cycle = lineage.cycle([1])
    lineage.commit(cycle)
    lineage.rows(cycle, lineage.schema())
    lineage.end(cycle)
    return lineage


def test_withheld_claims_are_null_with_the_reason(withheld: LineageBuilder, tmp_path: Path) -> None:
    """The key stands with null, and `missing` says that only the hash is here; no number and no pose is made up."""
    mcap = exported(state_of(withheld, tmp_path), tmp_path / "a.mcap")
    (commit,) = mcap.values("/actuators/joint1/commits")
    reason = "withheld: only its hash is here"
    assert commit["what"]["magnitude"] is None
    assert commit["where"] == WHERE | {"position_m": None}
    assert "magnitude" not in commit
    assert commit["target"] == 0.75
    assert commit["missing"] == [
        {"claim": "what.magnitude", "reason": reason}, {"claim": "where.position_m", "reason": reason},
    ]  # fmt: skip
    (why,) = mcap.values("/why")
    assert (why["who"]["operator"], why["why"]["clauses"]) == (None, None)
    assert [one["claim"] for one in why["missing"]] == ["who.operator", "why.clauses"]
    assert all("missing" in value["flags"] for value in mcap.values("/receipts"))
    assert "/where/joint1" not in mcap.channels
    assert_valid(mcap)


def test_deleted_claims_name_the_deletion(tmp_path: Path) -> None:
    """Claims and rows that are gone have the id of the entry that says so; what is still there is shown."""
    lineage = LineageBuilder().setup(1)
    schema = lineage.schema()
    cycle = lineage.cycle([1])
    gone = lineage.commit(cycle)
    rowed = lineage.rows(cycle, schema)
    kept = lineage.commit(cycle)
    lineage.end(cycle)
    seq = lineage.control(Kind.DELETION, gone, rowed, "standard", None)
    for one in (gone, rowed):
        lineage.records[one] = Record(lineage.records[one].raw, None)
    mcap = exported(state_of(lineage, tmp_path), tmp_path / "a.mcap")
    reason = f"deleted: entry {seq}-{lineage.hash_of(seq).hex()[:8]}, retention class standard"
    first, second = mcap.values("/actuators/joint1/commits")
    assert (first["what"], first["where"]) == ({}, {})
    assert first["missing"] == [{"claim": "what", "reason": reason}, {"claim": "where", "reason": reason}]
    assert (second["magnitude"], "missing" in second) == (0.5, False)
    receipts = {value["seq"]: value for value in mcap.values("/receipts")}
    assert receipts[rowed]["missing"][-1] == {"claim": "rows", "reason": reason}
    assert "missing" not in receipts[kept]
    assert_valid(mcap)


def test_withheld_rows_are_counted(tmp_path: Path) -> None:
    """Rows of which only the leaf is here are no messages; the receipt says how many."""
    lineage = LineageBuilder(transport=True).setup(1)
    cycle = lineage.cycle([1])
    seq = lineage.rows(cycle, lineage.schema(), 4)
    held = cbor.decode(lineage.records[seq].claims or b"")
    for row in (0, 2):
        held[10][0][2][row] = rows.leaf(*held[10][0][2][row])
    lineage.records[seq] = Record(lineage.records[seq].raw, cbor.encode(held))
    mcap = exported(state_of(lineage, tmp_path), tmp_path / "a.mcap")
    printed = [value["_lineage"]["id"].split("-")[0] for value in mcap.values("/actuators/joint1")]
    assert printed == [f"{seq}.0.1", f"{seq}.0.3"]
    (receipt,) = mcap.values("/receipts")
    assert receipt["missing"] == [{"claim": "rows", "reason": "withheld: only its hash is here: 2 of 4"}]


def test_an_actuator_whose_name_is_withheld_goes_by_its_number(tmp_path: Path) -> None:
    """In the topic and in the message."""
    lineage = LineageBuilder(transport=True, withhold=("name",)).setup(7)
    lineage.commit(lineage.cycle([7]), [7])
    mcap = exported(state_of(lineage, tmp_path), tmp_path / "a.mcap")
    assert mcap.values("/actuators/number-7")[0]["actuator"] == "#7"
    declared = next(value for value in mcap.values("/lineage") if value["name"] == "actuator")
    assert declared["missing"][0]["claim"] == "body.name"


# --- What fails


def broken(tmp_path: Path) -> Path:
    """A bundle in which one claim was changed."""
    to_bundle(state_of(small(), tmp_path), tmp_path / "a.lineage")

    def change(name: str, data: bytes) -> bytes:
        return data.replace(b"position", b"velocity", 1) if name.startswith("claims/") else data

    return rezipped(tmp_path / "a.lineage", tmp_path / "broken.lineage", change)


def test_what_fails_verification_is_refused(tmp_path: Path) -> None:
    """With the verdicts, the first problem and what to do; nothing is written."""
    bundle = broken(tmp_path)
    with pytest.raises(UnsoundError, match=r"integrity fail.*claims_mismatch.*--despite-failure"):
        export(bundle, tmp_path / "a.mcap")
    assert not list(tmp_path.glob("*.mcap*"))


def test_what_fails_all_the_same_says_so_everywhere(tmp_path: Path) -> None:
    """In the header, in the metadata, and as the first message, which log panels show in red."""
    mcap = exported(broken(tmp_path), tmp_path / "a.mcap", despite_failure=True)
    assert "FAILED VERIFICATION" in mcap.library
    said = mcap.metadata["lineage/verification"]
    assert (said["sound"], said["integrity"]) == ("false", "fail")
    assert "claims_mismatch" in said["problems"]
    assert "claims_mismatch" in said["problem 1"]
    first = mcap.of("/lineage")[0]
    assert first == mcap.messages[0]
    assert first.value["level"] == 5
    assert first.value["message"].startswith("VERIFICATION FAILED: integrity fail")
    assert_valid(mcap)


def test_a_sound_lineage_of_a_stranger_is_refused(tmp_path: Path) -> None:
    """Whoever names what they trust gets nothing else."""
    lineage = small()
    state = state_of(lineage, tmp_path)
    own = trust_in(lineage.identity.public_key)
    assert exported(state, tmp_path / "a.mcap", trust=own).metadata["lineage/verification"]["identity"] == "pinned"
    with pytest.raises(UnsoundError, match=r"identity_changed|identity_untrusted"):
        export(state, tmp_path / "b.mcap", trust=trust_in(lineage.signer("another").public_key))


def trust_in(key: bytes) -> Trust:
    return parse_trust(f"log {VerifierKey.derive('acme/arm-7', ED25519, key)}\nquorum none\n".encode())


@pytest.mark.parametrize("seed", range(12))
def test_no_damage_raises_anything_but_our_own_errors(seed: int, tmp_path: Path) -> None:
    """Entries and claims with a byte changed are exported on demand: as far as they can be read, and always validly."""
    lineage = small(6)
    state_of(lineage, tmp_path)
    to_bundle(tmp_path / "s", tmp_path / "a.lineage")
    chance = random.Random(seed)

    def change(name: str, data: bytes) -> bytes:
        if not name.startswith(("claims/", "tile/entries/")):
            return data
        damaged = bytearray(data)
        for _ in range(20):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        return bytes(damaged)

    bundle = rezipped(tmp_path / "a.lineage", tmp_path / "b.lineage", change)
    mcap = exported(bundle, tmp_path / "a.mcap", despite_failure=True)
    assert mcap.metadata["lineage/verification"]["sound"] == "false"
    assert_valid(mcap)


# --- Topics and schemas


def test_each_shape_of_an_actuator_has_a_topic_of_its_own(tmp_path: Path) -> None:
    """The first schema has the actuator's topic, others and commits lie below; no name of a field is taken."""
    lineage = LineageBuilder().setup(1, 2)
    first = lineage.schema([["_lineage", "<u2", 4, ""], ["x", "<i4", 1, "mm"]])
    second = lineage.schema([["timestamp", "<u8", 1, "us"]])
    cycle = lineage.cycle([1, 2])
    lineage.commit(cycle, [1])
    lineage.rows(cycle, first, 2, row_bytes=20)
    lineage.rows(cycle, second, 3, row_bytes=16)
    lineage.rows(cycle, second, 1, actuator=2, row_bytes=16)
    mcap = exported(state_of(lineage, tmp_path), tmp_path / "a.mcap")
    counts = {topic: len(mcap.of(topic)) for topic in mcap.channels if topic.startswith("/actuators")}
    assert counts == {
        "/actuators/joint1": 2, "/actuators/joint1/commits": 1, f"/actuators/joint1/{second.hex()[:8]}": 3,
        "/actuators/joint2": 1,
    }  # fmt: skip
    row = mcap.values("/actuators/joint1")[0]
    assert len(row["_lineage"]) == 4
    assert row["_lineage_"]["id"].endswith(lineage.hash_of(int(row["_lineage_"]["id"].split(".")[0])).hex()[:8])
    assert_valid(mcap)


def test_refusals_are_not_acts(tmp_path: Path) -> None:
    """A refused commit is on /lineage with its reasons, and on no actuator's topic."""
    lineage = LineageBuilder().setup(1)
    cycle = lineage.cycle([1])
    seq = lineage.refuse(cycle)
    lineage.refuse_opening()
    mcap = exported(state_of(lineage, tmp_path), tmp_path / "a.mcap")
    refused = [value for value in mcap.values("/lineage") if value["name"] == "refusal"]
    assert [value["level"] for value in refused] == [3, 3]
    assert refused[0]["line"] == seq
    assert refused[0]["details"]["control"]["reasons"] == ["beyond the bounds"]
    assert not {"/receipts", "/actuators/joint1"} & mcap.channels.keys()
    assert [value["seq"] for value in mcap.values("/why")] == [cycle.carrier]


def test_a_time_that_cannot_be_is_kept_off_the_timeline() -> None:
    """Never after the entry, never before 1970, whatever a controller claims."""
    time = Time(2_000 * MS, 500 * MS, 1, 2, None)
    assert utc_of(time) == 2_000 * MS
    assert utc_of(time, 400 * MS) == 1_900 * MS
    assert utc_of(time, 2**64 - 1) == 2_000 * MS
    assert utc_of(time, 0) == 1_500 * MS
    assert utc_of(Time(100, 500, 1, 0, None), 0) == 0


@pytest.mark.parametrize(
    ("where", "pose"),
    [
        ({"frame": "a", "position_m": [1, 2.5, 3]}, {"position": {"x": 1, "y": 2.5, "z": 3}}),
        ({"frame": "a", "orientation_xyzw": [0.0, 0.0, 0.0, 1.0]}, {"orientation": {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}}),
        ({"position_m": [1, 2, 3]}, None),
        ({"frame": "a"}, None),
        ({"frame": "a", "position_m": [1, None, 3]}, None),
        ({"frame": "a", "position_m": [1, True, 3]}, None),
        ({"frame": "a", "position_m": [1, 2]}, None),
        ({"frame": "a", "position_m": None}, None),
    ],
)  # fmt: skip
def test_a_pose_says_no_more_than_was_claimed(where: dict[str, Any], pose: dict[str, Any] | None) -> None:
    """What was not claimed, or not whole, is left out."""
    found = pose_in(where, 1_500)
    assert (found["pose"] if found else None) == pose


# --- The file


def test_a_bundle_is_attached_in_bounded_memory(tmp_path: Path) -> None:
    """48 MB go in with a tenth of that in memory, between messages and metadata that stay readable."""
    with (tmp_path / "big").open("w+b") as big:
        big.truncate(48_000_000)
        big.write(os.urandom(1000))
        with McapFile(tmp_path / "a.mcap", "") as file:
            file.say("before", {"a": "b"})
            tracemalloc.start()
            digest = file.attach("big", big, 5)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            file.say("after", {"sha256": digest})
            assert file.finish() > 48_000_000
    assert peak < 4_800_000
    read = Mcap(tmp_path / "a.mcap")
    assert read.attachments[0].data == (tmp_path / "big").read_bytes()
    assert read.metadata.keys() == {"before", "after"}


def test_metadata_is_text_that_others_can_read(tmp_path: Path) -> None:
    """Names and values as documented, with the origin and the head of the lineage."""
    lineage = small()
    mcap = exported(state_of(lineage, tmp_path), tmp_path / "a.mcap")
    assert list(mcap.metadata) == ["lineage", "lineage/verification", "lineage/clock", "lineage/bundle"]
    said = mcap.metadata["lineage"]
    assert (said["format"], said["origin"], said["platform"]) == ("lineage/mcap/1", lineage.origin, "acme/arm-7")
    last = lineage.seq - 1
    assert said["head"] == f"{last}-{lineage.hash_of(last).hex()[:8]}"
    assert said["entries"] == f"0 to {last}"
    assert mcap.metadata["lineage/clock"]["entries NTP/PTP"] == str(lineage.seq)
    assert mcap.metadata["lineage/clock"]["greatest estimated error us"] == "50"
    assert json.dumps(mcap.metadata)
