"""What policy and credential entries bring, in words, and which one is meant by the beginning of a hash or by a name.

Who signed it is not asked here: that is for verification, and for `why` with a trust file.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from recorder.audit.source import LineageSource, kind_of
from recorder.core import cbor, claims, credential, matrix, policy, revocation
from recorder.core.controls import Fact
from recorder.core.entry import decode_in_order
from recorder.core.errors import FormatError, Misuse
from recorder.core.kinds import Kind

PREFIX_MIN = 8  # hex digits
LISTED_MAX = 5
_BODY = 11
_TABLE = "lineage/table/1"

Sort = Literal["bundle", "credential", "matrix", "revocation"]


class Brought(NamedTuple):
    """What a policy or a credential entry carries."""

    sort: Sort
    name: str  # of the policy, or of the credential's subject; "" where it has none
    words: str


def brought(kind: int, body: Mapping[str, Any]) -> Brought | None:
    """Read what claims of a body carry; None where it is withheld or cannot be read."""
    try:
        if kind == Kind.POLICY and isinstance(bundle := body.get("bundle"), bytes):
            return _bundle(bundle)
        if kind != Kind.CREDENTIAL:
            return None
        if isinstance(raw := body.get("credential"), bytes):
            terms = credential.read(raw).terms
            words = f"credential of {terms.subject} ({terms.role}) by {terms.issuer} until {_day(terms.expires_s)}"
            return Brought("credential", terms.subject, words)
        if isinstance(raw := body.get("matrix"), bytes):
            version, issuers = matrix.stated(raw)
            named = ", ".join(one.name for one in issuers) or "nobody"
            return Brought("matrix", "", f"recognition matrix version {version}: {named}")
        if isinstance(raw := body.get("revocation"), bytes):
            listed = revocation.read(raw)
            named = ", ".join(one.credential.hex()[:PREFIX_MIN] for one in listed.revoked) or "nothing"
            return Brought("revocation", "", f"revocation list version {listed.version}: {named}")
    except FormatError:
        pass
    return None


def named(source: LineageSource, wanted: str, sort: Sort | None) -> bytes:
    """The digest of the one bundle or credential that is meant.

    Args:
        source: goes through all its entries once.
        wanted: at least 8 hex digits of a digest, or the name of a policy or of a credential's subject.
        sort: which of both it is; None where a digest alone may say it.

    Raises:
        Misuse: none is meant, or several.

    """
    found: dict[bytes, str] = {}
    with closing(source.read(0)) as entries:
        for held in entries:
            kind = kind_of(held.raw)
            if kind not in (Kind.POLICY, Kind.CREDENTIAL):
                continue
            try:
                control = decode_in_order(held.raw).header.control
                body = claims.disclosed("body", cbor.decode(held.claims)[_BODY]) if held.claims else {}
            except (FormatError, KeyError, TypeError):
                continue
            if not isinstance(control, Fact):
                continue
            told = brought(kind, body)
            is_digest = is_prefix(wanted) and control.digest.hex().startswith(wanted)
            is_name = sort is not None and told is not None and told.name == wanted
            is_sort = sort is None or (kind == Kind.POLICY) == (sort == "bundle")
            if is_sort and (is_digest or is_name):
                found[control.digest] = told.words if told is not None else "what it is, is not here"
    if len(found) == 1:
        return next(iter(found))
    what = "policy bundle or credential" if sort is None else "policy bundle" if sort == "bundle" else sort
    if not found:
        raise Misuse(f"no {what} {wanted[:80]!r} here: give a name, or {PREFIX_MIN} or more digits of its hash")
    listed = "; ".join(f"{digest.hex()[:16]} {words!r}" for digest, words in list(found.items())[:LISTED_MAX])
    raise Misuse(f"{len(found)} are meant by {wanted[:80]!r}: {listed}")


def is_prefix(text: str) -> bool:
    """Whether this can be the beginning of a hash."""
    return len(text) >= PREFIX_MIN and not set(text) - set("0123456789abcdef")


def _bundle(raw: bytes) -> Brought | None:
    try:
        read = policy.read(raw).policy
    except FormatError:
        table = cbor.decode(raw)
        classes = table.get(_TABLE) if isinstance(table, dict) else None
        is_table = isinstance(classes, dict)
        return Brought("bundle", "", f"configured table of {len(classes)} classes") if is_table and classes else None
    return Brought("bundle", read.name, f"policy {read.name} version {read.version} until {_day(read.exp)}")


def _day(utc_s: int) -> str:
    try:
        return f"{datetime.fromtimestamp(utc_s, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError):  # after the year 9999
        return f"{utc_s} s UTC"
