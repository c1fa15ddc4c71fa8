"""Claims beside an entry: salted hashes, family digests, what is disclosed and what is withheld (FORMAT.md section 4).

A family (who, what, where, why, body) is a map of text keys to values.  The signed header carries only its digest;
the claims lie beside the entry, so that each can be withheld or erased without touching a signature.

Two forms.  At rest: `[secret, {key: value}]`, salts derived.  In transport: `{key: [salt, value]}` for what is
disclosed and `{key: claim hash}` for what is not; the secret is never in it, since it would open every sibling.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import sha256, shake_128
from typing import Any

from recorder.core import cbor
from recorder.core.errors import FormatError
from recorder.core.limits import HASH_BYTES, SALT_BYTES
from recorder.core.packing import keys_of, packed

FAMILIES = ("who", "what", "where", "why", "body")
WHOLE = "*"  # the only key of a family whose class prefers speed to disclosure claim by claim
LABEL = "lineage/family/1"
MALFORMED = "claims_malformed"

# CBOR heads of [salt, key, value] and of a 16-byte string: a claim is hashed without building a list for it.
_CLAIM_HEAD = b"\x83\x50"
_HASH_HEAD = b"\x58\x20"  # a 32-byte string
_FAMILY_HEADS = {name: b"\x83" + cbor.pack(LABEL) + cbor.pack(name) for name in FAMILIES}
_REST_HEAD = b"\x82\x50"  # [16-byte secret, ...
_ONE = cbor.head(5, 1)
_WHOLE_KEY = cbor.pack(WHOLE)
NOTHING: Mapping[str, bytes] = {}

Rest = list[Any]  # [secret: bytes, claims: dict[str, Value]]
Transport = dict[str, Any]  # key: [salt, value] or claim hash


def claim_hash(salt: bytes, key: str, value: cbor.Value) -> bytes:
    """SHA-256 of CBOR [salt, key, value]."""
    return sha256(_CLAIM_HEAD + salt + packed(key) + packed(value)).digest()


def salts(secret: bytes, count: int) -> list[bytes]:
    """`count` salts of 16 bytes out of a 16-byte secret: SHAKE-128, in the order of canonical keys or of rows."""
    stream = shake_128(secret).digest(SALT_BYTES * count)
    return [stream[at : at + SALT_BYTES] for at in range(0, len(stream), SALT_BYTES)]


def canonical_keys(claims: Collection[str]) -> list[str]:
    """Keys in the order of their deterministic encoding: shorter first, then bytewise."""
    encoded = sorted((key.encode() for key in claims), key=lambda key: (len(key), key))
    return [key.decode() for key in encoded]


def family_digest(name: str, hashes: dict[str, bytes]) -> bytes:
    """SHA-256 of CBOR ["lineage/family/1", name, {key: claim hash}]."""
    return sha256(_FAMILY_HEADS[name] + cbor.pack(hashes)).digest()


def digest_at_rest(name: str, secret: bytes, claims: dict[str, cbor.Value]) -> bytes:
    """Family digest of claims whose salts come from `secret`; they came through `cbor.decode` or `cbor.encode`."""
    return at_rest(name, secret, claims)[0]


def at_rest(
    name: str, secret: bytes, claims: dict[str, cbor.Value], known: Mapping[str, bytes] = NOTHING
) -> tuple[bytes, bytes]:
    """Family digest, and CBOR of `[secret, claims]`, with each key and value encoded once for both.

    As `claim_hash` and `family_digest`, without building a map for them.  `known` are values that are encoded already.
    """
    map_head, keys = keys_of(tuple(claims))
    hashed, stored = _FAMILY_HEADS[name] + map_head, _REST_HEAD + secret + map_head
    for (word, key), salt in zip(keys, salts(secret, len(keys)), strict=True):
        claim = word + (known.get(key) or packed(claims[key]))
        stored += claim
        hashed += word + _HASH_HEAD + sha256(_CLAIM_HEAD + salt + claim).digest()
    return sha256(hashed).digest(), stored


def at_rest_whole(name: str, secret: bytes, claims: dict[str, cbor.Value]) -> tuple[bytes, bytes]:
    """As `at_rest` of `{"*": claims}`, in two thirds of the time."""
    claim = _WHOLE_KEY + packed(claims)
    digest = sha256(_CLAIM_HEAD + shake_128(secret).digest(SALT_BYTES) + claim).digest()
    hashed = _FAMILY_HEADS[name] + _ONE + _WHOLE_KEY + _HASH_HEAD + digest
    return sha256(hashed).digest(), _REST_HEAD + secret + _ONE + claim


def digest_in_transport(name: str, family: Transport) -> bytes:
    """Family digest of claims in transport form.

    Raises:
        FormatError: claims_malformed.

    """
    hashes: dict[str, bytes] = {}
    for key, claim in family.items():
        if not isinstance(key, str):
            raise FormatError(MALFORMED, f"claim key {key!r} of family {name} is not text")
        if isinstance(claim, bytes) and len(claim) == HASH_BYTES:
            hashes[key] = claim
        elif isinstance(claim, list) and len(claim) == 2 and _is_salt(claim[0]):
            hashes[key] = claim_hash(claim[0], key, claim[1])
        else:
            raise FormatError(MALFORMED, f"claim {name}.{key} is neither [salt, value] nor a 32-byte hash")
    return family_digest(name, hashes)


def digest_of(name: str, family: Rest | Transport) -> bytes:
    """Family digest of claims in either form.

    Raises:
        FormatError: claims_malformed.

    """
    if isinstance(family, dict):
        return digest_in_transport(name, family)
    secret, claims = _opened(name, family)
    return digest_at_rest(name, secret, claims)


def to_transport(name: str, family: Rest | Transport, withhold: Collection[str] = ()) -> Transport:
    """Disclose a family but for the keys in `withhold`; what is withheld already stays so.

    Raises:
        FormatError: claims_malformed.

    """
    if not isinstance(family, dict):
        secret, claims = _opened(name, family)
        keys = canonical_keys(claims)
        family = {key: [salt, claims[key]] for key, salt in zip(keys, salts(secret, len(keys)), strict=True)}
    return {
        key: claim_hash(claim[0], key, claim[1]) if key in withhold and isinstance(claim, list) else claim
        for key, claim in family.items()
    }


def disclosed(name: str, family: Rest | Transport) -> dict[str, cbor.Value]:
    """Values that can be read, with a whole-map family opened; withheld keys are left out.

    Raises:
        FormatError: claims_malformed.

    """
    if not isinstance(family, dict):
        values = dict(_opened(name, family)[1])
    else:
        values = {key: claim[1] for key, claim in family.items() if isinstance(claim, list) and len(claim) == 2}
    whole = values.get(WHOLE)
    return whole if len(values) == 1 and isinstance(whole, dict) else values


def withheld(family: Rest | Transport) -> list[str]:
    """Keys of which only the hash is here."""
    return [] if isinstance(family, list) else [key for key, claim in family.items() if isinstance(claim, bytes)]


def _is_salt(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == SALT_BYTES


def _opened(name: str, family: object) -> tuple[bytes, dict[str, cbor.Value]]:
    # What stands beside an entry is not signed itself: it may be anything that CBOR can say.
    if isinstance(family, list) and len(family) == 2 and _is_salt(family[0]) and isinstance(family[1], dict):  # noqa: SIM102
        if all(isinstance(key, str) for key in family[1]):
            return family[0], family[1]
    raise FormatError(MALFORMED, f"family {name} at rest is not [16-byte secret, map with text keys]")
