"""Ed25519 keys: signing through a port, and verification with one fixed verdict (FORMAT.md section 1).

Libraries differ on which odd encodings they accept.  Ours is the strictest usual reading: cofactorless, with S >= L
and with a non-canonical or small-order A or R refused first.  libsodium does the same (the tests pin it), but the
rules are tested here too, so that another build of it or another library behind `verify` cannot change a verdict.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Protocol

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from recorder.core.errors import Misuse
from recorder.core.limits import KID_BYTES

SEED_BYTES = 32
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64

_P = 2**255 - 19  # RFC 8032 section 5.1
_L = 2**252 + 27742317777372353535851937790883648493
_Y_MASK = 2**255 - 1  # bit 255 is the sign of x
_Y_ORDER_8 = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
# The y of the eight points whose order divides 8: y fixes x but for its sign, so no other point has one of these.
_SMALL_ORDER_Y = frozenset({0, 1, _P - 1, _Y_ORDER_8, _P - _Y_ORDER_8})


class Signer(Protocol):
    """One Ed25519 private key, wherever it lives (memory, a secure element, another process)."""

    @property
    def public_key(self) -> bytes:
        """The 32 raw bytes of the public key; constant over the signer's life."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of RFC 8032 over `message`, or raise the signer's own error."""
        ...


class SeedSigner:
    """A key in memory, made from its 32-byte seed (the private key of RFC 8032 section 5.1.5)."""

    __slots__ = ("_public_key", "_secret_key")

    def __init__(self, seed: bytes) -> None:
        """Expand the seed.

        Raises:
            Misuse: the seed is not 32 bytes.

        """
        if len(seed) != SEED_BYTES:
            raise Misuse(f"an Ed25519 seed has {SEED_BYTES} bytes, not {len(seed)}")
        self._public_key, self._secret_key = crypto_sign_seed_keypair(seed)

    @property
    def public_key(self) -> bytes:
        """The 32 raw bytes of the public key."""
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature over `message`."""
        return crypto_sign(message, self._secret_key)[:SIGNATURE_BYTES]


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether the signature holds; values of a wrong length or encoding just fail, nothing is raised.

    The lengths come first because the C code reads 32 bytes of key without asking how many there are.
    """
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    if int.from_bytes(signature[32:], "little") >= _L:  # RFC 8032 section 5.1.7 step 1: else S + L would verify too
        return False
    if not _is_sound_point(public_key) or not _is_sound_point(signature[:32]):
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True


def kid(public_key: bytes) -> bytes:
    """Return the first 8 bytes of SHA-256 over the 32 raw key bytes (FORMAT.md section 1).

    Raises:
        Misuse: the key is not 32 bytes.

    """
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise Misuse(f"an Ed25519 public key has {PUBLIC_KEY_BYTES} bytes, not {len(public_key)}")
    return sha256(public_key).digest()[:KID_BYTES]


def _is_sound_point(encoded: bytes) -> bool:
    """Tell whether y is canonical (below p) and not of small order; being on the curve is left to the library."""
    y = int.from_bytes(encoded, "little") & _Y_MASK
    return y < _P and y not in _SMALL_ORDER_Y
