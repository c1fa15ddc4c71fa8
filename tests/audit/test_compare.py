"""Observations of two lineages: which are paired, what of them agrees, and who signed them."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.audit.compare import Tolerance, compare, parse_tolerances
from recorder.audit.opening import open_source
from recorder.audit.readings import UNSIGNED, Observers, Reading, Readings, Signer, read_observations
from recorder.core import observation, revocation
from recorder.core.errors import Misuse
from recorder.core.note import ED25519, VerifierKey
from recorder.core.observation import Observation
from recorder.core.revocation import Revoked
from tests.audit.lineages import to_bundle, write_state
from tests.audit.observed import BEGIN_NS, MS, Said, observer, reading, recorded
from tests.credential_builder import DAY_S, DEPOT, EVERYTHING, NS, ROOT, issued, recognised, signer, terms
from tests.lineage_builder import LineageBuilder
from tests.vectors.observations import made


def held(says: Observation, origin: str = "a") -> Reading:
    return Reading(origin, "1-00000000", says, UNSIGNED)


def outcome(a: Observation, b: Observation, *tolerances: str) -> str | None:
    """What two readings are to each other; None where they are no pair."""
    pairs = list(compare([held(a)], [held(b)], 100 * MS, parse_tolerances(tolerances)))
    return pairs[0].outcome if pairs else None


# --- Pairs


@given(st.lists(st.integers(0, 60), max_size=12), st.lists(st.integers(0, 60), max_size=12), st.integers(0, 9))
def test_none_that_has_a_counterpart_is_passed_over(a_ms: list[int], b_ms: list[int], within_ms: int) -> None:
    """Each reading stands in a pair with the nearest of the other side if that is near enough, whichever side is asked first."""
    a, b = ([held(reading(at, at)._replace(sequence=n)) for n, at in enumerate(times)] for times in (a_ms, b_ms))
    pairs = list(compare(a, b, within_ms * MS, {}))
    for side, others, paired in ((a_ms, b_ms, [p.a for p in pairs]), (b_ms, a_ms, [p.b for p in pairs])):
        for number, at in enumerate(side):
            nearest = min((abs(at - other) for other in others), default=99)
            assert any(one.says.sequence == number for one in paired) == (nearest <= within_ms)
    for pair in pairs:
        apart = abs(pair.a.says.value - pair.b.says.value)  # type: ignore[operator]
        assert apart <= within_ms
        assert pair.outcome == ("agreed" if apart == 0 else "contradicted")
    assert sorted((p.b, p.a) for p in pairs) == sorted((p.a, p.b) for p in compare(b, a, within_ms * MS, {}))


def test_the_time_between_two_of_a_pair() -> None:
    """The tolerance itself is near enough, a nanosecond more is not."""
    assert outcome(reading(1, 0), reading(1, 100)) == "agreed"
    assert outcome(reading(1, 0), reading(1, at_utc_ns=BEGIN_NS + 100 * MS + 1)) is None


def test_a_second_statement_of_the_same_instant_hides_nothing() -> None:
    """Whoever says two things at once is held to both."""
    pairs = list(compare([held(reading(1))], [held(reading(1)), held(reading(9))], 0, {}))
    assert [pair.outcome for pair in pairs] == ["agreed", "contradicted"]


@pytest.mark.parametrize("changed", [{"name": "lidar.mean_m"}, {"subject": "pallet 13"}, {"subject": None}])
def test_what_is_not_of_one_thing(changed: dict[str, Any]) -> None:
    """Another name or subject is no counterpart; and nothing is the same as what has no subject."""
    assert outcome(reading(1), reading(2, **changed)) is None
    assert outcome(reading(1, subject=None), reading(2, subject=None)) is None


@pytest.mark.parametrize(
    ("a", "b", "tolerances", "expected"),
    [
        (2.4, 2.4, [], "agreed"),
        (2, 2.0, [], "agreed"),
        (2.4, 2.5, [], "contradicted"),
        (2.4, 2.5, ["0.1"], "agreed"),
        (2.0, 2.25, ["0.25"], "agreed"),
        (2.0, 2.26, ["0.25"], "contradicted"),
        (-2.0, 2.0, ["1"], "contradicted"),
        (100, 102, ["2%"], "agreed"),
        (100, 103, ["2%"], "contradicted"),
        (2.0, 2.25, ["0.25", "lidar.nearest_m=0.1"], "contradicted"),
        (2.0, 2.25, ["0.1", "lidar.nearest_m=20%"], "agreed"),
        (2.0, 2.25, ["lidar.mean_m=1"], "contradicted"),
        (2**64 - 1, 2**64 - 2, [], "contradicted"),
        (2**64 - 1, float(2**64), [], "contradicted"),
        (1e308, -1e308, ["5"], "contradicted"),
        (True, True, [], "agreed"),
        (True, False, ["1"], "contradicted"),
        (True, 1, [], "incomparable"),
        ("open", "open", [], "agreed"),
        ("open", "shut", ["1"], "contradicted"),
        ("1", 1, [], "incomparable"),
        ([1, 2.0], [1.0, 2], [], "agreed"),
        ([1, 2.0], [1.1, 2], ["0.2"], "agreed"),
        ([1, 2.0], [1, 2.5], ["0.2"], "contradicted"),
        ([1], [1, 2], ["5"], "contradicted"),
        ([], [], [], "agreed"),
        ([1], 1, [], "incomparable"),
    ],
)
def test_values(a: Any, b: Any, tolerances: list[str], expected: str) -> None:
    """Numbers agree within the tolerance of their name, all else if it is the same; what is of two sorts is neither."""
    assert outcome(reading(a), reading(b), *tolerances) == expected
    assert outcome(reading(b), reading(a), *tolerances) == expected


@pytest.mark.parametrize("changed", [{"unit": "cm"}, {"unit": None}, {"frame": "map"}])
def test_units_and_frames(changed: dict[str, Any]) -> None:
    """Numbers of two units or frames say nothing of each other, even where they are the same."""
    assert outcome(reading(2.4), reading(2.4, **changed)) == "incomparable"


def test_tolerances() -> None:
    """An amount or a share, for all or for a name, which may have an equals sign in it."""
    assert parse_tolerances(["0.05", "a=b=2.5%", "x=1e-3"]) == {
        None: Tolerance(Decimal("0.05")), "a=b": Tolerance(share=Decimal("0.025")), "x": Tolerance(Decimal("0.001")),
    }  # fmt: skip
    for wrong in ("", "x", "-1", "=1", "x=", "1e9999", "nan", "5 %"):
        with pytest.raises(Misuse, match="is no tolerance"):
            parse_tolerances([wrong])
    with pytest.raises(Misuse, match="two tolerances for x"):
        parse_tolerances(["x=1", "x=2"])


# --- Signers

LIDAR = observer("lidar")
OBSERVERS = Observers(credentials={LIDAR.hash: LIDAR}, roots=[ROOT])


def judged(says: Observation, by: str = "lidar", at_ns: int = BEGIN_NS, observers: Observers = OBSERVERS) -> Signer:
    return observers.judge(observation.read(made(says, by)), at_ns)


def test_a_signer_with_a_credential() -> None:
    """Is called by its subject, where a root that is trusted vouches for it and it was valid; directly or by the matrix."""
    assert judged(reading(1, credential=LIDAR.hash))[:2] == ("verified", "lidar")
    camera = issued(DEPOT, terms("camera", DEPOT, role="platform"))
    known = Observers(credentials={camera.hash: camera}, matrix=recognised((DEPOT, EVERYTHING)), roots=[ROOT])
    assert judged(reading(1, credential=camera.hash), "camera", observers=known)[:2] == ("verified", "camera")


@pytest.mark.parametrize(("by", "standing"), [(ROOT.name, "unverified"), ("mallory", "verified")])
def test_a_signer_whose_credential_was_revoked(by: str, standing: str) -> None:
    """A list by a root counts, and the reason is said; anybody else's does not."""
    listed = revocation.read(revocation.make(1, [Revoked(LIDAR.hash, 0, "stolen")], signer(by)))
    known = Observers(credentials=OBSERVERS.credentials, roots=[ROOT], revocations=[listed])
    for _ in range(2):  # the second time the chain is remembered
        found = judged(reading(1, credential=LIDAR.hash), observers=known)
        assert found.standing == standing
        assert ("credential_revoked" in found.detail) == (standing == "unverified")


