"""Heads of this platform that its peers hold and that the lineage in force does not lead to, kept until one names them.

They are what is known of a store that was lost, or of which an older copy was put back.  The file is written before
anything is done about it, so a start that finds it goes on as a new incarnation, whenever the process before ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from recorder.core import cbor
from recorder.core.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from recorder.core.controls import Previous
from recorder.core.errors import FormatError
from recorder.core.note import ED25519, VerifierKey, parse_note
from recorder.store.errors import StoreError
from recorder.store.layout import PEER_HEADS, replace_file, sync_dir

_FORM = 1


def opened(note: bytes, platform: str, identity_key: bytes) -> Checkpoint:
    """Return the checkpoint of a note, which this platform's identity key signed for one of its incarnations.

    Args:
        note: as a peer holds it.
        platform: FLEET/PLATFORM.
        identity_key: of this platform.

    Raises:
        FormatError: note_malformed, checkpoint_malformed, note_signature; or origin_mismatch, of another platform.

    """
    origin = parse_checkpoint(parse_note(note).text).origin
    if origin.rpartition("/")[0] != platform:
        raise FormatError("origin_mismatch", f"a head of {origin}, not of {platform}")
    return open_checkpoint(note, VerifierKey.derive(origin, ED25519, identity_key)).checkpoint


def is_named(head: Checkpoint, named: Sequence[Previous]) -> bool:
    """Whether a boot entry names the incarnation so that whoever holds this head can see it continued.

    A name without a root says nothing that a proof could lead to.
    """
    return any(one.origin == head.origin and one.root is not None and one.size >= head.size for one in named)


class Kept(NamedTuple):
    """What peers hold, as it was when the lineage then in force was found not to lead to all of it."""

    lacking: list[Checkpoint]  # of any incarnation
    led_to: list[Checkpoint]  # of the one then in force: where witnesses of it stand


def keep(state: Path, lacking: Iterable[bytes], led_to: Iterable[bytes]) -> None:
    """Keep the notes durably, in the place of those before; raises OSError."""
    replace_file(state / PEER_HEADS, cbor.encode([_FORM, list(lacking), list(led_to)]))


def kept(state: Path, platform: str, identity_key: bytes) -> Kept:
    """What is kept; nothing where there is no file.

    Raises:
        StoreError: unreadable, or not signed by this platform's identity key.

    """
    path = state / PEER_HEADS
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Kept([], [])
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    try:
        match cbor.decode(content):
            case [1, list(lacking), list(led_to)] if all(isinstance(one, bytes) for one in (*lacking, *led_to)):
                both = ([opened(one, platform, identity_key) for one in notes] for notes in (lacking, led_to))
                return Kept(*both)
        fault = "not what a recorder of this version keeps"
    except FormatError as error:
        fault = str(error)
    raise StoreError(f"{path}: {fault}; take it away: the mesh brings again what peers hold")


def forget(state: Path) -> None:
    """Let go of them, since a boot entry in force names them; raises OSError."""
    path = state / PEER_HEADS
    if path.exists():
        path.unlink()
        sync_dir(state)
