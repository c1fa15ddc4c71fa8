"""Random sequences of what a recorder under policies meets: what it admitted, nobody faults offline."""

from __future__ import annotations

import os
import random
import struct
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from recorder import config as configs
from recorder.audit.check import check_source
from recorder.audit.opening import open_source
from recorder.core import cbor, message_requests, revocation
from recorder.core.credential import Credential
from recorder.core.findings import FINDINGS
from recorder.core.kinds import Kind
from recorder.core.messages import Status, Verb
from recorder.core.scope import Counts
from recorder.core.trust import parse_trust
from recorder.daemon import boot, identity
from recorder.gate import authorities
from recorder.store.opening import open_store
from recorder.writer import cycles
from recorder.writer.session import Peer, Permissions, Session
from recorder.writer.writer import Writer
from tests import credential_builder as builder
from tests import fleet
from tests.claims import FIELDS, WHO, WHY
from tests.policies import clause
from tests.running import lineage_of

NS = 1_000_000_000
BEGIN_S = 1_780_000_000  # within the policies' window
ACTUATORS = frozenset({"arm", "arm.joint1"})
KINDS = frozenset({Kind.POLICY, Kind.CREDENTIAL, Kind.MARK})
CLAUSES = (
    clause("input.force_n > 50.0", identifier="force"),
    clause("act.stage == 'executed' && input.force_n > 20.0", identifier="careful"),
    clause("given.grant.commits_left && grant.commits_left < 2", identifier="last"),
    clause("input.force_n > 30.0", "deviate", "slower", deviate_to='"half"'),
    clause("100.0 / (input.force_n - 7.0) > 1e9", identifier="seven"),
)


class Clock:
    """Clocks that a test moves."""

    def __init__(self) -> None:
        self.utc_ns, self.mono_ns = BEGIN_S * NS, 1000 * NS
        self.quality: tuple[int, int | None] = (2, 100)

    def read(self) -> tuple[int, int, int, int | None]:
        return self.utc_ns, self.mono_ns, *self.quality

    def pass_ns(self, ns: int) -> None:
        self.utc_ns += ns
        self.mono_ns += ns


