"""The vectors of the mesh: a fleet list, digests, forks and a succession, each with what a reader makes of it."""

from __future__ import annotations

from typing import Any

from mesh.digest import MAGIC, VERSION, Digest, head_in, held_of, make
from recorder.core.forks import ForkProof, fork_of, verify_fork
from tests.mesh.fleet import FLEET, ORIGIN, ROOT_KEY, Leaves, hashes, note_of, policy, signer
from tests.mesh.incarnations import EXACT, HELD, OLD

MESH_KEY = signer("mesh acme/arm-7")
LEAVES, BESIDE = hashes(12), hashes(20, "other", common=7)
EMPTY = Digest(ORIGIN, 1, 0, 20, b"", None, [])


def full() -> Digest:
    """All that a digest can say."""
    log = FLEET.log_of(ORIGIN)
    assert log is not None
    held = [held_of("acme/arm-8/00112233445566ff", 40), held_of("acme/cart-1/ff00000000000000", 0)]
    return Digest(ORIGIN, 7, 1001, 18, b"".join(hashes(22)[18:]), head_in(note_of(hashes(20)), log.key), held)


def digest_vector(name: str, description: str, says: Digest) -> dict[str, Any]:
    """A datagram, the key that signed it, and what it says."""
    return {
        "name": name,
        "description": description,
        "mesh_key": MESH_KEY.public_key.hex(),
        "datagram": make(says, MESH_KEY).hex(),
        "says": {
            "origin": says.origin,
            "run": says.run,
            "number": says.number,
            "first": says.first,
            "hashes": [value.hex() for value in says.entry_hashes],
            "head": says.head and [says.head.size, says.head.root.hex(), says.head.signature.hex()],
            "held": [[one.incarnation.hex(), one.size] for one in says.held],
        },
    }


def fork_vector(name: str, description: str, proof: ForkProof) -> dict[str, Any]:
    """A proof as text, the trust file that it is held against, and what a person is told."""
    return {
        "name": name,
        "description": description,
        "trust": _plain(policy()),
        "proof": proof.encode().decode(),
        "describe": verify_fork(proof, FLEET.trust).describe(),
    }


def broken() -> dict[str, Any]:
    """What is refused: bytes in hex, or text, and the error."""
    good = make(EMPTY, MESH_KEY)
    apart = _forked(note_of(LEAVES), note_of(BESIDE), Leaves(BESIDE))
    agreeing = ForkProof(note_of(BESIDE[:12]), apart.second, apart.root, apart.hashes)
    return {
        "name": "broken",
        "description": "Datagrams and fork proofs that a reader refuses, and as what.",
        "trust": _plain(policy()),
        "datagrams": [
            {"error": "digest_version", "bytes": (MAGIC + bytes([VERSION + 1]) + good[5:]).hex()},
            {"error": "digest_malformed", "bytes": good[:-1].hex()},
            {"error": "digest_malformed", "bytes": (b"X" + good[1:]).hex()},
            {"error": "digest_signature", "bytes": (good[:-1] + bytes([good[-1] ^ 1])).hex()},
            {"error": "digest_signature", "bytes": make(EMPTY, signer("thief")).hex()},
            {"error": "digest_stranger", "bytes": make(EMPTY._replace(origin="acme/arm-9/0123456789abcdef"), MESH_KEY).hex()},
        ],
        "forks": [
            {"error": "fork_unproved", "text": agreeing.encode().decode()},
            {"error": "fork_unproved", "text": ForkProof(apart.first, apart.second, apart.root).encode().decode()},
            {"error": "fork_malformed", "text": apart.encode().decode()[:-1]},
            {"error": "note_signature", "text": _forked(note_of(LEAVES), note_of(BESIDE[:12], by=signer("thief"))).encode().decode()},
        ],
    }  # fmt: skip


def vectors() -> dict[str, dict[str, Any]]:
    """Every vector by its path."""
    return {
        "mesh/fleet_list.json": {
            "name": "fleet_list",
            "description": "A fleet list, and the root of the trust file that signed it.",
            "root": str(ROOT_KEY),
            "note": FLEET.note.decode(),
            "fleet": FLEET.fleet,
            "version": FLEET.version,
        },
        "mesh/digest.json": digest_vector("digest", "All that a digest can say.", full()),
        "mesh/digest_empty.json": digest_vector("digest_empty", "Nothing but how many entries there are.", EMPTY),
        "mesh/fork_one_size.json": fork_vector(
            "fork_one_size", "Two roots for one size.", _forked(note_of(LEAVES), note_of(BESIDE[:12]))
        ),
        "mesh/fork_two_sizes.json": fork_vector(
            "fork_two_sizes",
            "Twelve entries, and twenty of which the first twelve are others.",
            _forked(note_of(LEAVES), note_of(BESIDE), Leaves(BESIDE)),
        ),
        "mesh/succession.json": {
            "name": "succession",
            "description": "What a new incarnation shows a witness that holds this head of the old one.",
            "held": note_of(OLD[:HELD]).decode(),
            "body": EXACT.encode().hex(),
            "identity_key": signer("identity acme/arm-7").public_key.hex(),
        },
        "mesh/broken.json": broken(),
    }


def _forked(one: bytes, other: bytes, larger: Leaves | None = None) -> ForkProof:
    proof = fork_of(one, other, larger)
    assert proof is not None
    return proof


def _plain(text: str) -> str:
    """The lines of a policy that a trust file has too."""
    return "".join(f"{line}\n" for line in text.splitlines() if not line.startswith(("mesh ", "foreign ")))
