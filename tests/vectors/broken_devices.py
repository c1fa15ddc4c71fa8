"""Broken lineages: what a device signed, by whom, about what, and what of it is missing."""

from __future__ import annotations

from msgspec.structs import replace

from recorder.core import cbor
from recorder.core.credential import Credential
from recorder.core.deviceframe import Event
from recorder.core.kinds import Kind
from recorder.core.scope import ANY, Scope
from tests.batches import Bench, InTheNameOf
from tests.credential_builder import ROOT, issued, signer, terms
from tests.frames import DEVICE
from tests.gated_builder import GatedBuilder, cell
from tests.vectors.breaking import Broken, vector

DEVICE_SCOPE = Scope(ANY, frozenset({"shoulder"}), ANY, ANY, ANY, None)


def device_credential(**changed: object) -> Credential:
    """Of the device of `tests.frames`, for the shoulder."""
    said = {"role": "actuator", "key": DEVICE.public_key, "scope": DEVICE_SCOPE, **changed}
    return issued(ROOT.name, terms("motor controller 3", ROOT.name, **said))  # type: ignore[arg-type]


def bench(held: Credential | None = None, confirmation: str | None = None) -> tuple[GatedBuilder, Bench]:
    """A lineage that has a device's credential and a cycle's commit by the shoulder, and the device."""
    lineage = GatedBuilder().begin()
    lineage.bring(credential=(held or device_credential()).signed.raw)
    lineage.hold(lineage.platform())
    said = cell()
    rules = {**said.classes, "motion": replace(said.classes["motion"], confirmation=confirmation)}
    lineage.govern(replace(said, classes=rules))
    return lineage, Bench(lineage)


@vector
def confirmation_signature() -> Broken:
    """Another key signed, in the name of the device's."""
    lineage, device = bench()
    commit = lineage.commit(lineage.gated())
    thief = InTheNameOf(DEVICE, signer("mallory"))
    return Broken(lineage, device.batch(device.reached(commit), by=thief))


@vector
def confirmation_frames() -> Broken:
    """What the device signed confirms a commit that key 12 does not name."""
    lineage, device = bench()
    first, second = lineage.commit(lineage.gated()), lineage.commit(lineage.gated())
    named = [[None, second, lineage.hash_of(second), 0]]
    return Broken(lineage, device.batch(device.reached(first), refs=named))


@vector
def confirmation_malformed() -> Broken:
    """A confirmation without a signature."""
    lineage, _ = bench()
    commit = lineage.commit(lineage.gated())
    refs = {2: [[None, commit, lineage.hash_of(commit), 0]]}
    return Broken(lineage, lineage.control(Kind.CONFIRMATION, bytes(32), body={"frames": [b"\x01"]}, refs=refs))


@vector
def frame_malformed() -> Broken:
    """A device signed what is no frame."""
    lineage, device = bench()
    return Broken(lineage, device.batch(made=[cbor.encode([1, 17])]))


@vector
def frames_unaccounted() -> Broken:
    """Frame 1 is in no entry, and no gap says so."""
    lineage, device = bench()
    device.batch(Event(3, []))
    device.frames(Event(4, []))
    return Broken(lineage, device.batch(Event(3, [])))


@vector
def unconfirmed() -> Broken:
    """A commit of a class that asks for a confirmation, and nobody has said what became of it."""
    lineage, _ = bench(confirmation="by its own device")
    commit = lineage.commit(lineage.gated(duration_ms=200))
    lineage.clock.pass_ns(5_000_000_000)
    lineage.stop()
    return Broken(lineage, commit)
