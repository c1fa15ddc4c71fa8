"""Incarnations that are not in force: each gets its own verdict, and what is known to be lost is told from what is not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import lmdb
import pytest

from recorder.audit.incarnations import Other, Outcome, Standing, check_other, check_others, others_in, previous_of
from recorder.audit.opening import open_source
from recorder.core.controls import Previous
from recorder.core.merkle import root_of
from recorder.store import segment as segments
from recorder.store.layout import HEAD, lineage_dir
from tests.audit.lineages import small, write_state
from tests.lineage_builder import LineageBuilder

PREFIX = "acme/arm-7/"
OLD, NEWER, NEW = (letter * 16 for letter in "abc")


def older(incarnation: str = OLD) -> LineageBuilder:
    return small(20, origin=PREFIX + incarnation)


def names(lineage: LineageBuilder, size: int | None = None, *, root: bytes | None = b"") -> Previous:
    """What a boot entry says of a lineage."""
    size = lineage.seq if size is None else size
    return Previous(lineage.origin, size, root_of(lineage._hashes[:size]) if root == b"" else root)


def following(incarnation: str, *previous: Previous) -> LineageBuilder:
    """An incarnation whose first boot entry names others."""

    def name_them(header: dict[int, Any]) -> None:
        header[15][4] = [list(one) for one in previous]

    lineage = LineageBuilder(origin=PREFIX + incarnation, seed="lineage").breaking(name_them)
    lineage.boot()
    lineage.policy()
    return lineage


def damage(state: Path, incarnation: str, seq: int) -> None:
    """Flip a bit of the record that begins with an entry."""
    path = lineage_dir(state, incarnation) / "segments" / "00000001"
    with lmdb.open(str(path), map_size=8 << 20, lib_version=0) as env, env.begin(write=True) as transaction:
        key = segments.RECORD + seq.to_bytes(8, "big")
        value = bytes(transaction.get(key) or b"")
        transaction.put(key, value[:-1] + bytes([value[-1] ^ 1]))


def checked(state: Path, standing: Standing, *previous: Previous, known: tuple[bytes, ...] = ()) -> Outcome:
    return check_other(state, OLD, standing, previous, known=known)


def errors(outcome: Outcome) -> set[str]:
    assert outcome.report is not None
    return set(outcome.report.problem_counts)


def test_a_sound_one_that_is_named_passes(tmp_path: Path) -> None:
    """Its size and root are those that the boot entry of the next one states."""
    lineage = older()
    state = write_state(tmp_path / "s", lineage)
    for size in (None, 10, 0):
        outcome = checked(state, "named", names(lineage, size))
        assert (outcome.exit_status(), outcome.origin, outcome.standing) == (0, lineage.origin, "named")
        assert outcome.report is not None
        assert outcome.report.entries == lineage.seq


def test_another_root_than_the_named_one_is_found(tmp_path: Path) -> None:
    """Someone rewrote it after it was left."""
    lineage = older()
    state = write_state(tmp_path / "s", lineage)
    outcome = checked(state, "named", names(lineage, 10)._replace(root=bytes(32)))
    assert (errors(outcome), outcome.exit_status()) == ({"root_mismatch"}, 1)
    said = names(lineage, 12)
    assert errors(checked(state, "named", said, said._replace(root=bytes(32)))) == {"checkpoint_fork", "root_mismatch"}


def test_an_older_copy_is_a_declared_loss(tmp_path: Path) -> None:
    """The next incarnation says how many entries there were: these are missing, and no more is held against it."""
    lineage = older()
    head, said = lineage.checkpoint(), names(lineage)
    del lineage.records[-6:], lineage._hashes[-6:]
    state = write_state(tmp_path / "s", lineage)
    (lineage_dir(state, OLD) / HEAD).write_bytes(head)
    outcome = checked(state, "named", said)
    assert (errors(outcome), outcome.exit_status()) == ({"loss_declared"}, 3)
    assert outcome.report is not None
    assert (outcome.report.integrity, outcome.report.completeness) == ("pass", "lossy")
    assert f"{lineage.seq} entries can be read of {said.size}" in outcome.report.problems[0].detail
    assert "truncated" in errors(checked(state, "unknown"))


def test_a_head_beyond_the_named_size_is_no_declared_loss(tmp_path: Path) -> None:
    """What nobody stated is missing without a word, whether the head lay there or the auditor brought it."""
    lineage = older()
    head = lineage.checkpoint()
    said = names(lineage, lineage.seq - 3)
    del lineage.records[-6:], lineage._hashes[-6:]
    state = write_state(tmp_path / "s", lineage, head=None)
    assert errors(checked(state, "named", said)) == {"loss_declared"}
    outcome = checked(state, "named", said, known=(head,))
    assert (errors(outcome), outcome.exit_status()) == ({"loss_declared", "truncated"}, 1)


@pytest.mark.parametrize("at", [0, 14])
def test_damage_is_declared_only_where_it_is_named(tmp_path: Path, at: int) -> None:
    """The same bytes: known and signed for, or unexplained."""
    lineage = older()
    state = write_state(tmp_path / "s", lineage)
    damage(state, OLD, at)
    outcome = checked(state, "named", names(lineage))
    assert (errors(outcome), outcome.exit_status()) == ({"loss_declared"}, 3)
    assert (outcome.previous is None) == (at == 0)
    outcome = checked(state, "named", names(lineage, 12, root=None))
    assert (errors(outcome) - {"truncated"}, outcome.exit_status()) == ({"loss_declared"}, 1), "its head has more"
    outcome = checked(state, "unnamed")
    assert {"record_damaged", "incarnation_unnamed"} <= errors(outcome)
    assert outcome.exit_status() == 1


def test_what_can_be_read_and_is_wrong_fails_all_the_same(tmp_path: Path) -> None:
    """No failing medium makes a record whose checksum holds."""
    lineage = older()
    said = names(lineage)
    raw = lineage.records[14].raw
    lineage.records[14] = lineage.records[14]._replace(raw=raw[:-1] + bytes([raw[-1] ^ 1]))
    state = write_state(tmp_path / "s", lineage)
    outcome = checked(state, "named", said)
    assert {"signature_invalid", "root_mismatch"} <= errors(outcome)
    assert outcome.exit_status() == 1


def test_nothing_left_of_one_that_is_named_is_a_declared_loss(tmp_path: Path) -> None:
    """No segment, or none that LMDB opens."""
    lineage = older()
    state = write_state(tmp_path / "s", lineage)
    data = lineage_dir(state, OLD) / "segments" / "00000001" / "data.mdb"
    data.write_bytes(bytes(1 << 20))
    assert (errors(checked(state, "named", names(lineage))), errors(checked(state, "unnamed"))) == (
        {"loss_declared"},
        {"record_damaged"},
    )
    shutil.rmtree(lineage_dir(state, OLD) / "segments")
    outcome = checked(state, "named", names(lineage))
    assert (errors(outcome), outcome.exit_status()) == ({"loss_declared"}, 3)


def test_one_that_nothing_names_is_found_unless_it_was_only_begun(tmp_path: Path) -> None:
    """A start that was cut short answered nobody; more than its own beginning must be named."""
    (lineage_dir(tmp_path / "none", OLD)).mkdir(parents=True)
    outcome = checked(tmp_path / "none", "unnamed")
    assert (outcome.standing, outcome.exit_status(), outcome.report) == ("unfinished", 0, None)
    begun = following(OLD)
    begun.stop()
    outcome = checked(write_state(tmp_path / "begun", begun, head=None), "unnamed")
    assert (outcome.standing, outcome.exit_status()) == ("unfinished", 0)
    begun.boot()
    outcome = checked(write_state(tmp_path / "s", begun), "unnamed")
    assert (outcome.standing, errors(outcome), outcome.exit_status()) == ("unnamed", {"incarnation_unnamed"}, 1)
    outcome = checked(tmp_path / "s", "unknown")
    assert (outcome.standing, outcome.exit_status()) == ("unknown", 0)


def test_a_lineage_under_another_ones_name_is_found(tmp_path: Path) -> None:
    """A sound one does not stand in for the one that was named."""
    lineage = older(NEWER)
    state = write_state(tmp_path / "s", lineage)
    lineage_dir(state, NEWER).rename(lineage_dir(state, OLD))
    outcome = checked(state, "named", names(older()))
    assert "origin_mismatch" in errors(outcome)
    assert outcome.exit_status() == 1


# --- All of a state


def stored(tmp_path: Path, *lineages: LineageBuilder) -> Path:
    """A state of several incarnations, the last one in force."""
    for lineage in lineages:
        write_state(tmp_path / "s", lineage)
    return tmp_path / "s"


def survey(state: Path) -> list[Other]:
    source = open_source(None, state)
    in_force = Outcome(source.origin, None, previous_of(source))
    source.close()
    return list(
        check_others(in_force, others_in(state, NEW), lambda one, how, named: check_other(state, one, how, named))
    )


def test_names_are_followed_from_one_to_the_next(tmp_path: Path) -> None:
    """The newest first; what only it names is named too; what lies elsewhere is said; odd names are passed over."""
    old = older()
    newer = following(NEWER, names(old), Previous(PREFIX + "d" * 16, 5, None))
    new = following(NEW, names(newer))
    state = stored(tmp_path, old, newer, new)
    (state / "lineages" / "backup").mkdir()
    found = survey(state)
    assert [(one.origin[-1], one.outcome.standing, one.is_here) for one in found] == [
        ("b", "named", True), ("d", "named", False), ("a", "named", True),
    ]  # fmt: skip
    assert [one.outcome.exit_status() for one in found] == [0, 0, 0]
    assert found[2].named[0].by == newer.origin
    assert found[2].to_json()["named"] == [
        {"by": newer.origin, "size": old.seq, "root": root_of(old._hashes).hex()}
    ]  # fmt: skip


def test_every_name_of_one_is_held_against_it(tmp_path: Path) -> None:
    """Two boot entries that say different things of the same lineage: one of them is wrong."""
    old = older()
    newer = following(NEWER, names(old, 9)._replace(root=bytes(32)))
    new = following(NEW, names(old), names(newer))
    state = stored(tmp_path, old, newer, new)
    statuses = {one.origin[-1]: one.outcome.exit_status() for one in survey(state)}
    assert statuses == {"a": 1, "b": 0}


def test_names_that_were_lost_make_no_accusation(tmp_path: Path) -> None:
    """Where a boot entry cannot be read, what it may have named is unknown; where all can, it is unnamed."""
    old = older()
    newer = following(NEWER, names(old))
    new = following(NEW, names(newer))
    state = stored(tmp_path, old, newer, new)
    damage(state, NEWER, 0)
    assert [(one.origin[-1], one.outcome.standing, one.outcome.exit_status()) for one in survey(state)] == [
        ("b", "named", 3), ("a", "unknown", 0),
    ]  # fmt: skip
    shutil.rmtree(lineage_dir(state, NEWER))
    assert [(one.origin[-1], one.outcome.standing, one.outcome.exit_status()) for one in survey(state)] == [
        ("b", "named", 0), ("a", "unnamed", 1),
    ]  # fmt: skip
