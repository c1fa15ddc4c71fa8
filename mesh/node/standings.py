"""What this witness holds, in files: one for each platform or foreign log, durable before anything is answered."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from mesh.node.places import DamagedError, StoreFailedError
from mesh.standing import Standing, decode_standing
from recorder.core import cbor
from recorder.core.errors import FormatError
from recorder.core.limits import HASH_BYTES
from recorder.store.layout import replace_file, sync_dir

FILE_MAX_BYTES = 1 << 22  # a note of 64 KiB and 256 retired heads take less
_FORM = 1


class StandingFiles:
    """A `mesh.standing.StandingStore`; used from one thread.

    A file is the SHA-256 of what follows it and CBOR `[1, line, standing]`, so that neither a flipped bit nor a file
    in the place of another one is taken for what was held.  How many there are is bounded by the fleet list: a line is
    one of its logs.  What was read soundly once is in memory from then on, since this process alone writes it: a card
    that goes bad later is found by the next start, or written over by the next head.

    After a write that failed the file may be the old or the new one.  What counts is the old one, here in memory: the
    new one was answered to nobody, and the next write is a whole file again, whichever of the two it replaces.
    """

    def __init__(self, directory: Path) -> None:
        """Take the directory; raises OSError."""
        directory.mkdir(mode=0o700, exist_ok=True)
        self._directory = directory
        self._is_synced = False
        self._wanted_bytes = 0  # of the write that failed last
        self._known: dict[str, Standing | None] = {}
        for path in directory.iterdir():
            with suppress(DamagedError):  # `held` says which
                if not path.suffix and (found := self._read(path)) is not None and path == self._path(found[0]):
                    self._known[found[0]] = found[1]
        with suppress(StoreFailedError):  # `held` says it
            self._sync_names()

    def held(self, line: str) -> Standing | None:
        """Return what is held.

        Raises:
            DamagedError: it cannot be read back; None would let the log begin anew.
            StoreFailedError: what is here may not be durable.

        """
        self._sync_names()
        if line in self._known:
            return self._known[line]
        found = self._read(self._path(line))
        if found is None:
            return None
        name, standing = found
        if name != line:
            raise DamagedError(f"{self._path(line)} holds what belongs to {name!r}, not to {line!r}; restore it")
        self._known[line] = standing
        return standing

    def swap(self, line: str, old: Standing | None, new: Standing) -> bool:
        """Put `new` in the place of `old`, durably.

        If we crash before the rename, the old file stands; after it the new one may be found, whose head the log then
        sends again and is cosigned at.

        Raises:
            StoreFailedError: it could not be written; `old` is still what is held, and the next attempt may succeed.
            DamagedError: as `held`.

        """
        if self.held(line) != old:
            return False
        if new == old:
            return True
        body = cbor.encode([_FORM, line, new.encode()])
        try:
            replace_file(self._path(line), sha256(body).digest() + body, 0o600)
        except OSError as error:
            self._known[line] = old  # also None: the file that may be there now was never answered
            self._wanted_bytes = len(body)
            raise StoreFailedError(str(error)) from error
        self._known[line] = new
        return True

    def probe(self) -> None:
        """Write as much as could not be written; raises OSError while that fails."""
        path = self._directory / "again.try"  # no name of a standing
        replace_file(path, bytes(self._wanted_bytes), 0o600)
        path.unlink()

    def all(self) -> list[tuple[str, Standing]]:
        """Lines and what is held of them, by line; what is damaged is left out here, `held` names it."""
        return sorted((line, one) for line, one in self._known.items() if one is not None and self._is_synced)

    def _sync_names(self) -> None:
        """What an earlier process renamed and could not sync counts from here on; so does the directory itself."""
        if self._is_synced:
            return
        try:
            sync_dir(self._directory.parent)
            sync_dir(self._directory)
        except OSError as error:
            raise StoreFailedError(str(error)) from error
        self._is_synced = True

    def _path(self, line: str) -> Path:
        return self._directory / sha256(line.encode()).hexdigest()

    @staticmethod
    def _read(path: Path) -> tuple[str, Standing] | None:
        try:
            with path.open("rb") as file:
                content = file.read(FILE_MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DamagedError(f"cannot read {path}: {error.strerror}; without it that log is not cosigned") from error
        body = content[HASH_BYTES:]
        fault = "its hash does not hold"
        if sha256(body).digest() == content[:HASH_BYTES]:
            fault = "not what a witness of this version keeps"
            try:
                match cbor.decode(body):
                    case [1, str(line), bytes(standing)]:
                        return line, decode_standing(standing)
            except FormatError as error:
                fault = error.detail
        raise DamagedError(f"{path} is damaged: {fault}; restore it from a backup as new as it is")
