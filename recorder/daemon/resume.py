"""Which incarnation goes on at a start: the one in force, or a new one that names what it lacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from recorder.config import Config
from recorder.core import entry
from recorder.core.checkpoint import Checkpoint
from recorder.core.controls import Boot, Previous
from recorder.core.errors import FormatError
from recorder.core.keys import Signer, kid
from recorder.core.note import ED25519, VerifierKey
from recorder.store import head as heads
from recorder.store import peerheads
from recorder.store.errors import ForeignStoreError, StoreDamagedError, StoreError
from recorder.store.layout import CONFIG, COVERED, IDENTITY, lineage_dir, ordinals, segment_dir
from recorder.store.opening import create_store, open_store
from recorder.store.segment import Segment
from recorder.store.store import Store
from recorder.store.tail import Tail
from recorder.writer.uncovered import covered_note

INCARNATION_BYTES = 8
SIZES_MAX = 8  # heads of one incarnation that a boot entry names
NAMED_MAX = 256
FIRST = 1  # ordinal of a lineage's first segment


def new_incarnation(state: Path, prefix: str, config: Config, randomness: Callable[[int], bytes]) -> Store:
    """Make an empty lineage; nobody looks at it before it is put in force."""
    incarnation = randomness(INCARNATION_BYTES).hex()
    return create_store(
        lineage_dir(state, incarnation), f"{prefix}/{incarnation}", config.store.segment_mib * 1024 * 1024
    )


class Resumed(NamedTuple):
    """What goes on."""

    store: Store
    known: Checkpoint | None
    previous: list[Previous]
    remark: str | None
    confirmed_by: Literal["witness"] | None


def resume(
    state: Path, prefix: str, current: str, config: Config, identity: Signer, randomness: Callable[[int], bytes]
) -> Resumed:
    """Open the incarnation in force, or begin the one after it where it is not what was signed.

    Args:
        state: the state directory.
        prefix: FLEET/PLATFORM.
        current: name of the incarnation in force.
        config: sizes.
        identity: of this platform.
        randomness: for the name of a new one.

    Raises:
        StoreError: the store cannot be used; the message says why and what to do.

    """
    lineage = lineage_dir(state, current)
    origin = f"{prefix}/{current}"
    # Before the head file: one that another key signed would look damaged, and no sound lineage is to be given up.
    first = first_boot(lineage, origin, identity.public_key)
    known = head_of(lineage, origin, identity)
    store = open_store(lineage, origin, known, config.store.segment_mib * 1024 * 1024)
    previous = list(first.previous) if first is not None else []
    try:
        held = peerheads.kept(state, prefix, identity.public_key)
    except StoreError:
        store.close()
        raise
    # Of this origin only those are kept that this log does not lead to.
    lacking = [one for one in held.lacking if one.origin == origin or not peerheads.is_named(one, previous)]
    have = Previous(origin, store.tail.size, store.tail.tree.root())
    if not lacking and (known is None or have.size >= known.size):
        if held.lacking:
            peerheads.forget(state)
        return Resumed(store, known, previous, None, None)
    store.close()
    led_to = [one for one in held.led_to if one.origin == origin]
    covered = covered_head(lineage, prefix, identity.public_key)
    if covered is not None and covered.size <= have.size:
        led_to.append(covered)
    named = succeeded(previous, have, known, lacking, led_to)
    remark = (
        f"{_why(have, known, lacking)}; it is kept in {lineage}, with all that was recorded in it, and a new "
        f"incarnation begins"
    )
    begun = new_incarnation(state, prefix, config, randomness)
    return Resumed(begun, None, named, remark, "witness" if lacking else None)


def _why(have: Previous, known: Checkpoint | None, lacking: Sequence[Checkpoint]) -> str:
    if not lacking:
        size = 0 if known is None else known.size
        return (
            f"the store holds {have.size} entries, but a checkpoint of {size} left this recorder: an older copy was "
            f"put back"
        )
    told = ", ".join(f"{one.size} entries of {one.origin}" for one in lacking)
    return (
        f"peers hold what this recorder signed, {told}, to which the store ({have.size} entries of {have.origin}) does "
        f"not lead: it was emptied, or an older copy was put back"
    )


def succeeded(
    previous: Sequence[Previous],
    have: Previous,
    known: Checkpoint | None,
    lacking: Sequence[Checkpoint],
    led_to: Sequence[Checkpoint],
) -> list[Previous]:
    """What a new incarnation names after this one: an incarnation as often as different heads of it are known.

    A witness follows from the head that it holds, and a proof to a larger one needs a tree that may be lost too.

    Args:
        previous: earlier ones that it names itself.
        have: the one in force, as it is.
        known: its last checkpoint that left.
        lacking: heads that peers hold, of this and other incarnations, and that it does not lead to.
        led_to: heads of this one that peers or witnesses hold and that it leads to.

    """
    ours = [one for one in lacking if one.origin == have.origin]
    named = [*previous, *_greatest([one for one in lacking if one.origin != have.origin])]
    named += [*_greatest(led_to), *_greatest(ours)]
    if known is None and not ours:
        named.append(have)
    elif known is not None and known.size > max((one.size for one in ours), default=-1):
        named.append(Previous(have.origin, known.size, known.root))  # beside `ours` it is of another history
    named = list(dict.fromkeys(named))
    if len(named) > NAMED_MAX:  # so many that a boot entry would not hold them
        named = list({one.origin: one for one in sorted(named, key=lambda one: one.size)}.values())
    return named


def _greatest(heads: Sequence[Checkpoint]) -> list[Previous]:
    """The greatest few of each incarnation, rising."""
    by_origin: dict[str, list[Previous]] = {}
    for one in sorted(heads, key=lambda one: one.size):
        by_origin.setdefault(one.origin, []).append(Previous(one.origin, one.size, one.root))
    return [one for listed in by_origin.values() for one in listed[-SIZES_MAX:]]


def covered_head(lineage: Path, prefix: str, identity_key: bytes) -> Checkpoint | None:
    """The head that evidence in a lineage covers, where witnesses stand at least; None where that is not known."""
    try:
        note = covered_note((lineage / COVERED).read_bytes())
        return None if note is None else peerheads.opened(note, prefix, identity_key)
    except (OSError, FormatError):
        return None  # it only spares a witness a proof


def head_of(lineage: Path, origin: str, identity: Signer) -> Checkpoint | None:
    """The last checkpoint of a lineage, under this identity key."""
    found = heads.read(lineage, VerifierKey.derive(origin, ED25519, identity.public_key))
    return None if found is None else found[0]


def first_boot(lineage: Path, origin: str, identity_key: bytes) -> Boot | None:
    """The control part of a lineage's first entry, or None where it holds none; for before it is opened for writing.

    It can lie in segment 1 only.  The store would look for it among the heads of sealed segments, and a start should
    not depend on those.

    Raises:
        StoreDamagedError: the segment or the entry cannot be read, or is no boot entry.
        ForeignStoreError: it is of another origin or under another identity key.

    """
    if FIRST not in ordinals(lineage):
        return None  # opening the store says what is missing
    segment = Segment(segment_dir(lineage, FIRST), 0, live=False)
    try:
        head = segment.head()
        named = origin if head is None else Tail.restore(head[1]).origin
        found = next(segment.records(), None)
        control = None if found is None else entry.decode(found[1].entries[0]).header.control
    except FormatError as error:
        raise StoreDamagedError(f"{segment.path}: entry 0: {error}", 0) from error
    finally:
        segment.close()
    if found is not None and not isinstance(control, Boot):
        raise StoreDamagedError(f"{segment.path}: entry 0 is no boot entry", 0)
    if named != origin:
        raise other_platform(lineage, named, origin)
    if control is not None and control.identity_key != identity_key:
        raise other_key(lineage, control.identity_key, identity_key)
    return control


def other_platform(lineage: Path, named: str, origin: str) -> ForeignStoreError:
    """Of a lineage that another platform, fleet or directory began."""
    return ForeignStoreError(
        f"{lineage} belongs to {named}, not to {origin}: a foreign store, which belongs elsewhere, "
        f"or another platform's {CONFIG}; put the right one back"
    )


def other_key(lineage: Path, needed: bytes, present: bytes) -> ForeignStoreError:
    """Of a lineage under an identity key that is not the one here."""
    return ForeignStoreError(
        f"{lineage} belongs to the identity key {kid(needed).hex()}, {IDENTITY} is {kid(present).hex()}; restore that "
        f"{IDENTITY} from your backup: nothing is damaged. If it is lost, keep this state to be read and "
        f"`lineage init` another"
    )
