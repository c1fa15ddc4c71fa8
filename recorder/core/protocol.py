"""Messages of the local socket as bytes (`messages` says what they hold).

Neither side asks the other for the deterministic encoding: what the recorder stores it encodes anew, and a client in C
need not sort keys or shorten floats.  What a message may hold is what the format has a place for, nothing else.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

from msgspec import ValidationError, convert

from recorder.core import cbor
from recorder.core.errors import FormatError
from recorder.core.limits import MESSAGE_NESTING_MAX, REQUEST_MAX_BYTES
from recorder.core.message_requests import REQUESTS
from recorder.core.messages import Status

ERROR = "message_malformed"
_STATUSES = tuple(Status)


def encode(message: NamedTuple) -> bytes:
    """Encode a request; what it holds may come from a user.

    Raises:
        FormatError: cbor_malformed, message_malformed (too large).

    """
    return _bounded(cbor.encode_as_given([_plain(part) for part in message]))


def encode_reply(status: Status, counter: int, body: Any) -> bytes:  # noqa: ANN401 -- any of the reply bodies
    """Encode a reply; the body is ours."""
    return cbor.pack_ordered([int(status), counter, list(body) if isinstance(body, tuple) else body])


def decode_request(message: bytes) -> Any:  # noqa: ANN401 -- one of REQUESTS, chosen by its verb
    """Read a request.

    Raises:
        FormatError: cbor_malformed, message_malformed.

    """
    value = cbor.load_message(message)
    cbor.check(value, MESSAGE_NESTING_MAX)
    if not isinstance(value, list) or len(value) < 2 or type(value[0]) is not int or value[0] not in REQUESTS:
        raise FormatError(ERROR, "a request is [verb, counter, ...] with a known verb")
    return _convert(value, REQUESTS[value[0]])


def decode_reply(message: bytes) -> tuple[Status, int, Any]:
    """Read a reply into status, counter and undecoded body.

    Raises:
        FormatError: cbor_malformed, message_malformed.

    """
    match cbor.load_message(message):
        case [int(status), int(counter), body] if 0 <= status < len(_STATUSES) and counter >= 0:
            return _STATUSES[status], counter, body
    raise FormatError(ERROR, "a reply is [status, counter, body] with a known status")


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
        raise FormatError(ERROR, f"{kind.__name__}: {error}") from None


def _plain(part: Any) -> Any:  # noqa: ANN401 -- the CBOR check wants exact types: lists for tuples, numbers for verbs
    if isinstance(part, IntEnum):
        return int(part)
    return list(part) if isinstance(part, tuple) else part


def _bounded(message: bytes) -> bytes:
    if len(message) > REQUEST_MAX_BYTES:
        raise FormatError(ERROR, f"a message of {len(message)} bytes is over {REQUEST_MAX_BYTES}")
    return message
