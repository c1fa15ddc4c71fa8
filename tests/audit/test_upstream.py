"""`audit.upstream`: what an entry stands on, and what of it does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from recorder.audit.deleted import accounted
from recorder.audit.opening import open_source
from recorder.audit.source import LineageSource, entry_at
from recorder.audit.state import open_state
from recorder.audit.upstream import NODES_MAX, Why, why
from recorder.core.entry import decode
from recorder.core.kinds import Kind
from recorder.store.layout import StateLock
from tests.audit.lineages import LiveLineage, authorised, to_bundle, write_state
from tests.lineage_builder import WHY, LineageBuilder
from tests.vectors.valid import every_kind, transport


@contextmanager
def opened(where: str, lineage: LineageBuilder, tmp_path: Path, *span: str) -> Iterator[LineageSource]:
    state = write_state(tmp_path / "s", lineage)
    if where == "running":
        lock = StateLock(state)
        with closing(open_state(state, connect=lambda _: LiveLineage(lineage))) as running:
            yield running
        lock.close()
        return
    if where == "bundle":
        to_bundle(state, tmp_path / "b.lineage", *span)
    with closing(
        open_source(tmp_path / "b.lineage" if where == "bundle" else None, None if where == "bundle" else state)
    ) as source:
        yield source


def why_of(lineage: LineageBuilder, seq: int, tmp_path: Path, index: int | None = None, where: str = "state") -> Why:
    with opened(where, lineage, tmp_path) as source:
        return why(source, entry_at(source, seq), index)


def led(tree: Why, seq: int, *, who: bool = False) -> list[tuple[str, int | None]]:
    """Relations of an entry and where they lead."""
    return [(step.link.relation, step.to[0] if step.to else None) for step in tree.nodes[seq, who].steps]


def broken(tree: Why) -> list[str]:
    return [
        *(text for node in tree.nodes.values() for text in node.found),
        *(step.remark for node in tree.nodes.values() for step in node.steps if step.is_broken),
    ]


@pytest.mark.parametrize("where", ["state", "running", "bundle"])
def test_a_commit_leads_to_all_that_it_stands_on(tmp_path: Path, where: str) -> None:
    """Cycle, policy, actuator, key; the cycle to its input; who to the credential and to the one above that."""
    made = authorised()
    tree = why_of(made.lineage, made.commits, tmp_path, 1, where)
    assert tree.holds, broken(tree)
    assert led(tree, made.commits) == [
        ("cycle", made.first), ("who", made.first), ("policy", 1), ("actuator", 3), ("key", 0),
    ]  # fmt: skip
    assert led(tree, made.first) == [
        ("delegation", made.credential), ("input", made.sensed), ("policy", 1), ("actuator", 2), ("actuator", 3),
        ("key", 0),
    ]  # fmt: skip
    assert led(tree, made.first, who=True) == [("delegation", made.credential), ("key", 0)]
    assert led(tree, made.credential) == [("delegated_from", made.parent), ("key", 0)]
    assert (made.used, False) not in tree.nodes


def test_all_commits_of_an_entry_lead_to_all_their_actuators(tmp_path: Path) -> None:
    """Without an index nothing is left out."""
    made = authorised()
    tree = why_of(made.lineage, made.commits, tmp_path)
    assert [seq for relation, seq in led(tree, made.commits) if relation == "actuator"] == [2, 3]


def test_a_who_that_is_shared_brings_nothing_else_of_its_carrier(tmp_path: Path) -> None:
    """The second cycle has the first one's who and not its inputs, though it supersedes it: that is told, and no more."""
    made = authorised()
    lineage = made.lineage
    tree = why_of(lineage, made.second, tmp_path)
    assert ("supersedes", None) in led(tree, made.second)
    assert (made.first, False) not in tree.nodes
    remarks = {step.link.relation: step.remark for step in tree.nodes[made.second, False].steps}
    assert remarks["supersedes"].startswith(f"{made.first}-")
    assert ("uses", made.used) in led(tree, made.second)
    third = LineageBuilder().setup(1)
    carrier = third.cycle(why={**WHY, "inputs": [{"name": "x", "entry": f"2-{third.hash_of(2).hex()[:8]}"}]}).carrier
    tree = why_of(third, third.commit(third.cycle()), tmp_path / "third")
    assert led(tree, carrier, who=True) == [("key", 0)]
    assert (carrier, False) not in tree.nodes