class Machine:
    """A recorder without sockets, and dice."""

    def __init__(self, state: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dice = random.Random(seed)
        self.state = fleet.make(state)
        self.clock = Clock()
        self.os_boot = bytes(16)
        monkeypatch.setattr(boot, "os_boot_id", lambda: self.os_boot)
        self.config = configs.load(self.state)
        self.signer = identity.load(self.state)
        self.links: list[Credential] = []
        self.version = 0
        self.told: dict[str, int] = {}
        self.made: dict[bytes, int] = {}  # commits by link, as the answers say
        self.opened: dict[int, tuple[Any, Credential | None]] = {}
        self.start()

    def start(self) -> None:
        started = boot.start(self.state, self.config, self.signer, self.clock, self.dice.randbytes)
        self.context = started.context
        self.journal = started.context.journal
        self.writer = Writer(self.context)
        self.sessions = [self._session() for _ in range(2)]

    def _session(self) -> Session:
        number = self.journal.tail.boot.to_bytes(4, "big") + self.dice.randbytes(4)
        return Session(number, Peer(1000, 1, 1, None), Permissions(ACTUATORS, KINDS, read=True), -1)

    def ask(self, request: Any) -> Any:
        session = self.dice.choice(self.sessions)
        counter = session.counter + 1
        asked = request._replace(counter=counter)
        message = cbor.pack([*map(_plain, asked)])
        answer = self.writer.handle(session, asked, message)
        name = (
            "ok" if answer.status == Status.OK else str(answer.body[0] if answer.status == Status.ERROR else "refused")
        )
        self.told[f"{type(request).__name__} {name}"] = self.told.get(f"{type(request).__name__} {name}", 0) + 1
        if answer.hash_of is not None and self.dice.random() < 0.1:  # the same again has the same answer
            again = self.writer.handle(session, asked, message)
            assert again.status == answer.status
            assert again.body[0] == answer.body[0]
        return answer

    def write(self) -> None:
        if not self.journal.is_empty:
            self.writer.write()
        self.journal.tick()

    # --- what may happen

    def install(self, kind: Kind, claim: str, raw: bytes) -> Any:
        return self.ask(
            message_requests.AppendRequest(Verb.APPEND, 0, kind, {claim: raw}, [sha256(raw).digest()], None)
        )

    def credential(self) -> None:
        counts = self.dice.choice([None, Counts(self.dice.randrange(1, 9), self.dice.randrange(1, 60))])
        now_s = self.clock.utc_ns // NS
        times: dict[str, Any] = {
            "issued_s": now_s,
            "not_before_s": now_s - 60,
            "expires_s": now_s + self.dice.choice([5, 600, 4000]),
        }
        scope = builder.rescoped(fleet.SCOPE, counts=counts)
        serial = self.dice.randbytes(16)
        parents = [
            one
            for one in self.links
            if one.terms.subject != "arm-7" and one.terms.expires_s > now_s > one.terms.not_before_s
        ]
        if not parents or self.dice.random() < 0.4:
            link = builder.from_root("ann", scope=scope, serial=serial, **times)
        else:
            above = self.dice.choice(parents)
            times["expires_s"] = min(times["expires_s"], above.terms.expires_s)
            held = above.terms.scope.counts
            if held is not None:
                counts = Counts(self.dice.randrange(held.commits + 1), self.dice.randrange(held.seconds + 1))
            scope = builder.rescoped(scope, counts=counts, delegations=max(0, above.terms.scope.delegations - 1))
            times["not_before_s"] = max(times["not_before_s"], above.terms.not_before_s)
            link = builder.delegated(
                above, "arm-7", key=self.signer.public_key, scope=scope, serial=serial, role="operator", **times
            )
        if self.install(Kind.CREDENTIAL, "credential", link.signed.raw).status == Status.OK:
            self.links.append(link)

    def revoke(self) -> None:
        if self.links:
            by = self.dice.choice(["acme/root", "ann", "somebody"])
            target = revocation.Revoked(self.dice.choice(self.links).hash, 0, "x")
            self.install(Kind.CREDENTIAL, "revocation", revocation.make(1, [target], builder.signer(by)))

    def policy(self) -> None:
        self.version += self.dice.choice([0, 1, 1])
        chosen = self.dice.sample(CLAUSES, self.dice.randrange(1, 4))
        verbs = self.dice.choice(["", 'verbs = ["commit"]\n', 'verbs = ["record"]\n'])
        classes = fleet.CLASSES.replace('"hold"\n', f'"hold"\n{verbs}', 1)
        self.install(Kind.POLICY, "bundle", fleet.bundle(*chosen, version=self.version, classes=classes))

    def open(self) -> None:
        link = self.dice.choice(self.links) if self.links else None
        force = self.dice.choice([1.0, 7.0, 25.0, 35.0, 60.0, "x"])
        inputs: list[Any] = [{"name": "force_n", "value": force, "unit": "N"}]
        if self.dice.random() < 0.1:
            inputs *= 2
        known = [*self.journal.tail.cycles]
        before = self.dice.choice(known) if known and self.dice.random() < 0.5 else None
        stage = self.dice.choice([0, 1]) if before is None else self.dice.choice([2, 3])
        act: Any = (fleet.WHAT, {}) if self.dice.random() < 0.95 else None
        request = message_requests.OpenCycle(
            Verb.OPEN_CYCLE, 0, {**WHO, "delegation": None if link is None else link.hash}, {**WHY, "inputs": inputs},
            ["arm"], [self.dice.choice(["motion"] * 9 + ["emergency_stop"])], self.dice.randrange(1, 9),
            self.dice.choice([10, 1000, 20_000]), None, None, act, None, stage, before,
        )  # fmt: skip
        answer = self.ask(request)
        if answer.status == Status.OK:
            self.opened[answer.body.seq] = (answer.body, link)

    def act(self) -> None:
        if not self.opened:
            return
        carrier = self.dice.choice([*self.opened])
        body, link = self.opened[carrier]
        cycle = self.journal.tail.cycles.get(carrier)
        magnitude = self.dice.choice([1.0, 0.5, -0.5, 1.5])
        what = {**fleet.WHAT, "magnitude": magnitude}
        if cycle is not None and cycle.deviate_to is not None and self.dice.random() < 0.8:
            what["committed"] = cycle.deviate_to
        numbers = body.actuators["arm"]
        request = message_requests.CommitRequest(
            Verb.COMMIT, 0, carrier, None, numbers, what, {}, self.clock.mono_ns, None
        )  # fmt: skip
        answer = self.ask(request)
        if answer.status == Status.OK and cycle is not None and cycle.delegation is not None and link is not None:
            self._count(link, 1)

    def _count(self, link: Credential, commits: int) -> None:
        for one in self.context.authorities.chain(link.hash).links:
            self.made[one.hash] = self.made.get(one.hash, 0) + commits
            counts = one.terms.scope.counts
            assert counts is None or self.made[one.hash] <= counts.commits

    def rows(self) -> None:
        if not self.opened:
            return
        carrier = self.dice.choice([*self.opened])
        link = self.opened[carrier][1]
        session = self.sessions[0]
        if not session.streams:
            what = {**fleet.WHAT, "magnitude": self.dice.choice([1.0, 1.5])}
            fields = [[*field] for field in FIELDS]
            self.writer.handle(
                session, message_requests.DeclareStream(Verb.DECLARE_STREAM, 0, "arm", fields, what, {}), b""
            )
        count = self.dice.randrange(1, 4)
        packed = b"".join(struct.pack("<QffI", self.clock.mono_ns, 0, 0, at) for at in range(count))
        request = message_requests.RowsRequest(Verb.ROWS, session.counter + 1, carrier, None, 0, packed)
        answer = self.writer.handle(session, request, cbor.pack([*map(_plain, request)]))
        cycle = self.journal.tail.cycles.get(carrier)
        admitted = cycle is not None and answer.body.decision == cycle.decision
        if admitted and cycle is not None and cycle.delegation is not None and link is not None:
            self._count(link, count)

    def close(self) -> None:
        if self.opened:
            self.ask(message_requests.CloseCycle(Verb.CLOSE_CYCLE, 0, self.dice.choice([*self.opened]), "done"))

    def time(self) -> None:
        self.write()
        self.clock.pass_ns(self.dice.choice([1, 1_000_000, NS, 8 * NS]))
        self.journal.tick()
        cycles.expire(self.context)
        self.context.refusals.settle()

    def set_clock(self) -> None:
        self.write()
        before = self.clock.utc_ns
        self.clock.utc_ns += self.dice.choice([-3600, -60, 60, 1800]) * NS
        self.clock.quality = self.dice.choice([(2, 100), (2, None), (1, None), (0, None)])
        self.journal.tick()
        self.journal.draft(Kind.CLOCK_STEP, {15: [before, self.clock.utc_ns, "unknown"]})

    def seal(self) -> None:
        self.write()
        self.journal.store.seal()

    def restart(self) -> None:
        if self.dice.random() < 0.5:
            self.write()  # else what was drafted is lost, as with a power cut
        durable = self.journal.is_empty and not self.journal._operations  # answers by an older entry are not yet
        before = self.journal.tail.snapshot()
        self.journal.store.close()
        if durable:
            store = open_store(
                lineage_of(self.state), self.journal.tail.origin, None,
                4 * 1024 * 1024,
            )  # fmt: skip
            after = _comparable(store.tail.snapshot())
            for part, (ours, theirs) in enumerate(zip(_comparable(before), after, strict=True)):
                assert ours == theirs, part
            store.close()
        else:
            self.made = {}  # the answers were never given
        if self.dice.random() < 0.3:
            self.os_boot = self.dice.randbytes(16)
            self.clock.mono_ns = self.dice.randrange(NS, 100 * NS)
        self.clock.pass_ns(NS)
        self.start()
        self.opened = {seq: one for seq, one in self.opened.items() if seq in self.journal.tail.cycles}


STEPS = {
    Machine.open: 12, Machine.act: 16, Machine.rows: 3, Machine.write: 10, Machine.credential: 4, Machine.revoke: 1,
    Machine.policy: 1, Machine.close: 1, Machine.time: 4, Machine.set_clock: 1, Machine.seal: 1, Machine.restart: 1,
}  # fmt: skip


@pytest.mark.parametrize("seed", range(int(os.environ.get("LINEAGE_SEQUENCES", "4"))))
def test_what_was_admitted_is_never_faulted(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorities, "CREDENTIALS_MAX", 8 if seed % 2 else 256)
    machine = Machine(tmp_path / "state", seed, monkeypatch)
    for _ in range(4):
        machine.credential()
    machine.policy()
    machine.write()
    steps, weights = [*STEPS], [*STEPS.values()]
    for _ in range(400):
        machine.dice.choices(steps, weights)[0](machine)
    machine.write()
    spent = {digest: one.commits for digest, one in machine.journal.tail.authority.spent.items()}
    machine.journal.store.close()
    with closing(open_source(None, machine.state)) as source:
        report = check_source(source, trust=parse_trust((machine.state / "trust").read_bytes()), workers=1)
    assert [one for one in report.problems if FINDINGS[one.error].severity == "failed"] == []
    assert (report.notes["decisions_unreplayed"], report.notes["acts_unjudged"]) == (0, 0)
    assert machine.told["OpenCycle ok"]
    for digest, commits in machine.made.items():
        assert spent.get(digest, commits) >= commits


def _plain(part: Any) -> Any:
    if isinstance(part, int):
        return int(part)
    return [*part] if isinstance(part, tuple) else part


def _comparable(snapshot: list[Any]) -> Any:
    return cbor.decode(cbor.pack(snapshot))


def test_rows_join_no_entry_before_that_of_their_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not wait for answers has a commit, a declaration and its rows in one transaction."""
    machine = Machine(tmp_path / "state", 0, monkeypatch)
    session = machine.sessions[0]

    def ask(request: Any) -> Any:
        return machine.writer.handle(session, request, b"")

    opened = ask(
        message_requests.OpenCycle(Verb.OPEN_CYCLE, 1, WHO, WHY, ["arm"], ["motion"], 9, 1000, None, None)
    ).body
    now_ns, number = machine.clock.mono_ns, opened.actuators["arm"]
    ask(message_requests.CommitRequest(Verb.COMMIT, 2, opened.seq, None, number, fleet.WHAT, {}, now_ns, None))
    fields = [[*field] for field in FIELDS]
    ask(message_requests.DeclareStream(Verb.DECLARE_STREAM, 0, "arm", fields, fleet.WHAT, {}))
    ask(message_requests.RowsRequest(Verb.ROWS, 3, opened.seq, None, 0, struct.pack("<QffI", now_ns, 0, 0, 0)))
    machine.write()
    machine.journal.store.close()
    with closing(open_source(None, machine.state)) as source:
        report = check_source(source, workers=1)
    assert [one.error for one in report.problems if FINDINGS[one.error].severity == "failed"] == []
