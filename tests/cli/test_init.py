"""`lineage init`."""

from __future__ import annotations

import grp
import os
import pty
import pwd
import stat
import subprocess
from pathlib import Path

import pytest

from recorder import config as configs
from recorder.core.trust import parse_trust
from recorder.daemon import founding, identity
from tests.cli.states import (
    ENV,
    LINEAGE,
    OTHER_UID,
    Running,
    as_another,
    as_root,
    lineage,
    made,
    one_line,
    parsed,
    tree,
)
from tests.running import let_others_reach

YES = ("--yes", "--on-unavailable", "hold")


def test_what_it_makes_is_what_run_reads(tmp_path: Path) -> None:
    """The configuration parses, says what was asked, gates what may be gated, and the key is the owner's alone."""
    state = tmp_path / "deep" / "state"
    done = lineage(
        "init", "--state", state, "--fleet", "acme", "--platform", "arm-7", *YES[:1],
        "--on-unavailable", "continue_ungated", "--uid", "1001", "--uid", "7", "--actuator", "arm.joint1",
        "--actuator", "arm", "--json",
    )  # fmt: skip
    said = parsed(done)
    config = configs.load(state)
    assert (config.platform.fleet, config.platform.name) == ("acme", "arm-7")
    assert config.classes["motion"].on_unavailable == "continue_ungated"
    assert {name: row.gated for name, row in config.classes.items()} == {
        "motion": True, "emergency_stop": False, "braking": False, "landing": False,
    }  # fmt: skip
    assert config.controllers[0].uids == [1001, 7]
    assert config.controllers[0].actuators == ["arm.joint1", "arm"]
    assert {"mark", "extraction"} <= set(config.controllers[0].append)
    assert config.controllers[0].read
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [state.parent, state, *state.iterdir()]}
    assert modes["identity.key"] == 0o600
    assert modes["state"] == modes["lineages"] == modes["deep"] == 0o750
    trust = parse_trust(f"log {said['verifier_key']}\nquorum none\n".encode())
    assert trust.identity_of("acme/arm-7/0011223344556677") == identity.load(state).public_key


def test_people_are_told_the_key_and_what_is_next(tmp_path: Path) -> None:
    """The plain output has the trust file's line and the next commands."""
    done = lineage("init", "--state", tmp_path / "state", *YES, "--platform", "arm-7")
    assert done.returncode == 0
    assert "\n  log local/arm-7+" in done.stdout
    assert f"lineage run --state {tmp_path / 'state'}" in done.stdout
    assert "name your actuators" in done.stdout


def test_an_existing_state_is_refused(tmp_path: Path) -> None:
    """A second init changes nothing, whether the first was run or not, and so does one over a stray key."""
    state = made(tmp_path / "state")
    before = tree(state)
    assert "holds a state already" in one_line(lineage("init", "--state", state, *YES))
    assert tree(state) == before
    (state / "recorder.toml").unlink()
    (state / "lineages").rmdir()
    before = tree(state)
    assert "without recorder.toml" in one_line(lineage("init", "--state", state, *YES))
    assert tree(state) == before


