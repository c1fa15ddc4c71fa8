"""`lineage recover`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder import config as configs
from recorder.clock import SystemClock
from recorder.core.entry import decode
from recorder.core.kinds import Kind
from recorder.daemon import identity
from recorder.daemon import recover as recovery
from recorder.daemon.randomness import ReadAhead
from recorder.store.layout import lineage_dir, read_current
from recorder.store.segment import Segment
from recorder.store.view import View
from tests.cli.states import Running, lineage, made, one_line, parsed, ran, tree

Damage = Callable[[Path, Path], None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ran(made(tmp_path_factory.mktemp("sound") / "state"), commits=40)


def _data(lineage: Path) -> Path:
    return lineage / "segments" / "00000001" / "data.mdb"


def flip(_state: Path, lineage: Path) -> None:
    # Wherever the bytes of a record lie: LMDB leaves copies in pages that it has freed.
    segment = Segment(_data(lineage).parent, 0, live=False)
    found = [record.claims[0] for _, record in segment.records() if record.claims[0]]
    segment.close()
    secret = found[len(found) // 2][-40:]
    content = _data(lineage).read_bytes()
    assert secret in content
    _data(lineage).write_bytes(content.replace(secret, bytes(40)))


def truncate(_state: Path, lineage: Path) -> None:
    with _data(lineage).open("r+b") as file:
        file.truncate(48 * 1024)


def blank(_state: Path, lineage: Path) -> None:
    with _data(lineage).open("r+b") as file:
        file.seek(10 * 4096)
        file.write(bytes(20 * 4096))


def all_zero(_state: Path, lineage: Path) -> None:
    _data(lineage).write_bytes(bytes(4 * 1024 * 1024))


def no_current(state: Path, _lineage: Path) -> None:
    (state / "current").unlink()


def odd_current(state: Path, _lineage: Path) -> None:
    (state / "current").write_text("..\n")


@pytest.mark.parametrize("damage", [flip, truncate, blank, all_zero, no_current, odd_current])
def test_a_damaged_lineage_is_named_and_kept(state: Path, damage: Damage) -> None:
    """It stays as it is; the new one's first entry names it with its last signed head, verifies, and goes on."""
    current = read_current(state)
    assert current is not None
    old = lineage_dir(state, current)
    damage(state, old)
    before = tree(old)
    said = parsed(lineage("recover", "--state", state, "--yes", "--json"))
    assert tree(old) == before
    assert said["kept"] == [str(old)]
    new = lineage_dir(state, read_current(state) or "")
    assert new != old
    raws = [raw for _, raw, _ in View(new, with_live=True).read()]
    assert [decode(raw).header.kind for raw in raws] == [Kind.BOOT, Kind.POLICY, Kind.STOP]
    (named,) = decode(raws[0]).header.control.previous
    assert named.origin == f"acme/arm-7/{current}"
    assert named.size == int((old / "head").read_text().split("\n")[1])
    assert named.root is not None
    with Running(state) as running:
        assert running.stop() == 0
    is_damaged = damage not in (no_current, odd_current)
    report = parsed(lineage("verify", "--state", state, "--json"), 3 if is_damaged else 0)
    assert report["completeness"] == "pass"
    (kept,) = report["incarnations"]
    assert (kept["origin"], kept["standing"], kept["here"]) == (named.origin, "named", True)
    assert set(kept["report"]["problem_counts"]) == ({"loss_declared"} if is_damaged else set())


def test_without_a_head_file_what_can_be_read_counts(state: Path) -> None:
    """Then the size is that of the readable part, and there is no root."""
    old = lineage_dir(state, read_current(state) or "")
    flip(state, old)
    (old / "head").unlink()
    (named,) = parsed(lineage("recover", "--state", state, "--yes", "--json"))["previous"]
    assert named["size"] > 3
    assert named["root"] is None