def test_a_deletion_accounts_for_entries_below_it_only(tmp_path: Path) -> None:
    """Whatever range it names."""
    lineage = LineageBuilder().setup(1)
    cycle = lineage.cycle()
    below = lineage.commit(cycle)
    deletion = lineage.control(Kind.DELETION, 0, 99, "standard", None)
    above = lineage.commit(cycle)
    with opened("state", lineage, tmp_path) as source:
        missing = {seq: decode(lineage.records[seq].raw).header for seq in (below, above)}
        assert {seq: by.seq for seq, by in accounted(source, missing).items()} == {below: deletion}


def test_a_confirmation_leads_to_its_commit(tmp_path: Path) -> None:
    """And from there upwards, with the place in the entry."""
    made = authorised()
    tree = why_of(made.lineage, made.confirmation, tmp_path)
    assert led(tree, made.confirmation) == [("confirms", made.commits), ("key", 0)]
    assert tree.nodes[made.confirmation, False].steps[0].link.index == 1
    assert (made.credential, False) in tree.nodes


def test_every_kind_has_a_tree_that_holds(tmp_path: Path) -> None:
    """Whatever the entry; references into other logs are named and not followed."""
    lineage = every_kind()
    with opened("state", lineage, tmp_path) as source:
        for seq in range(lineage.seq):
            tree = why(source, entry_at(source, seq))
            assert tree.holds, (seq, broken(tree))
        observation = next(seq for seq in range(lineage.seq) if b"battery_v" in (lineage.records[seq].claims or b""))
        foreign = why(source, entry_at(source, observation)).nodes[observation, False].steps[0]
    assert (foreign.to, foreign.remark) == (None, f"entry 4-{foreign.link.digits[:8]} of acme/arm-8/ff")


def test_claims_that_are_gone_or_withheld_are_said(tmp_path: Path) -> None:
    """Deleted with the entry that says so; not here without one; withheld by key."""
    made = authorised()
    lineage = made.lineage
    lineage.control(Kind.DELETION, made.first, made.commits, "standard", None)
    for seq in (made.first, made.commits, made.sensed):
        lineage.records[seq] = lineage.records[seq]._replace(claims=None)
    tree = why_of(lineage, made.commits, tmp_path)
    digits = lineage.hash_of(lineage.seq - 1).hex()[:8]
    assert tree.nodes[made.first, False].claims_gone == f"deleted, by {lineage.seq - 1}-{digits}"
    assert tree.nodes[made.commits, False].claims_gone
    assert why_of(lineage, made.sensed, tmp_path / "two").nodes[made.sensed, False].claims_gone == "not here"
    hidden = transport()
    tree = why_of(hidden, 4, tmp_path / "three")
    assert tree.nodes[4, False].withheld == ["0.where.position_m"]
    assert tree.nodes[3, False].withheld == ["who.operator"]
    assert tree.holds


def _header(change: dict[int, Any]) -> Callable[[LineageBuilder], int]:
    def make(lineage: LineageBuilder) -> int:
        cycle = lineage.cycle()
        lineage.breaking(lambda header: header.update(change))
        return lineage.commit(cycle)

    return make


def _signature(lineage: LineageBuilder) -> int:
    seq = lineage.commit(lineage.cycle())
    raw = lineage.records[seq].raw
    lineage.records[seq] = lineage.records[seq]._replace(raw=raw[:-1] + bytes([raw[-1] ^ 1]))
    return seq


