"""The file or files that a bundle is written to: all of them or none, each no larger than a volume may be."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Self

from recorder.audit.part import PART, ExtractionError, Part, member_bytes
from recorder.audit.volumes import volume_path
from recorder.core.bundle import VOLUMES_MAX
from recorder.core.volume import FORMAT, Volume
from recorder.store.layout import sync_dir

VOLUME_BYTES = 2 << 30  # FAT32 holds files of at most 4 GiB - 1, and some that read it stop at 2 GiB


class Target:
    """Members go in one by one; `finish` makes the files appear, leaving the context without it removes all traces."""

    def __init__(self, path: Path, origin: str, made_utc_ns: int, volume_bytes: int = VOLUME_BYTES) -> None:
        """Begin to write `path`, under the name `path` with `.part` behind it.

        Args:
            path: of the last volume, the only one if all goes into it.
            origin: name of the log, which volumes repeat.
            made_utc_ns: the manifest's time, which they repeat too.
            volume_bytes: the most that one file may have.

        Raises:
            ExtractionError: a name is taken, or it cannot be written there.

        """
        self.path = path
        self.members: dict[str, bytes] = {}
        self._origin = origin
        self._made_utc_ns = made_utc_ns
        self._volume_bytes = volume_bytes
        self._before: list[Path] = []  # finished volumes before the last one, still under their `.part` names
        self._named: list[Path] = []  # those that have their names
        self._bytes = 0  # of the volumes before
        volumes = [volume_path(path, number) for number in range(1, VOLUMES_MAX + 1)]
        for taken in filter(os.path.lexists, (path, *volumes)):
            raise ExtractionError(f"{taken} is there already; choose another name")
        try:
            for volume in volumes:
                _part_of(volume).unlink(missing_ok=True)  # of an extraction that was cut short
        except OSError as error:
            raise ExtractionError(f"cannot write {path}: {error.strerror}") from error
        self._now = Part(_part_of(path))
        self._done = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._done:
            return
        failure = self._now.failure
        self._now.abandon()
        for path in (*self._before, *self._named):
            path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error is failure:
            reason = error.strerror or str(error)
            raise ExtractionError(f"cannot write {self._now.path}: {reason}; nothing is left of it") from error

    def add(self, name: str, data: bytes) -> None:
        """Write a member, into a new volume where this one has no room for it.

        Args:
            name: as `bundle.member` knows it.
            data: its bytes; their digest belongs into the manifest.

        Raises:
            ExtractionError: no volume has room for it.
            OSError: no room, no stick.

        """
        self.make_room(member_bytes(name, len(data)), f"{name} of {len(data):,} bytes")
        self._now.add(name, data)
        self.members[name] = sha256(data).digest()

    def add_last(self, name: str, data: bytes) -> None:
        """Write the manifest or the receipt, which the manifest does not list, where room was made; raises OSError."""
        self._now.add(name, data)

    def make_room(self, needed: int, what: str) -> None:
        """Begin a new volume unless this one has room for so many bytes more; raises as `add`."""
        mark = self._mark()
        reserved = member_bytes(mark.member, len(mark.encode()))
        if self._now.bytes + needed + reserved <= self._volume_bytes:
            return
        if not self._now.names:
            raise ExtractionError(f"{what} do not fit into volumes of {self._volume_bytes:,} bytes; allow larger ones")
        if mark.number > VOLUMES_MAX:
            raise ExtractionError(f"more than {VOLUMES_MAX} volumes of {self._volume_bytes:,} bytes; allow larger ones")
        self._split(mark)
        self.make_room(needed, what)

    def settle(self) -> None:
        """Have what was written so far reach the medium; raises OSError."""
        self._now.settle()

    def finish(self) -> tuple[int, list[Path]]:
        """Close the bundle, read it back from the medium, give each volume its name.

        If we crash before the last rename, there are `.part` files, and perhaps volumes of which each says that it is
        one of several: without the last one, which holds the manifest, they are no bundle. After it the bundle is
        whole, and the directory's fsync decides whether it is found.

        Returns:
            Size in bytes of all files, and the files, the last volume last.

        """
        size = self._bytes + self._now.finish(self.members)
        for number, part in enumerate(list(self._before), 1):
            self._name(part, volume_path(self.path, number))
            self._before.remove(part)
        if self._named:
            sync_dir(self.path.parent)
        self._name(self._now.path, self.path)
        self._done = True
        sync_dir(self.path.parent)
        return size, self._named

    def _name(self, part: Path, path: Path) -> None:
        if os.path.lexists(path):
            raise ExtractionError(f"{path} has appeared meanwhile; choose another name")
        part.rename(path)
        self._named.append(path)

    def _mark(self) -> Volume:
        number = len(self._before) + 1
        return Volume(FORMAT, self._origin, self._made_utc_ns, number)

    def _split(self, mark: Volume) -> None:
        """Finish this volume as one of several, and begin the next."""
        data = mark.encode()
        self._now.add(mark.member, data)
        self.members[mark.member] = sha256(data).digest()
        self._bytes += self._now.finish(self.members)
        part = _part_of(volume_path(self.path, mark.number))
        self._now.path.rename(part)
        self._before.append(part)
        self._now = Part(_part_of(self.path))


def _part_of(path: Path) -> Path:
    return path.with_name(path.name + PART)
