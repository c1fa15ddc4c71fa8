"""`lineage export` as its user meets it."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from mcap.reader import make_reader

from recorder.core.note import ED25519, VerifierKey
from tests.audit.lineages import rezipped, small, to_bundle, write_state
from tests.cli.states import ENV, Running, lineage, made, one_line, parsed, ran
from tests.credential_builder import ROOT
from tests.export.mcaps import Mcap
from tests.gated_builder import GatedBuilder

LINEAGE = small()
_WITHOUT_MCAP = """
import sys

class Absent:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in ("mcap", "zstandard", "lz4"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent)
from recorder.cli import main
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_state(tmp_path_factory.mktemp("state") / "s", LINEAGE)


@pytest.fixture(scope="module")
def bundle(state: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "b.lineage"
    to_bundle(state, path)
    return path


def test_a_state_is_exported_and_its_bundle_verifies(state: Path, tmp_path: Path) -> None:
    """The words say how much, what is attached and what verification said; the attachment passes `lineage verify`."""
    done = lineage("export", "--state", state, "--format", "mcap", "--to", tmp_path / "a.mcap")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{LINEAGE.seq} entries as" in done.stdout
    assert "attached: acme-arm-7-0123456789abcdef.lineage" in done.stdout
    assert "verified: integrity pass, completeness pass" in done.stdout
    with (tmp_path / "a.mcap").open("rb") as file:
        (attached,) = make_reader(file).iter_attachments()
    (tmp_path / attached.name).write_bytes(attached.data)
    assert lineage("verify", tmp_path / attached.name).returncode == 0


def test_a_bundle_is_exported(bundle: Path, tmp_path: Path) -> None:
    """Named as for `verify`; --json tells all of it, the report too."""
    told = parsed(lineage("export", bundle, "--to", tmp_path / "a.mcap", "--json"))
    assert told["path"] == str(tmp_path / "a.mcap")
    assert told["bytes"] == (tmp_path / "a.mcap").stat().st_size
    assert told["entries"] == LINEAGE.seq
    assert told["messages"] == len(Mcap(tmp_path / "a.mcap").messages)
    assert told["report"]["integrity"] == "pass"


def test_a_directory_may_stand_where_a_bundle_stands(state: Path, tmp_path: Path) -> None:
    """As for `verify`."""
    assert parsed(lineage("export", state, "--to", tmp_path / "a.mcap", "--json"))["entries"] == LINEAGE.seq


def test_a_part_by_times_and_ids(state: Path, tmp_path: Path) -> None:
    """--since and --until as for `extract`; declared loss of a part fails nothing."""
    told = parsed(
        lineage("export", "--state", state, "--to", tmp_path / "a.mcap", "--since", "10", "--until", "12", "--json")
    )
    assert told["entries"] == 3
    assert told["report"]["completeness"] == "lossy"
    assert Mcap(tmp_path / "a.mcap").metadata["lineage"]["entries"] == "10 to 12"


def test_a_running_recorder_is_exported_and_logs_it(tmp_path: Path) -> None:
    """All that is durable by then; the extraction is on record, and the bundle in the file has the receipt."""
    state = made(tmp_path / "s")
    with Running(state) as running:
        told = parsed(lineage("export", "--state", state, "--to", tmp_path / "a.mcap", "--json"))
        assert told["remarks"] == []
        assert running.stop() == 0
    assert Mcap(tmp_path / "a.mcap").metadata["lineage"]["bundle logged by the recorder"] == "true"
    assert "extraction" in lineage("log", "--state", state).stdout


def test_a_failed_verification_is_status_1(bundle: Path, tmp_path: Path) -> None:
    """Refused in one line that says how to look all the same; then written, and still status 1."""
    bad = rezipped(
        bundle, tmp_path / "bad.lineage",
        lambda name, data: data.replace(b"position", b"velocity", 1) if name.startswith("claims/") else data,
    )  # fmt: skip
    done = lineage("export", bad, "--to", tmp_path / "a.mcap")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "--despite-failure" in done.stderr
    assert not (tmp_path / "a.mcap").exists()
    done = lineage("export", bad, "--to", tmp_path / "a.mcap", "--despite-failure")
    assert done.returncode == 1
    assert "verified: integrity fail" in done.stdout
    assert "FAILED" in done.stderr
    assert Mcap(tmp_path / "a.mcap").metadata["lineage/verification"]["sound"] == "false"


def test_trust_pins_the_identity(state: Path, tmp_path: Path) -> None:
    """As for `verify`: the platform's key passes, another one does not."""
    trust = tmp_path / "trust"
    trust.write_text(f"log {VerifierKey.derive('acme/arm-7', ED25519, LINEAGE.identity.public_key)}\nquorum none\n")
    told = parsed(lineage("export", "--state", state, "--trust", trust, "--to", tmp_path / "a.mcap", "--json"))
    assert told["report"]["identity"] == "pinned"
    trust.write_text(f"log {VerifierKey.derive('acme/arm-7', ED25519, bytes(31) + b'1')}\nquorum none\n")
    assert lineage("export", "--state", state, "--trust", trust, "--to", tmp_path / "b.mcap").returncode == 1


def test_what_cannot_be_decided_is_said_in_the_file_too(tmp_path: Path) -> None:
    """Authority of a cycle that a clock left open: no failure, and no pass."""
    open_ended = GatedBuilder()
    open_ended.clock.quality = 1
    open_ended.ready().gated()
    trust, path = tmp_path / "trust", tmp_path / "a.mcap"
    trust.write_text(f"root {ROOT}\nquorum none\n")
    state = write_state(tmp_path / "state", open_ended)
    done = lineage("export", "--state", state, "--trust", trust, "--to", path)
    assert (done.returncode, "authority indeterminate" in done.stdout) == (0, True), done.stderr
    said = Mcap(path)
    assert said.metadata["lineage/verification"]["authority"] == "indeterminate"
    assert "authority indeterminate" in said.values("/lineage")[0]["message"]


def test_misuse_is_one_line(state: Path, bundle: Path, tmp_path: Path) -> None:
    """Both sources, none, a name that is taken, a directory that is not there, a span without entries."""
    taken = tmp_path / "taken"
    taken.write_text("mine")
    assert "not both" in one_line(lineage("export", bundle, "--state", state, "--to", tmp_path / "a.mcap"))
    assert "--state" in one_line(lineage("export", "--to", tmp_path / "a.mcap"))
    assert "is there already" in one_line(lineage("export", bundle, "--to", taken))
    assert taken.read_text() == "mine"
    assert "is no directory" in one_line(lineage("export", bundle, "--to", tmp_path / "no" / "a.mcap"))
    assert "no entries" in one_line(lineage("export", bundle, "--to", tmp_path / "a.mcap", "--since", "99999"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.4])
def test_a_full_medium_is_one_line_and_leaves_nothing(bundle: Path, tmp_path: Path, share: float) -> None:
    """The file is whole or not there, wherever the room ends: among messages, within the attachment, after it."""
    limit_bytes = int(bundle.stat().st_size * share)
    # Without the tracer of coverage, which would write files too.
    environment = {name: value for name, value in ENV.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-m", "recorder.cli", "export", str(bundle), "--to", str(tmp_path / "a.mcap")],
        capture_output=True, text=True, check=False, env=environment, timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes)),
    )  # fmt: skip
    said = one_line(done)
    assert said == f"cannot write {tmp_path / 'a.mcap'}.part: File too large; nothing is left of it"
    assert list(tmp_path.iterdir()) == []


def test_without_mcap_it_says_how_to_get_it(state: Path, tmp_path: Path) -> None:
    """One line; the verb's help and all other verbs do without."""

    def without(*arguments: object) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-c", _WITHOUT_MCAP, *map(str, arguments)]
        return subprocess.run(program, capture_output=True, text=True, check=False, env=ENV, timeout=100)

    said = one_line(without("export", "--state", state, "--to", tmp_path / "a.mcap"))
    assert said.endswith("pip install 'lineage-recorder[export]'")
    assert "--despite-failure" in without("export", "--help").stdout
    assert without("verify", "--state", state).returncode == 0


def test_what_init_made_and_a_recorder_stored_is_exported(tmp_path: Path) -> None:
    """The whole way of a new user: init, run, commit, export."""
    state = ran(made(tmp_path / "s"), commits=3)
    told = parsed(lineage("export", "--state", state, "--to", tmp_path / "a.mcap", "--json"))
    assert json.dumps(told["report"]["problems"]) == "[]"
    assert len(Mcap(tmp_path / "a.mcap").values("/actuators/arm")) == 3
