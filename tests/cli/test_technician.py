"""A technician under the packaged service: the state is 0700 and another user's, the socket is the group's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from recorder.audit.carried import BundleSource
from tests.cli.states import OTHER_UID, Running, as_another, as_root, lineage, made, one_line, parsed, ran
from tests.running import let_others_reach

pytestmark = as_root


class Service:
    """A running recorder as the units start it, and a directory of the technician's own."""

    def __init__(self, root: Path, *more: str) -> None:
        let_others_reach(root / "state")
        self.state = ran(made(root / "state", *more))
        self.state.chmod(0o700)
        self.socket = root / "run" / "recorder.sock"
        self.socket.parent.mkdir(mode=0o755)
        self.home = root / "home"
        self.home.mkdir()
        self.home.chmod(0o777)
        self.running = Running(self.state, "--socket", str(self.socket))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """One that lets the other user read and extract."""
    made_one = Service(tmp_path, "--technician", str(OTHER_UID))
    with made_one.running:
        yield made_one


@pytest.mark.parametrize("names_the_state", [False, True])
def test_the_socket_is_enough(service: Service, *, names_the_state: bool) -> None:
    """All that reads works, and the bundle verifies and stands in the lineage; a state that is closed is no hindrance."""
    where: list[str | Path] = ["--socket", service.socket]
    if names_the_state:
        where += ["--state", service.state]

    def asked(*arguments: str | Path) -> str:
        done = as_another(*arguments, *where, groups=(0,))
        assert done.returncode == 0, done.stderr
        return done.stdout

    bundle, part = service.home / "a.lineage", service.home / "part.lineage"
    assert "the recorder logged this extraction as entry" in asked("extract", "--to", bundle)
    assert "that they need, each with its proof" in asked("extract", "--to", part, "--since", "5")
    assert "extraction" in asked("log", "--no-follow")
    assert "proof: included" in asked("show", "0")
    assert "actuation" in asked("walk", "--axis", "actuator", "--of", "arm")
    assert asked("status").startswith("running")
    for path in (bundle, part):
        assert lineage("verify", path).returncode in (0, 3)
    with closing(BundleSource(bundle)) as source:
        assert source.size > 5


def test_verify_and_export_over_the_socket(service: Service) -> None:
    """By root, whose interpreter can be started anew; the state is not looked into."""
    assert parsed(lineage("verify", "--socket", service.socket, "--json"))["integrity"] == "pass"
    done = lineage("export", "--socket", service.socket, "--to", service.home / "a.mcap")
    assert done.returncode == 0, done.stderr


def test_without_the_socket_the_error_names_it(service: Service) -> None:
    """One line that says what would do."""
    said = one_line(as_another("log", "--no-follow", "--state", service.state, groups=(0,)))
    assert f"no permission to look into {service.state}" in said
    assert "--socket PATH" in said


def test_who_is_no_technician_reads_nothing(tmp_path: Path) -> None:
    """The group alone opens the socket, not the lineage."""
    service = Service(tmp_path)
    with service.running:
        to = service.home / "a.lineage"
        said = one_line(as_another("extract", "--socket", service.socket, "--to", to, groups=(0,)))
        assert f"uid {OTHER_UID} may not read" in said
        assert list(service.home.iterdir()) == []
