"""A bundle in one or several files: the last volume holds the manifest, which names the ones before it.

    arm-7.001.lineage  arm-7.002.lineage  arm-7.lineage (the last one)

A volume is believed by what it holds, not by what its file is called; the names only say where to look.
"""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from recorder.audit.archive import Archive, MemberReader
from recorder.audit.span import time_text
from recorder.core import bundle, volume
from recorder.core.errors import FormatError
from recorder.core.findings import Problem

_NUMBERED = re.compile(r"(.+?)\.[0-9]{3}(\.[^.]+)?")


def volume_path(last: Path, number: int) -> Path:
    """Where a volume lies, beside the last one."""
    return last.with_name(f"{last.stem}.{number:03}{last.suffix}")


def last_path(path: Path) -> Path | None:
    """Where the last volume lies, beside a file that is called as `volume_path` says; None if it is not."""
    match = _NUMBERED.fullmatch(path.name)
    return None if match is None else path.with_name(match[1] + (match[2] or ""))


class Volumes:
    """The members of a bundle, whichever volume they lie in."""

    def __init__(self, path: Path) -> None:
        """Open the last volume of the bundle that a file belongs to.

        Args:
            path: any volume.

        Raises:
            FormatError: bundle_malformed.
            OSError: it cannot be opened.

        """
        self.faults: list[Problem] = []
        self._given = path
        self._last = _last_volume(path)
        self._last.faults = self.faults
        self._archives = [self._last]
        self.members: dict[str, Archive] = dict.fromkeys(self._last.members, self._last)

    @property
    def path(self) -> Path:
        """Of the last volume."""
        return self._last.path

    def gather(self, manifest: bundle.Manifest) -> list[str]:
        """Open the volumes that the manifest of the last one names; returns what is wrong with them.

        Raises:
            FormatError: bundle_malformed: the given file is none of them, or a member lies in two.
            OSError: one cannot be read.

        """
        self._last.digests = manifest.members
        count = volume.volume_count(manifest.members)
        paths = {number: volume_path(self.path, number) for number in range(1, count + 1)}
        if self._given not in (self.path, *paths.values()):
            raise FormatError(bundle.ERROR, f"{self._given} is no volume of {self.path}, which names {count} others")
        wrong: list[str] = []
        found: dict[int, Archive] = {}
        strays: list[tuple[int, Archive]] = []
        explained: set[int] = set()  # what became of the file under that name is said
        for number, path in paths.items():
            try:
                archive = Archive(path)
            except FileNotFoundError:
                continue
            except FormatError as error:
                wrong.append(f"volume {number} of {count + 1}: {error.detail}")
                explained.add(number)
                continue
            self._archives.append(archive)
            archive.faults = self.faults
            held, why = _place(archive, number, manifest)
            archive.digests = manifest.members
            if held is None:
                wrong.append(f"volume {number} of {count + 1}: {path} does not belong to this bundle: {why}")
                explained.add(number)
            elif held == number:
                found[number] = archive
            else:
                strays.append((held, archive))
        for number, archive in strays:
            if number in found:
                wrong.append(f"{archive.path} is volume {number} once more; {found[number].path} is that already")
            else:
                wrong.append(f"{archive.path} is volume {number}, which belongs under the name {paths[number].name}")
                found[number] = archive
        missing = sorted(paths.keys() - found.keys() - explained)
        wrong += [f"volume {number} of {count + 1} is missing: {paths[number]}" for number in missing]
        for _, archive in sorted(found.items()):
            self._add(archive)
        return wrong

    def _add(self, archive: Archive) -> None:
        for name in archive.members:
            if name in self.members:
                raise FormatError(bundle.ERROR, f"{name} stands twice, in {archive.path} and {self.members[name].path}")
            self.members[name] = archive

    def read(self, name: str) -> bytes:
        """A whole member; what is wrong with its bytes is noted in `faults`."""
        return self.members[name].read(name)

    def open(self, name: str) -> MemberReader:
        """A member from its start; raises as `Archive.open`."""
        return self.members[name].open(name)

    def close(self) -> None:
        """Let go of the files."""
        for archive in self._archives:
            archive.close()


def _last_volume(path: Path) -> Archive:
    archive = Archive(path)
    marks = _marks(archive)
    if not marks:
        return archive
    archive.close()
    if bundle.MANIFEST in archive.members:
        raise FormatError(bundle.ERROR, f"{path} is a volume and the last one at once")
    last = last_path(path)
    if last is None or not last.exists():
        where = "" if last is None else f", {last.name},"
        raise FormatError(
            bundle.ERROR,
            f"{path} is one volume of several ({', '.join(marks)}); the last one{where} is not beside it, "
            f"without which none can be checked",
        )
    archive = Archive(last)
    if _marks(archive) or bundle.MANIFEST not in archive.members:
        archive.close()
        raise FormatError(bundle.ERROR, f"{last} bears the name of a last volume, but holds no {bundle.MANIFEST}")
    return archive


def _marks(archive: Archive) -> list[str]:
    """Names of the members that make a file a volume before the last one."""
    return [name for name in archive.members if bundle.member(name).sort == bundle.VOLUME]


def _place(archive: Archive, number: int, manifest: bundle.Manifest) -> tuple[int | None, str]:
    """The number of a volume of this bundle that lies under the name of volume `number`, or why it is none."""
    marks = _marks(archive)
    if bundle.MANIFEST in archive.members or bundle.EXTRACTION in archive.members:
        return None, "it is a bundle by itself"
    if len(marks) != 1:
        return None, "it does not say which volume it is"
    faults = len(archive.faults)
    try:
        data = archive.read(marks[0])
        if len(archive.faults) > faults:  # one flipped byte must not cost a volume: its members are checked one by one
            return number, ""
        if sha256(data).digest() == manifest.members.get(marks[0]):
            return bundle.member(marks[0]).number, ""
        says = volume.parse_volume(data)
    except FormatError as error:
        return None, error.detail
    return None, f"it says that it is volume {says.number} of {says.origin}, taken at {time_text(says.made_utc_ns)}"
