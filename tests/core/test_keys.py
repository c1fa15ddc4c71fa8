"""Ed25519: RFC 8032 answers, and the odd encodings over which libraries disagree, made with plain arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256, sha512

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from recorder.core import keys
from recorder.core.errors import Misuse

# RFC 8032 section 7.1: seed, public key, message, signature.
RFC8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
]

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]
IDENTITY: Point = (0, 1)


def x_of(y: int, sign: int) -> int | None:
    """Recover x, RFC 8032 section 5.1.3."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        return None
    return x if x % 2 == sign else P - x


def add(a: Point, b: Point) -> Point:
    """Add two points in affine coordinates."""
    k = D * a[0] * b[0] * a[1] * b[1] % P
    return (
        (a[0] * b[1] + b[0] * a[1]) * pow(1 + k, -1, P) % P,
        (a[1] * b[1] + a[0] * b[0]) * pow(1 - k, -1, P) % P,
    )


def multiply(scalar: int, point: Point) -> Point:
    """Multiply by doubling and adding."""
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def encode(point: Point) -> bytes:
    """Encode, RFC 8032 section 5.1.2."""
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def challenge(r: bytes, public_key: bytes, message: bytes) -> int:
    """Return the scalar k of RFC 8032 section 5.1.7."""
    return int.from_bytes(sha512(r + public_key + message).digest(), "little") % L


def order_8_point() -> Point:
    """Find a generator of the small subgroup."""
    for y in range(2, 100):
        x = x_of(y, 0)
        if x is not None and multiply(4, point := multiply(L, (x, y))) != IDENTITY:
            return point
    raise AssertionError


BASE_Y = 4 * pow(5, -1, P) % P
BASE_X = x_of(BASE_Y, 0)
assert BASE_X is not None
BASE: Point = (BASE_X, BASE_Y)
TORSION = order_8_point()
SMALL = [multiply(n, TORSION) if n else IDENTITY for n in range(8)]
SECRET = 123456789012345678901234567890


def messages() -> Iterator[bytes]:
    """Yield messages to search for one with a wanted challenge."""
    return (n.to_bytes(4, "big") for n in range(10_000))


def scalar(value: int) -> bytes:
    """Encode S."""
    return value.to_bytes(32, "little")


