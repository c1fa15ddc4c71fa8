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
    """

    def __init__(self, directory: Path) -> None:
        """Take the directory; raises OSError."""
        directory.mkdir(mode=0o700, exist_ok=True)
        sync_dir(directory)  # a rename that an earlier process could not sync counts from here on
        self._directory = directory
        self._failure: OSError | None = None
        self._known: dict[str, Standing] = {}
        for path in directory.iterdir():
            with suppress(DamagedError):  # `held` says which
                if not path.suffix and (found := self._read(path)) is not None and path == self._path(found[0]):
                    self._known[found[0]] = found[1]

    def held(self, line: str) -> Standing | None:
        """Return what is held.

        Raises:
            DamagedError: it cannot be read back; None would let the log begin anew.
            StoreFailedError: a write failed before.

        """
        self._check_sound()
        if (known := self._known.get(line)) is not None:
            return known
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
            StoreFailedError: it could not be written; nothing is answered any more.
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
            self._failure = error
            self._check_sound()
        self._known[line] = new
        return True

    def all(self) -> list[tuple[str, Standing]]:
        """Lines and what is held of them, by line; what is damaged is left out here, `held` names it."""
        return sorted(self._known.items())

    def _check_sound(self) -> None:
        if self._failure is not None:
            raise StoreFailedError(f"cannot write {self._directory}: {self._failure}") from self._failure

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
