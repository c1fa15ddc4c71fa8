"""A platform that is destroyed for good: its peers answer which entries there were and in what order, from tiles alone."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

from mesh.node.fleetfile import fleet_held
from recorder.client import Recorder
from recorder.core.checkpoint import open_checkpoint
from recorder.core.entry import entry_hash
from recorder.core.limits import HASH_BYTES, TILE_WIDTH
from recorder.core.merkle import prove_consistency, prove_inclusion, root_of, verify_consistency, verify_inclusion
from recorder.core.tiles import TileReader
from tests.node.meshes import PORT, Platform, ask, fleet, needs_namespaces, rounds
from tests.running import wait_until

pytestmark = needs_namespaces

ENTRIES = 600
HEADS = """
import urllib.request
print(urllib.request.urlopen("http://{address}:{port}/heads", timeout=120).read().decode(), end="")
"""
# Every tile of the tree of so many entries, by HTTP from one peer.
ASK = """
import base64, json, urllib.request
from recorder.core.tiles import partial_widths, tile_path
def get(path):
    return urllib.request.urlopen("http://{address}:{port}/log/{origin}/" + path, timeout=120).read()
note = get("checkpoint")
size = int(note.split(b"\\n")[1])
tiles = {{}}
for level, width in enumerate(partial_widths(size)):
    full = size >> 8 * (level + 1)
    for index in range(full):
        tiles[f"{{level}} {{index}}"] = get(tile_path(level, index))
    if width:
        tiles[f"{{level}} {{full}}"] = get(tile_path(level, full, width))
print(json.dumps([base64.b64encode(note).decode(), {{at: base64.b64encode(one).decode() for at, one in tiles.items()}}]))
"""


def entries_of(platform: Platform) -> list[bytes]:
    """Hashes of all entries, while there is a recorder to ask."""
    hashes: list[bytes] = []
    with Recorder(platform.state / "recorder.sock", timeout_ms=60_000) as client:
        while page := client.read(len(hashes)).entries:
            hashes += [entry_hash(raw) for raw, _ in page]
    return hashes


def archived(asker: Platform, peer: Platform, origin: str) -> int:
    """Entries of a log that a peer tells of."""
    lines = ask(asker, HEADS.format(address=peer.address, port=PORT)).splitlines()
    return next((int(line.split(" ")[1]) for line in lines if line.split(" ")[0] == origin), 0)


def reader(tiles: dict[tuple[int, ...], bytes], size: int) -> TileReader:
    def fetch(level: int, index: int, _: int) -> bytes:
        return tiles[level, index]

    return TileReader(fetch, size)


def test_a_platform_is_destroyed(tmp_path: Path) -> None:
    """Of what it recorded, every entry, its place and the order of any two are proved by each peer under its own key."""
    with fleet(tmp_path, 3, needed=1) as platforms:
        lost, *peers = platforms
        lost.mark(ENTRIES)
        head = lost.round()["latest"]
        truth = entries_of(lost)
        origin, size = head["origin"], head["size"]
        assert size > ENTRIES
        rounds(peers)
        for one in peers:
            wait_until(lambda one=one: archived(peers[0], one, origin) >= size)
        lost.stop()
        shutil.rmtree(lost.state)
        shutil.rmtree(lost.mesh)
        log = fleet_held(peers[0].mesh).log_of(origin)
        assert log is not None
        asker = peers[0]
        for one in peers:
            assert one.stop_mesh() == 0
            one.begin_mesh()
            one.await_mesh()
        for one in peers:
            said = json.loads(ask(asker, ASK.format(address=one.address, port=PORT, origin=origin)))
            note = base64.b64decode(said[0])
            tiles = {tuple(map(int, at.split())): base64.b64decode(text) for at, text in said[1].items()}
            found = open_checkpoint(note, log.key).checkpoint
            assert found.size >= size
            tree = reader(tiles, found.size)
            for seq in (0, 1, TILE_WIDTH - 1, TILE_WIDTH, 500, size - 1):
                assert tiles[0, seq // TILE_WIDTH][seq % TILE_WIDTH * HASH_BYTES :][:HASH_BYTES] == truth[seq]
                verify_inclusion(truth[seq], seq, found.size, prove_inclusion(tree, seq, found.size), found.root)
            proof = prove_consistency(tree, size, found.size)
            verify_consistency(size, root_of(truth[:size]), found.size, found.root, proof)
