"""What a recorder knows of authority: roots, recognised issuers, credentials, and which of these were revoked.

Installing comes in two steps, since an entry of the log lies between them: `judge_*` says what an installation would
change, or why it is refused; `add`, `recognise` and `revoke` make the change.  The same changes made again at a start
give the same value.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from recorder.core import credential, delegation, matrix, revocation, sign1
from recorder.core.credential import Credential
from recorder.core.delegation import NS, Chain, Moment, Standing
from recorder.core.errors import FormatError
from recorder.core.limits import HASH_BYTES
from recorder.core.matrix import Matrix
from recorder.core.note import VerifierKey

CREDENTIALS_MAX = 256
CREDENTIALS_MAX_BYTES = 512 * 1024  # they are in every snapshot of the tail
REVOCATIONS_MAX = 4096
# By holders, of what is not theirs as far as is known: else the thief of one key fills the room before it is revoked.
HOLDERS_REVOCATIONS_MAX = 1024


class _Traced(NamedTuple):
    """What is known of one credential until something is installed."""

    chain: Chain
    revoked: dict[bytes, int]  # of its links
    turns_ns: list[int]  # UTC, sorted: between two of these the chain's standing does not change
    standings: dict[tuple[int | None, int | None], Standing]  # by how many of them earliest and latest have reached


class Gone(NamedTuple):
    """What the tail and the authorities let go of together."""

    credentials: list[bytes]
    revocations: list[bytes]  # keys of `Authorities.revocations`


class Authorities:
    """The credentials that a recorder judges by; it holds no clock and no file.

    `revocations` has the seq of the entry that brought each.  Its keys are hashes of credentials, and, for lists whose
    signer does not stand above the credential as far as is known here, hashes with the signer's key behind: these act
    as soon as a credential or a matrix puts the signer there, so that it does not matter which came first.
    """

    def __init__(self, roots: Sequence[VerifierKey]) -> None:
        self.roots = tuple(roots)
        self.matrix: Matrix | None = None
        self.revocations: dict[bytes, int] = {}
        self._pool: dict[bytes, Credential] = {}
        self._pool_bytes = 0
        self._traced: dict[bytes, _Traced] = {}

    @classmethod
    def restore(
        cls,
        roots: Sequence[VerifierKey],
        credentials: Iterable[bytes],
        matrix_raw: bytes | None,
        revocations: Mapping[bytes, int],
    ) -> Authorities:
        """Make again what installations have made; they were judged then, but the trust file may be another one.

        Raises:
            FormatError: what was installed cannot be read, or no root signed the matrix.

        """
        made = cls(roots)
        for raw in credentials:
            made.add(credential.read(raw))
        made.matrix = None if matrix_raw is None else matrix.read(matrix_raw, made.roots)
        made.revocations = dict(revocations)
        return made

    @property
    def pool(self) -> Mapping[bytes, Credential]:
        """The credentials by hash."""
        return self._pool

    def judge_credential(self, raw: bytes) -> Credential:
        """Read a credential that may be installed: it descends from a root or a recognised issuer, and lies within it.

        Whether it is valid at any time is asked when it is used.

        Raises:
            FormatError: credential_malformed; credentials_full; the first reason of its chain.

        """
        read = credential.read(raw)
        if read.hash in self._pool:
            return read
        if not self.has_room(read):
            raise FormatError(
                "credentials_full", f"{len(self._pool)} credentials are here, and no room for another one"
            )
        chain = delegation.trace(read, self._pool, self.matrix, self.roots)
        for reason in chain.reasons:
            raise FormatError(reason.error, reason.detail)
        return read

    def judge_matrix(self, raw: bytes) -> Matrix:
        """Read a matrix that may take the place of the one in force.

        Raises:
            FormatError: matrix_malformed, matrix_signature, matrix_version.

        """
        read = matrix.read(raw, self.roots)
        if self.matrix is not None:
            matrix.check_newer(read, self.matrix)
        return read

    def judge_revocation(self, raw: bytes) -> frozenset[bytes]:
        """Read a revocation list of somebody who is known here; the keys that it puts into `revocations`.

        Raises:
            FormatError: revocation_malformed; issuer_unknown: nobody known here signed it; revocations_full.

        """
        listed = revocation.read(raw)
        signer = next((key for key in self._keys() if sign1.verify(listed.signed, key)), None)
        if signer is None:
            raise FormatError("issuer_unknown", f"kid {listed.signed.kid.hex()}: nobody known here signed the list")
        revoked = frozenset(self._revocation_key(item.credential, signer) for item in listed.revoked)
        together = self.revocations.keys() | revoked
        if len(together) > REVOCATIONS_MAX:
            raise FormatError("revocations_full", f"{REVOCATIONS_MAX} revocations are all that there is room for")
        issuers = {issuer.key for issuer in self.matrix.issuers} if self.matrix else set()
        if signer not in issuers and any(len(key) > HASH_BYTES for key in revoked):
            strangers = sum(len(key) > HASH_BYTES and key[HASH_BYTES:] not in issuers for key in together)
            if strangers > HOLDERS_REVOCATIONS_MAX:
                detail = f"{HOLDERS_REVOCATIONS_MAX} of holders are all that there is room for"
                raise FormatError("revocations_full", detail)
        return revoked

    def has_room(self, another: Credential) -> bool:
        """Whether the pool can take one more."""
        size = self._pool_bytes + len(another.signed.raw)
        return len(self._pool) < CREDENTIALS_MAX and size <= CREDENTIALS_MAX_BYTES

    def forgettable(self, moment: Moment, in_use: Collection[bytes]) -> Gone:
        """What can be forgotten to make room, since no decision will rest on it again.

        Whoever is past its end stays so: the earliest bound of a moment only rises, and so a revocation of it says
        nothing more.  That of a revoked one is kept, since the credential may be installed again.

        Args:
            moment: now.
            in_use: credentials of open cycles.

        """
        kept = {link.hash for hash_ in in_use for link in self.chain(hash_).links}
        earliest_ns = moment.earliest_utc_ns
        over = {
            one.hash
            for one in self._pool.values()
            if one.hash not in kept and earliest_ns is not None and one.terms.expires_s * delegation.NS <= earliest_ns
        }
        revoked = {hash_ for hash_ in self._pool if hash_ not in kept and hash_ in self._trace(hash_).revoked}
        return Gone(sorted(over | revoked), sorted(key for key in self.revocations if key[:HASH_BYTES] in over))

    def forget(self, gone: Gone) -> None:
        """Let go of these."""
        for hash_ in gone.credentials:
            self._pool_bytes -= len(self._pool.pop(hash_).signed.raw)
        for key in gone.revocations:
            del self.revocations[key]
        self._traced.clear()

    def add(self, installed: Credential) -> None:
        """Take a credential into the pool."""
        if installed.hash not in self._pool:
            self._pool[installed.hash] = installed
            self._pool_bytes += len(installed.signed.raw)
            self._traced.clear()

    def recognise(self, installed: Matrix) -> None:
        """Put a matrix in force."""
        self.matrix = installed
        self._traced.clear()

    def revoke(self, keys: Collection[bytes], seq: int) -> None:
        """Take what `judge_revocation` gave, as of an entry; what was revoked before stays so from then."""
        for key in keys:
            self.revocations.setdefault(key, seq)
        self._traced.clear()

    def chain(self, hash_: bytes) -> Chain:
        """A credential and what stands above it.

        Raises:
            FormatError: parent_unknown: no such credential is here.

        """
        return self._trace(hash_).chain

    def standing(self, hash_: bytes, moment: Moment) -> Standing:
        """What a credential is worth at a moment; 1 µs once it was asked for, where nothing of it is revoked.

        Raises:
            FormatError: parent_unknown: no such credential is here.

        """
        chain, revoked, turns_ns, standings = self._trace(hash_)
        if revoked:
            return delegation.stand(chain, revoked, moment)
        earliest, latest, _ = moment
        since = (
            None if earliest is None else bisect_right(turns_ns, earliest),
            None if latest is None else bisect_right(turns_ns, latest),
        )
        standing = standings.get(since)
        if standing is None:
            standing = standings[since] = delegation.stand(chain, revoked, moment)
        return standing

    def revoked(self, hash_: bytes) -> Mapping[bytes, int]:
        """The links of a chain that are revoked, each with the seq from which it is.

        To be asked of what is in use whenever something was installed.

        Raises:
            FormatError: parent_unknown: no such credential is here.

        """
        return self._trace(hash_).revoked

    def _trace(self, hash_: bytes) -> _Traced:
        traced = self._traced.get(hash_)
        if traced is None:
            found = self._pool.get(hash_)
            if found is None:
                raise FormatError("parent_unknown", f"no credential {hash_.hex()[:64]} is here")
            chain = delegation.trace(found, self._pool, self.matrix, self.roots)
            turns = [(link.terms.not_before_s * NS, link.terms.expires_s * NS) for link in chain.links]
            traced = self._traced[hash_] = _Traced(chain, self._revoked(chain), sorted(sum(turns, ())), {})
        return traced

    def _revoked(self, chain: Chain) -> dict[bytes, int]:
        """From which seq each link of a chain is revoked."""
        revoked = {}
        for place, link in enumerate(chain.links):
            above = revocation.keys_above(chain, self.roots, place)
            seqs = [self.revocations.get(link.hash + key) for key in (b"", *above)]
            acting = [seq for seq in seqs if seq is not None]
            if acting:
                revoked[link.hash] = min(acting)
        return revoked

    def _revocation_key(self, hash_: bytes, signer: bytes) -> bytes:
        if any(signer == root.public_key for root in self.roots):
            return hash_
        if hash_ in self._pool and signer in revocation.keys_above(self.chain(hash_), self.roots):
            return hash_
        return hash_ + signer

    def _keys(self) -> list[bytes]:
        keys = [root.public_key for root in self.roots]
        keys += [issuer.key for issuer in self.matrix.issuers] if self.matrix else []
        return [*keys, *(one.terms.key for one in self._pool.values())]