def test_twice_names_both(state: Path) -> None:
    """A second recovery names the first lineage too, though what the second said of it is lost."""
    first = read_current(state)
    flip(state, lineage_dir(state, first or ""))
    assert lineage("recover", "--state", state, "--yes").returncode == 0
    second = read_current(state)
    all_zero(state, lineage_dir(state, second or ""))
    done = lineage("recover", "--state", state, "--yes")
    assert done.returncode == 0
    assert f"acme/arm-7/{second} with 3 entries (the last signed head)" in done.stdout
    others = parsed(lineage("verify", "--state", state, "--json"), 3)["incarnations"]
    assert [(one["origin"], one["standing"]) for one in others] == [
        (f"acme/arm-7/{second}", "named"), (f"acme/arm-7/{first}", "named"),
    ]  # fmt: skip
    assert all(one["report"]["problem_counts"].keys() == {"loss_declared"} for one in others)


def test_one_that_was_put_aside_without_a_word_stays_so(state: Path, tmp_path: Path) -> None:
    """Where the boot entry in force can be read and does not name it, recovery does not either."""
    stranger = ran(made(tmp_path / "other"))
    aside = read_current(stranger)
    shutil.copytree(lineage_dir(stranger, aside or ""), lineage_dir(state, aside or ""))
    current = read_current(state)
    flip(state, lineage_dir(state, current or ""))
    said = parsed(lineage("recover", "--state", state, "--yes", "--json"))
    assert [one["origin"] for one in said["previous"]] == [f"acme/arm-7/{current}"]
    others = parsed(lineage("verify", "--state", state, "--json"), 1)["incarnations"]
    assert [(one["origin"], one["standing"]) for one in others] == [
        (f"acme/arm-7/{current}", "named"), (f"acme/arm-7/{aside}", "unnamed"),
    ]  # fmt: skip


def test_a_healthy_store_is_refused(state: Path, tmp_path: Path) -> None:
    """Nothing to recover, and nothing changed; the same where nothing was recorded, and where a recorder runs."""
    segments = lineage_dir(state, read_current(state) or "") / "segments"
    shutil.copytree(segments / "00000001", segments / "00000002.tmp")  # a crash left it; `lineage run` takes it away
    before = tree(state)
    assert "nothing to recover" in one_line(lineage("recover", "--state", state, "--yes"))
    assert tree(state) == before
    assert "nothing to recover" in one_line(lineage("recover", "--state", made(tmp_path / "new"), "--yes"))
    with Running(state):
        assert "in use by a running recorder" in one_line(lineage("recover", "--state", state, "--yes"))


def test_a_foreign_store_is_no_damage(state: Path) -> None:
    """Where the configuration names another platform, the right one is to be put back."""
    path = state / "recorder.toml"
    path.write_text(path.read_text().replace('"arm-7"', '"arm-8"'))
    before = tree(state)
    assert "foreign store" in one_line(lineage("recover", "--state", state, "--yes"))
    assert tree(state) == before


@pytest.mark.parametrize("damage", [None, flip, no_current])
def test_another_identity_key_is_no_damage(state: Path, tmp_path: Path, damage: Damage | None) -> None:
    """Whatever else is wrong: a lineage that can be read is given up under its own key only."""
    shutil.copy(made(tmp_path / "other") / "identity.key", state / "identity.key")
    if damage is not None:
        damage(state, lineage_dir(state, read_current(state) or ""))
    before = tree(state)
    assert "restore that identity.key from your backup" in one_line(lineage("recover", "--state", state, "--yes"))
    assert tree(state) == before


def test_it_asks_first(state: Path) -> None:
    """Without --yes and a terminal it says what is wrong, and does nothing."""
    flip(state, lineage_dir(state, read_current(state) or ""))
    before = tree(state)
    done = lineage("recover", "--state", state)
    assert done.returncode == 2
    assert "checksum" in done.stderr
    assert tree(state) == before


def test_a_crash_before_the_end_changes_nothing_that_counts(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the new name is in force the damaged lineage is, and recover can be run again."""
    old = read_current(state)
    flip(state, lineage_dir(state, old or ""))

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    config, signer, clock = configs.load(state), identity.load(state), SystemClock()
    found = recovery.diagnose(state, config, signer)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("recorder.daemon.boot.put_in_force", crash)
        recovery.begin(state, config, signer, clock, ReadAhead(), found)
    assert read_current(state) == old
    assert lineage("recover", "--state", state, "--yes").returncode == 0
