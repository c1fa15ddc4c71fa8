"""A real recorder tells who has signed of those that a commit asked, and keeps a receipt back where its policy says so."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from recorder.client import Cycle, NotRecorded, Receipt, Recorder, Refused
from recorder.core.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from recorder.core.cosignature import cosign
from recorder.core.entry import decode
from recorder.core.kinds import Kind
from recorder.core.note import Note, NoteSignature, parse_note
from recorder.daemon import identity
from tests import fleet
from tests.claims import WHAT, WHO, WHY
from tests.daemon.cosigners import NOW_S, SIGNERS, Mesh
from tests.policies import CLASS
from tests.running import Running, make_state, records_of, verified, wait_until

MESH = "mesh = true"
APPEND = '["mark", "evidence", "policy", "credential"]'
FORCE = [{"name": "force_n", "value": 10.0, "unit": "N"}]


def classes(within_ms: int, *, before: bool = True) -> str:
    """A policy's classes: three sign before motion acts."""
    rule = f'witnesses = {{ k = 3, within_ms = {within_ms}, rule = "independent", before = {str(before).lower()} }}\n'
    return CLASS.replace("braking", "emergency_stop").replace("[class.motion]\n", f"[class.motion]\n{rule}")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    state = fleet.trusting(make_state(tmp_path / "s", append=APPEND, more=MESH))
    with Running(state) as served:
        yield served


@pytest.fixture
def client(running: Running) -> Iterator[Recorder]:
    with Recorder(running.socket, timeout_ms=60_000, who={"operator": "ann"}) as connected:
        yield connected


def plain(client: Recorder) -> Cycle:
    """A cycle of the configured table."""
    return client.open_cycle(who=WHO, why=WHY, actuators=["arm"], action_classes=["motion"], valid_ms=60_000)


def governed(client: Recorder, running: Running, within_ms: int, **parts: Any) -> Cycle:
    """A cycle under a policy whose motion waits for three witnesses."""
    delegation = fleet.put_in_force(client, running.state, classes=classes(within_ms, **parts))
    return client.open_cycle(
        what=fleet.WHAT, where={}, inputs=FORCE, delegation=delegation.hash, actuators=["arm"],
        action_classes=["motion"], valid_ms=60_000,
    )  # fmt: skip


def abandoned(running: Running) -> list[bytes]:
    """Requests that the log of a stopped recorder says nobody acted on."""
    found = []
    for raw, _ in records_of(running.state):
        header = decode(raw).header
        if header.kind == Kind.ABANDON:
            found += header.control.requests
    return found


def requests(running: Running) -> list[bytes]:
    """Of all commits that ask."""
    headers = [decode(raw).header for raw, _ in records_of(running.state)]
    return [one.request for header in headers if header.witnesses for one in header.commits or ()]


def asked(client: Recorder) -> None:
    """Wait until the latest entry is one that asks; signatures on what was there before would count nothing."""
    wait_until(lambda: decode(client.read(0).entries[-1][0]).header.witnesses is not None)


def refused(commit: Future[Receipt]) -> str:
    with pytest.raises(Refused) as caught:
        commit.result(240)
    (reason,) = caught.value.reasons
    return str(reason)


def test_who_has_signed(running: Running, client: Recorder) -> None:
    """The receipt waits for nobody; the report waits for as many as were wanted, or all that there are."""
    with Mesh(running.socket) as mesh:
        receipt = plain(client).commit("arm", what=WHAT, witnesses=2, within_ms=60_000)
        before = client.witnessed(receipt)
        assert (before.wanted, before.within_ms, before.signed, before.is_met) == (2, 60_000, (), False)
        first = mesh.sign(before.asked[0])
        one = client.witnessed(receipt, wait_ms=20)
        assert [(by.name, by.evidence) for by in one.signed] in ([], [(before.asked[0], first)])
        second = mesh.sign(*before.asked)
        both = client.witnessed(receipt, wait_ms=60_000)
        assert [(by.name, by.evidence) for by in both.signed] == list(zip(before.asked, (first, second), strict=True))
        assert both.is_met
        with pytest.raises(NotRecorded, match="not_asked"):
            client.witnessed(plain(client).commit("arm", what=WHAT))


