"""Signed observations through a running recorder: recorded as signed, referred to, and refused where `verify` would object."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from recorder.client import NotRecorded, Recorder
from recorder.core import cbor, observation
from recorder.core.claims import disclosed
from recorder.core.entry import decode
from recorder.core.errors import FormatError
from recorder.core.kinds import Kind, RefType
from recorder.core.messages import Status, Verb
from tests.claims import WHO, WHY
from tests.credential_builder import signer
from tests.daemon.raw import Raw
from tests.running import Running, make_state, records_of, verified
from tests.vectors.observations import BARE, OBSERVER, made

SIGNED = made()
DIGEST = sha256(SIGNED).digest()
UNREADABLE = SIGNED[:-1]


def test_an_observation_is_recorded_as_it_was_signed(running: Running) -> None:
    """The receipt's id and hash name the entry; its claim is the very bytes, and a later why and reference lead to it."""
    with Recorder(running.socket, timeout_ms=60_000) as rec:
        seen = rec.observe(SIGNED)
        again = rec.observe(made(BARE._replace(sequence=18)))
        inputs = [{"name": "lidar.nearest_m", "value": 2.4, "observation": seen.entry_id}]
        rec.open_cycle(who=WHO, why={**WHY, "inputs": inputs}, actuators=["arm"], action_classes=["motion"])
        refs = {int(RefType.USES): [[None, again.seq, again.entry_hash]]}
        mark = rec.append(Kind.MARK, body={"text": "x"}, refs=refs)
    assert running.stop() == 0
    records = records_of(running.state)
    assert seen.seq is not None
    entry = decode(records[seen.seq][0])
    assert seen.entry_id == f"{seen.seq}-{entry.hash.hex()[:8]}"
    assert (entry.header.kind, entry.header.control.digest) == (Kind.OBSERVATION, DIGEST)
    claims = disclosed("body", cbor.decode(records[seen.seq][1] or b"")[11])
    observation.verify(observation.read(claims["observation"]), signer(OBSERVER).public_key)
    assert claims == {"observation": SIGNED}
    assert mark.seq is not None
    ((named,),) = (decode(records[mark.seq][0]).header.refs or {}).values()
    assert (named.seq, named.hash) == (again.seq, again.entry_hash)
    assert verified(running.state).integrity == "pass"


def test_what_is_no_observation_is_not_sent(running: Running) -> None:
    """The client says so, and the recorder has not heard of it."""
    with Recorder(running.socket, timeout_ms=60_000) as rec:
        before = rec.status()["entries"]
        with pytest.raises(FormatError, match="observation_malformed"):
            rec.observe(UNREADABLE)
        assert rec.status()["entries"] == before


@pytest.mark.parametrize(
    ("body", "control", "error"),
    [
        ({"observation": SIGNED}, [bytes(32)], "observation_digest"),
        ({"observation": SIGNED}, None, "observation_digest"),
        ({"*": {"observation": SIGNED}}, [bytes(32)], "observation_digest"),
        ({"observation": "text"}, [DIGEST], "observation_digest"),
        ({"observation": UNREADABLE}, [sha256(UNREADABLE).digest()], "observation_malformed"),
        ({"*": {"observation": UNREADABLE}}, [sha256(UNREADABLE).digest()], "observation_malformed"),
        ({"observation": SIGNED}, [DIGEST], None),
        ({"*": {"observation": SIGNED}}, [DIGEST], None),
        ({"battery_v": 23.5}, None, None),
        ({"*": "text"}, None, None),
        ({}, None, None),
    ],
)
def test_what_would_not_verify_is_refused(running: Running, body: Any, control: Any, error: str | None) -> None:
    """A claim that control does not name, or that nobody could read, is answered with its error; the lineage stays sound."""
    with Raw(running.socket) as raw:
        status, answer = raw.ask(Verb.APPEND, int(Kind.OBSERVATION), body, control, None)
        assert (status, answer[0]) == (Status.ERROR, error) if error else status == Status.OK
    assert running.stop() == 0
    assert verified(running.state).integrity == "pass"
    assert [decode(raw).header.kind for raw, _ in records_of(running.state)].count(Kind.OBSERVATION) == (error is None)


def test_who_may_not_observe(tmp_path: Path) -> None:
    """Without the permission an observation is not recorded, whoever signed it."""
    state = make_state(tmp_path / "s")
    config = state / "recorder.toml"
    config.write_text(config.read_text().replace('"observation", ', ""))
    with Running(state) as running, Recorder(running.socket, timeout_ms=60_000) as rec:
        with pytest.raises(NotRecorded, match="may not append entries of kind 7"):
            rec.observe(SIGNED)
        assert running.stop() == 0
