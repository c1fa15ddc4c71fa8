"""What the scenarios share: platforms on a switch that does harm, and what every honest one has to hold afterwards."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mesh.node.fleetfile import fleet_held
from mesh.node.forkfiles import forks_in
from mesh.node.places import FORKS, STANDINGS
from mesh.node.standings import StandingFiles
from mesh.standing import Standing
from recorder.audit.evidence import gather
from recorder.audit.opening import open_source
from recorder.client import Recorder
from recorder.core.checkpoint import open_checkpoint
from recorder.core.entry import entry_hash
from recorder.core.merkle import root_of
from recorder.core.note import ED25519, VerifierKey
from recorder.core.trust import parse_trust
from recorder.core.verdict import Report
from recorder.daemon import identity
from tests.faults.clocks import Offsets
from tests.node.meshes import Platform, checked, rounds, start, write_list
from tests.node.networks import DEVICE, SwitchProcess, address_of, switched
from tests.running import wait_until

OUTSIDER = "tests.node.scenarios.outsider"
FIRST_OUTSIDE = 100  # last byte of the addresses that the outsider takes beside its own
DECLARED = 3  # exit status of `lineage verify`: nothing failed, and what was lost is declared
ARCHIVED_S = 600.0
SETTLE_MAX = 20  # rounds; on a machine with time for it, it is one
PATIENT_S = 30.0  # for one witness and checkpoint: where everybody can answer, all do, however busy the machine is
IMPATIENT_S = 3.0  # where some cannot: each round lasts so long, and who was only slow is asked again by the next
LARGE, LARGE_FACTOR = 16, 3  # where so many share two cores, an answer takes its time
END_S = 600.0  # for an attack to end
EVERY_S = 0.2  # to look at all statuses takes time that the platforms want


COSIGNED = re.compile(r"cosigned (\d+) entries")


class Told(NamedTuple):
    """A row of the table."""

    done: str
    held: str


class World:
    """Platforms at the ports 0 and up of a switch; behind them the outsider's port, and one that is free."""

    def __init__(self, directory: Path, switch: SwitchProcess, platforms: list[Platform], undo: ExitStack) -> None:
        self.directory = directory
        self.switch = switch
        self.platforms = platforms
        self.undo = undo  # what is done at the end, whatever happens
        self.outside, _ = switch.names[-2:]
        self.outsider, self.last_address = (address_of(len(switch.names) - back) for back in (2, 1))
        self.clock: Offsets | None = None  # of the last platform, where the scenario asked for one
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

    def settle(self, *groups: Sequence[Platform], count: int = 1) -> str:
        """Make a round, after which the head of each is cosigned by every other one of its group; how many it took.

        It is one where the machine has time for it; in further ones only who was not reached is asked again. Without
        groups all are one; `count` entries are recorded first.
        """
        parts = groups or (self.platforms,)
        chosen = [one for group in parts for one in group]
        around = {one: {other.name for other in group} for group in parts for one in group}
        unsigned: dict[Platform, list[Any]] = {}
        after = self.record(chosen, count)
        for made in range(1, SETTLE_MAX + 1):
            unsigned = {
                one: [peer for peer in status["peers"] if peer["name"] in around[one] - signed_by(status)]
                for one, status in zip(chosen, after, strict=True)
            }
            chosen = [one for one, peers in unsigned.items() if peers]
            if not chosen:
                return "one round" if made == 1 else f"{made} rounds"
            assert all(peer["last"].startswith("not now") for peers in unsigned.values() for peer in peers), unsigned
            after = rounds(chosen)
        raise AssertionError(unsigned)

    def spread(self, at_most: int) -> int:
        """Make rounds until every platform holds of each other at least what that one has now; how many it took."""
        wanted = {f"acme/{one.name}": one.size() for one in self.platforms}
        for made in range(1, at_most + 1):
            self.record()
            if all(_holds(one, wanted) for one in self.platforms):
                return made
        raise AssertionError(f"after {at_most} rounds some hold less than {wanted}")

    def add_outside(self, count: int) -> None:
        """Give the outsider so many addresses more."""
        for number in range(count):
            address = f"10.77.0.{FIRST_OUTSIDE + number}/24"
            subprocess.run(["ip", "-n", self.outside, "address", "add", address, "dev", DEVICE], check=True)

    @contextmanager
    def under_attack(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run `outsider` with these arguments in the outsider's namespace, until the block ends or it does."""
        attack = subprocess.Popen(
            ["ip", "netns", "exec", self.outside, sys.executable, "-m", OUTSIDER, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with attack:
            try:
                yield attack
            except BaseException:
                attack.kill()
                raise

    def attack(self, *arguments: str, stdin: str = "") -> list[str]:
        """Run `outsider` to its end; the lines that it prints."""
        with self.under_attack(*arguments) as attack:
            said, _ = attack.communicate(stdin, timeout=END_S)
        assert attack.returncode == 0, said
        return said.splitlines()

    def post(self, bodies: Mapping[Platform, Sequence[bytes]]) -> dict[Platform, list[str]]:
        """What each platform answers the outsider to checkpoints: status and name of the error of each body."""
        texts = {one: [base64.b64encode(body).decode() for body in each] for one, each in bodies.items()}
        lines = [f"{submission_url(one)} {text}\n" for one, each in texts.items() for text in each]
        said = iter(self.attack("post", stdin="".join(lines)))
        return {one: [next(said) for _ in each] for one, each in bodies.items()}


def submission_url(platform: Platform) -> str:
    """Where checkpoints are brought to be cosigned."""
    return f"{platform.url}add-checkpoint"


def signed_by(status: dict[str, Any]) -> set[str]:
    """Who cosigned the head of the latest round that had news, or a later one: so does who was asked again at rest."""
    size = status["latest"]["size"]
    said = {one["name"]: COSIGNED.match(one["last"]) for one in status["peers"]}
    return {name for name, found in said.items() if found and int(found[1]) >= size}


def _holds(platform: Platform, wanted: dict[str, int]) -> bool:
    standings = standings_of(platform)
    own = f"acme/{platform.name}"
    return all(
        line == own or (line in standings and standings[line].head.size >= size) for line, size in wanted.items()
    )


def leaves_of(platform: Platform) -> list[bytes]:
    """Hashes of all entries that a running recorder has."""
    hashes: list[bytes] = []
    with Recorder(platform.state / "recorder.sock", timeout_ms=60_000) as client:
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


def held_by_all(honest: Sequence[Platform], *, forked: Collection[str] = (), reborn: Collection[Platform] = ()) -> str:
    """Assert what every honest platform holds; a sentence that says it.

    Of each log the hashes of all entries, proved by a head, and the head that this log had cosigned last, or a later one
    by whom was asked again; and it is a head of what the recorder truly has; proofs of the forks named, and of none
    else; a lineage of its own that verifies, with every other one among the witnesses.
    """
    await_archives(honest)
    truth = {one: leaves_of(one) for one in honest}
    for peer in honest:
        standings = standings_of(peer)
        for one, leaves in truth.items():
            if one is peer:
                continue
            head = standings[f"acme/{one.name}"].head
            latest = one.status()["latest"]
            assert head.origin == latest["origin"], f"{peer.name} of {one.name}: {head}"
            assert latest["size"] <= head.size <= len(leaves), f"{peer.name} of {one.name}: {head}"
            assert head.root == root_of(leaves[: head.size]), f"{peer.name} holds another history of {one.name}"
        assert sorted(set(forks_of(peer))) == sorted(forked), peer.name
    others = len(truth) - 1
    for peer in honest:
        verified(peer, has_lost=peer in reborn)
        lacking = {one.name for one in honest if one is not peer} - vouching(peer)
        assert not lacking, f"in the lineage of {peer.name} are no cosignatures of {lacking}"
    fork = f"the fork of {', '.join(forked)} and no other" if forked else "no fork"
    return f"each of {len(honest)}: the latest head and all entry hashes of every other one, {fork}; its lineage verifies, cosigned by all {others} of them"


def vouching(platform: Platform) -> set[str]:
    """Witnesses whose cosignatures a lineage holds as evidence, of whichever heads: who was asked again signed a later one."""
    trust = parse_trust((platform.state.parent / "fleet.trust").read_bytes())
    public_key = identity.load(platform.state).public_key
    source = open_source(platform.state)
    try:
        notes = gather(source, public_key, trust).notes
        log = VerifierKey.derive(source.origin, ED25519, public_key)
    finally:
        source.close()
    opened = [open_checkpoint(note, log, trust.witnesses.values()) for note in notes]
    keys = {key for one in opened for key, _ in one.note.verified}
    return {name for name, key in trust.witnesses.items() if key in keys}


def await_archives(honest: Sequence[Platform]) -> None:
    """Wait until each holds the hashes of all entries of every other one, up to the head cosigned last."""
    wanted = {one.name: one.status()["latest"] for one in honest}
    lacking = list(honest)

    def have_all() -> bool:
        # A round without news costs little, and has the status written; in large fleets it does not, and comes in 10 s.
        statuses = rounds(lacking) if len(honest) < LARGE else [one.status() for one in lacking]
        lacking[:] = [
            one
            for one, status in zip(lacking, statuses, strict=True)
            if not all(_has_all(status["archives"], latest) for name, latest in wanted.items() if name != one.name)
        ]
        return not lacking

    wait_until(have_all, ARCHIVED_S, EVERY_S)


def _has_all(archives: list[dict[str, Any]], latest: dict[str, Any]) -> bool:
    return any(
        one["origin"] == latest["origin"] and one["size"] >= latest["size"] and not one["missing_entries"]
        for one in archives
    )


def verified(platform: Platform, *, has_lost: bool) -> Report:
    """Verification of a running recorder's lineage, which has to pass; a loss that it states is none of a check."""
    report = checked(platform)
    assert (report.integrity, report.witnessing) == ("pass", "pass"), f"{platform.name}: {report}"
    assert report.exit_status() in ({0, DECLARED} if has_lost else {0}), f"{platform.name}: {report}"
    return report


class Scenario(NamedTuple):
    """What happens, and what has to be done before the platforms start."""

    act: Callable[[World], Told]
    prepare: Callable[[World], None] | None = None
    dishonest: int = 0  # platforms beside those that are counted
    short: tuple[int, ...] = (2,)  # platforms without --long
    timeout_s: float = PATIENT_S  # for one witness and checkpoint

    def play(self, directory: Path, count: int) -> Told:
        """With so many honest platforms; what it tells."""
        total = count + self.dishonest
        with world(directory, total, prepare=self.prepare, timeout_s=self.timeout_s) as here:
            return self.act(here)

    @property
    def name(self) -> str:
        return self.act.__name__

    @property
    def told(self) -> str:
        """What is to happen, in a line."""
        return (self.act.__doc__ or "").partition("\n")[0]


@contextmanager
def world(
    directory: Path,
    count: int,
    *,
    seed: int = 5,
    prepare: Callable[[World], None] | None = None,
    timeout_s: float = PATIENT_S,
) -> Iterator[World]:
    """So many platforms that run, and an outsider; `prepare` is called before they start."""
    with switched(count + 2, seed) as switch, ExitStack() as undo:
        within_s = timeout_s if count < LARGE else timeout_s * LARGE_FACTOR
        platforms = [Platform(directory, at, name, within_s) for at, name in enumerate(switch.names[:count])]
        for one in platforms:
            undo.callback(one.stop)
        write_list(platforms, needed=max(1, count // 2))
        for one in platforms:
            one.configure("digest", interval_s=1.0 if count < LARGE else 5.0)
        here = World(directory, switch, platforms, undo)
        if prepare is not None:
            prepare(here)
        start(platforms)
        yield here