def test_what_is_no_signature(running: Running, client: Recorder) -> None:
    """Of a head below the commit, of a head that this recorder never signed, or one that does not hold: it counts nothing."""
    with Mesh(running.socket) as mesh:
        below = client.checkpoint()
        receipt = plain(client).commit("arm", what=WHAT, witnesses=3, within_ms=60_000)
        note = client.checkpoint()
        head = parse_checkpoint(parse_note(note).text)
        other = Checkpoint(head.origin, head.size, bytes(32))
        names = tuple(SIGNERS)
        mesh.sign(*names, note=below)
        mesh.sign(*names, note=sign_checkpoint(other, identity.load(running.state)).encode())
        wrong = [cosign(other, name, SIGNERS[name], NOW_S) for name in names]
        parsed = parse_note(note)
        mesh.bring(Note(parsed.text, (*parsed.signatures, *wrong)).encode())
        garbled = [NoteSignature(line.name, line.key_id, bytes(72)) for line in wrong]
        mesh.bring(Note(parsed.text, (*parsed.signatures, *garbled)).encode())
        mesh.bring(b"no note")
        good = mesh.sign(names[0], note=note)
        wait_until(lambda: client.witnessed(receipt).signed)
        assert [(by.name, by.evidence) for by in client.witnessed(receipt).signed] == [(names[0], good)]


def test_with_nobody_to_ask_the_report_does_not_wait(client: Recorder) -> None:
    """Nobody was asked, so nobody will sign: that is known at once."""
    receipt = plain(client).commit("arm", what=WHAT, witnesses=3, within_ms=60_000)
    assert client.witnessed(receipt, wait_ms=60_000) == (3, 60_000, (), ())


def test_a_receipt_that_waits_for_its_witnesses(running: Running, client: Recorder) -> None:
    """It comes when three have signed; other commits and questions go on meanwhile; the log says that it was so."""
    cycle = governed(client, running, 60_000)
    with Mesh(running.socket) as mesh:
        commit = cycle.submit("arm", what=fleet.WHAT)
        again = cycle.submit("arm", what=fleet.WHAT)
        assert client.status()["cycles"] == 1
        client.event("emergency_stop", actuators=["arm"], what=WHAT, reason="light curtain")
        client.flush(240)
        mesh.sign("arm-8", "arm-9")
        assert client.append(Kind.MARK, body={"label": "meanwhile"}).durable
        assert not commit.done()
        assert not again.done()
        mesh.sign("arm-10")
        receipt = commit.result(240)
        assert (receipt.outcome, receipt.late) == ("admitted", False)
        assert client.witnessed(receipt).is_met
        assert again.result(240).durable
    client.close()
    assert running.stop() == 0
    keys = [decode(raw).header.witnesses for raw, _ in records_of(running.state)]
    assert {one.before for one in keys if one is not None} == {1}
    assert abandoned(running) == []
    assert verified(running.state).integrity == "pass"


@pytest.mark.alone
def test_a_receipt_whose_witnesses_do_not_sign_in_time(running: Running, client: Recorder) -> None:
    """It is refused, by its own name, and an entry that is durable before says that nobody acted."""
    cycle = governed(client, running, 2_000)
    with Mesh(running.socket) as mesh:
        commit = cycle.submit("arm", what=fleet.WHAT)
        asked(client)
        mesh.sign("arm-8", "arm-9")
        assert refused(commit) == "unwitnessed: 2 of 3 within 2000 ms"
    client.close()
    assert running.stop() == 0
    assert abandoned(running) == requests(running) != []


def test_a_receipt_that_too_few_could_witness(running: Running, client: Recorder) -> None:
    """With two candidates for three it is refused at once, not after the time."""
    cycle = governed(client, running, 60_000)
    with Mesh(running.socket, ["arm-8", "arm-9"]):
        assert refused(cycle.submit("arm", what=fleet.WHAT)) == "unwitnessed: 3 were wanted, 2 could be asked"
    client.close()
    assert running.stop() == 0
    assert abandoned(running) == requests(running) != []


