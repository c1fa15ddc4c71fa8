"""Runs in the venv of tests/cose-oracle.lock: reads JSON cases from stdin, says what the library `cwt` makes of each.

A case is [COSE_Sign1, external_aad, public key], in hex; the answer is the payload in hex, or null where it refuses.  With
`--claims` the answer is [iss, sub, exp, nbf, iat, cti in hex, key of the subject in hex] of a payload that is a CWT.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def opened(raw: bytes, aad: bytes, public_key: bytes) -> str | None:
    """The payload, if the signature holds for `cwt`."""
    from cwt import COSE, COSEKey  # type: ignore[import-not-found]  # there, not here

    # kty OKP, alg Ed25519 (RFC 9864), crv Ed25519; the key has the kid that the entry names.
    kid = raw[8:16]
    key = COSEKey.new({1: 1, 2: kid, 3: -19, -1: 6, -2: public_key})
    try:
        payload: Any = COSE.new(verify_kid=True).decode(raw, keys=key, external_aad=aad)
    except Exception:  # noqa: BLE001 -- the library raises what it likes on bad bytes
        return None
    assert isinstance(payload, bytes)
    return payload.hex()


def claimed(raw: bytes, aad: bytes, public_key: bytes) -> list[Any]:
    """The registered claims of a credential, as `cwt` names them."""
    import cbor2
    from cwt import Claims

    payload = opened(raw, aad, public_key)
    assert payload is not None
    claims = Claims.new(cbor2.loads(bytes.fromhex(payload)))
    key = claims.cnf  # the COSE_Key in it
    assert (key[1], key[-1]) == (1, 6)
    return [claims.iss, claims.sub, claims.exp, claims.nbf, claims.iat, claims.cti.encode().hex(), key[-2].hex()]


if __name__ == "__main__":
    cases = json.load(sys.stdin)
    answer = claimed if sys.argv[1:] == ["--claims"] else opened
    json.dump([answer(*map(bytes.fromhex, case)) for case in cases], sys.stdout)
