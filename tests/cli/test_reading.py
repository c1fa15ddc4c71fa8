"""`lineage log`, `show`, `walk`, `extract` and `verify` on stopped states and bundles."""

from __future__ import annotations

import json
import os
import struct
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
import pytest

from recorder.core.note import ED25519, VerifierKey
from tests.audit.lineages import small, to_bundle, write_state
from tests.cli.calling import LINEAGE, SIZE, bundle, lineage, printed, state
from tests.lineage_builder import LineageBuilder

__all__ = ["bundle", "lineage", "state"]  # fixtures


# --- log, walk


@pytest.mark.parametrize("where", ["--state", "--bundle"])
def test_log_prints_the_latest_entries(lineage: Any, state: Path, bundle: Path, where: str) -> None:
    """Ten of them, or as many as are asked for; nothing runs, so nothing is followed."""
    said = lineage("log", where, state if where == "--state" else bundle)
    assert (said.status, len(said.lines)) == (0, 10)
    assert [line.split()[0] for line in said.lines] == [printed(seq) for seq in range(SIZE - 10, SIZE)]
    assert len(lineage("log", where, state if where == "--state" else bundle, "-n", 999).lines) == SIZE
    assert lineage("log", where, state if where == "--state" else bundle, "-n", 0).lines == []


def test_log_says_in_one_line_what_an_entry_is(lineage: Any, state: Path) -> None:
    """Time, kind, decision, class, actuator, act."""
    lines = lineage("log", "--state", state, "-n", 999).lines
    assert any("actuation admitted" in line and "joint2" in line and "position 0.5 rad" in line for line in lines)
    assert any("refusal" in line and "beyond the bounds" in line for line in lines)
    assert any("joint1 x3" in line for line in lines), "rows"
    assert any("ungated" in line and "emergency_stop" in line for line in lines)
    assert all("2025-10-09T08:53:20." in line for line in lines)


def test_log_says_where_it_cuts(lineage: Any, tmp_path: Path) -> None:
    """A reason that is cut in the middle of a number would be another one."""
    made = LineageBuilder().setup(1)
    made.refuse_opening(reasons=["beyond_contemplated: magnitude " + "4" * 100])
    (line,) = lineage("log", "--state", write_state(tmp_path / "cut", made), "-n", 1).lines
    assert line.endswith("4…")


def test_log_as_json_is_one_object_a_line_without_secrets(lineage: Any, state: Path) -> None:
    """Claims by value; the secrets that their salts come from stay where they are."""
    said = lineage("log", "--state", state, "-n", 999, "--json")
    entries = [json.loads(line) for line in said.lines]
    assert [entry["seq"] for entry in entries] == list(range(SIZE))
    commit = next(entry for entry in entries if entry["kind"] == "actuation")
    assert commit["commits"][0]["claims"]["what"]["unit"] == "rad"
    for number in range(1, LINEAGE._secrets + 1):
        assert LINEAGE.octets(f"secret {number}", 16).hex() not in said.out


def test_log_follows_only_what_runs(lineage: Any, state: Path) -> None:
    """Asked to follow what is stopped, it says so and ends."""
    said = lineage("log", "--state", state, "--follow")
    assert said.status == 0
    assert "nothing to follow" in said.err


def test_walk_prints_one_axis(lineage: Any, state: Path, bundle: Path) -> None:
    """An actuator's entries, in a span, as text and as JSON."""
    said = lineage("walk", "--state", state, "--axis", "actuator", "--of", "joint2", "--since", 10, "--until", 20)
    assert said.status == 0
    assert said.lines
    assert all("joint2" in line for line in said.lines)
    again = lineage(
        "walk", "--bundle", bundle, "--axis", "actuator", "--of", "joint2", "--since", 10, "--until", 20, "--json"
    )
    assert [json.loads(line)["id"] for line in again.lines] == [line.split()[0] for line in said.lines]
    assert lineage("walk", "--state", state, "--since", 99999).err.startswith("lineage: no entries")


# --- show


@pytest.mark.parametrize("where", ["--state", "--bundle"])
def test_show_prints_an_entry_with_claims_proof_and_neighbours(
    lineage: Any, state: Path, bundle: Path, where: str
) -> None:
    """Who and why come from the entries that carry them."""
    place = state if where == "--state" else bundle
    said = lineage("show", printed(12, 0), where, place, "--json")
    shown = said.json
    assert (said.status, shown["id"], shown["kind"]) == (0, printed(12), "actuation")
    assert shown["who"]["claims"]["operator"] == "j.doe"
    assert shown["why"]["claims"]["evaluator"] == "planner/2"
    assert shown["proof"].startswith("c2sp.org/tlog-proof@v1\nindex 12\n")
    assert {one["axis"] for one in shown["neighbours"]} == {"temporal", "actuator", "policy"}
    assert {"before": printed(11), "after": printed(13)}.items() <= shown["neighbours"][0].items()
    text = lineage("show", "12", where, place)
    assert f"temporal: before {printed(11)}, after {printed(13)}" in text.out
    assert "operator: j.doe" in text.out


