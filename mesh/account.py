"""What a peer holds of a platform, as it tells whoever asks (PROTOCOL.md section 2, `platform/FLEET/PLATFORM`).

A text: `lineage/platform/1`, the platform, lines, and behind an empty line each, heads as signed notes, the one that
counts most first.  Nothing of it is verified here: only what is signed counts, and the lines only say what to ask for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from recorder.core.canonical import decode_base64, encode_base64, parse_decimal
from recorder.core.checkpoint import Checkpoint, parse_checkpoint
from recorder.core.errors import FormatError, Misuse
from recorder.core.note import is_key_name, parse_note

ERROR = "account_malformed"
MAGIC = "lineage/platform/1"
PATH = "platform"
ACCOUNT_MAX_BYTES = 65_536
LINES_MAX = 300  # 256 incarnations that are over, and archives

_PLATFORM = re.compile(r"[^/]+/[^/]+")


class Account(NamedTuple):
    """What is held of one platform."""

    platform: str  # FLEET/PLATFORM
    archived: dict[str, int]  # by origin: entries whose hashes are proved here; some may be missing
    retired: list[Checkpoint]  # last heads cosigned of incarnations that are over here
    notes: list[bytes]  # signed heads, of any incarnation

    def encode(self) -> bytes:
        """The text, with as many of the notes as there is room for.

        Raises:
            Misuse: `parse_account` would not take it.

        """
        lines = [MAGIC, self.platform]
        lines += [f"archived {origin} {size}" for origin, size in self.archived.items()]
        lines += [f"retired {one.origin} {one.size} {encode_base64(one.root)}" for one in self.retired]
        text = "\n".join(lines).encode() + b"\n"
        for note in self.notes:
            if len(text) + 1 + len(note) > ACCOUNT_MAX_BYTES:
                break
            text += b"\n" + note
        try:
            parse_account(text)
        except FormatError as failure:
            raise Misuse(f"this account cannot be written: {failure}") from failure
        return text


def parse_account(text: bytes) -> Account:
    """Parse it.

    Raises:
        FormatError: account_malformed.

    """
    if len(text) > ACCOUNT_MAX_BYTES:
        raise FormatError(ERROR, f"{len(text)} bytes, at most {ACCOUNT_MAX_BYTES} are allowed")
    if not text.endswith(b"\n"):
        raise FormatError(ERROR, "the last line does not end in newline")
    head, *blocks = text[:-1].split(b"\n\n")
    if len(blocks) % 2:
        raise FormatError(ERROR, "a note without signatures")
    try:
        magic, platform, *lines = head.decode("utf-8").split("\n")
    except ValueError:  # not UTF-8, or too few lines
        raise FormatError(ERROR, f"it does not begin with {MAGIC} and a platform") from None
    if magic != MAGIC or _PLATFORM.fullmatch(platform) is None or not is_key_name(platform):
        raise FormatError(ERROR, f"it does not begin with {MAGIC} and a platform")
    if len(lines) > LINES_MAX:
        raise FormatError(ERROR, f"{len(lines)} lines, at most {LINES_MAX} are allowed")
    account = Account(platform, {}, [], [])
    for line in lines:
        _take(account, line)
    pairs = zip(blocks[::2], blocks[1::2], strict=True)
    account.notes.extend(_note(platform, words + b"\n\n" + lines_ + b"\n") for words, lines_ in pairs)
    return account


def account_of(platform: str, *parts: Account) -> Account:
    """Join what several parts of a process hold of one platform; the notes of the first come first."""
    archived: dict[str, int] = {}
    retired: list[Checkpoint] = []
    for one in parts:
        archived.update(one.archived)
        retired += one.retired
    return Account(platform, archived, retired, _distinct(note for one in parts for note in one.notes))


def _distinct(notes: Iterable[bytes]) -> list[bytes]:
    return list(dict.fromkeys(notes))


def _take(account: Account, line: str) -> None:
    match line.split(" "):
        case ["archived", origin, size] if origin not in account.archived:
            account.archived[_of(account.platform, origin)] = parse_decimal(size, ERROR)
        case ["retired", origin, size, root]:
            try:
                head = Checkpoint(origin, parse_decimal(size, ERROR), decode_base64(root, ERROR))
            except Misuse as fault:
                raise FormatError(ERROR, str(fault)) from None
            _of(account.platform, origin)
            account.retired.append(head)
        case _:
            raise FormatError(ERROR, f"{line[:80]!r} is none of its lines")


def _note(platform: str, note: bytes) -> bytes:
    try:
        _of(platform, parse_checkpoint(parse_note(note).text).origin)
    except FormatError as error:
        raise FormatError(ERROR, f"a head in it: {error.detail}") from None
    return note


def _of(platform: str, origin: str) -> str:
    if not is_key_name(origin) or origin.rpartition("/")[0] != platform:
        raise FormatError(ERROR, f"{origin[:80]!r} is no log of {platform}")
    return origin
