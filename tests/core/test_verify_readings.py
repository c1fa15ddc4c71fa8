"""Step 9 of inputs: signed by their observer, and what the entry says that has them."""

from __future__ import annotations

from typing import Any

import pytest

from recorder.core import ids, observation
from recorder.core.credential import Credential
from recorder.core.observation import Observation
from recorder.core.verify import readings
from tests.core.governed import found, report
from tests.credential_builder import (
    BEGIN_S,
    NS,
    from_root,
    signer,
)
from tests.gated_builder import GatedBuilder
from tests.vectors.broken_authority import observed_by


@pytest.mark.parametrize(("by", "errors"), [(None, []), ("mallory", ["observation_signature"])])
def test_an_input_is_signed_by_its_observer(by: str | None, errors: list[str]) -> None:
    """By the key of the credential that the observation names."""
    observer = from_root("lidar", role="inspector")
    lineage = GatedBuilder().ready()
    lineage.bring(credential=observer.signed.raw)
    cycle = lineage.gated(observed=observed_by(observer, by))
    assert found(lineage) == [(cycle.carrier, error) for error in errors]


def test_an_observation_names_its_observer() -> None:
    """Else anybody could have signed it."""
    said = Observation("force_n", 1.0, "N", None, BEGIN_S * NS, None, 1, None, None)
    lineage = GatedBuilder().ready()
    cycle = lineage.gated(observed=observation.make(said, signer("lidar")))
    assert found(lineage) == [(cycle.carrier, "observation_signature")]


FORCE = {"name": "force_n", "value": 1.0, "unit": "N"}


def lidar(lineage: GatedBuilder) -> Credential:
    """An observer that the lineage knows."""
    observer = from_root("lidar", role="inspector")
    lineage.bring(credential=observer.signed.raw)
    return observer


def test_an_input_in_an_entry_is_what_that_entry_says() -> None:
    """Signed or not; the signer stands."""
    lineage = GatedBuilder().ready()
    lineage.gated(seen=lineage.seen(observed_by(lidar(lineage))), signed=True)
    lineage.gated(seen=lineage.seen(body=FORCE))
    of = report(lineage)
    assert (of.problems, of.authority) == ([], "pass")


@pytest.mark.parametrize("body", [FORCE | {"name": "x"}, FORCE | {"value": True}, FORCE | {"unit": "kN"}, {}])
def test_an_unsigned_reading_that_says_something_else(body: dict[str, Any]) -> None:
    """Name, value or unit."""
    lineage = GatedBuilder().ready()
    cycle = lineage.gated(seen=lineage.seen(body=body))
    assert found(lineage) == [(cycle.carrier, "observation_entry")]


def test_what_nobody_signed_is_not_signed() -> None:
    """The entry has the reading, and no observer's signature."""
    lineage = GatedBuilder().ready()
    cycle = lineage.gated(seen=lineage.seen(body=FORCE), signed=True)
    assert (cycle.carrier, "observation_entry") in found(lineage)


def signed_force(observer: Credential, by: str = "lidar", **changed: Any) -> bytes:
    says = Observation("force_n", 1.0, "N", None, BEGIN_S * NS, None, 1, None, observer.hash)
    return observation.make(says._replace(**changed), signer(by))


@pytest.mark.parametrize("changed", [{"name": "other"}, {"value": 1.5}, {"unit": "kN"}, {"by": "mallory"}])
def test_a_signed_reading_that_is_another(changed: dict[str, Any]) -> None:
    """Name, value or unit; or somebody else signed it."""
    lineage = GatedBuilder().ready()
    seen = lineage.seen(signed_force(lidar(lineage), **changed))
    cycle = lineage.gated(seen=seen, signed=True)
    assert found(lineage) == [(cycle.carrier, "observation_signature")]


def test_the_credential_of_a_recorded_reading_stands() -> None:
    """Revoked before the decision."""
    lineage = GatedBuilder().ready()
    observer = lidar(lineage)
    seen = lineage.seen(signed_force(observer))
    lineage.gated(seen=seen, signed=True)
    lineage.revoke(observer)
    cycle = lineage.gated(seen=seen, signed=True)
    assert found(lineage) == [(cycle.carrier, "credential_revoked")]


@pytest.mark.parametrize("named", ["1-00000000", "999-00000000", "1", "1.0-00000000", 7])
def test_an_input_names_an_observation_below(named: Any) -> None:
    """An entry of another kind or hash, one that is not there yet, and no id."""
    lineage = GatedBuilder().ready()
    cycle = lineage.gated(lying=lambda why: why["inputs"][0].update(entry=named))
    assert found(lineage) == [(cycle.carrier, "observation_entry")]
    seen = lineage.seen(body=FORCE)
    other = f"{seen[:-1]}{'0' if seen[-1] != '0' else '1'}"
    cycle = lineage.gated(seen=other)
    assert found(lineage)[1:] == [(cycle.carrier, "observation_entry")]
    cycle = lineage.gated(seen=seen.replace("-", ".0-"))
    assert found(lineage)[2:] == [(cycle.carrier, "observation_entry")]


def test_a_reading_that_is_not_kept_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far below, withheld or deleted: open, and no error."""
    monkeypatch.setattr(readings, "READINGS_KEPT", 2)
    lineage = GatedBuilder().ready()
    seen = [lineage.seen(body=FORCE) for _ in range(3)]
    lineage.gated(seen=seen[0])
    lineage.gated(seen=seen[1])
    of = report(lineage)
    assert (of.problems, of.authority, of.notes["authority_unjudged"]) == ([], "indeterminate", 1)
    unknown = f"{ids.parse_id(seen[2]).seq + 1}-00000000"
    cycle = lineage.gated(seen=unknown)
    assert found(lineage) == [(cycle.carrier, "observation_entry")]
    monkeypatch.setattr(readings, "READINGS_KEPT_BYTES", 0)
    assert report(lineage).notes["authority_unjudged"] == 2


def test_a_reading_whose_claims_are_not_here_is_not_judged() -> None:
    """Withheld in transport."""
    lineage = GatedBuilder(transport=True, withhold=("unit",)).ready()
    lineage.gated(seen=lineage.seen(body=FORCE))
    of = report(lineage)
    assert ([one for one in of.problems if one.error == "observation_entry"], of.notes["authority_unjudged"]) == ([], 1)
