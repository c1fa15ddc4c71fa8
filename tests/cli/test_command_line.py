"""The command line of the verbs that read: misuse, help, the environment, and what ends the output."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recorder.cli import VERBS
from tests.cli.calling import ROOT, SIZE, bundle, lineage, printed, state

__all__ = ["bundle", "lineage", "state"]  # fixtures


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["log"], "--state DIR"),
        (["verify"], "--state DIR"),
        (["log", "--state", "/nowhere"], "no state directory"),
        (["verify", "--state", "/nowhere"], "no state directory"),
        (["verify", "/nowhere.lineage"], "No such file"),
        (["verify", __file__], "bundle_malformed"),
        (["verify", "STATE/current"], "bundle_malformed"),
        (["verify", "--state", "STATE", "x.lineage"], "not both"),
        (["verify", "BUNDLE", "--checkpoint", "/nowhere"], "No such file"),
        (["verify", "BUNDLE", "--checkpoint", __file__], f"{__file__} is no known head"),
        (["verify", "--state", "STATE", "--checkpoint", __file__], f"{__file__} is no known head"),
        (["verify", "BUNDLE", "--checkpoint", "STATE/current"], "current is no known head"),
        (["show", "99999", "--state", "STATE"], "no entry 99999"),
        (["show", "12-00000000", "--state", "STATE"], "id_mismatch"),
        (["show", "twelve", "--state", "STATE"], "id_malformed"),
        (["walk", "--axis", "actuator", "--of", "gripper", "--state", "STATE"], "joint1, joint2"),
        (["walk", "--since", "noon", "--state", "STATE"], "is not a seq"),
        (["extract", "--state", "STATE", "--to", "BUNDLE"], "is there already"),
        (["extract", "--state", "STATE", "--to", "/nowhere/a.lineage"], "cannot write"),
    ],
)
def test_misuse_is_one_line_and_status_2(
    lineage: Any, state: Path, bundle: Path, arguments: list[str], said: str
) -> None:
    """Each says what is wrong; none shows a traceback."""
    found = lineage(*(one.replace("STATE", str(state)).replace("BUNDLE", str(bundle)) for one in arguments))
    assert found.status == 2
    assert found.out == ""
    assert found.err.count("\n") == 1
    assert found.err.startswith("lineage: ")
    assert said in found.err


@pytest.mark.parametrize(
    "arguments", [["frobnicate"], ["log", "--frobnicate"], ["walk", "--axis", "sideways"], ["extract"]]
)
def test_a_wrong_command_line_is_status_2(lineage: Any, arguments: list[str]) -> None:
    """With the usage, as click words it."""
    found = lineage(*arguments)
    assert found.status == 2
    assert "Error:" in found.err


def test_help_names_every_verb_and_loads_none() -> None:
    """`lineage --help` is quick: it knows the verbs from a table."""
    program = (
        "import sys; from recorder.cli import run; status = run(['--help']);"
        "print(*[name for name in sys.modules if name.startswith('recorder.cli.') or name in ('lmdb', 'rich', 'numpy')]);"
        "sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.split("\n")
    assert all(any(line.startswith(f"  {verb} ") for line in lines) for verb in VERBS)
    assert lines[-2] == ""


@pytest.mark.parametrize("verb", ["log", "show", "walk", "extract", "verify"])
def test_each_verb_shows_an_example(lineage: Any, verb: str) -> None:
    """In its help."""
    said = lineage(verb, "--help")
    assert said.status == 0
    assert f"lineage {verb}" in said.out.split("Example")[1]


def test_each_verb_prints_json_or_says_why_not(lineage: Any) -> None:
    """In its help; a group's verbs each for themselves."""
    for verb in VERBS:
        said = lineage(verb, "--help").out
        names = re.findall(r"^  (\w+)  ", said.partition("Commands:")[2], re.MULTILINE)
        for each in [said] if not names else [lineage(verb, name, "--help").out for name in names]:
            assert "--json" in each, verb


def test_the_environment_names_the_state(lineage: Any, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A technician sets it once; a bundle that is named goes before it."""
    monkeypatch.setenv("LINEAGE_STATE", str(state))
    assert lineage("log", "-n", 1).lines[0].startswith(printed(SIZE - 1))
    assert lineage("verify").status == 0
    assert "bundle_malformed" in lineage("verify", __file__).err


def command(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    # Without the tracer of coverage: where files are limited or forbidden, it has a failure of its own to tell.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return subprocess.run(
        [sys.executable, "-m", "recorder.cli", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False, env=environment, **options,
    )  # fmt: skip


@pytest.mark.parametrize("limit_bytes", [0, 5_000, 30_000])
def test_a_full_stick_is_one_line_and_leaves_nothing(state: Path, tmp_path: Path, limit_bytes: int) -> None:
    """A limit on the size of files stands for the end of a stick, wherever it comes."""
    done = command(
        *("extract", "--state", state, "--to", tmp_path / "a.lineage"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes)),
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"lineage: cannot write {tmp_path / 'a.lineage'}.part: File too large")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_is_no_traceback(state: Path) -> None:
    """`lineage log | head -1` ends quietly."""
    shell = f"{sys.executable} -m recorder.cli log -n 9999 --json --state {state} | head -n 1"
    done = subprocess.run(["/bin/sh", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
