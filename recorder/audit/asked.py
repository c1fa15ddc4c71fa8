"""What became of the witnesses that one entry asked for: who signed by the evidence above it, and after how long."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from recorder.audit.source import Held, LineageSource, identity_key, kind_of
from recorder.core.chosen import candidates_of
from recorder.core.entry import decode
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.keys import kid
from recorder.core.kinds import Kind
from recorder.core.trust import Trust
from recorder.core.verify.asked import Asked, Pending, choice_beside

LOOKED_MAX = 100_000  # entries above it: who has not signed by then did not for this one's sake


def asked_of(source: LineageSource, header: Header, held: Held, trust: Trust | None) -> dict[str, Any] | None:
    """For JSON and text; None where it asked nobody.

    Raises:
        StoreError: the lineage cannot be read on.

    """
    asked = header.witnesses
    if asked is None:
        return None
    choice = choice_beside(asked, held.claims or None)
    said: dict[str, Any] = {"wanted": asked.k, "within_ms": asked.within_ms, "before_acting": bool(asked.before)}
    if choice is None:
        return {**said, "words": f"{_wanted(said)}; whom it asked is not here"}
    if not choice.kids:
        return {**said, "asked": [], "words": f"{_wanted(said)}; nobody could be asked"}
    if trust is None or not trust.witnesses:
        told = f"{_wanted(said)}, {len(choice.kids)} asked; with --trust it is told who signed"
        return {**said, "asked": [{"kid": one.hex()} for one in choice.kids], "words": told}
    names = {kid(key.public_key): name for name, key in trust.witnesses.items()}
    pending = _signed(source, header, held, trust)
    after = {} if pending is None else {one.kid: one.after_ms for one in pending.signed}
    listed = [
        {"kid": one.hex(), "name": names.get(one), "signed": one in after, "after_ms": after.get(one)}
        for one in choice.kids
    ]
    return {**said, "asked": listed, "words": f"{_wanted(said)}: {', '.join(map(_one, listed))}"}


def _signed(source: LineageSource, header: Header, held: Held, trust: Trust) -> Pending | None:
    """Read on until all have signed; None where the trust file names none of them."""
    asked = Asked(lambda *_: None, source.origin, candidates_of(trust, trust.witnesses))
    identity = trust.identity_of(source.origin) or identity_key(source)
    asked.check(header, held.claims or None, identity)
    pending = asked.waiting(header.seq)
    if pending is None:
        return None
    with closing(source.read(header.seq + 1)) as entries:
        for at, above in enumerate(entries):
            if not pending.kids or at >= LOOKED_MAX:
                break
            if kind_of(above.raw) != Kind.EVIDENCE:
                continue
            try:
                asked.check(decode(above.raw).header, above.claims or None, identity)
            except FormatError:
                continue  # for `verify` to say
    return pending


def _wanted(said: dict[str, Any]) -> str:
    return f"{said['wanted']} wanted within {said['within_ms']} ms{' before acting' if said['before_acting'] else ''}"


def _one(listed: dict[str, Any]) -> str:
    name = listed["name"] or f"{listed['kid']}, which the trust file does not name"
    if not listed["signed"]:
        return f"{name} not" if listed["name"] else name
    return f"{name} after {listed['after_ms']} ms" if listed["after_ms"] is not None else f"{name} later"
