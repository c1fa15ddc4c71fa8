"""An outsider on the network, without any key of the fleet."""

from __future__ import annotations

import json
from pathlib import Path

from mesh.exchange import REQUEST_MAX_BYTES, AddCheckpoint
from mesh.node.present import STRANGERS_MAX
from recorder.client import Recorder
from recorder.core.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from recorder.core.keys import SeedSigner
from recorder.core.note import parse_note
from tests.node.meshes import PORT, Platform, rounds
from tests.node.scenarios.world import END_S, EVERY_S, Told, World, held_by_all, standings_of, submission_url
from tests.running import wait_until

MEMORY_MAX_MIB = 64
HEAVY_MIB = 48
RESET_PEAK = "5"  # proc_pid_clear_refs(5)
HARMLESS = {"repeated", "digest_signature", "digest_version", "digest_stranger", "digest_malformed"}  # fates of digests
THIEF = SeedSigner(bytes(32))
ADDRESSES = 20  # of the outsider: with the share of one address each, more than a platform has connections


def forged(world: World) -> Told:
    """Everybody gets heads that a log never signed, of logs that nobody knows, proofs that prove nothing, and no requests."""
    world.settle()
    before = {one: standings_of(one) for one in world.platforms}
    answers = {}
    bodies = {}
    for one, victim in zip(world.platforms, [*world.platforms[1:], world.platforms[0]], strict=True):
        held = before[one][f"acme/{victim.name}"].head.size
        bodies[one] = wrong_checkpoints(news_of(victim), held)
        answers[one] = ["403 note_signature", "404 origin_unknown", *["422 consistency_proof"] * 2, f"409 {held}"]
        answers[one] += ["400 add_checkpoint_malformed"] * 3
    assert world.post(bodies) == answers
    assert {one: standings_of(one) for one in world.platforms} == before, "it left a trace"
    world.settle()
    done = "an outsider brings everybody forged heads, unknown logs, wrong proofs and no requests at all: 403, 404, 422, 409, 400"
    return Told(done, held_by_all(world.platforms))


def news_of(platform: Platform) -> bytes:
    """A checkpoint that nobody has cosigned yet: what is on its way to everybody is no secret."""
    platform.mark()
    with Recorder(platform.state / "recorder.sock", timeout_ms=60_000) as client:
        return client.checkpoint()


def wrong_checkpoints(note: bytes, held: int) -> list[bytes]:
    """Bodies none of which is to be cosigned, about a log of which a witness holds so many entries."""
    origin = parse_checkpoint(parse_note(note).text).origin
    hashes = tuple(bytes((number,)) * 32 for number in range(5))
    return [
        AddCheckpoint(0, (), by_thief(origin, 10**6)).encode(),
        AddCheckpoint(0, (), by_thief("acme/ghost/0123456789abcdef", 7)).encode(),
        AddCheckpoint(held, hashes, note).encode(),
        AddCheckpoint(held, (), note).encode(),
        AddCheckpoint(held - 1, (), note).encode(),
        note,
        b"",
        bytes(1000),
    ]


def by_thief(origin: str, size: int) -> bytes:
    """A checkpoint that the log did not sign."""
    return sign_checkpoint(Checkpoint(origin, size, bytes(32)), THIEF).encode()


def oversized(world: World) -> Told:
    """Bodies of a byte and of megabytes too many are refused by everybody, and never lie in memory."""
    world.settle()
    before = {one: standings_of(one) for one in world.platforms}
    resting = {one: reset_peak_mib(one) for one in world.platforms}
    urls = [submission_url(one) for one in world.platforms]
    assert set(world.attack("heavy", str(REQUEST_MAX_BYTES + 1), *urls)) == {"413 body_too_large"}
    said = world.attack("heavy", str(HEAVY_MIB << 20), *urls)
    assert set(said) <= {"413 body_too_large", "none"}, "or cut off while it still sends"
    most = max(peak_mib(one) - resting[one] for one in world.platforms)
    assert most < HEAVY_MIB / 2
    assert {one: standings_of(one) for one in world.platforms} == before
    world.settle()
    done = f"an outsider posts {HEAVY_MIB} MB to each: 413; no mesh process took more than {most:.1f} MiB more for it"
    return Told(done, held_by_all(world.platforms))


def besieged(world: World) -> Told:
    """All connections held by many addresses that send a byte now and then, and unknown logs in between: rounds go on."""
    world.settle()
    world.add_outside(ADDRESSES)
    hosts = [one.address for one in world.platforms]
    ghosts = [submission_url(one) for one in world.platforms]
    with world.under_attack("slow", str(PORT), *hosts) as siege, world.under_attack("flood", "3", *ghosts) as flood:
        assert siege.stdout is not None
        assert siege.stdout.readline() == "held\n"
        for _ in range(3):
            world.settle()
        wait_until(lambda: all(turned_away(one) for one in world.platforms), END_S, EVERY_S)
        said, _ = flood.communicate(timeout=END_S)
    answers = json.loads(said)
    assert set(answers) <= {"404 origin_unknown", "none"}
    done = (
        f"{ADDRESSES + 1} addresses hold all connections of everybody and ask about ghosts ({sum(answers.values())} times); "
        f"each turned away at least {min(turned_away(one) for one in world.platforms)}"
    )
    return Told(done, held_by_all(world.platforms))


def turned_away(platform: Platform) -> int:
    """Connections for which it had no room."""
    return int(platform.status()["connections"]["turned_away"])


def noisy(world: World) -> Told:
    """Digests are sent again, mangled and in strangers' names, and thousands of platforms announced: nobody is misled."""
    world.settle()
    replaying, naming = ("digests", "4", str(len(world.platforms))), ("names", "4")
    with world.under_attack(*replaying) as replay, world.under_attack(*naming) as flood:
        while replay.poll() is None:
            world.settle()
        replayed, _ = replay.communicate(timeout=END_S)
        announced, _ = flood.communicate(timeout=END_S)
    digests, ghosts = json.loads(replayed), json.loads(announced)["sent"]
    assert digests["heard"] >= len(world.platforms), digests
    names = {f"acme/{one.name}" for one in world.platforms}
    for one, status in zip(world.platforms, rounds(world.platforms), strict=True):
        assert {each["platform"] for each in status["present"]} == names - {f"acme/{one.name}"}, status["present"]
        assert len(status["strangers"]) <= STRANGERS_MAX
        urls = {each["platform"]: each["urls"] for each in status["present"]}
        assert not any(world.outsider in url for listed in urls.values() for url in listed), urls
        assert status["digests"]["received"].keys() >= HARMLESS, f"{one.name}: {status['digests']}"
    most = max(memory_mib(one) for one in world.platforms)
    assert most < MEMORY_MAX_MIB
    done = (
        f"{digests['sent']} digests replayed, mangled, or of strangers, and {ghosts} platforms announced that are none"
    )
    return Told(done, f"{held_by_all(world.platforms)}; at most {most:.0f} MiB (RssAnon)")


def memory_mib(platform: Platform, field: str = "RssAnon") -> float:
    """What its mesh process takes."""
    assert platform.process is not None
    status = Path(f"/proc/{platform.process.pid}/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) / 1024


def peak_mib(platform: Platform) -> float:
    """The most that its mesh process ever took, or since the last `reset_peak_mib`."""
    return memory_mib(platform, "VmHWM")


def reset_peak_mib(platform: Platform) -> float:
    """Begin anew; what it takes now."""
    assert platform.process is not None
    Path(f"/proc/{platform.process.pid}/clear_refs").write_text(RESET_PEAK)
    return peak_mib(platform)
