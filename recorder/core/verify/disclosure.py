"""Step 8: claims beside an entry against the digests in its header (FORMAT.md section 4).

Claims are a CBOR map `{? 8: who, ? 9: why, ? 10: [ + [what, where] / [what, where, rows] ], ? 11: body, ? 18: choice}`,
each family at rest or in transport.  Keys 8 and 9 stand only beside the entry that carries them; the choice of
witnesses is no family: it is `[salt, [* kid]]`, and its hash is in key 18 of the header.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256
from typing import Any

from recorder.core import cbor, observation, rows
from recorder.core.chosen import CHOICE_KEY, read_choice
from recorder.core.claims import MALFORMED, WHOLE, digest_of, disclosed
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.kinds import Decision, Kind, Rows, Witnesses
from recorder.core.limits import CLAIMS_MAX_BYTES
from recorder.core.merkle import root_of
from recorder.core.required import CONTROL_BODY, POLICY_BODY, UNGATED_WHY, missing
from recorder.core.verify.found import Found

WHO, WHY, COMMITS, BODY = 8, 9, 10, 11
NO_CLAIMS = b"\xa0"  # the empty map
CREDENTIALS = ("credential", "matrix", "revocation")  # what a credential entry may bring: one of them
_BOUND = frozenset({Kind.CYCLE, Kind.ACTUATION})  # whose claims must be complete (recorder.core.required)
_NAMES = {WHO: "who", WHY: "why", COMMITS: "commits", BODY: "body", CHOICE_KEY: "choice of witnesses"}


def carries_claims(header: Header) -> bool:
    """Tell whether claims belong beside this entry."""
    seq = header.seq
    return bool(
        header.commits
        or header.body is not None
        or (header.who is not None and header.who.carrier == seq)
        or (header.why is not None and header.why.carrier == seq)
    )


def check_claims(header: Header, raw: bytes, row_bytes: tuple[int | None, ...], found: Found) -> int:
    """Check the claims of an entry; return how many families there were to check."""
    seq = header.seq
    digests: dict[int, bytes] = {}
    if header.who is not None and header.who.carrier == seq:
        digests[WHO] = header.who.digest
    if header.why is not None and header.why.carrier == seq:
        digests[WHY] = header.why.digest
    if header.body is not None:
        digests[BODY] = header.body
    expected = set(digests) | ({COMMITS} if header.commits else set())
    if header.witnesses is not None:
        expected.add(CHOICE_KEY)
    try:
        claims = _map_of(raw)
    except FormatError as error:
        found(MALFORMED, seq, error.detail)
        return len(expected)
    if absent := expected - claims.keys():
        found("claims_missing", seq, f"no {', '.join(sorted(_NAMES[key] for key in absent))}")
    if extra := claims.keys() - expected:
        found("claims_extra", seq, f"keys {sorted(extra)} belong to no digest of this entry")
    checked = 0
    for key, digest in digests.items():
        if key in claims:
            checked += 1
            _check_family(header, _NAMES[key], digest, claims[key], found)
    if header.commits and COMMITS in claims:
        checked += _check_commits(header, claims[COMMITS], row_bytes, found)
    if header.witnesses is not None and CHOICE_KEY in claims:
        checked += 1
        _check_choice(seq, header.witnesses, claims[CHOICE_KEY], found)
    return checked


def _check_choice(seq: int, asked: Witnesses, held: object, found: Found) -> None:
    try:
        choice = read_choice(held)
    except FormatError as error:
        found(MALFORMED, seq, error.detail)
        return
    if choice.digest() != asked.chosen:
        found("claims_mismatch", seq, f"the choice of witnesses does not lead to its digest {asked.chosen.hex()}")


def _map_of(raw: bytes) -> dict[int, Any]:
    if len(raw) > CLAIMS_MAX_BYTES:
        raise FormatError(MALFORMED, f"claims of {len(raw)} bytes, at most {CLAIMS_MAX_BYTES} are allowed")
    claims = cbor.decode(raw)
    if not isinstance(claims, dict) or any(isinstance(key, str) for key in claims):
        raise FormatError(MALFORMED, "claims are not a map of header keys")
    return claims


def _check_commits(header: Header, claims: object, row_bytes: tuple[int | None, ...], found: Found) -> int:
    commits = header.commits or []
    if not isinstance(claims, list) or len(claims) != len(commits):
        found(MALFORMED, header.seq, f"claims of commits are not a list of {len(commits)}")
        return 0
    for index, (commit, item) in enumerate(zip(commits, claims, strict=True)):
        is_rows = isinstance(commit, Rows)
        if not isinstance(item, list) or len(item) != 2 + is_rows:
            found(MALFORMED, header.seq, f"claims of commit {index} are not [what, where{', rows' * is_rows}]")
            continue
        _check_family(header, "what", commit.what, item[0], found)
        _check_family(header, "where", commit.where, item[1], found)
        if isinstance(commit, Rows):
            _check_rows((header.seq, index), commit, item[2], row_bytes[index] if row_bytes else None, found)
    return 2 * len(commits)


def _check_family(header: Header, name: str, digest: bytes, family: object, found: Found) -> None:
    seq = header.seq
    if not isinstance(family, list | dict):
        found(MALFORMED, seq, f"family {name} is neither a list nor a map")
        return
    if isinstance(family, list) and len(family) == 2 and not family[1]:
        # The digest of an empty family covers no secret: bytes that nothing vouches for would pass.
        found(MALFORMED, seq, f"family {name} is empty and not written as {{}}")
        return
    try:
        if digest_of(name, family) != digest:
            found("claims_mismatch", seq, f"family {name} does not lead to its digest {digest.hex()}")
            return
        if name == "body":
            _check_body(header, family, found)
        elif header.kind in _BOUND:
            _check_required(seq, UNGATED_WHY if name == "why" and _is_ungated(header) else name, family, found)
    except FormatError as error:
        found(MALFORMED, seq, error.detail)


def _is_ungated(header: Header) -> bool:
    return header.decision == Decision.UNGATED


def _check_required(seq: int, table: str, family: list[Any] | dict[str, Any], found: Found) -> None:
    keys = _keys_of(family)
    if keys is not None and (lacking := missing(table, keys)):
        found("claim_required", seq, f"{table} lacks {', '.join(lacking)}")


def _keys_of(family: list[Any] | dict[str, Any]) -> Collection[str] | None:
    """Keys of a family whose digest was checked, with a whole map opened; None where nothing tells them."""
    claims: dict[str, Any] = family if isinstance(family, dict) else family[1]
    if len(claims) != 1 or WHOLE not in claims:
        return claims
    whole = claims[WHOLE]
    if isinstance(family, dict):
        if isinstance(whole, bytes):
            return None
        whole = whole[1]
    if not isinstance(whole, dict) or any(isinstance(key, int) for key in whole):
        raise FormatError(MALFORMED, f'the only key "{WHOLE}" does not hold a map of claims')
    return whole


def _check_body(header: Header, family: list[Any] | dict[str, Any], found: Found) -> None:
    if header.kind == Kind.OBSERVATION:
        digest = None if header.control is None else header.control.digest
        if not observation.named_by(digest, disclosed("body", family)):
            stated = "there is none" if digest is None else f"it is {digest.hex()}"
            found("observation_digest", header.seq, f"control does not have the digest of the observation: {stated}")
    if header.kind == Kind.CONTROL_TRANSITION:
        _check_required(header.seq, CONTROL_BODY, family, found)
    if header.kind == Kind.CREDENTIAL:
        _check_credential(header, disclosed("body", family), found)
    if header.kind != Kind.POLICY:
        return
    _check_required(header.seq, POLICY_BODY, family, found)
    values = disclosed("body", family)
    if "bundle" not in values:  # withheld, or found lacking above
        return
    bundle = values["bundle"]
    if not isinstance(bundle, bytes) or sha256(bundle).digest() != header.control.digest:
        found("bundle_digest", header.seq, f"the bundle is not the one with digest {header.control.digest.hex()}")


def _check_credential(header: Header, values: dict[str, Any], found: Found) -> None:
    """What is here of a credential entry: one signed thing, of which control has the hash."""
    named = [name for name in CREDENTIALS if name in values]
    if len(named) > 1:
        found("credential_digest", header.seq, f"one hash for {' and '.join(named)}")
    for raw in (values[name] for name in named):
        if not isinstance(raw, bytes) or sha256(raw).digest() != header.control.digest:
            found("credential_digest", header.seq, f"the {named[0]} is not that of {header.control.digest.hex()}")


def _check_rows(at: tuple[int, int], commit: Rows, held: object, row_bytes: int | None, found: Found) -> None:
    seq, index = at
    try:
        leaves = rows.leaves_of(held, commit.count, row_bytes)
    except FormatError as error:
        found(error.error, seq, f"commit {index}: {error.detail}")
        return
    if root_of(leaves) != commit.rows_root:
        found("rows_root", seq, f"the rows of commit {index} do not lead to root {commit.rows_root.hex()}")
        return
    for row_index, claimed in ((0, commit.at_mono_ns[0]), (commit.count - 1, commit.at_mono_ns[1])):
        row = _row(held, row_index, commit.count)
        if row is not None and int.from_bytes(row[: rows.TIME_BYTES], "little") != claimed:
            found("rows_time", seq, f"row {row_index} of commit {index} is not of {claimed} ns, which the header says")


def _row(held: object, at: int, count: int) -> bytes | None:
    """One of the rows that `leaves_of` accepted; None where it is withheld."""
    if isinstance(held, list):
        size = len(held[1]) // count
        packed: bytes = held[1]
        return packed[at * size : (at + 1) * size]
    row = held[at] if isinstance(held, dict) else None
    return row[1] if isinstance(row, list) else None
