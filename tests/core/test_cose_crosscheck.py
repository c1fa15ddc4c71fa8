"""Signatures against code that is not ours: the COSE library `cwt` in a venv of its own, and `cryptography`.

`cwt` needs a cbor2 older than ours, so tests/cose-oracle.lock has a venv for itself, made when first asked for.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import entry, sign1
from recorder.core.keys import SeedSigner, kid, verify
from tests.core.shapes import KINDS, headers, naive_cbor
from tests.credential_builder import ROOT, from_root

HERE = Path(__file__).parent
SIGNER = SeedSigner(bytes(range(1, 33)))
AAD = entry.external_aad("fleet/arm/0123456789abcdef")
HASH, SIXTEEN = bytes(32), bytes(16)
HEADERS: list[dict[int, Any]] = [
    {1: 1, 2: 3, 3: 7, 4: HASH, 5: [1, 2, 1, 0, None], 15: [HASH]},
    {1: 1, 2: 16, 3: 2**64 - 1, 4: HASH, 5: [1, 2, 1, 3, 4], 15: ["fault", ["x" * 300, 1.5, None, {"a": [True]}]]},
    {1: 1, 2: 4, 3: 9, 4: HASH, 5: [1, 2, 1, 0, None], 6: {3: None, 500: [1, HASH]}, 7: [HASH, None], 8: [HASH, 1],
     9: [HASH, 1], 10: [[3, HASH, HASH, 5, SIXTEEN], [500, HASH, 10, HASH, HASH, HASH, [1, 2], SIXTEEN]], 13: ["motion", "1y"],
     14: 0, 16: 0},
]  # fmt: skip

pytestmark = pytest.mark.timeout(600)  # the venv is made on a slow card, once


@pytest.fixture(scope="module")
def oracle(request: pytest.FixtureRequest) -> Path:
    """The Python of a venv that holds tests/cose-oracle.lock."""
    lock = HERE.parent / "cose-oracle.lock"
    wanted = sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
    venv = Path(request.config.cache.mkdir("cose-oracle")) / wanted
    if not venv.exists():
        made = venv.with_name(f"{wanted}.{os.getpid()}")  # two workers of xdist may make it at once
        subprocess.run([sys.executable, "-m", "venv", str(made)], check=True)
        pip = [str(made / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(lock)], check=True)
        try:
            made.rename(venv)
        except OSError:
            shutil.rmtree(made)
    return venv / "bin/python"


def asked(oracle: Path, cases: list[tuple[bytes, bytes, bytes]]) -> list[bytes | None]:
    """What the library makes of (COSE_Sign1, external_aad, public key): the payload, or None where it refuses."""
    return [None if answer is None else bytes.fromhex(answer) for answer in answers(oracle, cases)]


def answers(oracle: Path, cases: list[tuple[bytes, bytes, bytes]], *options: str) -> list[Any]:
    """What the program cose_oracle.py answers to these cases."""
    question = json.dumps([[part.hex() for part in case] for case in cases])
    # Neither our packages nor coverage's hook belong in there.
    run = subprocess.run(
        [oracle, "-I", str(HERE / "cose_oracle.py"), *options],
        input=question, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    answered: list[Any] = json.loads(run.stdout)
    return answered


def test_a_cose_library_takes_our_entries(oracle: Path) -> None:
    """`cwt` verifies our entries with our external_aad and gives back the header that we signed."""
    raws = [entry.sign(header, AAD, SIGNER) for header in HEADERS]
    assert asked(oracle, [(raw, AAD, SIGNER.public_key) for raw in raws]) == [naive_cbor(header) for header in HEADERS]


def test_a_cose_library_refuses_what_we_refuse(oracle: Path) -> None:
    """A tampered entry, another aad, another key, another algorithm: refused by the library as by us."""
    raw = entry.sign(HEADERS[0], AAD, SIGNER)
    key, other = SIGNER.public_key, SeedSigner(HASH).public_key
    flipped = [
        raw[:at] + bytes([raw[at] ^ 0x01]) + raw[at + 1 :] for at in (9, 20, 40, 60, len(raw) - 64, len(raw) - 1)
    ]
    cases = [(wrong, AAD, key) for wrong in flipped]
    cases += [(raw, aad, key) for aad in (b"", AAD[:-1], AAD + b"x", AAD.replace(b"arm", b"leg"))]
    cases += [(raw, AAD, other), (raw.replace(b"\xa2\x01\x32", b"\xa2\x01\x33"), AAD, key)]
    assert asked(oracle, [(raw, AAD, key), *cases]) == [naive_cbor(HEADERS[0]), *[None] * len(cases)]


def test_a_cose_library_takes_our_credentials(oracle: Path) -> None:
    """`cwt` verifies what is signed apart from a log under its own label, and under no other one."""
    cases = [(sign1.sign(SIGNER, use, use.label.encode()), use) for use in sign1.USES]
    cases.append((from_root("ann").signed.raw, sign1.CREDENTIAL))
    keys = [SIGNER.public_key] * len(sign1.USES) + [ROOT.public_key]
    asked_for = [(raw, use.label.encode(), key) for (raw, use), key in zip(cases, keys, strict=True)]
    assert asked(oracle, asked_for) == [*(use.label.encode() for use in sign1.USES), from_root("ann").signed.payload]
    wrong = [
        (raw, other.label.encode(), SIGNER.public_key)
        for raw, use in cases[:-1]
        for other in sign1.USES
        if use != other
    ]
    wrong += [(raw, AAD, key) for raw, _, key in asked_for]
    assert asked(oracle, wrong) == [None] * len(wrong)


def test_claims_as_a_cwt_library_reads_them(oracle: Path) -> None:
    """`cwt` finds the registered claims of a credential (RFC 8392, RFC 8747) under the labels at which we put them."""
    found = from_root("ann", serial=b"0123456789abcdef")  # the library takes a serial for text
    said = found.terms
    claims = answers(oracle, [(found.signed.raw, b"lineage/credential/1\n", ROOT.public_key)], "--claims")
    assert claims == [[
        said.issuer, said.subject, said.expires_s, said.not_before_s, said.issued_s, said.serial.hex(), said.key.hex(),
    ]]  # fmt: skip


def test_entries_of_cryptography(oracle: Path) -> None:
    """An entry made by generic CBOR and `cryptography` alone is the one that we make, to the byte."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
    public = private.public_key().public_bytes_raw()
    for header in HEADERS:
        protected = cbor2.dumps({1: -19, 4: sha256(public).digest()[:8]}, canonical=True)
        payload = cbor2.dumps(header, canonical=True)
        signature = private.sign(cbor2.dumps(["Signature1", protected, AAD, payload]))
        raw = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))
        assert raw == entry.sign(header, AAD, SIGNER)
        assert asked(oracle, [(raw, AAD, public)]) == [payload]


