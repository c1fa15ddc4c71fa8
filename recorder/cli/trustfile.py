"""Trust files that are named on the command line."""

from __future__ import annotations

from pathlib import Path

from recorder.cli.identity import read_bounded
from recorder.core.errors import FormatError
from recorder.core.trust import TRUST_MAX_BYTES, Trust, parse_trust


def read_trust(path: Path) -> Trust:
    """Read one.

    Raises:
        FormatError: trust_malformed, naming file and line.
        OSError: it cannot be read.

    """
    return trust_in(read_bounded(path, TRUST_MAX_BYTES), path)


def trust_in(text: bytes, path: Path) -> Trust:
    """The same of a text that was read from `path`; raises FormatError."""
    try:
        return parse_trust(text)
    except FormatError as error:
        raise FormatError(error.error, f"{path}: {error.detail}") from None
