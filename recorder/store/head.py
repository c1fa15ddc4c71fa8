"""The head file: the last checkpoint that left the recorder, kept apart from the store so an old copy is noticed."""

from __future__ import annotations

from pathlib import Path

from recorder.core.checkpoint import Checkpoint, open_checkpoint
from recorder.core.errors import FormatError
from recorder.core.note import VerifierKey
from recorder.store.errors import StoreError
from recorder.store.layout import HEAD, replace_file


def read(lineage: Path, key: VerifierKey) -> tuple[Checkpoint, bytes] | None:
    """The last checkpoint and its signed note, or None where none ever left.

    Raises:
        StoreError: unreadable, or not signed by this platform's identity key.

    """
    try:
        note = (lineage / HEAD).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"cannot read {lineage / HEAD}: {error.strerror}") from error
    try:
        return open_checkpoint(note, key).checkpoint, note
    except FormatError as error:
        raise StoreError(f"{lineage / HEAD} is not a checkpoint of {key.name}: {error}; `lineage recover`") from error


def write(lineage: Path, known: Checkpoint | None, new: Checkpoint, note: bytes) -> None:
    """Persist a checkpoint before it leaves.

    Args:
        lineage: directory of the incarnation.
        known: what the caller believes to be there.
        new: must not be smaller than `known`, nor another tree of the same size.
        note: `new`, signed.

    Raises:
        StoreError: the new head does not follow the known one.

    """
    if known is not None and (new.size < known.size or (new.size == known.size and new.root != known.root)):
        raise StoreError(f"a head of size {new.size} does not follow the known one of size {known.size}")
    replace_file(lineage / HEAD, note, 0o644)