def test_a_recorder_that_stops_gives_up_what_it_holds(running: Running, client: Recorder) -> None:
    """Its last transaction says that nobody acted; who asks again after the start is refused, and nothing is lost."""
    cycle = governed(client, running, 60_000)
    with Mesh(running.socket):
        commit = cycle.submit("arm", what=fleet.WHAT)
        asked(client)
        assert running.stop() == 0
        assert refused(commit) == "unwitnessed: 0 of 3 within 60000 ms"
    assert abandoned(running) == requests(running) != []


@pytest.mark.parametrize("kill", [True, False], ids=["killed", "connection lost"])
def test_who_asks_again(running: Running, client: Recorder, kill: bool) -> None:
    """After a kill nobody knows who signed: refused, and marked.  After a lost connection it waits on, for the same."""
    cycle = governed(client, running, 60_000)
    with Mesh(running.socket) as mesh:
        commit = cycle.submit("arm", what=fleet.WHAT)
        asked(client)
        if kill:
            running.kill()
            running.restart()
            assert refused(commit).startswith("unwitnessed: it was asked before")
        else:
            client._control._connection._shutdown()
            client.status()
            mesh.sign(*SIGNERS)
            assert commit.result(240).duplicate
    client.close()
    assert running.stop() == 0
    assert abandoned(running) == (requests(running) if kill else [])
    assert len(requests(running)) == 1


def test_a_client_that_gives_up_first(running: Running, client: Recorder) -> None:
    """Its own abandon is the only one, and signatures that come later release nothing."""
    cycle = governed(client, running, 60_000)
    with Mesh(running.socket) as mesh:
        commit = cycle.submit("arm", what=fleet.WHAT)
        asked(client)
        (sent,) = client._control._session._unanswered.values()
        assert sent.sent_as is not None
        client._control.give_up(sent.sent_as)
        wait_until(lambda: decode(client.read(0).entries[-1][0]).header.kind == Kind.ABANDON)
        seq = mesh.sign(*SIGNERS)
        wait_until(lambda: client.read(0).next_seq > seq)
        client.status()
        assert not commit.done()
        assert running.stop() == 0
    assert abandoned(running) == requests(running)


def test_a_class_that_asks_and_does_not_wait(running: Running, client: Recorder) -> None:
    """The rule holds for who says nothing and for who says less; who wants more gets more."""
    cycle = governed(client, running, 500, before=False)
    with Mesh(running.socket):
        wishes: list[tuple[int | None, int | None]] = [(None, None), (1, 60_000), (5, 100)]
        receipts = [cycle.commit("arm", what=fleet.WHAT, witnesses=k, within_ms=ms) for k, ms in wishes]
        found = [client.witnessed(one)[:2] for one in receipts]
    assert found == [(3, 500), (3, 500), (5, 100)]


def test_what_is_acknowledged_is_there_and_what_is_refused_is_given_up(running: Running, client: Recorder) -> None:
    """Through kills while receipts are held: an OK names a commit that nobody abandons, a refusal one that is."""
    cycle = governed(client, running, 60_000)
    ended: list[Receipt | Refused] = []
    for turn in range(3):
        with Mesh(running.socket) as mesh:
            commits = [cycle.submit("arm", what=fleet.WHAT) for _ in range(3)]
            asked(client)
            if turn != 1:
                mesh.sign(*SIGNERS)
                ended.append(commits[0].result(240))
            commits += [cycle.submit("arm", what=fleet.WHAT) for _ in range(2)]
        running.kill()
        running.restart()
        for commit in commits[turn != 1 :]:
            try:
                ended.append(commit.result(240))
            except Refused as refusal:
                ended.append(refusal)
    client.close()
    assert running.stop() == 0
    headers = [decode(raw).header for raw, _ in records_of(running.state)]
    given_up = set(abandoned(running))
    receipts = [one for one in ended if isinstance(one, Receipt)]
    for one in receipts:
        assert one.seq is not None
        assert one.index is not None
        assert (headers[one.seq].commits or [])[one.index].request not in given_up
    refusals = [one for one in ended if isinstance(one, Refused)]
    assert len(ended) == 15
    assert receipts
    assert refusals
    assert all(one.reasons[0].startswith("unwitnessed") for one in refusals)
    assert len(requests(running)) == len(set(requests(running))) == 15, "each is there once"
    assert len(given_up) == len(refusals)
    assert verified(running.state).integrity == "pass"