def _claims_of_the_cycle(lineage: LineageBuilder) -> int:
    cycle = lineage.cycle()
    held = lineage.records[cycle.carrier].claims or b""
    changed = held.replace(b"speed<=1", b"speed<=9")
    lineage.records[cycle.carrier] = lineage.records[cycle.carrier]._replace(claims=changed)
    return lineage.commit(cycle)


def _input_digits(lineage: LineageBuilder) -> int:
    return lineage.cycle(why={**WHY, "inputs": [{"name": "x", "entry": "2-00000000"}]}).carrier


def _input_above(lineage: LineageBuilder) -> int:
    return lineage.cycle(why={**WHY, "inputs": [{"name": "x", "entry": "99-00000000"}]}).carrier


def _confirms_too_many(lineage: LineageBuilder) -> int:
    seq = lineage.commit(lineage.cycle())
    return lineage.control(
        Kind.CONFIRMATION, bytes(32), body={"frames": b""}, refs={2: [[None, seq, lineage.hash_of(seq), 1]]}
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_header({9: [bytes(32), 3]}), "cycle_digest"),
        (_header({9: [bytes(32), 2]}), "is no cycle entry, but actuator"),
        (_header({8: [bytes(32), 3]}), "carrier_mismatch"),
        (_header({7: [bytes(32), None]}), "nothing below declares 0000000000000000"),
        (_header({12: {3: [[None, 1, bytes(32)]]}}), "ref_hash"),
        (_header({12: {1: [[None, 77, bytes(32)]]}}), "which is not below"),
        (_signature, "signature_invalid"),
        (_claims_of_the_cycle, "claims_mismatch"),
        (_input_digits, "ref_hash"),
        (_input_above, "which is not below"),
        (_confirms_too_many, "names commit 1 of 1"),
    ],
)
def test_what_does_not_hold_is_said_where_it_stands(
    tmp_path: Path, make: Callable[[LineageBuilder], int], said: str
) -> None:
    """One thing is wrong, and it is what is told."""
    lineage = LineageBuilder().setup(1)
    tree = why_of(lineage, make(lineage), tmp_path)
    assert not tree.holds
    assert any(said in text for text in broken(tree)), broken(tree)


def test_a_credential_that_no_entry_brought_breaks_nothing(tmp_path: Path) -> None:
    """It is named, as what it is."""
    lineage = LineageBuilder().setup(1)
    lineage.acting(delegation=bytes(31) + b"\x01")
    tree = why_of(lineage, lineage.cycle().carrier, tmp_path)
    assert tree.holds
    assert tree.nodes[3, False].steps[0].remark == "no credential entry 0000000000000000 below"


def test_a_selection_answers_as_the_whole_does(tmp_path: Path) -> None:
    """It has what its entries need, also the inputs that only claims name."""
    made = authorised()
    with opened("bundle", made.lineage, tmp_path, str(made.commits), str(made.commits)) as source:
        tree = why(source, entry_at(source, made.commits))
    assert tree.holds, broken(tree)
    steps = {step.link.relation: step for step in tree.nodes[made.first, False].steps}
    assert (steps["input"].link.seq, steps["input"].remark) == (made.sensed, "")


def test_a_chain_without_end_is_cut(tmp_path: Path) -> None:
    """Cycles that each use the one before: as many entries as a tree may have, and it says so."""
    lineage = LineageBuilder().setup(1)
    before = lineage.cycle().carrier
    for _ in range(NODES_MAX):
        reference = {3: [[None, before, lineage.hash_of(before)]]}
        lineage.breaking(lambda header, reference=reference: header.update({12: reference}))  # type: ignore[misc]
        before = lineage.cycle().carrier
    tree = why_of(lineage, before, tmp_path)
    assert (len(tree.nodes), tree.is_cut, tree.holds) == (NODES_MAX, True, True)
