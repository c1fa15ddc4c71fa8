"""`lineage mesh ask` between real platforms: what an authority with nothing but a list is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.mesh.fleet import ROOT_KEY
from tests.node.meshes import PORT, Platform, ask, fleet, needs_namespaces
from tests.running import wait_until

pytestmark = needs_namespaces
ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = ["acme/arm-0", "acme/arm-1", "acme/arm-2"]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Platform]]:
    """Platforms of which no list says where they answer; the first one's head is cosigned by both others."""
    with fleet(tmp_path_factory.mktemp("three"), 3, needed=2, has_urls=False) as platforms:
        wait_until(lambda: _has_cosigned(platforms[0], 2))
        (platforms[0].state.parent / "roots").write_text(f"root {ROOT_KEY}\nquorum none\n")
        yield platforms


def _has_cosigned(platform: Platform, count: int) -> bool:
    platform.mark()
    latest = platform.round()["latest"]
    return latest is not None and latest["cosigned"] == count


def by_list(platforms: list[Platform]) -> tuple[str | Path, ...]:
    first = platforms[0]
    return "--fleet", first.mesh / "fleet", "--trust", first.state.parent / "roots"


def urls(platforms: list[Platform]) -> tuple[str, ...]:
    return tuple(item for one in platforms for item in ("--peer", f"http://{one.address}:{PORT}/"))


def asked(near: Platform, *arguments: str | Path, status: int | None = 0) -> str:
    """What the command says inside a platform's network; None takes any status."""
    done = subprocess.run(
        ["ip", "netns", "exec", near.network, sys.executable, "-m", "recorder.cli", "mesh", "ask", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=300, cwd=ROOT, env={**os.environ, "LINEAGE_MESH": ""},
    )  # fmt: skip
    assert status in (done.returncode, None), (done.stdout, done.stderr)
    return done.stdout


def parsed(near: Platform, *arguments: str | Path, status: int = 0) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(asked(near, *arguments, "--json", status=status))
    return told


def discovered(near: Platform, names: list[str], *arguments: str | Path) -> dict[str, Any]:
    """What the command says that found just these; it looks around for a few seconds, and datagrams are lost."""
    told: dict[str, Any] = {}

    def are_found() -> bool:
        said = asked(near, *arguments, "--discover", "--json", status=None)
        told.update(json.loads(said or '{"peers": []}'))
        return sorted(name for one in told["peers"] for name in one["names"][:1]) == names

    wait_until(are_found)
    return told


def test_all_agree_on_what_a_platform_recorded(three: list[Platform]) -> None:
    """With a list and a root, with a trust file, and with the state of a mesh; the entries are those of the lineage."""
    first = three[0]
    size = first.status()["latest"]["size"]
    by_trust: tuple[str | Path, ...] = ("--trust", first.state.parent / "fleet.trust", *urls(three))
    log: dict[str, Any] = {}
    by_state: tuple[str | Path, ...] = ("--state", first.mesh, *urls(three))
    about = ("acme/arm-0", "--range", f"0-{size}")
    for told in (
        discovered(three[1], NAMES, *about, *by_list(three)),
        parsed(three[1], *about, *by_trust),
        parsed(three[1], *about, *by_state),
    ):
        (log,) = told["logs"]
        (head,) = log["heads"]
        assert (head["size"], head["standing"], len(head["peers"])) == (size, "largest", 3)
        assert sorted(one["witness"] for one in head["cosigned"]) == ["arm-1", "arm-2"]
        assert [one["seq"] for one in log["entries"]] == list(range(size))
        assert all(len(one["held"]) == 1 and one["held"][0]["peers"] for one in log["entries"])
        assert {(tuple(one["witnesses"]), one["operators"]) for one in log["entries"]} == {(("arm-1", "arm-2"), 1)}
        assert [(one["outcome"], one["version"]) for one in told["peers"]] == [("answered", "1")] * 3
    said = asked(three[1], log["origin"], "--range", "0-2", *by_list(three), *urls(three))
    assert f"{log['origin']}: all agree" in said
    assert f"head of {size} entries, root" in said
    assert "cosigned by arm-1 of all on 20" in said
    assert f"entry 0-{log['entries'][0]['held'][0]['hash'][:8]}: held by http://" in said


MONITORED = """
import urllib.request
by_origin, by_hash = (urllib.request.urlopen({url!r} + path, timeout=120).read() for path in {paths!r})
print(by_origin == by_hash, by_hash.count(b"\\n"))
"""


def test_a_monitor_is_given_the_latest_head(three: list[Platform]) -> None:
    """By the hash of its origin, as tlog-witness has it: signed by the log, and cosigned by this witness alone."""
    origin = three[0].status()["latest"]["origin"]
    paths = [f"log/{origin}/checkpoint", f"{sha256(origin.encode()).hexdigest()}/checkpoint"]
    url = f"http://{three[1].address}:{PORT}/"
    assert ask(three[2], MONITORED.format(url=url, paths=paths)) == "True 6\n"


def test_what_cannot_be_asked(three: list[Platform], tmp_path: Path) -> None:
    """Status 2 for what is asked wrongly; 3 where a peer is away, or nobody has what is asked for."""
    whom: tuple[str | Path, ...] = (*by_list(three), *urls(three))
    (tmp_path / "empty").write_text("quorum none\n")
    wrongs: list[tuple[str | Path, ...]] = [
        ("acme/arm-9", *whom),
        ("acme/arm-0", *whom, "--range", "5-5"),
        ("acme/arm-0", "--fleet", three[0].mesh / "fleet"),
        ("acme/arm-0",),
        ("acme/arm-0", *by_list(three)),
        ("acme/arm-0", "--trust", tmp_path / "empty", *urls(three)),
        ("acme/arm-0", "--trust", three[0].state.parent / "fleet.trust", "--discover"),
    ]
    for wrong in wrongs:
        assert asked(three[0], *wrong, status=2) == ""
    told = parsed(three[0], "acme/arm-0", *whom, "--peer", "http://10.77.0.200:7171/", "--within", "20", status=3)
    assert (told["verdict"], told["peers"][3]["outcome"]) == ("partial", "unreachable")
    told = parsed(three[0], "acme/arm-1/0123456789abcdef", *whom, status=3)
    assert (told["verdict"], len(told["logs"][0]["silent"])) == ("nobody", 3)
    assert "nobody who answered holds" in asked(three[0], "acme/arm-1/0123456789abcdef", *whom, status=3)


def test_a_platform_that_is_lost(three: list[Platform]) -> None:
    """Its peers answer for it; that it is silent itself is no gap in the answer, that another peer is, is one."""
    first, second, third = three
    size = first.status()["latest"]["size"]
    discovered(second, NAMES, "acme/arm-0", *by_list(three))
    first.stop_recorder(kill=True)
    assert first.process is not None
    first.process.kill()
    told = discovered(second, NAMES[1:], "acme/arm-0", *by_list(three))
    assert told["verdict"] == "agreement"
    (log,) = told["logs"]
    assert ([one["size"] for one in log["heads"]], sorted(log["heads"][0]["peers"])) == ([size], NAMES[1:])
    assert len(log["heads"][0]["cosigned"]) == 2
    assert third.stop_mesh() == 0
    gone = parsed(second, "acme/arm-0", *by_list(three), *urls([second, third]), "--within", "60", status=3)
    assert [one["outcome"] for one in gone["peers"]] == ["answered", "unreachable"]
    assert gone["verdict"] == "partial"
