"""Proofs of forks that are known here: whose log may no longer be followed, and what is told to peers.

Of splits too, beside them: two lines of incarnations of a platform, of which either may be followed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from mesh.fleetlist import FleetList
from mesh.node.forkfiles import count_forks, fork_files
from mesh.node.unkept import Unkept
from recorder.core.checkpoint import OpenedCheckpoint
from recorder.core.errors import FormatError
from recorder.core.forks import Fork, ForkProof, origin_of
from recorder.core.note import Note
from recorder.core.proofs import Proof, parse_proof, verify_proof
from recorder.core.splits import Split, SplitProof
from recorder.store.layout import sync_dir

FORKS_MAX = 1_000  # two notes each; whoever sees as many has seen enough
PER_LINE_MAX = 16  # of one platform; the key that signed as many is not believed anyway
PER_ORIGIN_MAX = 4
SPLITS_MAX = 4  # of one platform; apart from forks, which splits could not keep out


class Known(NamedTuple):
    """A proof that is kept."""

    name: str  # SHA-256 of its text, hex: the file's name
    origin: str  # of a split, the smaller one
    line: str
    is_split: bool


class ForkBook:
    """Keeps proofs; used from every thread.

    A proof counts as soon as it is verified, also where the disk takes nothing: what it convicts is not cosigned, and
    peers are told, who keep it too.  That it is kept here is answered once it is durable.
    """

    def __init__(self, directory: Path, fleet: FleetList, say: Callable[[str], None], unkept: Unkept) -> None:
        """Read what is kept; what proves nothing under this fleet list is left alone and said."""
        self._directory = directory
        self._fleet = fleet
        self._say = say
        self._unkept = unkept
        self._lock = Lock()
        self._keeping = Lock()  # one proof at a time, from whichever thread
        self._known: dict[str, Known] = {}
        self._tell: Callable[[], object] | None = None
        unkept.keep(str(directory), self._make_durable, again=True)
        for name in dict.fromkeys([*unkept.names(directory), *(path.name for path in fork_files(directory))]):
            try:
                proof = parse_proof(unkept.read(directory / name))
                self._verified(proof)
                self._note(name, proof)
            except FormatError as error:
                say(f"{directory / name} proves nothing: {error}")
            except OSError as error:
                say(f"cannot read a proof: {error}; peers that keep it tell it again")

    def tell(self, whom: Callable[[], object]) -> None:
        """Call this after a proof was kept, from whatever thread kept it."""
        self._tell = whom

    def is_forked(self, origin: str) -> bool:
        """Whether two histories of this log are proved."""
        with self._lock:
            return any(one.origin == origin and not one.is_split for one in self._known.values())

    def origins_of(self, line: str | None) -> list[str]:
        """Logs of a platform of which two histories are proved."""
        with self._lock:
            return sorted({one.origin for one in self._known.values() if one.line == line and not one.is_split})

    def splits_of(self, line: str | None) -> int:
        """How many proofs there are that a platform's incarnations are of two lines."""
        with self._lock:
            return sum(one.line == line and one.is_split for one in self._known.values())

    def names(self) -> list[str]:
        """Of the proofs that are kept."""
        with self._lock:
            return sorted(self._known)

    def text(self, name: str) -> bytes | None:
        """A proof's text; None where there is none that can be read."""
        with self._lock:
            if name not in self._known:
                return None
        path = self._directory / name
        try:
            return self._unkept.read(path)
        except OSError as error:
            self._unkept.failed(str(path), error, path.read_bytes)
            return None

    def are_kept(self) -> bool:
        """Whether all that is known is durable."""
        return not self._unkept.names(self._directory)

    def is_wanted(self, proof: Proof) -> bool:
        """Whether a proof is new and would be kept if it holds; costs no verification."""
        name = sha256(proof.encode()).hexdigest()
        return name not in self._known and self.has_room(_about(proof), is_split=isinstance(proof, SplitProof))

    def has_room(self, origin: str, *, is_split: bool = False) -> bool:
        """Whether a further proof about this log would be kept; asked before anything is verified."""
        log = self._fleet.log_of(origin)
        with self._lock:
            several = [one for one in self._known.values() if one.is_split == is_split]
            origins, lines = Counter(one.origin for one in several), Counter(one.line for one in several)
            return (
                log is not None
                and len(self._known) < FORKS_MAX
                and origins[origin] < PER_ORIGIN_MAX
                and lines[log.line] < (SPLITS_MAX if is_split else PER_LINE_MAX)
            )

    def keep(self, proof: Proof, source: str) -> bool:
        """Verify a proof, from whomever, and keep it; whether it is new.

        Args:
            proof: two histories of one log, or two lines of one platform.
            source: where it came from, for a person.

        Raises:
            FormatError: those of `verify_proof`.

        """
        with self._keeping:
            return self._keep(proof, source)

    def _keep(self, proof: Proof, source: str) -> bool:
        found = self._verified(proof)
        if isinstance(proof, ForkProof) and isinstance(found, Fork):
            # With the lines of known keys and no other: else one fork would be as many proofs as anyone likes.
            proof = ForkProof(_known(found.first), _known(found.second), proof.root, proof.hashes)
        name = sha256(proof.encode()).hexdigest()
        if not self.is_wanted(proof):
            return False
        path = self._directory / name
        if count_forks(self._directory) >= FORKS_MAX and not path.exists():
            return False
        is_first = isinstance(found, Split) or not self.is_forked(found.origin)
        self._note(name, proof)
        self._unkept.put(path, proof.encode())  # also over a file of this name: what is in it proved nothing
        if self._tell is not None:
            self._tell()
        if isinstance(found, Split):
            self._say(
                f"SPLIT of {found.platform}: {found.first} and {found.second} follow the same incarnation ({source}); "
                "`lineage mesh forks` shows them"
            )
        elif is_first:
            self._say(
                f"FORK of {found.origin}: its own key signed two histories ({source}); `lineage mesh forks` shows "
                "them. Nothing more of this log is cosigned or archived here; what is held of it stays"
            )
        return True

    def _make_durable(self) -> None:
        """What an earlier process renamed and could not sync counts from here on; so does the directory itself."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        sync_dir(self._directory.parent)
        sync_dir(self._directory)

    def _verified(self, proof: Proof) -> Fork | Split:
        return verify_proof(proof, self._fleet.trust, self._fleet.foreign)

    def _note(self, name: str, proof: Proof) -> None:
        origin = _about(proof)
        log = self._fleet.log_of(origin)
        line = origin if log is None else log.line
        with self._lock:
            self._known[name] = Known(name, origin, line, isinstance(proof, SplitProof))


def _about(proof: Proof) -> str:
    return proof.first if isinstance(proof, SplitProof) else origin_of(proof)


def _known(opened: OpenedCheckpoint) -> bytes:
    """The note with the verified lines alone, the log's own first, each key once."""
    lines = dict(opened.note.verified)
    first = sorted(lines, key=lambda key: (key.name != opened.checkpoint.origin, str(key)))
    return Note(opened.note.text, tuple(lines[key] for key in first)).encode()
