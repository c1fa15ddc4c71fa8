"""Short lives of a recorder under a signed policy: installed, newer, revoked, with budgets, grants and stages."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

from recorder.client.cycle import Cycle
from recorder.client.recorder import Recorder
from recorder.core import grant, matrix, revocation
from recorder.core.credential import Credential
from recorder.core.kinds import Kind, Stage
from recorder.core.scope import Counts, Scope
from recorder.daemon import boot, identity
from tests import credential_builder as builder
from tests import fleet
from tests.faults.work import BIG_BYTES
from tests.policies import clause

HOUR_S = 3600
MINUTE_NS = 60_000_000_000
FORCE: list[dict[str, Any]] = [{"name": "force_n", "value": 10.0, "unit": "N"}]
CLASSES = fleet.CLASSES.replace(
    "[class.motion]\n", '[class.motion]\nmax_valid_ms = 7_200_000\nverbs = ["commit", "record"]\n'
)
BUDGET = Counts(40, 3 * HOUR_S)
ANOTHER_OS_BOOT = bytes(range(16))
# Python for the recorder: the machine was started again.
BOOTED = f"from recorder.daemon import boot; boot.os_boot_id = lambda: {ANOTHER_OS_BOOT!r}"


class Authority(NamedTuple):
    """What is installed in the course of the lives."""

    operator: Credential
    bounded: Credential  # a delegation with a budget
    free: Credential  # one without
    lost: Credential  # one that is revoked
    planner: Credential  # an evaluator, by an intermediate that only the matrix recognises


def authority(state: Path) -> Authority:
    """The credentials of these lives, long enough for the long form."""
    now = int(time.time())
    times: dict[str, Any] = {"not_before_s": now - HOUR_S, "expires_s": now + 720 * HOUR_S, "issued_s": now}
    operator = builder.from_root("ann", scope=builder.rescoped(fleet.SCOPE, delegations=4), **times)
    mine: dict[str, Any] = {"key": identity.load(state).public_key, **times}

    def delegated(serial: int, scope: Scope) -> Credential:
        return builder.delegated(operator, "arm-7", scope=scope, serial=bytes([serial]) * 16, **mine)

    bounded = delegated(1, builder.rescoped(fleet.SCOPE, counts=BUDGET))
    terms = builder.terms("planner", builder.DEPOT, "evaluator", **times)
    free, lost = delegated(2, fleet.SCOPE), delegated(3, fleet.SCOPE)
    return Authority(operator, bounded, free, lost, builder.issued(builder.DEPOT, terms))


def recognising() -> bytes:
    """The matrix."""
    evaluators = builder.rescoped(builder.EVERYTHING, roles=frozenset({"evaluator"}))
    depot = matrix.Issuer(builder.signer(builder.DEPOT).public_key, builder.DEPOT, evaluators)
    return matrix.issue(1, builder.BEGIN_S, [depot], builder.signer(fleet.ROOT.name))


def policy(version: int) -> bytes:
    """A policy; each later one is stricter."""
    strict = clause(f"input.force_n > {100.0 / version}", identifier=f"force{version}")
    return fleet.bundle(strict, version=version, classes=CLASSES)


def revoking(lost: Credential) -> bytes:
    """The list that names it."""
    return revocation.make(1, [revocation.Revoked(lost.hash, 0, "tablet lost")], builder.signer(fleet.ROOT.name))


def install(recorder: Recorder, held: Authority) -> None:
    """Bring the matrix, the credentials and the first policy."""
    fleet.install(recorder, matrix=recognising())
    for one in held:
        fleet.install(recorder, credential=one.signed.raw)
    fleet.install(recorder, kind=Kind.POLICY, bundle=policy(1))


def first_life(socket: Path, held: Authority, *, fill: bool = True) -> None:
    """Everything that an authority does to a recorder, and rolls between; the caller kills it."""
    with _connected(socket) as recorder:
        install(recorder, held)
        _put_to_use(recorder, held, boot.os_boot_id())
        recorder.seal()
        cycle = opened(recorder, held.bounded)
        cycle.commit("arm", what=fleet.WHAT)
        if fill:
            _fill(recorder, opened(recorder, held.free))
        fleet.install(recorder, kind=Kind.POLICY, bundle=policy(2))
        doomed = opened(recorder, held.lost)
        doomed.commit("arm", what=fleet.WHAT)
        fleet.install(recorder, revocation=revoking(held.lost))
        cycle.commit("arm", what=fleet.WHAT)


def later_life(socket: Path, held: Authority, os_boot: bytes) -> None:
    """What follows a restart, or a start of the machine."""
    with _connected(socket) as recorder:
        _put_to_use(recorder, held, os_boot)
        recorder.checkpoint()
        opened(recorder, held.bounded).commit("arm", what=fleet.WHAT)


def brief_life(socket: Path, held: Authority) -> None:
    """A little of all: for recorders that are broken on purpose."""
    with _connected(socket) as recorder:
        install(recorder, held)
        granted(recorder, held, boot.os_boot_id())
        fleet.install(recorder, revocation=revoking(held.lost))
        cycle = opened(recorder, held.bounded)
        for _ in range(10):  # so that most states have all of the above
            cycle.commit("arm", what=fleet.WHAT)


def opened(recorder: Recorder, under: Credential, **changed: Any) -> Cycle:
    """A gated cycle of the contemplated act."""
    asked: dict[str, Any] = {
        "what": fleet.WHAT, "where": {}, "inputs": FORCE, "delegation": under.hash, "actuators": ["arm"],
        "action_classes": ["motion"], "max_commits": 100, "valid_ms": 2 * HOUR_S * 1000,
    }  # fmt: skip
    return recorder.open_cycle(**(asked | changed))


def granting(origin: str, held: Authority, os_boot: bytes) -> bytes:
    """What an evaluator admits, for a month."""
    now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    says = grant.Grant(
        origin, os_boot, now_ns.to_bytes(16, "big"), held.planner.hash, "motion", ("arm",), 5,
        now_ns + 720 * 60 * MINUTE_NS, held.bounded.hash, grant.contemplated_hash(fleet.WHAT, {}),
        grant.inputs_hash(FORCE), "admitted",
    )  # fmt: skip
    return grant.make(says, builder.signer("planner"))


def granted(recorder: Recorder, held: Authority, os_boot: bytes) -> Cycle:
    """A cycle that an evaluator admits, which ends long before the grant could be used again."""
    raw = granting(recorder.hello.origin, held, os_boot)
    return opened(recorder, held.bounded, grant=raw, max_commits=5, valid_ms=1)


def _put_to_use(recorder: Recorder, held: Authority, os_boot: bytes) -> None:
    """A grant, commits one by one, in groups and as rows, and stages, of which one is aborted."""
    granted(recorder, held, os_boot)
    cycle = opened(recorder, held.bounded)
    for _ in range(2):
        cycle.commit("arm", what=fleet.WHAT)
    for one in [cycle.submit("arm", what=fleet.WHAT) for _ in range(4)]:
        one.result(240)
    cycle.stream("arm", fields=[("q", "<f4", 1, "rad")], what=fleet.WHAT).record([1.0])
    recorder.flush(240)
    tentative = opened(recorder, held.bounded, stage=Stage.TENTATIVE)
    witnessed = opened(recorder, held.bounded, stage=Stage.WITNESSED, predecessor=tentative)
    opened(recorder, held.bounded, stage=Stage.EXECUTED, predecessor=witnessed).commit("arm", what=fleet.WHAT)
    opened(recorder, held.bounded, stage=Stage.TENTATIVE).abort(what=fleet.WHAT, reason="person in the cell")
    recorder.flush(240)


def _fill(recorder: Recorder, cycle: Cycle) -> None:
    """Roll by filling a segment."""
    segments = recorder.status()["segments"]
    while recorder.status()["segments"] == segments:
        big = {**fleet.WHAT, "note": "x" * BIG_BYTES}
        for one in [cycle.submit("arm", what=big) for _ in range(8)]:
            one.result(240)


def _connected(socket: Path) -> Recorder:
    return Recorder(socket, timeout_ms=60_000, who={"operator": "ann"})