@given(
    st.sampled_from(KINDS).flatmap(headers),
    st.binary(min_size=32, max_size=32),
    st.text("abc/", max_size=30),
    st.data(),
)
def test_cryptography_agrees(header: dict[int, Any], seed: bytes, origin: str, data: st.DataObject) -> None:
    """OpenSSL, through `cryptography`, verifies each entry, and refuses a changed message as we do."""
    signer = SeedSigner(seed)
    raw = entry.sign(header, entry.external_aad(origin), signer)
    signer_kid, payload, signature = entry.split(raw)
    assert signer_kid == kid(signer.public_key)
    protected = cbor2.dumps({1: -19, 4: signer_kid}, canonical=True)
    message = cbor2.dumps(["Signature1", protected, f"lineage/entry/1\n{origin}\n".encode(), payload])
    public = Ed25519PublicKey.from_public_bytes(signer.public_key)
    public.verify(signature, message)
    assert Ed25519PrivateKey.from_private_bytes(seed).sign(message) == signature
    at = data.draw(st.integers(0, len(message) - 1))
    changed = message[:at] + bytes([message[at] ^ 0x80]) + message[at + 1 :]
    assert not verify(signer.public_key, changed, signature)
    with pytest.raises(InvalidSignature):
        public.verify(signature, changed)
