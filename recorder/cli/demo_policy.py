"""The platform of demos that are decided under a policy: its authority, and what is put in force in its recorder."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from recorder.audit.check import check_source
from recorder.audit.state import open_state
from recorder.authority import directory
from recorder.authority.directory import Authority
from recorder.cli.saying import Said, say_to
from recorder.core import policy, request
from recorder.core.credential import Credential
from recorder.core.errors import LineageError
from recorder.core.kinds import Kind
from recorder.core.policy import Policy, PolicyBundle
from recorder.core.policy_source import parse
from recorder.core.scope import ANY, Counts, Scope
from recorder.core.trust import parse_trust
from recorder.core.verdict import Report
from recorder.daemon import identity
from recorder.daemon.founding import Answers, found

FLEET, PLATFORM = "demo", "cell-1"
AUTHORITY, TRUST = "authority", "fleet.trust"
SEGMENT_MIB = 16
DAY_S = 86_400
PATIENT_MS = 10_000  # a machine that is busy elsewhere is no part of the story


class SourceError(LineageError):
    """The story cannot be told here; the message says what is missing."""


def read_source(name: str) -> Policy:
    """The policy of a source file, named from the root of the repository.

    Raises:
        SourceError: it is not there.

    """
    import hwsim  # noqa: PLC0415 -- an extra, found to be there by the demo

    path = Path(hwsim.__file__).parent.parent / name
    try:
        return parse(path.read_text("utf-8")).policy
    except FileNotFoundError:
        raise SourceError(f"{path} is missing: the story is told from the sources, with their policy") from None


class Wanted(NamedTuple):
    """What a platform is to be permitted."""

    action_class: str
    actuators: Sequence[str]
    limits: Mapping[str, tuple[float, float]]


class InForce(NamedTuple):
    """What a recorder took."""

    bundle: PolicyBundle
    entry: Said  # of the policy
    delegation: Credential


def found_governed(state: Path, actuators: Sequence[str]) -> Authority:
    """Make an authority, the state of a recorder that trusts it, and the trust file of who verifies.

    Raises:
        LineageError, OSError: a directory cannot be made.

    """
    state.mkdir(parents=True, exist_ok=True)
    authority = directory.make(state / AUTHORITY, FLEET, int(time.time()))
    trusted = f"root {authority.matrix.root}\nquorum none\n"
    answers = Answers(FLEET, PLATFORM, "hold", [os.getuid()], list(actuators), SEGMENT_MIB, trust=trusted.encode())
    key = found(state, answers)
    (state / TRUST).write_text(f"log {key}\n{trusted}")
    return authority


def put_in_force(socket: Path, state: Path, authority: Authority, source: Policy, wanted: Wanted) -> InForce:
    """Give a recorder the matrix, a delegation to its platform and a policy, both for a day."""
    now_s = int(time.time())
    bring(socket, "matrix", authority.matrix.raw, authority.matrix.hash)
    delegation = _delegated(state, authority, wanted, now_s)
    bring(socket, "credential", delegation.signed.raw, delegation.hash)
    signed = policy.sign(replace(source, nbf=now_s - DAY_S, exp=now_s + DAY_S), authority.root_signer())
    bundle = policy.read(signed)
    entry = say_to(socket, Kind.POLICY, body={"bundle": signed}, control=[bundle.hash])
    return InForce(bundle, entry, delegation)


def bring(socket: Path, claim: str, raw: bytes, digest: bytes) -> Said:
    """Give a recorder what an authority signed."""
    return say_to(socket, Kind.CREDENTIAL, body={claim: raw}, control=[digest])


def verified(state: Path) -> Report:
    """What `lineage verify` finds with the trust file."""
    with closing(open_state(state)) as source:
        return check_source(source, trust=parse_trust((state / TRUST).read_bytes()))


def _delegated(state: Path, authority: Authority, wanted: Wanted, now_s: int) -> Credential:
    asked = request.read(request.make(f"{FLEET}/{PLATFORM}", "platform", identity.load(state)))
    scope = Scope(
        frozenset({wanted.action_class}), frozenset(wanted.actuators), dict(wanted.limits), ANY, ANY, Counts(500, 900)
    )
    return directory.issue(authority, asked, scope, 1, now_s)