def libsodium_accepts(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Ask libsodium alone."""
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True


def refused_by_both(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell that neither our check nor libsodium alone takes the signature."""
    ours = keys.verify(public_key, message, signature)
    return not ours and not libsodium_accepts(public_key, message, signature)


@pytest.mark.parametrize(("seed", "public_key", "message", "signature"), RFC8032)
def test_rfc_8032(seed: str, public_key: str, message: str, signature: str) -> None:
    """The RFC's seeds give its keys and signatures, and they verify."""
    signer = keys.SeedSigner(bytes.fromhex(seed))
    assert signer.public_key.hex() == public_key
    assert signer.sign(bytes.fromhex(message)).hex() == signature
    assert keys.verify(signer.public_key, bytes.fromhex(message), bytes.fromhex(signature))


def test_every_bit_counts() -> None:
    """A signature with any bit of it, of the key or of the message flipped does not verify."""
    signer = keys.SeedSigner(bytes(range(32)))
    parts = [signer.public_key, b"message", signer.sign(b"message")]
    for which, part in enumerate(parts):
        for bit in range(len(part) * 8):
            flipped = bytearray(part)
            flipped[bit // 8] ^= 1 << bit % 8
            changed = [bytes(flipped) if n == which else other for n, other in enumerate(parts)]
            assert not keys.verify(*changed)


def test_s_plus_multiples_of_l() -> None:
    """A signature has one S only: S plus any multiple of L is refused, by libsodium as well."""
    signer = keys.SeedSigner(bytes(32))
    signature = signer.sign(b"m")
    s = int.from_bytes(signature[32:], "little")
    assert keys.verify(signer.public_key, b"m", signature)
    for n in range(1, 16):
        assert refused_by_both(signer.public_key, b"m", signature[:32] + scalar(s + n * L))


@pytest.mark.parametrize("small", range(8))
def test_small_order_key(small: int) -> None:
    """A key of small order verifies nothing, though the equation holds for anybody's choice of R."""
    public_key = encode(SMALL[small])
    r = encode(multiply(SECRET, BASE))
    message = next(m for m in messages() if challenge(r, public_key, m) * small % 8 == 0)
    assert refused_by_both(public_key, message, r + scalar(SECRET))


@pytest.mark.parametrize("small", range(8))
def test_small_order_r(small: int) -> None:
    """A signature whose R is of small order is refused, though the cofactorless equation holds."""
    public_point = add(multiply(SECRET, BASE), TORSION)
    public_key, r = encode(public_point), encode(SMALL[small])
    message = next(m for m in messages() if (challenge(r, public_key, m) + small) % 8 == 0)
    k = challenge(r, public_key, message)
    s = k * SECRET % L
    # S B = R + k A, without the cofactor: the torsion of R cancels that of k A.
    assert multiply(s, BASE) == add(SMALL[small], multiply(k, public_point))
    assert refused_by_both(public_key, message, r + scalar(s))


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", range(19))
def test_non_canonical_y(y: int, sign: int) -> None:
    """An encoding with y + p for y (and with the sign of a zero x) is refused as A and as R."""
    odd = ((y + P) | sign << 255).to_bytes(32, "little")
    signer = keys.SeedSigner(bytes(32))
    signature = signer.sign(b"m")
    assert refused_by_both(odd, b"m", signature)
    assert refused_by_both(signer.public_key, b"m", odd + signature[32:])


def test_non_canonical_y_where_the_equation_holds() -> None:
    """The identity written as p + 1, or with a sign, is refused as A and as R where the points would fit."""
    for odd in (P + 1, P + 1 | 1 << 255, 1 | 1 << 255):
        encoded = odd.to_bytes(32, "little")
        assert refused_by_both(encoded, b"m", encode(multiply(SECRET, BASE)) + scalar(SECRET))
        public_key = encode(multiply(SECRET, BASE))
        s = challenge(encoded, public_key, b"m") * SECRET % L
        assert refused_by_both(public_key, b"m", encoded + scalar(s))


@pytest.mark.parametrize(("key_torsion", "r_torsion"), [(1, 0), (0, 1), (1, 1), (4, 3)])
def test_cofactorless(key_torsion: int, r_torsion: int) -> None:
    """With mixed-order points the verdict is the cofactorless one: they must fit exactly, not times eight."""
    public_point = add(multiply(SECRET, BASE), SMALL[key_torsion])
    r_point = add(multiply(SECRET + 1, BASE), SMALL[r_torsion])
    public_key, r = encode(public_point), encode(r_point)
    seen = set()
    for _, message in zip(range(40), messages(), strict=False):
        k = challenge(r, public_key, message)
        s = (SECRET + 1 + k * SECRET) % L
        fits = (k * key_torsion + r_torsion) % 8 == 0
        assert keys.verify(public_key, message, r + scalar(s)) is fits
        assert libsodium_accepts(public_key, message, r + scalar(s)) is fits
        seen.add(fits)
    assert False in seen


def test_not_on_the_curve() -> None:
    """A key that is no point is refused."""
    y = next(y for y in range(2, 100) if x_of(y, 0) is None)
    assert refused_by_both(y.to_bytes(32, "little"), b"m", keys.SeedSigner(bytes(32)).sign(b"m"))


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=80))
def test_any_bytes(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Keys and signatures of any bytes and length are refused without an exception."""
    assert not keys.verify(public_key, message, signature)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300))
def test_signatures_agree_with_openssl(seed: bytes, message: bytes) -> None:
    """OpenSSL makes the same key and signature and takes ours."""
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    private = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    signer = keys.SeedSigner(seed)
    assert private.public_key().public_bytes_raw() == signer.public_key
    assert private.sign(message) == signer.sign(message)
    assert keys.verify(signer.public_key, message, signer.sign(message))


def test_kid_and_lengths() -> None:
    """A kid is the start of the key's SHA-256; seeds and keys of other lengths are misuse."""
    public_key = keys.SeedSigner(bytes(32)).public_key
    assert keys.kid(public_key) == sha256(public_key).digest()[:8]
    for length in (0, 31, 33, 64):
        with pytest.raises(Misuse):
            keys.kid(bytes(length))
        with pytest.raises(Misuse):
            keys.SeedSigner(bytes(length))
        assert not keys.verify(bytes(length), b"", bytes(64))


def test_a_signer_does_not_show_its_key() -> None:
    """Neither repr nor str of a signer holds the secret."""
    signer = keys.SeedSigner(b"\xab" * 32)
    assert "ab" * 4 not in repr(signer)
    assert not hasattr(signer, "__dict__")
