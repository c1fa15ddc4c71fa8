"""Sizes that the format fixes (FORMAT.md); every decoder refuses what lies beyond them."""

from __future__ import annotations

ENTRY_MAX_BYTES = 65_535  # an entry must fit the u16 length of a tlog-tiles entry bundle
NESTING_MAX = 16
# Claims lie deeper beside an entry ({10: [[[secret, {"*": {key: ...}}]]]}) than in a message ([verb, {key: ...}]): what
# a message may hold is what will still be within the format there.
MESSAGE_NESTING_MAX = 12
HASH_BYTES = 32
SALT_BYTES = 16
KID_BYTES = 8
SESSION_BYTES = 8
UINT64_MAX = 2**64 - 1
INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
TILE_WIDTH = 256  # C2SP tlog-tiles: hashes per full tile
NOTE_MAX_BYTES = 1_000_000
NOTE_MAX_SIGNATURES = 100  # C2SP signed-note lets a reader bound the lines that it considers
PROOF_MAX_HASHES = 63  # C2SP tlog-witness; a tree of 2^63 leaves has no longer path
CLAIMS_MAX_BYTES = 16 * 1024 * 1024  # claims of one entry; rows make up nearly all of it
MESSAGE_MAX_BYTES = 64 * 1024  # one SEQPACKET message, so that the largest `read` reply still fits
NONCES_KEPT = 65_536  # of external decisions of an origin; an older one that comes again is not noticed
REQUEST_MAX_BYTES = 56 * 1024  # what a request may be: its entry and claims must fit one `read` reply
