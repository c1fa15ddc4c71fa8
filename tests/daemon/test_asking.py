"""A real recorder, and commits that ask for witnesses: whom they ask is in the entry before anybody could sign."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from recorder.core import cbor
from recorder.core.chosen import INDEPENDENT, Candidate, Choice, Own, choice_of, choose
from recorder.core.entry import decode
from recorder.core.keys import SeedSigner
from recorder.core.kinds import Kind, Witnesses
from recorder.core.message_replies import Head
from recorder.core.messages import Status, Verb
from recorder.core.protocol import body_of
from tests.claims import WHAT
from tests.daemon.raw import Raw
from tests.running import Running, make_state, records_of, verified

MESH = "mesh = true"
CANDIDATES = [
    Candidate(name, SeedSigner(sha256(name.encode()).digest()).public_key, operator)
    for name, operator in (("arm-8", "north"), ("arm-9", "north"), ("arm-10", "south"), ("arm-11", "acme"))
]
OWN = Own("arm-7", "acme")


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Running]:
    with Running(make_state(tmp_path / "s", more=MESH)) as running:
        yield running


def named(mesh: Raw, candidates: list[Candidate] = CANDIDATES, own: Own | None = OWN) -> None:
    told = mesh.ask(Verb.WITNESSES, [list(one) for one in candidates], None if own is None else list(own))
    assert told == (Status.OK, len(candidates))


def commit(client: Raw, carrier: int, *trailing: Any) -> Any:
    status, receipt = client.ask(Verb.COMMIT, carrier, None, 0, WHAT, {}, 5, None, *trailing)
    assert status == Status.OK, receipt
    return receipt[0]


def opened(client: Raw) -> int:
    carrier: int = client.open_cycle(actuators=["arm"])[1][0]
    return carrier


def asked_of(state: Path) -> dict[int, tuple[Witnesses, Choice]]:
    """By seq, what the entries of a stopped recorder ask, with the choice that lies beside them."""
    found = {}
    for raw, claims in records_of(state):
        header = decode(raw).header
        if header.witnesses is not None:
            assert claims is not None
            salt, kids = cbor.decode(claims)[18]
            found[header.seq] = header.witnesses, Choice(salt, kids)
    return found


def test_whom_a_commit_asks_is_in_its_entry(recorder: Running) -> None:
    """Key 18 has what was wanted and the hash of the choice; who has the salt can make the choice again."""
    with Raw(recorder.socket) as mesh, Raw(recorder.socket) as client:
        named(mesh)
        seq = commit(client, opened(client), [3, 250])
    assert recorder.stop() == 0
    asked, choice = asked_of(recorder.state)[seq]
    assert (asked.k, asked.within_ms, asked.rule, asked.chosen) == (3, 250, INDEPENDENT, choice.digest())
    again = choose(CANDIDATES, 3, INDEPENDENT, choice.salt, OWN)
    assert choice == choice_of(again, choice.salt)
    assert {one.operator for one in again} == {"north", "south"}  # the own operator's is the last of all
    assert verified(recorder.state).exit_status() == 0


def test_what_a_commit_asks_is_pushed_with_it(recorder: Running) -> None:
    """Subscribers hear which entries ask whom, in the order of the choice; entries that ask nobody add nothing."""
    with Raw(recorder.socket) as mesh, Raw(recorder.socket) as client:
        named(mesh)
        mesh.ask(Verb.SUBSCRIBE)
        carrier = opened(client)
        commit(client, carrier)
        seq = commit(client, carrier, [2, 100])
        pushes = [body_of(mesh.receive()[2], Head) for _ in range(3)]
    assert [push.asks for push in pushes[:2]] == [(), ()]
    assert recorder.stop() == 0
    assert [(one.seq, one.within_ms, one.kids) for one in pushes[2].asks] == [
        (seq, 100, asked_of(recorder.state)[seq][1].kids)
    ]


def test_fewer_candidates_than_wanted_and_none(recorder: Running) -> None:
    """Those that are there are asked; with nobody the entry says what was wanted and binds that it named nobody.

    Whom a mesh named goes with its connection; the own witness is never asked.
    """
    with Raw(recorder.socket) as client:
        carrier = opened(client)
        before = commit(client, carrier, [3, 250])
        with Raw(recorder.socket) as mesh:
            named(mesh, CANDIDATES[:2], Own("arm-8", "north"))
            some = commit(client, carrier, [3, 250])
        while True:  # the hang-up and the next commit come over two sockets, in any order
            after = commit(client, carrier, [3, 250])
            status, page = client.ask(Verb.READ, after, 1)
            assert status == Status.OK
            if not cbor.decode(page[1][0][1])[18][1]:
                break
    assert recorder.stop() == 0
    asked = asked_of(recorder.state)
    assert {one.k for one, _ in asked.values()} == {3}
    assert [len(asked[seq][1].kids) for seq in (before, some, after)] == [0, 1, 0]
    assert all(one.chosen == choice.digest() for one, choice in asked.values())
    assert verified(recorder.state).exit_status() == 0


def test_commits_of_one_transaction_share_an_entry_only_where_they_ask_the_same(recorder: Running) -> None:
    """What differs in what it asks stands in another entry, each with a choice of its own."""
    with Raw(recorder.socket) as mesh, Raw(recorder.socket) as client:
        named(mesh)
        carrier = opened(client)
        for trailing in ([], [[2, 100]], [[2, 100]], [[3, 100]], []):
            client.counter += 1
            client.send([int(Verb.COMMIT), client.counter, carrier, None, 0, WHAT, {}, 5, None, *trailing])
        seqs = [client.receive()[2][0] for _ in range(5)]
    assert recorder.stop() == 0
    asked = asked_of(recorder.state)
    assert [seq in asked for seq in seqs] == [False, True, True, True, False]
    assert asked[seqs[2]][0].k == 2
    assert asked[seqs[3]][0].k == 3
    assert verified(recorder.state).exit_status() == 0


def test_an_event_asks_too_and_rows_do_not(recorder: Running) -> None:
    """An ungated event carries its own choice beside its who and why."""
    with Raw(recorder.socket) as mesh, Raw(recorder.socket) as client:
        named(mesh)
        event = ["emergency_stop", ["arm"], {}, {}, {}, {"reason": "light curtain"}, 5]
        assert client.ask(Verb.EVENT, *event)[0] == Status.OK
        status, receipt = client.ask(Verb.EVENT, *event, None, [1, 50])
        assert status == Status.OK
    assert recorder.stop() == 0
    asked = asked_of(recorder.state)
    assert list(asked) == [receipt[0]]
    assert decode(records_of(recorder.state)[receipt[0]][0]).header.kind == Kind.ACTUATION
    assert verified(recorder.state).exit_status() == 0


def test_only_the_mesh_says_who_may_be_asked(tmp_path: Path) -> None:
    """Without `mesh = true` it is not permitted, and asks for nothing."""
    with Running(make_state(tmp_path / "s")) as running, Raw(running.socket) as client:
        status, failed = client.ask(Verb.WITNESSES, [list(CANDIDATES[0])], None)
        assert (status, failed[0]) == (Status.ERROR, "not_permitted")
        assert f"recorder.toml needs a [[controller]] with uids = [{os.getuid()}]" in failed[1], "and what it needs"
        commit(client, opened(client), [1, 50])
        assert running.stop() == 0
        ((_, choice),) = asked_of(running.state).values()
        assert choice.kids == []


@pytest.mark.parametrize("wanted", [[0, 100], [65, 100], [1, 0], [1], [1, 100, "any"], 3])
def test_what_cannot_be_asked_for(recorder: Running, wanted: Any) -> None:
    """No witness, more than 64, no time, another shape: not understood, and nothing is recorded."""
    with Raw(recorder.socket) as client:
        carrier = opened(client)
        client.send([int(Verb.COMMIT), 9, carrier, None, 0, WHAT, {}, 5, None, wanted])
        status, counter, failed = client.receive()
        assert (status, counter, failed[0]) == (Status.ERROR, 0, "message_malformed")
