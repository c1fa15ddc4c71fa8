"""Messages of the local socket as bytes: encoded, and decoded strictly (`messages` says what they hold)."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, ValidationError, convert

from recorder.core import cbor
from recorder.core.errors import FormatError
from recorder.core.kinds import Uint
from recorder.core.limits import REQUEST_MAX_BYTES
from recorder.core.messages import REQUESTS, Status

ERROR = "message_malformed"


def encode(message: NamedTuple) -> bytes:
    """Encode a request; what it holds may come from a user.

    Raises:
        FormatError: cbor_malformed, message_malformed (too large).

    """
    return _bounded(cbor.encode([_plain(part) for part in message]))


def encode_reply(status: Status, counter: int, body: Any) -> bytes:  # noqa: ANN401 -- any of the reply bodies
    """Encode a reply; the body is ours."""
    return cbor.pack([int(status), counter, _plain(body)])


def decode_request(message: bytes) -> Any:  # noqa: ANN401 -- one of REQUESTS, chosen by its verb
    """Read a request.

    Raises:
        FormatError: cbor_malformed, message_malformed.

    """
    value = cbor.decode(message)
    if not isinstance(value, list) or len(value) < 2 or type(value[0]) is not int or value[0] not in REQUESTS:
        raise FormatError(ERROR, "a request is [verb, counter, ...] with a known verb")
    return _convert(value, REQUESTS[value[0]])


def decode_reply(message: bytes) -> tuple[Status, int, Any]:
    """Read a reply into status, counter and undecoded body.

    Raises:
        FormatError: cbor_malformed, message_malformed.

    """
    status, counter, body = _convert(cbor.decode(message), tuple[Annotated[int, Meta(ge=0, le=3)], Uint, Any])
    return Status(status), counter, body


def body_of(body: Any, kind: type[Any]) -> Any:  # noqa: ANN401 -- the reply body of that kind
    """Read a reply's body as one of the types above.

    Raises:
        FormatError: message_malformed.

    """
    return _convert(body, kind)


def request_id(session: bytes, counter: int) -> bytes:
    """16 bytes: session ‖ u64be counter."""
    return session + counter.to_bytes(8, "big")


def _convert(value: Any, kind: Any) -> Any:  # noqa: ANN401 -- decoded CBOR in, the given type out
    try:
        return convert(value, kind, builtin_types=(bytes,))
    except ValidationError as error:
        raise FormatError(ERROR, f"{getattr(kind, '__name__', 'reply')}: {error}") from None


def _plain(part: Any) -> Any:  # noqa: ANN401 -- the CBOR check wants exact types: lists for tuples, numbers for verbs
    if isinstance(part, IntEnum):
        return int(part)
    return list(part) if isinstance(part, tuple) else part


def _bounded(message: bytes) -> bytes:
    if len(message) > REQUEST_MAX_BYTES:
        raise FormatError(ERROR, f"a message of {len(message)} bytes is over {REQUEST_MAX_BYTES}")
    return message