EXPIRED = BEGIN_NS + DAY_S * NS


@pytest.mark.parametrize(
    ("says", "by", "at_ns", "observers", "detail"),
    [
        (reading(1), "lidar", BEGIN_NS, OBSERVERS, "it names no credential"),
        (reading(1, credential=bytes(32)), "lidar", BEGIN_NS, OBSERVERS, "credential 0000000000000000 is not here"),
        (reading(1, credential=LIDAR.hash), "mallory", BEGIN_NS, OBSERVERS, "observation_signature"),
        (
            reading(1, credential=LIDAR.hash), "lidar", BEGIN_NS, Observers(credentials=OBSERVERS.credentials),
            "is invalid: issuer_unknown",
        ),
        (reading(1, -1, credential=LIDAR.hash), "lidar", BEGIN_NS - 1, OBSERVERS, "is invalid: credential_early"),
        (
            reading(1, credential=LIDAR.hash, at_utc_ns=EXPIRED), "lidar", EXPIRED, OBSERVERS,
            "is invalid: credential_expired",
        ),
        (reading(1, credential=LIDAR.hash), "lidar", EXPIRED, OBSERVERS, "is indeterminate: credential_expired"),
    ],
)  # fmt: skip
def test_a_signer_that_cannot_be_verified(
    says: Observation, by: str, at_ns: int, observers: Observers, detail: str
) -> None:
    """The reason is said, and no name is believed; a reading from before an expiry that was recorded after it is left open."""
    found = judged(says, by, at_ns, observers)
    assert (found.standing, found.name) == ("unverified", None)
    assert detail in found.detail


