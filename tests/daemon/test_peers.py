"""What the configuration lets a peer do."""

from __future__ import annotations

from recorder.config import Controller
from recorder.daemon.peers import permissions_of

OWN = 990


def test_only_whom_a_table_names_speaks_as_the_mesh() -> None:
    """`mesh = true` of a table that matches; neither root nor the recorder's own user has it by itself."""
    tables = [Controller(uids=[7], mesh=True), Controller(gids=[20], read=True)]
    assert permissions_of(tables, 7, frozenset({20}), OWN).mesh
    assert not permissions_of(tables, 8, frozenset({20}), OWN).mesh
    assert not permissions_of(tables, 0, frozenset(), OWN).mesh
    assert not permissions_of(tables, OWN, frozenset(), OWN).mesh
