"""What can go wrong for whoever issues credentials."""

from __future__ import annotations

from recorder.core.errors import LineageError


class AuthorityError(LineageError):
    """What was asked for cannot be done as it is; the message says why and what to do."""