def test_show_prints_a_row(lineage: Any, state: Path) -> None:
    """Its values and its path to the root that the entry holds."""
    seq = next(
        json.loads(line)["seq"]
        for line in lineage("walk", "--state", state, "--axis", "actuator", "--json").lines
        if "rows_root" in line
    )
    shown = lineage("show", printed(seq, 0, 2), "--state", state, "--json").json
    assert shown["row"]["holds"] is True
    assert shown["row"]["rows"] == 3
    assert set(shown["row"]["values"]) == {"position_rad [rad]", "effort_nm [N.m]"}
    assert "values" in lineage("show", printed(seq, 0, 2), "--state", state).out
    assert lineage("show", printed(seq, 0, 3), "--state", state).status == 2
    assert lineage("show", printed(seq, 1), "--state", state).status == 2


def root_from(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.3.2, with nothing of ours."""
    at, last, root = index, size - 1, leaf
    for sibling in path:
        assert last
        if at % 2 or at == last:
            root = sha256(b"\x01" + sibling + root).digest()
            while not at % 2 and at:
                at, last = at >> 1, last >> 1
        else:
            root = sha256(b"\x01" + root + sibling).digest()
        at, last = at >> 1, last >> 1
    assert last == 0
    return root


@pytest.mark.parametrize("where", ["--state", "--bundle"])
def test_a_row_is_proven_by_its_json_alone(lineage: Any, state: Path, bundle: Path, where: str) -> None:
    """From the values to the signed root with hashes only: row, leaf, root of the rows, entry, root of the log."""
    place = state if where == "--state" else bundle
    lines = lineage("log", "-n", 999, where, place, "--json").lines
    seq = next(json.loads(line)["seq"] for line in lines if "rows_root" in line)
    shown = lineage("show", f"{seq}.0.2", where, place, "--json").json
    row, octets = shown["row"], bytes.fromhex
    assert row["id"] == printed(seq, 0, 2)

    packed = octets(row["packed"])
    names = [f"{name} [{unit}]" for name, _, _, unit in row["fields"]]
    kinds = "".join(f"{count}{'d' if kind == '<f8' else 'f'}" for _, kind, count, _ in row["fields"])
    at_ns, *numbers = struct.unpack(f"<Q{kinds}", packed)
    assert at_ns == row["at_mono_ns"]
    flat = [number for name in names for number in as_list(row["values"][name])]
    assert flat == numbers
    leaf = sha256(b"\x00" + octets(row["salt"]) + packed).digest()
    assert leaf.hex() == row["leaf"]
    rows_root = root_from(leaf, row["row"], row["rows"], [octets(one) for one in row["path"]])

    raw = octets(shown["raw"])
    header = cbor2.loads(cbor2.loads(raw).value[2])
    _, schema, count, root, *_ = header[10][0]
    assert (header[3], count, root) == (seq, row["rows"], rows_root)
    assert schema == sha256(cbor2.dumps(row["fields"], canonical=True)).digest()
    entry_leaf = sha256(b"\x00" + raw).digest()
    assert entry_leaf.hex() == shown["hash"]

    proof, _, checkpoint = shown["proof"].partition("\n\n")
    magic, index, *hashes = proof.split("\n")
    assert (magic, index) == ("c2sp.org/tlog-proof@v1", f"index {seq}")
    _, size, log_root, *_ = checkpoint.split("\n")
    assert b64encode(root_from(entry_leaf, seq, int(size), [b64decode(one) for one in hashes])).decode() == log_root


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_show_says_what_lies_outside_a_selection(lineage: Any, state: Path, tmp_path: Path) -> None:
    """Neighbours that were left out are named as such, and the entry is proven."""
    to_bundle(state, tmp_path / "part.lineage", "20", "20")
    said = lineage("show", printed(20), "--bundle", tmp_path / "part.lineage", "--json")
    assert said.status == 0
    assert said.json["neighbours"][0]["before"] == "19 (not here)"
    assert said.json["proof"] is not None


# --- extract and verify


def test_extract_and_verify_go_together(lineage: Any, state: Path, tmp_path: Path) -> None:
    """The words say what was taken, that nobody logged it, and what to do next."""
    said = lineage("extract", "--state", state, "--to", tmp_path / "a.lineage")
    assert said.status == 0
    assert f"entries 0 to {SIZE - 1}" in said.out
    assert "unsigned" in said.out
    assert said.lines[-1] == f"next: lineage verify {tmp_path / 'a.lineage'}"
    said = lineage("verify", tmp_path / "a.lineage")
    assert said.status == 0
    for verdict in ("integrity     pass", "completeness  pass", "authority     nothing", "witnessing    nothing"):
        assert verdict in said.out
    assert "unsigned" in said.out


def test_a_selection_exits_3(lineage: Any, state: Path, tmp_path: Path) -> None:
    """Usable, with declared loss only: completeness is lossy, everything else stands."""
    said = lineage("extract", "--state", state, "--to", tmp_path / "a.lineage", "--since", 20, "--until", 25, "--json")
    assert said.json["span"] == [20, 25]
    said = lineage("verify", tmp_path / "a.lineage", "--json")
    assert said.status == 3
    assert (said.json["integrity"], said.json["completeness"]) == ("pass", "lossy")
    assert [found["error"] for found in said.json["problems"]] == ["selection_partial"]


def test_volumes_go_together(lineage: Any, tmp_path: Path) -> None:
    """Extracted in several files, read and verified from any of them; one that is missing is named by every verb."""
    state = write_state(tmp_path / "s", small(1900))
    said = lineage("extract", "--state", state, "--to", tmp_path / "a.lineage", "--volume-mib", 1)
    assert said.status == 0
    files = sorted(map(str, tmp_path.glob("a.*lineage")))
    assert len(files) == 2
    assert f"in 2 volumes, to be kept together: {', '.join(files)}" in said.out
    for path in files:
        assert lineage("verify", path).status == 0
        assert lineage("log", "--bundle", path, "-n", 1).out == lineage("log", "--state", state, "-n", 1).out
    shown = lineage("show", 3, "--bundle", files[0], "--json")
    assert shown.json["proof"] is not None
    Path(files[0]).unlink()
    missing = f"volume 1 of 2 is missing: {files[0]}"
    assert missing in lineage("log", "--bundle", files[1], "-n", 1).err
    said = lineage("verify", files[1])
    assert said.status == 1
    assert f"bundle_volume: {missing}" in said.out
    assert "is there already" in lineage("extract", "--state", state, "--to", files[-1]).err
    said = lineage("extract", "--state", state, "--to", tmp_path / "b.lineage", "--json")
    assert said.json["volumes"] == [str(tmp_path / "b.lineage")]


def test_verify_prints_the_report_as_json(lineage: Any, state: Path) -> None:
    """The keys that the issue names, and the steps."""
    said = lineage("verify", "--state", state, "--json")
    report = said.json
    assert said.status == 0
    assert {"integrity", "completeness", "authority", "witnessing", "entries", "commits", "head", "problems"} <= set(
        report
    )
    assert (report["entries"], report["head"], report["problems"]) == (SIZE, printed(SIZE - 1), [])
    assert [line["outcome"] for line in report["steps"] if line["step"] in (9, 11)] == ["nothing", "nothing"]


def test_verify_takes_trust_and_known_heads(lineage: Any, state: Path, bundle: Path, tmp_path: Path) -> None:
    """The right key passes; another one, or a head that the log does not have, exits 1 and says where."""
    trust, known = tmp_path / "fleet.trust", tmp_path / "head"
    trust.write_text(f"log {VerifierKey.derive('acme/arm-7', ED25519, LINEAGE.identity.public_key)}\nquorum none\n")
    known.write_bytes(LINEAGE.checkpoint(10))
    for where in (["--state", state], [bundle]):
        said = lineage("verify", *where, "--trust", trust, "--checkpoint", known, "--json")
        assert (said.status, said.json["identity"]) == (0, "pinned")
    known.write_bytes(LINEAGE.checkpoint(10, root=bytes(32)))
    said = lineage("verify", bundle, "--checkpoint", known)
    assert said.status == 1
    assert "step 7, entry 9: root_mismatch" in said.out
    trust.write_text(f"log {VerifierKey.derive('acme/arm-7', ED25519, bytes(31) + b'1')}\nquorum none\n")
    assert lineage("verify", bundle, "--trust", trust).status == 1
    trust.write_text("nonsense\n")
    said = lineage("verify", bundle, "--trust", trust)
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert said.err.startswith(f"lineage: trust_malformed: {trust}: line 1")


def test_a_changed_entry_exits_1_and_is_placed(lineage: Any, tmp_path: Path) -> None:
    """Signed by nobody: step 4, and the entry."""
    broken = small()
    raw = broken.records[14].raw
    broken.records[14] = broken.records[14]._replace(raw=raw[:-1] + bytes([raw[-1] ^ 1]))
    said = lineage("verify", "--state", write_state(tmp_path / "s", broken))
    assert said.status == 1
    assert "step 4, entry 14: signature_invalid" in said.out
    assert "step 5, entry 15: prev_mismatch" in said.out


def test_a_store_that_ends_its_reader_still_gives_a_verdict(lineage: Any, tmp_path: Path) -> None:
    """LMDB reads through a memory map: a file that was cut ends the process, and the check says so with status 1."""
    state = write_state(tmp_path / "s", small(400))
    data = next((state / "lineages").iterdir()) / "segments" / "00000001" / "data.mdb"
    os.truncate(data, 64 * 1024)
    said = lineage("verify", "--state", state, "--json")
    assert said.status == 1
    assert said.json["integrity"] == "fail"
    assert said.json["problems"][0]["error"] == "record_damaged"
    assert "record_damaged" in lineage("verify", "--state", state).out
