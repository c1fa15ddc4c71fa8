"""Commands that read, called in this process, and a lineage for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recorder.cli import run
from recorder.core.ids import entry_id
from tests.audit.lineages import small, to_bundle, write_state

LINEAGE = small(40)
SIZE = LINEAGE.seq
ROOT = Path(__file__).resolve().parent.parent.parent


def printed(seq: int, *more: int) -> str:
    return str(entry_id(LINEAGE.hash_of(seq), seq, *more))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_state(tmp_path_factory.mktemp("state") / "s", LINEAGE)


@pytest.fixture(scope="module")
def bundle(state: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "b.lineage"
    to_bundle(state, path)
    return path


class Said:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def lines(self) -> list[str]:
        return self.out.split("\n")[:-1]

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def lineage(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command; a check of a state runs in a process of its own, hence the file descriptors."""
    monkeypatch.delenv("LINEAGE_STATE", raising=False)
    monkeypatch.chdir(ROOT)

    def call(*arguments: object) -> Said:
        status = run([str(one) for one in arguments])
        return Said(status, *capfd.readouterr())

    return call
