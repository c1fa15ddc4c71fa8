"""One ZIP of a bundle, read strictly: known names, stored members, nothing twice, nothing larger than its sort may be.

Members are stored, not compressed, so that a byte that flipped on a stick still leaves the rest readable: the check
then names the entry, where a failed decompression or checksum would only say that the file is bad.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Self
from zlib import crc32

from recorder.core import bundle
from recorder.core.errors import FormatError
from recorder.core.findings import Problem, problem
from recorder.core.limits import CLAIMS_MAX_BYTES, ENTRY_MAX_BYTES, HASH_BYTES, NOTE_MAX_BYTES, TILE_WIDTH
from recorder.core.tlogproof import TLOG_PROOF_MAX_BYTES

CHUNK_BYTES = 1 << 20
_LOCAL_BYTES = 30  # fixed part of a member's own header (APPNOTE.TXT section 4.3.7)
_LOCAL_SIGNATURE = b"PK\x03\x04"
_MAX_BYTES = {
    bundle.CHECKPOINT: NOTE_MAX_BYTES,
    bundle.MANIFEST: 256 << 20,
    bundle.EXTRACTION: 4 * ENTRY_MAX_BYTES,
    "tile": TILE_WIDTH * HASH_BYTES,
    "entries": TILE_WIDTH * (2 + ENTRY_MAX_BYTES),
    "claims": TILE_WIDTH * (bundle.LENGTH_BYTES + CLAIMS_MAX_BYTES),
    bundle.ENTRY: ENTRY_MAX_BYTES,
    bundle.CLAIM: CLAIMS_MAX_BYTES,
    bundle.VOLUME: 4096,
    bundle.PROOF: TLOG_PROOF_MAX_BYTES,
}


class Archive:
    """The members of one ZIP."""

    def __init__(self, path: Path) -> None:
        """Read the directory and refuse what is not a bundle's.

        Raises:
            FormatError: bundle_malformed.
            OSError: it cannot be opened.

        """
        self.path = path
        self.faults: list[Problem] = []
        self.digests: Mapping[str, bytes] = {}  # by member, as the manifest says; filled in by its reader
        self._file: BinaryIO = path.open("rb")
        try:
            with zipfile.ZipFile(self._file) as opened:
                listed = opened.infolist()
            self.members = self._checked(listed)
        except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, ValueError, EOFError) as error:
            self._file.close()
            raise FormatError(bundle.ERROR, f"{path} is no readable bundle, perhaps cut short: {error}") from None
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def read(self, name: str) -> bytes:
        """A whole member; what is wrong with its bytes is noted in `faults`."""
        with self.open(name) as reader:
            return reader.read(reader.left)

    def open(self, name: str) -> MemberReader:
        """A member from its start.

        Raises:
            FormatError: bundle_malformed, where its place in the file is not what the directory says.

        """
        listed = self.members[name]
        self._file.seek(listed.header_offset)
        local = self._file.read(_LOCAL_BYTES)
        name_bytes, extra_bytes = int.from_bytes(local[26:28], "little"), int.from_bytes(local[28:30], "little")
        stored_as = self._file.read(name_bytes)
        if local[:4] != _LOCAL_SIGNATURE or stored_as != name.encode():
            raise FormatError(bundle.ERROR, f"{self.path}: member {name} is not where the directory says")
        at = listed.header_offset + _LOCAL_BYTES + name_bytes + extra_bytes
        return MemberReader(self, name, self._file, at, listed)

    def _checked(self, listed: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        members: dict[str, zipfile.ZipInfo] = {}
        end = self._file.seek(0, 2)
        for item in listed:
            sort = bundle.member(item.filename).sort
            if item.filename in members:
                raise FormatError(bundle.ERROR, f"{item.filename} stands twice")
            if item.compress_type != zipfile.ZIP_STORED or item.flag_bits & 1 or item.compress_size != item.file_size:
                raise FormatError(bundle.ERROR, f"{item.filename} is compressed or encrypted; members are stored")
            if item.file_size > _MAX_BYTES[sort]:
                raise FormatError(bundle.ERROR, f"{item.filename} has {item.file_size} bytes, over {_MAX_BYTES[sort]}")
            if item.header_offset < 0 or item.header_offset + _LOCAL_BYTES + item.file_size > end:
                raise FormatError(bundle.ERROR, f"{item.filename} lies beyond the end of the file")
            members[item.filename] = item
        return members


class MemberReader:
    """One member, byte by byte as far as it is asked for; its digest is checked once all of it was read."""

    def __init__(self, archive: Archive, name: str, file: BinaryIO, at: int, listed: zipfile.ZipInfo) -> None:
        self.left = listed.file_size
        self._archive = archive
        self._name = name
        self._file = file
        self._at = at
        self._expected_crc = listed.CRC
        self._crc = 0
        self._digest = sha256()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            while self.left:
                self.read(min(self.left, CHUNK_BYTES))
            self._judge()

    def read(self, length: int) -> bytes:
        """The next `length` bytes, fewer at the end."""
        self._file.seek(self._at)  # members are read in turns
        data = self._file.read(min(length, self.left))
        if len(data) < min(length, self.left):
            raise FormatError(bundle.ERROR, f"{self._archive.path} ends within member {self._name}")
        self._at += len(data)
        self.left -= len(data)
        self._crc = crc32(data, self._crc)
        self._digest.update(data)
        return data

    def _judge(self) -> None:
        expected = self._archive.digests.get(self._name)
        if expected is None:
            if self._crc != self._expected_crc:
                self._found("its checksum (CRC-32) does not match: the file is damaged")
        elif self._digest.digest() != expected:
            self._found(f"SHA-256 is {self._digest.hexdigest()}, the manifest says {expected.hex()}")

    def _found(self, detail: str) -> None:
        fault = problem("member_digest", None, f"{self._name}: {detail}")
        if fault not in self._archive.faults:
            self._archive.faults.append(fault)
