"""An outsider on the network, without any key of the fleet."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from mesh.exchange import REQUEST_MAX_BYTES, AddCheckpoint
from mesh.node.present import STRANGERS_MAX
from recorder.client import Recorder
from recorder.core.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from recorder.core.keys import SeedSigner
from recorder.core.note import parse_note
from tests.node.meshes import PORT, Platform, rounds
from tests.node.scenarios.world import END_S, Told, World, held_by_all, standings_of

MEMORY_MAX_MIB = 64
THIEF = SeedSigner(bytes(32))
ADDRESSES = 20  # of the outsider: with the share of one address each, more than a platform has connections


def forged(world: World) -> Told:
    """Heads that the log never signed, of logs that nobody knows, with proofs that prove nothing, and what is no request."""
    world.settle()
    victim, *peers = world.platforms
    before = {one: standings_of(one) for one in peers}
    victim.mark()
    with Recorder(victim.state / "recorder.sock", timeout_ms=60_000) as client:
        note = client.checkpoint()  # what is on its way to everybody is no secret
    origin = parse_checkpoint(parse_note(note).text).origin
    size = before[peers[0]][f"acme/{victim.name}"].head.size
    hashes = tuple(bytes((number,)) * 32 for number in range(5))
    bodies = [
        AddCheckpoint(0, (), by_thief(origin, 10**6)).encode(),
        AddCheckpoint(0, (), by_thief("acme/ghost/0123456789abcdef", 7)).encode(),
        AddCheckpoint(size, hashes, note).encode(),
        AddCheckpoint(size, (), note).encode(),
        AddCheckpoint(size - 1, (), note).encode(),
        note,
        b"",
        bytes(1000),
    ]
    answers = ["403 note_signature", "404 origin_unknown", *["422 consistency_proof"] * 2, f"409 {size}"]
    answers += ["400 add_checkpoint_malformed"] * 3
    for peer in peers:
        assert world.post(peer, bodies) == answers
        assert standings_of(peer) == before[peer], "it left a trace"
    world.settle()
    done = "an outsider brings forged heads, unknown logs, wrong proofs and no requests at all: 403, 404, 422, 409, 400"
    return Told(done, held_by_all(world.platforms))


def by_thief(origin: str, size: int) -> bytes:
    """A checkpoint that the log did not sign."""
    return sign_checkpoint(Checkpoint(origin, size, bytes(32)), THIEF).encode()


def oversized(world: World) -> Told:
    """Bodies of a byte and of megabytes too many are refused, and cost no memory."""
    world.settle()
    for peer in world.platforms[:2]:
        said = world.post(peer, [bytes(REQUEST_MAX_BYTES + 1), *[bytes(24 << 20)] * 3])
        assert said[0] == "413 body_too_large"
        assert set(said) <= {"413 body_too_large", "none"}, "or cut off while it still sends"
    most = max(memory_mib(one) for one in world.platforms)
    assert most < MEMORY_MAX_MIB
    world.settle()
    done = f"an outsider posts 72 MB to two of them: 413; no mesh process has more than {most:.0f} MiB (RssAnon)"
    return Told(done, held_by_all(world.platforms))


def besieged(world: World) -> Told:
    """All connections held by many addresses that send a byte now and then, and unknown logs in between: rounds go on."""
    world.settle()
    world.add_outside(ADDRESSES)
    hosts = [one.address for one in world.platforms]
    ghosts = f"http://{hosts[0]}:{PORT}/add-checkpoint"
    with world.under_attack("slow", str(PORT), *hosts) as siege, world.under_attack("flood", ghosts, "3") as flood:
        assert siege.stdout is not None
        assert siege.stdout.readline() == "held\n"
        for _ in range(3):
            world.settle()
        said, _ = flood.communicate(timeout=END_S)
    turned_away = sum(one.status()["connections"]["turned_away"] for one in world.platforms)
    assert turned_away > 0
    assert set(json.loads(said)) <= {"404 origin_unknown", "none"}
    done = (
        f"{ADDRESSES + 1} addresses hold all connections of everybody and ask about ghosts; {turned_away} turned away"
    )
    return Told(done, held_by_all(world.platforms))


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
    fates: Counter[str] = Counter()
    for one, status in zip(world.platforms, rounds(world.platforms), strict=True):
        assert {each["platform"] for each in status["present"]} == names - {f"acme/{one.name}"}, status["present"]
        assert len(status["strangers"]) <= STRANGERS_MAX
        urls = {each["platform"]: each["urls"] for each in status["present"]}
        assert not any(world.outsider in url for listed in urls.values() for url in listed), urls
        fates.update(status["digests"]["received"])
    assert {"repeated", "digest_signature", "digest_version", "digest_stranger", "digest_malformed"} <= fates.keys(), (
        fates
    )
    most = max(memory_mib(one) for one in world.platforms)
    assert most < MEMORY_MAX_MIB
    done = (
        f"{digests['sent']} digests replayed, mangled, or of strangers, and {ghosts} platforms announced that are none"
    )
    return Told(done, f"{held_by_all(world.platforms)}; at most {most:.0f} MiB (RssAnon)")


def memory_mib(platform: Platform) -> float:
    """RssAnon of its mesh process."""
    assert platform.process is not None
    status = Path(f"/proc/{platform.process.pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024