def test_an_empty_directory_that_is_there_is_used(tmp_path: Path) -> None:
    """A service manager makes the state directory before anyone can call init."""
    (tmp_path / "state").mkdir(mode=0o700)
    made(tmp_path / "state")
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--yes",), "--on-unavailable hold|continue_ungated"),
        (("--on-unavailable", "hold"), "no terminal"),
        ((*YES, "--fleet", "Acme"), "platform.fleet"),
        ((*YES, "--platform", 'a"b'), "platform.name"),
        ((*YES, "--platform", "a\nb"), "platform.name"),
        ((*YES, "--actuator", "Arm 1"), "actuator"),
        ((*YES, "--technician", "no such one"), "no user or group 'no such one' here"),
        ((*YES, "--technician", ":no such one"), "no group 'no such one' here"),
    ],
)
def test_answers_that_cannot_be_used_leave_nothing(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """Without the one answer that nobody may choose, and with names that no origin can have, nothing is made."""
    assert said in one_line(lineage("init", "--state", tmp_path / "state", *arguments))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fails", ["make", "replace_file"])
def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    """Where key or configuration cannot be written, directories and key are taken back."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(identity if fails == "make" else founding, fails, full)
    with pytest.raises(founding.FoundingError, match="No space left"):
        founding.found(tmp_path / "a" / "state", founding.Answers("acme", "arm-7", "hold", [0]))
    assert list(tmp_path.iterdir()) == []


def test_a_race_takes_nothing_from_the_winner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two inits at once: the one that comes second leaves the first one's key where it is."""
    state = made(tmp_path / "state")
    before = tree(state)
    looked: list[Path] = []

    def blind_once(path: Path) -> None:
        looked.append(path)
        if len(looked) > 1:
            check(path)

    check = founding.check_free
    monkeypatch.setattr(founding, "check_free", blind_once)
    with pytest.raises(founding.FoundingError, match="holds a state"):
        founding.found(state, founding.Answers("acme", "arm-7", "hold", [0]))
    assert tree(state) == before


def test_it_asks_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal it asks for all that was not given, and takes Enter for what has a default."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*LINEAGE, "init", "--state", str(tmp_path / "state")],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=ENV,
    )
    os.close(theirs)
    os.write(ours, b"acme\narm-7\ncontinue_ungated\n\narm, arm.joint1\nroot 1001\n")
    assert process.wait(240) == 0
    assert process.stdout is not None
    process.stdout.close()
    os.close(ours)
    config = configs.load(tmp_path / "state")
    assert config.platform == configs.Platform("acme", "arm-7")
    assert config.classes["motion"].on_unavailable == "continue_ungated"
    assert config.controllers[0].uids == [os.getuid()]
    assert config.controllers[0].actuators == ["arm", "arm.joint1"]
    assert config.controllers[1] == configs.Controller(uids=[0, 1001], append=["extraction"], read=True)


def test_technicians_are_users_or_groups(tmp_path: Path) -> None:
    """A name is a user's, else a group's; with a colon a group's; numbers need not exist; none is named twice."""
    user, group = pwd.getpwuid(0).pw_name, grp.getgrgid(0).gr_name
    (only_group,) = {entry.gr_name for entry in grp.getgrall()} & {"tty"} - {entry.pw_name for entry in pwd.getpwall()}
    named = (user, "0", "4242", f":{group}", ":4243", only_group)
    done = lineage("init", "--state", tmp_path / "state", *YES, *(f"--technician={name}" for name in named))
    assert done.returncode == 0, done.stderr
    tty = grp.getgrnam(only_group).gr_gid
    _, technicians = configs.load(tmp_path / "state").controllers
    assert technicians == configs.Controller(uids=[0, 4242], gids=[0, 4243, tty], append=["extraction"], read=True)
    said = f"may extract from a running recorder: user 0, user 4242, group 0, group 4243, group {tty}\n"
    assert said in done.stdout


@as_root
@pytest.mark.parametrize("named", [True, False])
def test_a_technician_extracts_from_a_running_recorder(tmp_path: Path, named: bool) -> None:
    """Another user, who can connect, takes a signed bundle where he was named to `init`; nothing where he was not."""
    let_others_reach(tmp_path)
    tmp_path.chmod(0o777)
    state = made(tmp_path / "state", *(("--technician", str(OTHER_UID)) if named else ()))
    bundle = tmp_path / "arm.lineage"
    with Running(state):
        done = as_another("extract", "--state", state, "--to", bundle, groups=(0,))
    assert ("the recorder logged this extraction as entry" in done.stdout) is named
    assert bundle.exists() is named
    assert done.returncode == (0 if named else 2), done.stderr
