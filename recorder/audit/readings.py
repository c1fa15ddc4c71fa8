"""Observations out of a lineage, and what is known of who signed each (FORMAT.md section 6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from msgspec import ValidationError, convert

from recorder.audit.source import Held, LineageSource, kind_of
from recorder.core import cbor, claims, delegation, observation
from recorder.core.credential import Credential
from recorder.core.delegation import Chain, Moment
from recorder.core.entry import Entry, decode
from recorder.core.errors import FormatError
from recorder.core.ids import entry_id
from recorder.core.kinds import Kind
from recorder.core.matrix import Matrix
from recorder.core.note import VerifierKey
from recorder.core.observation import CLAIM, Observation, Observed
from recorder.core.revocation import RevocationList, may_revoke

_BODY = 11  # in a claims record

Standing = Literal["verified", "unverified", "unsigned"]


class Signer(NamedTuple):
    """Who signed an observation, as far as a reader can tell."""

    standing: Standing
    name: str | None  # subject of the credential, or name of the pinned key; None unless verified
    kid: str | None  # hex; None where nobody signed
    detail: str  # why it is not verified; empty where it is


UNSIGNED = Signer("unsigned", None, None, "the recorder that stored it is all that vouches for it")


class Reading(NamedTuple):
    """One observation and the entry that holds it."""

    origin: str
    id: str  # printed id of the entry
    says: Observation
    signer: Signer


@dataclass(frozen=True)
class Observers:
    """What a reader knows of observers: credentials, with what stands above and against them, and keys without one."""

    pinned: Sequence[VerifierKey] = ()
    credentials: Mapping[bytes, Credential] = field(default_factory=dict)  # by hash
    matrix: Matrix | None = None
    roots: Sequence[VerifierKey] = ()
    revocations: Sequence[RevocationList] = ()  # those by nobody above a credential do not touch it
    _traced: dict[bytes, tuple[Chain, dict[bytes, int]]] = field(default_factory=dict, init=False, compare=False)

    def judge(self, observed: Observed, recorded_utc_ns: int) -> Signer:
        """Say who signed it.

        The moment for its credential reaches from the observer's time to the recorder's: whoever stole a key whose
        credential has expired can sign an earlier time, but not have it recorded then.
        """
        kid = observed.signed.kid.hex()
        at_ns, named = observed.says.at_utc_ns, observed.says.credential
        credential = None if named is None else self.credentials.get(named)
        if credential is None:
            for key in self.pinned:
                if not _fault(observed, key.public_key):
                    return Signer("verified", key.name, kid, "")
            lacking = "it names no credential" if named is None else f"its credential {named.hex()[:16]} is not here"
            return Signer("unverified", None, kid, f"{lacking}, and no key that is trusted here signed it")
        if fault := _fault(observed, credential.terms.key):
            return Signer("unverified", None, kid, fault)
        moment = Moment(min(at_ns, recorded_utc_ns), max(at_ns, recorded_utc_ns), None)
        found = delegation.stand(*self._chain_of(credential), moment)
        if found.verdict != "valid":
            errors = ", ".join(dict.fromkeys(reason.error for reason in found.reasons))
            return Signer("unverified", None, kid, f"its credential is {found.verdict}: {errors}")
        return Signer("verified", credential.terms.subject, kid, "")

    def _chain_of(self, credential: Credential) -> tuple[Chain, dict[bytes, int]]:
        """A chain and the links of it that are revoked; traced once, since its signatures stay what they are."""
        if credential.hash not in self._traced:
            chain = delegation.trace(credential, self.credentials, self.matrix, self.roots)
            revoked: dict[bytes, int] = {}
            for at, link in enumerate(chain.links):
                below = chain._replace(links=chain.links[at:])
                for listed in self.revocations:
                    names = any(item.credential == link.hash for item in listed.revoked)
                    if names and may_revoke(listed, below, self.roots):
                        revoked[link.hash] = 0  # no seq of one log is one of another: what is known counts
            self._traced[credential.hash] = chain, revoked
        return self._traced[credential.hash]


class Readings(NamedTuple):
    """The observations of a lineage that can be compared, and how many cannot, by reason."""

    origin: str
    listed: list[Reading]
    left_out: Counter[str]


def read_observations(source: LineageSource, observers: Observers) -> Readings:
    """Collect the observations of a lineage that was verified.

    Left out: `withheld` (the claims are not here), `unreadable` (observation_malformed), `no_reading` (unsigned, and
    without a name and a value), `no_subject` (nobody can tell what they are of).

    Raises:
        LineageError, OSError: the source cannot be read.

    """
    origin = source.origin
    listed: list[Reading] = []
    left_out: Counter[str] = Counter()
    with closing(source.read(0)) as entries:
        for held in entries:
            if kind_of(held.raw) != Kind.OBSERVATION:
                continue
            found = _reading(held, origin, observers)
            if isinstance(found, str):
                left_out[found] += 1
            elif found.says.subject is None:
                left_out["no_subject"] += 1
            else:
                listed.append(found)
    return Readings(origin, listed, left_out)


def _reading(held: Held, origin: str, observers: Observers) -> Reading | str:
    """An observation, or the reason for which there is none."""
    if not held.claims:
        return "withheld"
    try:
        entry = decode(held.raw)
        family = cbor.decode(held.claims)[_BODY]
        body = claims.disclosed("body", family)
        if CLAIM in body:
            observed = observation.read(body[CLAIM])
            says, signer = observed.says, observers.judge(observed, entry.header.time.utc_ns)
        elif {CLAIM, claims.WHOLE} & set(claims.withheld(family)):
            return "withheld"
        else:
            says, signer = _unsigned(body, entry), UNSIGNED
    except ValidationError:
        return "no_reading"
    except (FormatError, TypeError, KeyError, AttributeError):  # as it lies there, which nothing vouches for
        return "unreadable"
    return Reading(origin, str(entry_id(entry.hash, held.seq)), says, signer)


def _unsigned(body: Mapping[str, Any], entry: Entry) -> Observation:
    """What body claims of the names of a signed observation say; the time is the entry's where they have none."""
    said = {"at_utc_ns": entry.header.time.utc_ns, "sequence": 0, **body}
    return convert([said.get(part) for part in Observation._fields], Observation, builtin_types=(bytes,))


def _fault(observed: Observed, key: bytes) -> str:
    try:
        observation.verify(observed, key)
    except FormatError as error:
        return error.error
    return ""
