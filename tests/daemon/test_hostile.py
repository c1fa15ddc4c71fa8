"""A controller, or a thief of a key, that wants a recorder under a policy to die, to grow or to be deceived."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from recorder.audit.check import check_source
from recorder.audit.opening import open_source
from recorder.client import NotRecorded, Recorder, Refused
from recorder.core import cbor, grant, matrix, revocation
from recorder.core.entry import decode
from recorder.core.findings import FINDINGS
from recorder.core.kinds import Kind
from recorder.core.limits import UINT64_MAX
from recorder.core.matrix import Issuer
from recorder.core.messages import Status, Verb
from recorder.core.scope import Counts
from recorder.core.trust import parse_trust
from recorder.store.segment import Segment
from recorder.writer.refusals import VARIED_MAX
from tests import credential_builder as builder
from tests import fleet
from tests.claims import WHO, WHY
from tests.daemon.raw import Raw
from tests.policies import clause
from tests.running import Running, lineage_of, origin_of, records_of

FORCE: list[dict[str, Any]] = [{"name": "force_n", "value": 10.0, "unit": "N"}]
NS = 1_000_000_000
DEPOT = matrix.issue(
    1,
    builder.BEGIN_S,
    [Issuer(builder.signer("depot").public_key, "depot", builder.EVERYTHING)],
    builder.signer(fleet.ROOT.name),
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running(fleet.make(tmp_path / "state")) as served:
        yield served
        status = served.process.poll()
        assert (served.stop() if status is None else status) == 0
    with closing(open_source(None, served.state)) as source:
        report = check_source(source, trust=parse_trust((served.state / "trust").read_bytes()), workers=1)
    assert [one for one in report.problems if FINDINGS[one.error].severity == "failed"] == []


@pytest.fixture
def recorder(running: Running) -> Iterator[Recorder]:
    with Recorder(running.socket, timeout_ms=60_000, who={"operator": "ann"}) as connected:
        yield connected


def asking(raw: Raw, delegation: bytes | None, **changed: Any) -> tuple[int, Any]:
    """Ask for a cycle of the usual act, as bytes on the socket."""
    given: dict[str, Any] = {
        "who": {**WHO, "delegation": delegation}, "why": {**WHY, "inputs": FORCE}, "actuators": ["arm"],
        "classes": ["motion"], "max_commits": 10, "valid_ms": 60_000, "supersedes": None, "deadline": None,
        "act": [fleet.WHAT, {}], "grant": None, "stage": 0, "predecessor": None,
    } | changed  # fmt: skip
    return raw.ask(Verb.OPEN_CYCLE, *given.values())


def opening(recorder: Recorder, delegation: bytes, **changed: Any) -> Any:
    asked: dict[str, Any] = {
        "what": fleet.WHAT, "where": {}, "inputs": FORCE, "delegation": delegation, "actuators": ["arm"],
        "action_classes": ["motion"], "valid_ms": 60_000,
    }  # fmt: skip
    return recorder.open_cycle(**(asked | changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"why": {**WHY, "inputs": [0] * 20_000}},
        {"why": {**WHY, "inputs": [{"name": "x", "value": 1}] * 1000}},
        {"classes": ["x" * 250 + str(number) for number in range(16)]},
        {"classes": ["motion", *("x" * 250 + str(number) for number in range(15))]},
        {"actuators": ["y" * 230 + str(number) for number in range(64)]},
        {"actuators": ["\u0101" * 100 + str(number) for number in range(64)]},
        {"act": [{**fleet.WHAT, "magnitude": -(2**63)}, {"position_m": [1] * 3}]},
        {"act": [{**fleet.WHAT, "magnitude": "1" * 7000, "unit": "z" * 7000}, {"frame": "f" * 7000}]},
        {"max_commits": UINT64_MAX, "valid_ms": UINT64_MAX},
        {"who": {**WHO, "delegation": b"x" * 7000}},
        {"who": {**WHO, "delegation": "x" * 7000}},
        {"grant": b"\xd2" + b"x" * 7000},
        {"why": {**WHY, "alternatives": [0] * 20_000}},
        {"why": {**WHY, "inputs": {"name": "force_n"}}},
        {"why": {**WHY, "inputs": [{"name": "force_n", "entry": ["x"] * 5000}]}},
        {"why": {**WHY, "inputs": [{"name": "n" * 20_000, "value": 1, "unit": "N"}]}},
        {"why": {**WHY, "inputs": [*FORCE, {**FORCE[0], "value": 99.0}]}},
        {"why": {**WHY, "inputs": [{"name": "force_n", "value": 10.0, "unit": 5}]}},
        {"why": {**WHY, "inputs": [{**FORCE[0], "entry": "0-00000000", "signed": True}]}},
        {"why": {**WHY, "inputs": [{**FORCE[0], "observation": b"x", "signed": True, "credential": bytes(32)}]}},
        {"why": {**WHY, "inputs": [*FORCE, 0]}},
        {"stage": 1, "predecessor": UINT64_MAX},
        {"supersedes": UINT64_MAX},
    ],
)
def test_nothing_that_is_asked_for_ends_the_recorder(
    running: Running, recorder: Recorder, changed: dict[str, Any]
) -> None:
    """It is refused on record, in an entry that can be read; and the same request gets the same answer."""
    delegation = fleet.put_in_force(recorder, running.state)
    with Raw(running.socket) as raw:
        status, refused = asking(raw, delegation.hash, **changed)
        assert status == Status.REFUSED
        assert sum(map(len, refused[2])) < 5_000
        raw.counter -= 1
        assert asking(raw, delegation.hash, **changed)[1][:3] == refused[:3]


def test_one_large_observation_is_not_copied_into_a_why_a_thousand_times(running: Running, recorder: Recorder) -> None:
    delegation = fleet.put_in_force(recorder, running.state)
    body = {"name": "force_n", "value": "x" * 40_000, "unit": "N"}
    named = str(recorder.append(Kind.OBSERVATION, body=body).entry_id)
    with Raw(running.socket) as raw:
        inputs = [{"name": "force_n", "entry": named}] * 600
        assert asking(raw, delegation.hash, why={**WHY, "inputs": inputs})[0] == Status.REFUSED
        assert asking(raw, delegation.hash, why={**WHY, "inputs": inputs[:40]})[0] == Status.REFUSED
    running.stop()
    assert max(len(claims or b"") for _, claims in records_of(running.state)) < 56 * 1024


def test_a_grant_is_used_once_though_its_cycle_is_over(running: Running, recorder: Recorder) -> None:
    delegation = fleet.put_in_force(recorder, running.state)
    now = int(time.time())
    planner = builder.from_root(
        "planner", role="evaluator", not_before_s=now - 3600, expires_s=now + 3600, issued_s=now
    )
    fleet.install(recorder, credential=planner.signed.raw)
    os_boot = bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", ""))
    until = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 60 * NS
    first, second = (
        grant.make(
            grant.Grant(
                origin_of(lineage_of(running.state)), os_boot, bytes([number]) * 16, planner.hash, "motion", ("arm",),
                10, until, delegation.hash, grant.contemplated_hash(fleet.WHAT, {}), grant.inputs_hash(FORCE),
                "admitted",
            ),
            builder.signer("planner"),
        )
        for number in range(2)
    )  # fmt: skip
    asked: dict[str, Any] = {"valid_ms": 1, "max_commits": 10}
    end = opening(recorder, delegation.hash, grant=first, **asked).not_after_mono_ns
    while time.clock_gettime_ns(time.CLOCK_BOOTTIME) <= end:
        pass
    fleet.install(recorder, credential=planner.signed.raw)  # any entry: the clock of the log goes on
    opening(recorder, delegation.hash, grant=second, **asked)
    with pytest.raises(Refused, match="nonce_reused"):
        opening(recorder, delegation.hash, grant=first, **asked)


def test_a_budget_without_end_is_a_number_that_clauses_can_hold(running: Running, recorder: Recorder) -> None:
    scope = builder.rescoped(fleet.SCOPE, counts=Counts(UINT64_MAX, UINT64_MAX))
    much = clause("grant.commits_left < 1 || grant.ms_left < 1 || input.force_n > 50.0")
    delegation = fleet.put_in_force(recorder, running.state, much, scope=scope)
    opening(recorder, delegation.hash).commit("arm", what=fleet.WHAT)


@pytest.mark.parametrize("size", [3_000, 20_000])
def test_acts_of_open_cycles_do_not_outgrow_a_segment(running: Running, recorder: Recorder, size: int) -> None:
    delegation = fleet.put_in_force(recorder, running.state)
    with Raw(running.socket) as raw:
        for _ in range(64):
            asking(raw, delegation.hash, act=[{**fleet.WHAT, "note": "x" * size}, {}])
    assert snapshot_bytes(running, recorder) < 64 * 4096


def test_under_the_table_acts_are_not_kept_at_all(running: Running, recorder: Recorder) -> None:
    with Raw(running.socket) as raw:
        for _ in range(64):
            asking(raw, None, act=[{**fleet.WHAT, "note": "x" * 50_000}, {}])
    assert snapshot_bytes(running, recorder) < 64 * 1024


def snapshot_bytes(running: Running, recorder: Recorder) -> int:
    """What the tail takes at the head of a segment."""
    recorder.seal()
    running.stop()
    segment = Segment(lineage_of(running.state) / "segments" / "00000002", 0, live=False)
    try:
        head = segment.head()
        assert head is not None
        return len(cbor.pack(head[1]))
    finally:
        segment.close()


STATED = {
    "deviation": {"conformant": {}, "committed": "x", "clause": "allow", "credential": bytes(32)},
    "post_evaluation": {"predecessor": "1-aaaaaaaa", "decision": "admitted", "changed": []},
    "grant": b"x",
    "alternatives_truncated": True,
    "alternatives_total": 7,
    "counterfactual": {"without": ["x"], "decision": "admitted"},
    "artefact": b"x",
    "replay": bytes(32),
    "contemplated": {"what": {}, "where": {}},
    "reasons": ["x"],
}


def test_what_the_recorder_states_of_a_decision_is_nobody_elses_word(running: Running, recorder: Recorder) -> None:
    delegation = fleet.put_in_force(recorder, running.state)
    with Raw(running.socket) as raw:
        assert asking(raw, delegation.hash, why={**WHY, "inputs": FORCE, **STATED})[0] == Status.OK
        heavy = [{"name": "force_n", "value": 99.0, "unit": "N"}]
        assert asking(raw, delegation.hash, why={**WHY, "inputs": heavy, **STATED})[0] == Status.REFUSED


def test_a_thief_of_an_operators_key_cannot_keep_the_root_from_revoking(running: Running, recorder: Recorder) -> None:
    fleet.put_in_force(recorder, running.state)
    operator = fleet.chain(running.state)[0]
    fleet.install(recorder, credential=operator.signed.raw)
    first, size = 0, 1024
    while size:
        junk = [revocation.Revoked(number.to_bytes(32, "big"), 0, "x") for number in range(first, first + size)]
        try:
            fleet.install(recorder, revocation=revocation.make(1, junk, builder.signer("ann")))
            first += size
        except NotRecorded:
            size //= 2
    fleet.install(
        recorder,
        revocation=revocation.make(
            1, [revocation.Revoked(operator.hash, 0, "tablet stolen")], builder.signer("acme/root")
        ),
    )


def test_credentials_that_are_over_make_room(running: Running, recorder: Recorder) -> None:
    fleet.put_in_force(recorder, running.state)
    now = int(time.time())
    for number in range(260):
        old = builder.from_root(f"day {number}", not_before_s=now - 7200, expires_s=now - 3600, issued_s=now - 7200)
        fleet.install(recorder, credential=old.signed.raw)
    links = fleet.chain(running.state)
    for link in links:
        fleet.install(recorder, credential=link.signed.raw)
    opening(recorder, links[-1].hash).commit("arm", what=fleet.WHAT)
    running.kill()
    running.restart()
    opening(recorder, links[-1].hash).commit("arm", what=fleet.WHAT)


def test_a_cycle_goes_on_under_the_verbs_that_it_was_opened_with(running: Running, recorder: Recorder) -> None:
    by_event = fleet.CLASSES.replace('"hold"\n', '"hold"\nverbs = ["event"]\n', 1)
    delegation = fleet.put_in_force(recorder, running.state, classes=by_event)
    cycle = opening(recorder, delegation.hash)
    fleet.install(recorder, kind=Kind.POLICY, bundle=fleet.bundle(version=2))
    with pytest.raises(Refused, match="verb_not_permitted"):
        cycle.commit("arm", what=fleet.WHAT)


def test_changing_numbers_do_not_make_a_flood_of_refusals(running: Running, recorder: Recorder) -> None:
    delegation = fleet.put_in_force(recorder, running.state)
    with Raw(running.socket) as raw:
        opened = asking(raw, delegation.hash)[1]
        began_s = time.monotonic()
        for first in range(0, 2000, 50):  # together, for little time
            for number in range(first, first + 50):
                what = {**fleet.WHAT, "magnitude": 3.0 + number}
                raw.send([int(Verb.COMMIT), 1000 + number, opened[0], None, opened[5]["arm"], what, {}, 1, None])
            assert {raw.receive()[0] for _ in range(50)} == {Status.REFUSED}
        took_s = time.monotonic() - began_s
    running.stop()
    kinds = [decode(entry).header.kind for entry, _ in records_of(running.state)]
    assert kinds.count(Kind.REFUSAL) <= (VARIED_MAX + 1) * (took_s + 2)


def test_a_start_without_the_roots_says_what_is_missing(running: Running, recorder: Recorder) -> None:
    """An owner who takes the root away does not get a recorder that decides by nothing, nor a traceback."""
    fleet.put_in_force(recorder, running.state)
    fleet.install(recorder, matrix=DEPOT)
    running.kill()
    trust = (running.state / "trust").read_text()
    (running.state / "trust").write_text("quorum none\n")
    with pytest.raises(AssertionError, match="trust"):
        running.restart()
    (running.state / "trust").write_text(trust)
    running.restart()


def test_schemas_do_not_outgrow_a_segment(running: Running, recorder: Recorder) -> None:
    for number in range(2):
        with Raw(running.socket) as raw:
            for stream in range(250):
                fields = [[f"f{number}.{stream}.{field}".ljust(64, "x"), "<f4", 1, "u" * 64] for field in range(100)]
                raw.ask(Verb.DECLARE_STREAM, "arm", fields, fleet.WHAT, {})
    assert snapshot_bytes(running, recorder) < 1024 * 1024
