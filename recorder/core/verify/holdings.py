"""Step 9: the credentials, the recognition matrix and the revocation lists that entries brought so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from recorder.core import cbor, credential, delegation, matrix, revocation, sign1
from recorder.core.credential import Credential
from recorder.core.delegation import Chain, Moment, Standing
from recorder.core.errors import FormatError
from recorder.core.keys import kid
from recorder.core.matrix import Matrix
from recorder.core.note import VerifierKey
from recorder.core.verify.disclosure import CREDENTIALS
from recorder.core.verify.found import Found

CREDENTIALS_KEPT = 4_096  # the oldest is forgotten beyond it; what then rests on one that is not here is not judged
REVOCATIONS_KEPT = 65_536  # credentials by who revoked them; a later one is not applied, and counted


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
        self._lists: dict[bytes, int] = {}  # by hash of a credential and key of who revoked it, from which seq
        self._traced: dict[bytes, _Traced] = {}  # made anew after each entry that may change one
        takes: tuple[Callable[[int, bytes], None], ...]
        takes = self._take_credential, self._take_matrix, self._take_revocation
        self._takes = dict(zip(CREDENTIALS, takes, strict=True))
        self.pool: dict[bytes, Credential] = {}
        self.by_kid: dict[bytes, list[bytes]] = {}  # hashes of the credentials of a key
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
        since = {}
        for place, link in enumerate(chain.links):
            above = revocation.keys_above(chain, self._roots, place)
            seqs = [self._lists[link.hash + key] for key in above if link.hash + key in self._lists]
            if seqs:
                since[link.hash] = min(seqs)
        return since

    def _take_credential(self, _seq: int, raw: bytes) -> None:
        read = credential.read(raw)
        if read.hash not in self.pool:
            self.by_kid.setdefault(kid(read.terms.key), []).append(read.hash)
        self.pool[read.hash] = read
        if len(self.pool) > CREDENTIALS_KEPT:
            oldest = self.pool.pop(next(iter(self.pool)))
            self.by_kid[kid(oldest.terms.key)].remove(oldest.hash)
            self.is_partial = True

    def _take_matrix(self, _seq: int, raw: bytes) -> None:
        read = matrix.read(raw, self._roots)
        if self.matrix is not None:
            matrix.check_newer(read, self.matrix)
        self.matrix = read

    def _take_revocation(self, seq: int, raw: bytes) -> None:
        listed = revocation.read(raw)
        known = [root.public_key for root in self._roots]
        known += [issuer.key for issuer in self.matrix.issuers] if self.matrix is not None else []
        known += [held.terms.key for held in self.pool.values()]
        signer = next((key for key in known if sign1.verify(listed.signed, key)), None)
        if signer is not None:
            for one in listed.revoked:
                if len(self._lists) < REVOCATIONS_KEPT:
                    self._lists.setdefault(one.credential + signer, seq)
                else:
                    self.unread += 1
        elif self.is_partial:
            self.unread += 1
        else:
            detail = f"kid {listed.signed.kid.hex()}: nobody known so far signed the list"
            raise FormatError("issuer_unknown", detail)
