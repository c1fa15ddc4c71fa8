"""Proofs of forks and splits, recorded in our own lineage as evidence: one for each log or pair of logs, once.

Of our own logs too: another has our key, or an older copy of our store went on.  The recorder says so from then on.

What is kept beside says of which logs that was done.  If we crash between the entry and that file, the entry is made
twice, which says nothing more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from mesh.node.forkbook import ForkBook
from mesh.node.ownlog import OwnLog
from mesh.node.unkept import Unkept
from recorder.core.forks import ForkProof, origin_of
from recorder.core.proofs import parse_proof

TEXT_MAX_BYTES = 49_152  # an entry's claims have to fit a message to the recorder; the file itself stays in any case


class ForkLog:
    """Works after a round, on the thread of the own log."""

    def __init__(
        self, path: Path, forks: ForkBook, own: OwnLog,
        aside: Callable[[Callable[[], None]], Awaitable[None]], unkept: Unkept,
    ) -> None:  # fmt: skip
        """Read of which logs a proof was recorded.

        Args:
            path: where that is kept.
            forks: proofs that are known.
            own: takes evidence.
            aside: calls on the thread of the own log.
            unkept: holds what cannot be written.

        """
        self._path = path
        self._forks = forks
        self._own = own
        self._aside = aside
        self._unkept = unkept
        self._logged = self._read()
        self._seen: set[str] = set()  # names of proofs that need not be looked at again

    async def log(self) -> None:
        """Record what is new; raises what the recorder's client raises."""
        if not self._seen.issuperset(self._forks.names()):
            await self._aside(self._log)

    def _log(self) -> None:
        for name in self._forks.names():
            text = None if name in self._seen else self._forks.text(name)
            if text is None:
                continue
            proof = parse_proof(text)
            about = origin_of(proof) if isinstance(proof, ForkProof) else f"{proof.first} {proof.second}"
            if about not in self._logged and len(text) <= TEXT_MAX_BYTES:
                self._own.log_fork(text)
                self._logged.add(about)
                self._unkept.put(self._path, "\n".join(sorted(self._logged)).encode())
            self._seen.add(name)

    def _read(self) -> set[str]:
        """Logs of which a proof was recorded; what cannot be read has it recorded once more."""
        try:
            return set(self._unkept.read(self._path).decode("utf-8", "replace").split("\n"))
        except FileNotFoundError:
            return set()
        except OSError as error:
            self._unkept.failed(str(self._path), error, self._path.read_bytes)
            return set()
