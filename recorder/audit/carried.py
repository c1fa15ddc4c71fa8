"""A bundle as a source: what an inspector carried away, read without anything else."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

from recorder.audit.archive import MemberReader
from recorder.audit.proofs import Prover, tile_fetch
from recorder.audit.source import Held, HeldTile, kind_of
from recorder.audit.state import actuator_in
from recorder.audit.volumes import Volumes
from recorder.core import bundle
from recorder.core.checkpoint import parse_checkpoint
from recorder.core.errors import FormatError
from recorder.core.findings import Problem, problem
from recorder.core.kinds import Kind
from recorder.core.limits import TILE_WIDTH
from recorder.core.note import parse_note
from recorder.core.tiles import decode_bundle, entries_path, tile_path
from recorder.core.tlogproof import TlogProof, parse_tlog_proof

FAULTS_MAX = 1000


class BundleSource:
    """A `.lineage` file, or several that are volumes of one bundle."""

    is_running = False

    def __init__(self, path: Path) -> None:
        """Open it and read what describes it.

        Args:
            path: the file; any of them where there are several.

        Raises:
            FormatError: bundle_malformed: not a bundle, cut short, or without what every bundle has.
            OSError: it cannot be opened.

        """
        self._archive = Volumes(path)
        try:
            self._open()
        except BaseException:
            self._archive.close()
            raise
        self._prover: Prover | None = None

    def _open(self) -> None:
        if bundle.MANIFEST not in self._archive.members:
            raise FormatError(bundle.ERROR, f"{self._archive.path} has no {bundle.MANIFEST}")
        self.manifest_bytes = self._archive.read(bundle.MANIFEST)
        self.manifest = bundle.parse_manifest(self.manifest_bytes)
        self.volume_faults = self._archive.gather(self.manifest)
        self._compare_names()
        held = bundle.CHECKPOINT in self._archive.members
        self.checkpoints = [self._archive.read(bundle.CHECKPOINT)] if held else []
        self._sort_members()
        if not self.is_whole and not held:
            why = ["a selection without the checkpoint that its proofs lead to", *self.volume_faults]
            raise FormatError(bundle.ERROR, "; ".join(why))

    @property
    def origin(self) -> str:
        return self.manifest.origin

    @property
    def is_whole(self) -> bool:
        return self.manifest.whole

    @property
    def is_recorded(self) -> bool:
        """The recorder logged this extraction, and its receipt is here."""
        return bundle.EXTRACTION in self._archive.members

    @property
    def size(self) -> int:
        if self.is_whole:
            return max((index * TILE_WIDTH + width for index, width in self._bundles.items()), default=0)
        return self._seqs[-1] + 1 if self._seqs else 0

    def read(self, from_seq: int = 0) -> Generator[Held, None, None]:
        if self.is_whole:
            yield from self._read_whole(from_seq)
            return
        for seq in self._seqs:
            if seq >= from_seq:
                claim = f"{bundle.CLAIM}/{seq}"
                claims = self._archive.read(claim) if claim in self._archive.members else b""
                yield Held(seq, self._archive.read(f"{bundle.ENTRY}/{seq}"), claims)

    def _read_whole(self, from_seq: int) -> Iterator[Held]:
        for index in sorted(self._bundles):
            first, width = index * TILE_WIDTH, self._bundles[index]
            if first + width <= from_seq:
                continue
            path = entries_path(index, width)
            try:
                entries = decode_bundle(self._archive.read(path), width)
            except FormatError as error:
                self._fault(error.error, first, f"{path}: {error.detail}")
                continue
            for seq, (raw, claims) in enumerate(zip(entries, self._claims(index, width), strict=True), first):
                if seq >= from_seq:
                    yield Held(seq, raw, claims)

    def _claims(self, index: int, width: int) -> Iterator[bytes]:
        """Claims of one bundle of entries; b"" for the rest where they cannot be read."""
        path = bundle.claims_path(index, width)
        given = 0
        if path in self._archive.members:
            with self._archive.open(path) as reader:
                try:
                    while given < width:
                        yield _next_claims(reader)
                        given += 1
                    _at_end(reader)
                except FormatError as error:
                    self._fault(error.error, index * TILE_WIDTH + given, f"{path}: {error.detail}")
        for _ in range(width - given):
            yield b""

    def tiles_below(self) -> int:
        return self.size if self.is_whole else 0

    def tiles(self) -> Iterator[HeldTile]:
        for name in self._tiles:
            place = bundle.member(name)
            yield HeldTile(place.level, place.number, place.width, self._archive.read(name))

    def prove(self, seq: int, leaf: bytes) -> TlogProof | None:
        if not self.is_whole:
            name = f"{bundle.PROOF}/{seq}"
            if name not in self._archive.members:
                return None
            proof = parse_tlog_proof(self._archive.read(name))
            if proof.index != seq or proof.checkpoint != self.checkpoints[-1]:
                raise FormatError("tlog_proof_malformed", f"{name} proves entry {proof.index} or another checkpoint")
            return proof
        if self._prover is None and self.checkpoints:
            self._prover = Prover(self.checkpoints[-1], tile_fetch(self._full_tile, self.read))
        return None if self._prover is None else self._prover.prove(seq, leaf)

    def _full_tile(self, level: int, index: int) -> bytes | None:
        name = tile_path(level, index)
        return self._archive.read(name) if name in self._archive.members else None

    def faults(self) -> list[Problem]:
        return self._archive.faults

    def check_receipt(self, identity: bytes | None) -> None:
        """Check that the recorder logged this extraction, if the bundle says that it did."""
        if self.is_recorded != self.manifest.recorded:
            said = "logged" if self.manifest.recorded else "not logged"
            self._fault("extraction_receipt", None, f"the manifest says that this extraction was {said}")
        if not self.is_recorded:
            return
        try:
            bundle.check_receipt(self._archive.read(bundle.EXTRACTION), self.manifest_bytes, self.origin, identity)
        except FormatError as error:
            self._fault(error.error, None, error.detail)

    def actuators(self) -> dict[int, str]:
        names: dict[int, str] = {}
        for held in self.read():
            if kind_of(held.raw) == Kind.ACTUATOR:
                names.update(actuator_in(held.raw, held.claims))
        return names

    def close(self) -> None:
        self._archive.close()

    def checkpoint_size(self) -> int | None:
        """Entries that the checkpoint covers; None without a readable one."""
        try:
            return parse_checkpoint(parse_note(self.checkpoints[-1]).text).size if self.checkpoints else None
        except FormatError:
            return None

    def _sort_members(self) -> None:
        self._bundles: dict[int, int] = {}  # width of each bundle of entries by index
        self._tiles: list[str] = []
        seqs: list[int] = []
        for name in self._archive.members:
            place = bundle.member(name)
            if place.sort == "entries":
                if place.number in self._bundles:
                    raise FormatError(bundle.ERROR, f"entries {place.number} stand twice, in two widths")
                self._bundles[place.number] = place.width
            elif place.sort == "tile":
                self._tiles.append(name)
            elif place.sort == bundle.ENTRY:
                seqs.append(place.number)
            if place.sort in ("tile", "entries", "claims") and not self.is_whole:
                raise FormatError(bundle.ERROR, f"{name} has no place in a selection")
        self._seqs = sorted(seqs)
        if self._seqs and self.is_whole:
            raise FormatError(bundle.ERROR, "single entries have no place in a whole lineage")
        count = sum(self._bundles.values()) if self.is_whole else len(seqs)
        if count != self.manifest.entries:
            self._fault("member_digest", None, f"{count} entries, the manifest says {self.manifest.entries}")

    def _compare_names(self) -> None:
        here = self._archive.members.keys() - {bundle.MANIFEST, bundle.EXTRACTION}
        listed = self.manifest.members.keys()
        absent = sorted(listed - here)
        if self.volume_faults:
            # One place for all of it, before what follows from it: the first entry that is not here.
            seq = min((first for name in absent if (first := _first_seq(name)) is not None), default=None)
            for detail in self.volume_faults:
                self._fault("bundle_volume", seq, detail)
            absent = []
        for name in absent[:FAULTS_MAX]:
            self._fault("member_digest", None, f"{name[:80]}: the manifest lists it, and it is not here")
        for name in sorted(here - listed)[:FAULTS_MAX]:
            self._fault("member_digest", None, f"{name}: the manifest does not list it")

    def _fault(self, error: str, seq: int | None, detail: str) -> None:
        found = problem(error, seq, detail)
        if found not in self._archive.faults:
            self._archive.faults.append(found)


def _first_seq(name: str) -> int | None:
    """The first entry that a member holds, None of a member that holds none."""
    place = bundle.member(name)
    if place.sort == "entries":
        return place.number * TILE_WIDTH
    return place.number if place.sort == bundle.ENTRY else None


def _next_claims(reader: MemberReader) -> bytes:
    head = reader.read(bundle.LENGTH_BYTES)
    length = bundle.check_length(int.from_bytes(head, "big"))
    if len(head) < bundle.LENGTH_BYTES or length > reader.left:
        raise FormatError(bundle.ERROR, "the claims end early")
    return reader.read(length)


def _at_end(reader: MemberReader) -> None:
    if reader.left:
        raise FormatError(bundle.ERROR, f"{reader.left} bytes follow the last claims")
