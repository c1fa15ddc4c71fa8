"""The vectors of the mesh are read, verified and refused as they say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mesh.digest import read, verify
from mesh.fleetlist import open_fleet_list
from mesh.succession import check_succession, parse_succession
from recorder.core.checkpoint import open_checkpoint, parse_checkpoint
from recorder.core.errors import FormatError
from recorder.core.forks import parse_fork, verify_fork
from recorder.core.note import ED25519, VerifierKey, parse_note
from recorder.core.trust import parse_trust
from tests.mesh.fleet import FLEET
from tests.vectors.make_vectors import on_disk

HELD: dict[str, Any] = {path: json.loads(text) for path, text in on_disk().items() if path.startswith("mesh/")}


@pytest.mark.parametrize("name", ["digest", "digest_empty"])
def test_digests(name: str) -> None:
    """A datagram says what stands beside it, under the key that stands beside it."""
    vector = HELD[f"mesh/{name}.json"]
    received = read(bytes.fromhex(vector["datagram"]))
    assert verify(received, FLEET).public_key.hex() == vector["mesh_key"]
    says = received.says
    assert [says.origin, says.run, says.number, says.first] == [
        vector["says"][key] for key in ("origin", "run", "number", "first")
    ]
    assert [value.hex() for value in says.entry_hashes] == vector["says"]["hashes"]
    assert [[one.incarnation.hex(), one.size] for one in says.held] == vector["says"]["held"]


@pytest.mark.parametrize("name", ["fork_one_size", "fork_two_sizes"])
def test_forks(name: str) -> None:
    """A proof convicts with nothing but itself and a trust file."""
    vector = HELD[f"mesh/{name}.json"]
    fork = verify_fork(parse_fork(vector["proof"].encode()), parse_trust(vector["trust"].encode()))
    assert fork.describe() == vector["describe"]


def test_the_fleet_list() -> None:
    """The list opens under its root."""
    vector = HELD["mesh/fleet_list.json"]
    fleet = open_fleet_list(vector["note"].encode(), [VerifierKey.parse(vector["root"])])
    assert (fleet.fleet, fleet.version) == (vector["fleet"], vector["version"])


def test_the_succession() -> None:
    """The new incarnation stands by the head that is held."""
    vector = HELD["mesh/succession.json"]
    shown = parse_succession(bytes.fromhex(vector["body"]))
    origin = parse_checkpoint(parse_note(shown.note).text).origin
    log = VerifierKey.derive(origin, ED25519, bytes.fromhex(vector["identity_key"]))
    held = parse_checkpoint(parse_note(vector["held"].encode()).text)
    check_succession(shown, open_checkpoint(shown.note, log).checkpoint, log, held)


def test_what_is_refused() -> None:
    """Each under the error that stands beside it."""
    vector = HELD["mesh/broken.json"]
    for case in vector["datagrams"]:
        with pytest.raises(FormatError) as refused:
            verify(read(bytes.fromhex(case["bytes"])), FLEET)
        assert refused.value.error == case["error"]
    for case in vector["forks"]:
        with pytest.raises(FormatError) as refused:
            verify_fork(parse_fork(case["text"].encode()), parse_trust(vector["trust"].encode()))
        assert refused.value.error == case["error"]
