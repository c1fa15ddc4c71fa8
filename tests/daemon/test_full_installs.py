"""On a full disk."""

from __future__ import annotations

from typing import cast

import pytest

from recorder.core.kinds import Kind
from recorder.core.message_requests import AppendRequest
from recorder.core.messages import Verb
from recorder.store.level import Level
from recorder.writer.context import Context
from recorder.writer.full import finds_room


@pytest.mark.parametrize(
    ("kind", "level", "found"),
    [
        (Kind.CREDENTIAL, Level.FULL, True),
        (Kind.POLICY, Level.LOW, True),
        (Kind.OBSERVATION, Level.FULL, False),
        (Kind.CREDENTIAL, Level.LAST, False),
    ],
)
def test_what_takes_a_thief_his_power_finds_room(kind: Kind, level: Level, *, found: bool) -> None:
    """Else whoever stole a key would fill the disk, and it could not be revoked."""
    asked = AppendRequest(Verb.APPEND, 1, kind, {"revocation": b"x"}, [bytes(32)], None)
    assert finds_room(cast("Context", None), level, asked) is found
