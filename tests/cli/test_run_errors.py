"""`lineage run` that cannot start: one line, status 2, and nothing on disk is changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.core.keys import kid
from recorder.daemon import identity
from tests.cli.states import Running, as_another, as_root, copied, lineage, made, one_line, tree
from tests.running import let_others_reach


def refused(state: Path, *more: str | Path, prefix: tuple[str, ...] = ()) -> str:
    """The line of a start that fails and changes nothing."""
    before = tree(state)
    said = one_line(lineage("run", "--state", state, *more, prefix=prefix))
    assert tree(state) == before
    return said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[store]", "[stores]", "stores"),
        ("segment_mib = 4", "segment_mib = 3", "recorder.toml: [store]: segment_mib: expected a whole number >= 4"),
        ("gated = false", "gated = true", "cannot be gated"),
        ('"hold"', '"maybe"', "on_unavailable"),
        ("[platform]", "[platform", "not TOML"),
        ('append = ["confirmation"', 'append = ["boot"', "append"),
    ],
)
def test_bad_configuration(state: Path, old: str, new: str, said: str) -> None:
    """An unknown key, a value out of range, a gated emergency stop, no TOML: the line names it."""
    path = state / "recorder.toml"
    path.write_text(path.read_text().replace(old, new))
    assert said in refused(state)


@pytest.mark.parametrize("name", ["emergency_stop", "braking", "landing"])
def test_what_may_never_wait(state: Path, name: str) -> None:
    """A recorder that is away must not hold an emergency stop, braking or a landing."""
    path = state / "recorder.toml"
    before, after = path.read_text().split(f"[class.{name}]")
    path.write_text(f"{before}[class.{name}]{after.replace('continue_ungated', 'hold', 1)}")
    assert f'[class.{name}] cannot wait for a recorder: holding it back would be the hazard; on_unavailable = "con' in (
        refused(state)
    )


def test_no_configuration(state: Path) -> None:
    """The line says who makes one, or that the one of this state is to be put back."""
    (state / "recorder.toml").unlink()
    assert "restore the one that belongs to this state" in refused(state)
    (state / "identity.key").unlink()
    (state / "current").unlink()
    assert "lineage init" in refused(state)


def test_no_state_directory(tmp_path: Path) -> None:
    """A state directory is never made by running."""
    assert "lineage init" in one_line(lineage("run", "--state", tmp_path / "none"))
    assert list(tmp_path.iterdir()) == []


def test_missing_key(state: Path) -> None:
    """Without the identity key nothing is signed; what it signed can be continued with that key only."""
    (state / "identity.key").unlink()
    said = refused(state)
    assert "identity.key is missing; restore it from your backup" in said
    assert "holds what it signed" in said
    shutil.rmtree(state / "lineages")
    assert "nothing was recorded" in refused(state)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_key_that_others_can_read_or_write(state: Path, mode: int) -> None:
    """Such a key proves nothing."""
    (state / "identity.key").chmod(mode)
    said = refused(state)
    assert "others can read it" in said
    assert f"`chmod 600 {state / 'identity.key'}`" in said


@pytest.mark.parametrize("content", ["", "lineage identity key 1\nAAAA\n-\n", "x" * 4000, "\x00\n"])
def test_key_that_is_none(state: Path, content: str) -> None:
    """A file that is no key is named as such."""
    (state / "identity.key").write_text(content)
    assert "identity.key" in refused(state)


def test_foreign_store(state: Path, tmp_path: Path) -> None:
    """A lineage of another platform or another identity is not continued, and what is to be put back is named.

    Not `recover`: it would give up a sound lineage.  With a head file or, as after a power cut, without one.
    """
    path = state / "recorder.toml"
    other = made(tmp_path / "other")
    text, key = path.read_text(), (state / "identity.key").read_bytes()
    heads = list(state.glob("lineages/*/head"))
    assert heads
    for _ in range(2):
        path.write_text(text.replace('"arm-7"', '"arm-8"'))
        said = refused(state)
        assert "acme/arm-8" in said
        assert "another platform's recorder.toml; put the right one back" in said
        assert "lineage recover" not in said
        path.write_text(text)
        shutil.copy(other / "identity.key", state / "identity.key")
        said = refused(state)
        assert f"is {kid(identity.load(state).public_key).hex()}; restore that identity.key from your backup" in said
        assert "lineage recover" not in said
        (state / "identity.key").write_bytes(key)
        for head in heads:
            head.unlink(missing_ok=True)


def test_damaged_store(state: Path) -> None:
    """A flipped byte is named with its entry, and not repaired."""
    data = next(state.glob("lineages/*/segments/00000001/data.mdb"))
    # Wherever it stands: LMDB leaves older copies of a page behind.
    data.write_bytes(data.read_bytes().replace(b"reversible", b"reversiblf"))
    assert "checksum" in refused(state)


@as_root
@pytest.mark.parametrize(
    ("mode", "config_mode", "said"),
    [(0o750, 0o640, "recorder.toml"), (0o755, 0o640, "recorder.toml"), (0o755, 0o644, "run as the owner")],
)
def test_no_permission(state: Path, mode: int, config_mode: int, said: str) -> None:
    """Another user is told what he cannot read, or to run as the owner."""
    let_others_reach(state)
    state.chmod(mode)
    (state / "recorder.toml").chmod(config_mode)
    before = tree(state)
    assert said in one_line(as_another("run", "--state", state))
    assert tree(state) == before


def test_state_in_use(state: Path, tmp_path: Path) -> None:
    """A second recorder on one store is refused, on another socket too; the first one goes on."""
    with Running(state):
        said = one_line(lineage("run", "--state", state, "--socket", tmp_path / "other.sock"))
        assert "in use by a running recorder" in said
        assert not (tmp_path / "other.sock").exists()
        assert lineage("status", "--state", state).stdout.startswith("running")


def test_socket_in_use(state: Path, sound: Path, tmp_path: Path) -> None:
    """A socket on which somebody listens is left to him."""
    second = copied(sound, tmp_path / "second")
    with Running(state) as first:
        assert "in use by another recorder" in refused(second, "--socket", first.socket)
        assert lineage("status", "--state", state).stdout.startswith("running")


def test_socket_path_that_is_no_socket_or_too_long(state: Path, tmp_path: Path) -> None:
    """A file is not replaced by a socket, and a path over 107 bytes is named as the reason."""
    (tmp_path / "file").write_text("mine")
    assert "is no socket" in refused(state, "--socket", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    assert "107 bytes" in refused(state, "--socket", tmp_path / ("x" * 108))
    assert "cannot listen" in refused(state, "--socket", tmp_path / "none" / "sock")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 6 MiB: too small for two segments."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@as_root
def test_full_disk_at_the_first_start(small_disk: Path) -> None:
    """Where the first segment finds no room, nothing of it stays."""
    state = made(small_disk / "state", segment_mib=8)
    said = refused(state)
    assert "No space left" in said
    assert "free some room, or set a smaller segment_mib" in said


@as_root
def test_a_file_system_that_is_read_only(small_disk: Path) -> None:
    """Whoever runs it: another user could not write there either."""
    state = made(small_disk / "state")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    said = refused(state)
    assert "Read-only file system" in said
    assert "mount it for writing" in said
    assert "owner" not in said
    checks = {one["name"]: one for one in json.loads(lineage("doctor", "--state", state, "--json").stdout)["checks"]}
    for name in ("permissions", "sync", "store"):
        assert (checks[name]["verdict"], "owner" in checks[name]["advice"]) == ("fail", False), checks[name]


@as_root
def test_full_disk_at_init(small_disk: Path) -> None:
    """Where init finds no room, nothing of it stays."""
    fill = os.open(small_disk / "fill", os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError, match="No space"):
        while True:
            os.write(fill, bytes(4096))
    os.close(fill)
    before = tree(small_disk)
    said = one_line(lineage("init", "--state", small_disk / "state", "--yes", "--on-unavailable", "hold"))
    assert "No space left" in said
    assert tree(small_disk) == before
