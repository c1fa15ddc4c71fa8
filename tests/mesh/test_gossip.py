"""A log that shows two histories to two halves of a fleet, and what happens when the halves meet: values only, no sockets."""

from __future__ import annotations

import pytest

from mesh.archive import Archive
from recorder.core.forks import ForkProof, parse_fork, verify_fork
from tests.mesh.fleet import FLEET, ORIGIN, Leaves, hashes, note_of

COMMON = 40
HALVES = (hashes(70, "one", COMMON), hashes(70, "two", COMMON))


class Peer:
    """An archive, and the proofs that it has come by."""

    def __init__(self, half: int, size: int) -> None:
        self.leaves = HALVES[half][:size]
        self.archive = Archive(ORIGIN)
        self.archive.claim(0, self.leaves)
        self.note = note_of(self.leaves)
        self.archive.add_head(self.note)
        assert self.archive.advance().proved is not None
        self.forks: set[bytes] = set()

    def hear(self, note: bytes, size: int) -> None:
        """A head from another peer: against the ladder, and against the tree where that is larger."""
        found = (
            self.archive.contradiction(note, Leaves(self.leaves))
            if size < self.archive.size
            else self.archive.add_head(note)
        )
        self.learn(found)

    def learn(self, proof: ForkProof | None) -> None:
        """A proof, one's own or heard of: it is verified either way."""
        if proof is not None:
            verify_fork(proof, FLEET.trust)
            self.forks.add(proof.encode())


def gossip(peers: list[Peer]) -> None:
    """One round: everyone tells its head and the proofs that it had before to everyone else."""
    told = [(peer.note, peer.archive.size, set(peer.forks)) for peer in peers]
    for at, peer in enumerate(peers):
        for by, (note, size, forks) in enumerate(told):
            if by != at:
                peer.hear(note, size)
                for proof in forks:
                    peer.learn(parse_fork(proof))


@pytest.mark.parametrize("sizes", [(50, 50), (50, 70), (41, 70), (70, 41)])
def test_two_histories_are_found_within_two_rounds(sizes: tuple[int, int]) -> None:
    """After two rounds every peer of both halves holds a proof, whatever sizes the halves have reached."""
    peers = [Peer(half, sizes[half]) for half in (0, 1) for _ in range(3)]
    gossip(peers)
    assert any(peer.forks for peer in peers)
    gossip(peers)
    assert all(peer.forks for peer in peers)


def test_one_history_is_no_fork() -> None:
    """Peers that are differently far prove nothing against each other."""
    peers = [Peer(0, size) for size in (COMMON, 41, 55, 70)] + [Peer(1, COMMON)]
    gossip(peers)
    gossip(peers)
    assert not any(peer.forks for peer in peers)