def test_a_signer_whose_key_is_pinned() -> None:
    """Is called by the name that whoever compares gave it; another key is not."""
    known = Observers([VerifierKey.derive("my-lidar", ED25519, signer("lidar").public_key)])
    assert judged(reading(1), observers=known)[:2] == ("verified", "my-lidar")
    assert judged(reading(1), "mallory", observers=known).standing == "unverified"


# --- Out of a lineage


def read(state: Path, lineage: LineageBuilder, *, bundled: bool = False) -> Readings:
    path = write_state(state, lineage)
    if bundled:
        path = state.with_suffix(".lineage")
        to_bundle(state, path)
    with closing(open_source(path)) as source:
        return read_observations(source, OBSERVERS)


SIGNED = (reading(2.4, credential=LIDAR.hash), "lidar")
SAID: list[Said] = [
    SIGNED,
    {"name": "gate.is_shut", "value": True, "subject": "gate 3"},
    {"name": "gate.is_shut", "value": None, "subject": "gate 3"},
    {"battery_v": 23.5},
    (reading(2.4, subject=None), "lidar"),
]


@pytest.mark.parametrize("bundled", [False, True])
def test_read_out_of_a_lineage(tmp_path: Path, bundled: bool) -> None:
    """Signed and unsigned ones are taken with their entries' ids; what says nothing that can be compared is counted by reason."""
    lineage = recorded(*SAID)
    found = read(tmp_path / "state", lineage, bundled=bundled)
    assert found.origin == lineage.origin
    assert found.left_out == {"no_reading": 2, "no_subject": 1}
    signed, unsigned = found.listed
    assert signed[:3] == (lineage.origin, f"3-{lineage.hash_of(3).hex()[:8]}", SIGNED[0])
    assert signed.signer.standing == "verified"
    assert (unsigned.says.name, unsigned.says.value, unsigned.signer) == ("gate.is_shut", True, UNSIGNED)
    assert unsigned.says.at_utc_ns == BEGIN_NS + 5 * MS, "the time of the entry"


@pytest.mark.parametrize("key", ["observation", "*"])
def test_what_is_withheld_or_malformed(tmp_path: Path, key: str) -> None:
    """A claim of which only the hash is here is counted as withheld, bytes that are no observation as unreadable."""
    wrapped = {"*": {"observation": made(reading(1))}}
    lineage = recorded(SIGNED, {"observation": b"x"}, wrapped, transport=True, withhold=(key,))
    left_out = read(tmp_path / "state", lineage).left_out
    assert left_out == ({"withheld": 2} if key == "observation" else {"unreadable": 1, "withheld": 1})
