"""What a person says to a running recorder: an entry appended over the socket."""

from __future__ import annotations

import getpass
import logging
from pathlib import Path
from typing import Any, NamedTuple

from recorder.audit.state import SOCKET
from recorder.client import NotRecorded, Recorder
from recorder.core.errors import Misuse
from recorder.core.ids import entry_id
from recorder.core.kinds import Kind
from recorder.store.layout import CONFIG, TRUST

TIMEOUT_MS = 5000
NOT_PERMITTED = "not_permitted"
_UNTRUSTED = {"policy_signature", "matrix_signature", "issuer_unknown"}  # errors of what descends from another root


class Said(NamedTuple):
    """The entry that it became."""

    seq: int
    id: str


def said_by(claims: dict[str, str]) -> dict[str, str]:
    """Claims with who says so: the name of this process's user, which the recorder does not vouch for.

    Raises:
        Misuse: nothing is said.

    """
    for key, value in claims.items():
        if not value.strip():
            raise Misuse(f"{key.upper()} is empty: say in a few words what it is about; the entry stays for good")
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        name = ""
    return {**claims, "by": name}


def socket_of(state: Path | None, socket: Path | None) -> Path:
    """Socket of the recorder that is meant.

    Raises:
        Misuse: none is.

    """
    if state is None and socket is None:
        raise Misuse("say which recorder: --state DIR, or --socket PATH")
    return socket or (state or Path()) / SOCKET


def say_to(
    socket: Path,
    kind: Kind,
    *,
    body: dict[str, Any],
    control: list[Any] | None = None,
    refs: dict[int, list[list[Any]]] | None = None,
) -> Said:
    """Append an entry and wait until it is durable.

    Raises:
        Unavailable: no recorder answers; at once where there is none to wait for.
        Misuse: this user may not, or no root that it trusts signed that; the message says what to change.
        NotRecorded: the recorder did not take it.

    """
    logging.getLogger("recorder").addHandler(logging.NullHandler())  # what the client would warn of, the error says
    client = Recorder(socket, client_name=f"lineage {kind.name.lower()}", timeout_ms=TIMEOUT_MS)
    try:
        _ = client.hello  # a controller's request would wait for a recorder to come back; a person's should not
        receipt = client.append(kind, body=body, control=control, refs=refs)
    except NotRecorded as error:
        if error.error == NOT_PERMITTED:
            raise Misuse(
                f'{error.detail} ({kind.name.lower()}): add "{kind.name.lower()}" to append of a [[controller]] with '
                f"this user in {CONFIG}, and start the recorder again"
            ) from None
        if error.error in _UNTRUSTED:
            raise Misuse(
                f"{error}; a recorder takes what descends from a root of the file {TRUST} in its state, "
                f"as of its start; `lineage doctor` says which"
            ) from None
        raise
    finally:
        client.close(0)
    assert receipt.seq is not None, "an appended entry has a place"
    assert receipt.entry_hash is not None, "and a hash"
    return Said(receipt.seq, str(entry_id(receipt.entry_hash, receipt.seq)))
