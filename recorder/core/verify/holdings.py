"""Step 9: the credentials, the recognition matrix and the revocation lists that entries brought so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from recorder.core import cbor, credential, delegation, matrix, revocation
from recorder.core.credential import Credential
from recorder.core.delegation import Chain, Moment, Standing
from recorder.core.errors import FormatError
from recorder.core.matrix import Matrix
from recorder.core.note import VerifierKey
from recorder.core.revocation import RevocationList
from recorder.core.verify.disclosure import CREDENTIALS
from recorder.core.verify.found import Found

CREDENTIALS_KEPT = 4_096  # the oldest is forgotten beyond it; what then rests on one that is not here is not judged
LISTS_KEPT = 256  # of 48 KiB at most; a later one is not applied, and counted


class _Traced(NamedTuple):
    """A chain, and from which seq on links of it are revoked."""

    chain: Chain
    revoked: Mapping[bytes, int]


class Holdings:
    """What a recorder was given, in the order in which it was given it."""

    def __init__(self, found: Found, roots: Sequence[VerifierKey], *, whole: bool) -> None:
        """Hold nothing yet.

        Args:
            found: takes what is wrong.
            roots: the keys of the trust file.
            whole: all entries are seen; else what is not here may lie elsewhere.

        """
        self._found = found
        self._roots = roots
        self._lists: list[tuple[int, RevocationList]] = []
        self._traced: dict[bytes, _Traced] = {}  # made anew after each entry that may change one
        takes: tuple[Callable[[int, bytes], None], ...]
        takes = self._take_credential, self._take_matrix, self._take_revocation
        self._takes = dict(zip(CREDENTIALS, takes, strict=True))
        self.pool: dict[bytes, Credential] = {}
        self.matrix: Matrix | None = None
        self.is_partial = not whole  # something that was recorded is not here
        self.unread = 0  # entries of which the bytes are not here

    def take(self, seq: int, digest: bytes, body: Mapping[str, cbor.Value] | None) -> None:
        """Take a credential entry, with its body claims where they are disclosed and lead to their digest."""
        named = [(take, body[name]) for name, take in self._takes.items() if name in body] if body else []
        if not named:
            self.unread += 1
            self.is_partial = True
            return
        for take, raw in named:
            if isinstance(raw, bytes) and sha256(raw).digest() == digest:  # else step 8 says that it is not
                self._traced.clear()
                try:
                    take(seq, raw)
                except FormatError as error:
                    self._found(error.error, seq, error.detail)

    def chain(self, digest: bytes) -> Chain | None:
        """The chain above a credential; None where it is not here."""
        traced = self._trace(digest)
        return None if traced is None else traced.chain

    def revoked(self, digest: bytes) -> Mapping[bytes, int]:
        """By hash the links of a credential's chain that are revoked, each with the seq from which it is."""
        traced = self._trace(digest)
        return {} if traced is None else traced.revoked

    def standing(self, digest: bytes, moment: Moment) -> Standing | None:
        """What a credential is worth; None where it is not here."""
        traced = self._trace(digest)
        return None if traced is None else delegation.stand(traced.chain, traced.revoked, moment)

    def same_serials(self) -> int:
        """Serials that one key used for several credentials."""
        return len(delegation.same_serial(self.pool.values()))

    def _trace(self, digest: bytes) -> _Traced | None:
        traced = self._traced.get(digest)
        if traced is None and (held := self.pool.get(digest)) is not None:
            chain = delegation.trace(held, self.pool, self.matrix, self._roots)
            traced = self._traced[digest] = _Traced(chain, self._revocations(chain))
        return traced

    def _revocations(self, chain: Chain) -> dict[bytes, int]:
        since: dict[bytes, int] = {}
        for seq, listed in self._lists:
            named = {one.credential for one in listed.revoked}
            for at, link in enumerate(chain.links):
                above = chain._replace(links=chain.links[at:])
                if link.hash in named and revocation.may_revoke(listed, above, self._roots):
                    since.setdefault(link.hash, seq)  # lists are in the order of their entries
        return since

    def _take_credential(self, _seq: int, raw: bytes) -> None:
        read = credential.read(raw)
        self.pool[read.hash] = read
        if len(self.pool) > CREDENTIALS_KEPT:
            del self.pool[next(iter(self.pool))]
            self.is_partial = True

    def _take_matrix(self, _seq: int, raw: bytes) -> None:
        read = matrix.read(raw, self._roots)
        if self.matrix is not None:
            matrix.check_newer(read, self.matrix)
        self.matrix = read

    def _take_revocation(self, seq: int, raw: bytes) -> None:
        listed = revocation.read(raw)
        if len(self._lists) == LISTS_KEPT:
            self.unread += 1
            return
        for one in listed.revoked:
            chain = self.chain(one.credential)
            if chain is not None and not revocation.may_revoke(listed, chain, self._roots):
                detail = f"kid {listed.signed.kid.hex()} stands nowhere above credential {one.credential.hex()[:16]}"
                self._found("revocation_signature", seq, detail)
        self._lists.append((seq, listed))
        self._traced.clear()
