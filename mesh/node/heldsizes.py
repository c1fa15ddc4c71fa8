"""`held`: how far a witness has cosigned each origin, `ORIGIN SIZE` a line, so that a first proof is the right one."""

from __future__ import annotations

from collections.abc import Iterable

from recorder.core.canonical import parse_decimal
from recorder.core.checkpoint import Checkpoint
from recorder.core.errors import FormatError
from recorder.core.note import is_key_name

ERROR = "held_malformed"
PATH = "held"


def encode_held(heads: Iterable[Checkpoint]) -> bytes:
    """Return the text."""
    return "".join(f"{head.origin} {head.size}\n" for head in heads).encode()


def parse_held(body: bytes) -> dict[str, int]:
    """Parse it.

    Raises:
        FormatError: held_malformed.

    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as failure:
        raise FormatError(ERROR, f"not UTF-8: {failure.reason} at byte {failure.start}") from None
    if text and not text.endswith("\n"):
        raise FormatError(ERROR, "the last line does not end in newline")
    sizes: dict[str, int] = {}
    for line in text.split("\n")[:-1]:
        origin, space, size = line.partition(" ")
        if not space or not is_key_name(origin) or origin in sizes:
            raise FormatError(ERROR, f"{line[:80]!r} is not written as ORIGIN SIZE, or stands twice")
        sizes[origin] = parse_decimal(size, ERROR)
    return sizes
