"""What the scenarios share: platforms on a switch that does harm, and what every honest one has to hold afterwards."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mesh.node.fleetfile import fleet_held
from mesh.node.forkfiles import forks_in
from mesh.node.places import FORKS, STANDINGS
from mesh.node.standings import StandingFiles
from mesh.standing import Standing
from recorder.client import Recorder
from recorder.core.entry import entry_hash
from recorder.core.merkle import root_of
from recorder.core.verdict import Report
from tests.node.meshes import Platform, checked, rounds, start, write_list
from tests.node.networks import SwitchProcess, address_of, switched

TIMEOUT_S = 2.0  # for one witness and checkpoint: the scenarios wait for nobody longer


class Told(NamedTuple):
    """A row of the table."""

    done: str
    held: str


class World:
    """Platforms at the ports 0 and up of a switch; the port behind them is an outsider's."""

    def __init__(self, directory: Path, switch: SwitchProcess, platforms: list[Platform]) -> None:
        self.directory = directory
        self.switch = switch
        self.platforms = platforms
        self.outside = switch.names[-1]
        self.halves = (platforms[: len(platforms) // 2], platforms[len(platforms) // 2 :])

    def part(self) -> None:
        """Cut the network between the halves; the outsider is alone."""
        middle, end = len(self.halves[0]), len(self.platforms)
        self.switch.part(range(middle), range(middle, end))

    def record(self, platforms: Sequence[Platform] | None = None, count: int = 1) -> list[dict[str, Any]]:
        """Have all (or these) record something and make a round at the same time; the status of each."""
        chosen = self.platforms if platforms is None else platforms
        for one in chosen:
            one.mark(count)
        return rounds(chosen)

    def settle(self, platforms: Sequence[Platform] | None = None) -> None:
        """One round, after which the head of each of these is cosigned by every other one."""
        chosen = self.platforms if platforms is None else platforms
        names = {one.name for one in chosen}
        for status in self.record(chosen):
            unsigned = [one for one in status["peers"] if one["name"] in names - _signed(status)]
            assert not unsigned, f"{status['latest']}: {unsigned}"

    def spread(self, at_most: int) -> int:
        """Make rounds until every platform holds of each other at least what that one has now; how many it took."""
        wanted = {f"acme/{one.name}": one.size() for one in self.platforms}
        for made in range(1, at_most + 1):
            self.record()
            if all(_holds(one, wanted) for one in self.platforms):
                return made
        raise AssertionError(f"after {at_most} rounds some hold less than {wanted}")

    def attack(self, program: str, *arguments: str, stdin: str = "") -> str:
        """Run a program in the outsider's namespace; what it prints."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.outside, sys.executable, "-c", program, *arguments],
            input=stdin, capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def outsider(self) -> str:
        """Address of the outsider."""
        return address_of(len(self.platforms))


def _signed(status: dict[str, Any]) -> set[str]:
    """Who cosigned the size of the latest round."""
    size = status["latest"]["size"]
    return {one["name"] for one in status["peers"] if one["last"].startswith(f"cosigned {size} entries")}


def _holds(platform: Platform, wanted: dict[str, int]) -> bool:
    standings = standings_of(platform)
    own = f"acme/{platform.name}"
    return all(
        line == own or (line in standings and standings[line].head.size >= size) for line, size in wanted.items()
    )


def leaves_of(platform: Platform) -> list[bytes]:
    """Hashes of all entries that a running recorder has."""
    hashes: list[bytes] = []
    with Recorder(platform.state / "recorder.sock") as client:
        size = next(client.subscribe()).first
        while len(hashes) < size:
            hashes += [entry_hash(raw) for raw, _ in client.read(len(hashes)).entries]
    return hashes[:size]


def standings_of(platform: Platform) -> dict[str, Standing]:
    """What a platform holds durably as a witness, by line."""
    return dict(StandingFiles(platform.mesh / STANDINGS).all())


def forks_of(platform: Platform) -> list[str]:
    """Origins of the forks that it can prove; each proof is checked again."""
    return [fork.origin for _, fork in forks_in(platform.mesh / FORKS, fleet_held(platform.mesh))]


def held_by_all(
    honest: Sequence[Platform], *, logs: Sequence[Platform] | None = None, forked: Collection[str] = ()
) -> str:
    """Assert what every honest platform holds; a sentence that says it.

    Of each log the head that this log had cosigned last, and it is a head of what the recorder truly has; proofs of the
    forks named, and of none else; a lineage of its own that verifies, with every other one among the witnesses.
    """
    truth = {one: leaves_of(one) for one in (honest if logs is None else logs)}
    for peer in honest:
        standings = standings_of(peer)
        for one, leaves in truth.items():
            if one is peer:
                continue
            head = standings[f"acme/{one.name}"].head
            latest = one.status()["latest"]
            assert (head.origin, head.size) == (latest["origin"], latest["size"]), f"{peer.name} of {one.name}: {head}"
            assert head.root == root_of(leaves[: head.size]), f"{peer.name} holds another history of {one.name}"
        assert sorted(set(forks_of(peer))) == sorted(forked), peer.name
    others = len(truth) - 1
    for peer in honest:
        report = verified(peer)
        assert report.notes["witnesses"] >= others, f"{peer.name}: {report.notes}"
    fork = f"the fork of {', '.join(forked)} and no other" if forked else "no fork"
    return (
        f"each of {len(honest)}: the latest head of all {others} others, {fork}; its lineage verifies, cosigned by them"
    )


def verified(platform: Platform) -> Report:
    """Verification of a running recorder's lineage, which has to pass."""
    report = checked(platform)
    assert (report.integrity, report.witnessing, report.exit_status()) == ("pass", "pass", 0), (
        f"{platform.name}: {report}"
    )
    return report


@contextmanager
def world(directory: Path, count: int, *, seed: int = 5, prepare: Any = None) -> Iterator[World]:
    """So many platforms that run, and an outsider; `prepare` is called with the platforms before they start."""
    with switched(count + 1, seed) as switch, ExitStack() as undo:
        platforms = [Platform(directory, at, name, TIMEOUT_S) for at, name in enumerate(switch.names[:-1])]
        for one in platforms:
            undo.callback(one.stop)
        write_list(platforms, needed=max(1, count // 2))
        if prepare is not None:
            prepare(platforms)
        start(platforms)
        yield World(directory, switch, platforms)
