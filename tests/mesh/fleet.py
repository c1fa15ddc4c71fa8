"""A small fleet for the tests: three platforms with their keys, witnesses of three operators, one foreign log."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from mesh.fleetlist import FleetList, make_fleet_list, open_fleet_list
from recorder.core.checkpoint import Checkpoint, sign_checkpoint
from recorder.core.cosignature import cosigner_key
from recorder.core.entry import entry_hash
from recorder.core.keys import SeedSigner
from recorder.core.merkle import root_of
from recorder.core.note import ED25519, VerifierKey

TIME_S = 1_767_139_200
NAMES = ("acme/arm-7", "acme/arm-8", "acme/cart-1")
ORIGIN = "acme/arm-7/0123456789abcdef"
NEXT_ORIGIN = "acme/arm-7/fedcba9876543210"
FOREIGN = "example.com/behind-the-sofa"


def signer(label: str) -> SeedSigner:
    """A key that follows from its label."""
    return SeedSigner(sha256(f"mesh/{label}".encode()).digest())


ROOT = signer("root")
ROOT_KEY = VerifierKey.derive("acme-authority", ED25519, ROOT.public_key)
IDENTITY = signer("identity acme/arm-7")
WITNESSES = {
    name: cosigner_key(f"{name}.example", signer(f"witness {name}").public_key)
    for name in ("arm-7", "arm-8", "cart-1", "port-1", "port-2", "council")
}


def policy() -> str:
    """The tlog-policy of the list, with our lines."""
    lines = [f"log {VerifierKey.derive(name, ED25519, signer(f'identity {name}').public_key)}" for name in NAMES]
    lines += [f"witness {name} {key} http://{name}.example:7171/" for name, key in WITNESSES.items()]
    lines += [
        "group acme 1 arm-7 arm-8 cart-1",
        "group port any port-1 port-2",
        "group all 2 acme port council",
        "quorum all",
    ]
    lines += [
        f"mesh {VerifierKey.derive(name, ED25519, signer(f'mesh {name}').public_key)} http://{name}.example:7171/"
        for name in NAMES[:2]
    ]
    lines.append(f"mesh {VerifierKey.derive(NAMES[2], ED25519, signer(f'mesh {NAMES[2]}').public_key)}")
    lines.append(f"foreign {VerifierKey.derive(FOREIGN, ED25519, signer('foreign').public_key)}")
    return "\n".join(lines) + "\n"


def listed(text: str = "", version: int = 3) -> FleetList:
    """The fleet list, signed."""
    return open_fleet_list(make_fleet_list("acme", version, text or policy(), ROOT_KEY.name, ROOT), [ROOT_KEY])


FLEET = listed()


def hashes(count: int, branch: str = "", common: int = 0) -> list[bytes]:
    """Hashes of a log's entries: the first `common` are those of every branch."""
    return [entry_hash(f"{'' if at < common else branch}{at}".encode()) for at in range(count)]


def head_of(leaves: Sequence[bytes], origin: str = ORIGIN) -> Checkpoint:
    """The checkpoint over these entries."""
    return Checkpoint(origin, len(leaves), root_of(leaves))


def note_of(leaves: Sequence[bytes], origin: str = ORIGIN, by: SeedSigner = IDENTITY) -> bytes:
    """The same, signed."""
    return sign_checkpoint(head_of(leaves, origin), by).encode()


class Leaves:
    """A `merkle.NodeReader` over leaf hashes in memory."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._leaves = leaves

    def node(self, level: int, index: int) -> bytes:
        return root_of(self._leaves[index << level : (index + 1) << level])
