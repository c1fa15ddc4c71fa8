"""`lineage recover`: a damaged lineage is kept aside as it is, and a new incarnation that names it begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from recorder.config import Config
from recorder.core.checkpoint import Checkpoint, sign_checkpoint
from recorder.core.controls import Previous
from recorder.core.keys import Signer
from recorder.core.kinds import Kind
from recorder.daemon import boot, resume, survey
from recorder.daemon.survey import Found
from recorder.store import head as heads
from recorder.store.errors import StoreError
from recorder.store.layout import CURRENT, LINEAGES, lineage_dir, read_current
from recorder.store.opening import create_store
from recorder.store.tail import Op
from recorder.writer.journal import Clock, Journal

REASON = "recovered"


class Diagnosis(NamedTuple):
    """What is wrong, and what the new incarnation will say of what was before."""

    damage: str
    kept: list[Path]  # directories of lineages that stay where they are
    previous: list[Previous]


class Recovered(NamedTuple):
    """The new incarnation."""

    origin: str
    lineage: Path
    previous: list[Previous]


def diagnose(state: Path, config: Config, identity: Signer) -> Diagnosis:
    """Find out what is wrong; writes nothing.  The caller holds the state's lock.

    Raises:
        StoreError: nothing is, or what is wrong is no damage.
        ForeignStoreError: another identity key or another platform's configuration lies here.

    """
    try:
        current = read_current(state)
    except StoreError as error:
        return _named(state, config, identity, str(error), None)
    if current is None:
        if not _incarnations(state):
            raise StoreError(
                f"nothing to recover: {state} holds no lineage yet; `lineage run --state {state}` begins one"
            )
        return _named(state, config, identity, f"{state / CURRENT} is missing", None)
    lineage = lineage_dir(state, current)
    damage = survey.damage(state, lineage, f"{_prefix(config)}/{current}")
    if damage is None:
        raise StoreError(f"nothing to recover: {lineage} opens and its tail is sound; `lineage verify --state {state}`")
    return _named(state, config, identity, damage, current)


def begin(
    state: Path, config: Config, identity: Signer, clock: Clock, randomness: Callable[[int], bytes], found: Diagnosis
) -> Recovered:
    """Begin the new incarnation: boot, policy and stop entries, the head file, and only then the name in `current`.

    If we crash before `current` is replaced, the damaged lineage is still in force, the new directory is never looked
    at, and `recover` can be run again; after it, the new incarnation names the old one durably already.

    Raises:
        StoreError, OSError: no room, no permission; the damaged lineage is still in force.

    """
    incarnation = randomness(resume.INCARNATION_BYTES).hex()
    origin = f"{_prefix(config)}/{incarnation}"
    lineage = lineage_dir(state, incarnation)
    store = create_store(lineage, origin, config.store.segment_mib * 1024 * 1024)
    try:
        journal = Journal(store, identity, clock, randomness)
        boot.write_boot(boot.context_of(state, config, journal, identity), identity, found.previous, randomness)
        journal.draft(Kind.STOP, {15: [REASON]})
        journal.move(Op.STOP)
        journal.tick()
        journal.write()
        head = Checkpoint(origin, store.tail.size, store.tail.tree.root())
        heads.write(lineage, None, head, sign_checkpoint(head, identity).encode())
    finally:
        store.close()
    boot.put_in_force(state, store)
    return Recovered(origin, lineage, found.previous)


def _prefix(config: Config) -> str:
    return f"{config.platform.fleet}/{config.platform.name}"


def _incarnations(state: Path) -> list[str]:
    """All that lie there."""
    try:
        return sorted(path.name for path in (state / LINEAGES).iterdir() if path.is_dir())
    except FileNotFoundError:
        return []


def _named(state: Path, config: Config, identity: Signer, damage: str, in_force: str | None) -> Diagnosis:
    """Diagnose with what the new incarnation names: the one in force, and those that its first boot entry names.

    Where nothing says which one was in force, or its boot entry cannot be read, that is all that lie there.  Not
    otherwise: one that the entry does not name was put aside without a word, and naming it now would hide that.
    """
    read: dict[str, Found] = {}
    if in_force is not None:
        read[in_force] = survey.readable(lineage_dir(state, in_force))
    if in_force is None or read[in_force].previous is None:
        others = [name for name in _incarnations(state) if name != in_force]
        read = {name: survey.readable(lineage_dir(state, name)) for name in others} | read  # the latest comes last
    _check_key(state, read, identity)
    previous: dict[Previous, None] = {}  # an incarnation as often as different heads of it are known
    kept = []
    for incarnation, readable in read.items():
        lineage, origin = lineage_dir(state, incarnation), f"{_prefix(config)}/{incarnation}"
        if readable.origin is not None and readable.origin != origin:
            raise resume.other_platform(lineage, readable.origin, origin)
        known = _known(lineage, origin, identity)
        for earlier in readable.previous or ():
            previous[earlier] = None
        covered = resume.covered_head(lineage, _prefix(config), identity.public_key)
        if covered is not None and known is not None and covered.size <= known.size:
            previous[Previous(covered.origin, covered.size, covered.root)] = None
        if known is not None:
            previous[Previous(origin, known.size, known.root)] = None
            kept.append(lineage)
        elif readable.origin is not None or incarnation == in_force or len(read) == 1:
            if all(one.origin != origin for one in previous):
                previous[Previous(origin, readable.size, None)] = None
            kept.append(lineage)  # else an unfinished one, which nobody ever saw
    return Diagnosis(damage, kept, list(previous))


def _check_key(state: Path, read: dict[str, Found], identity: Signer) -> None:
    """See to it that a lineage which can still be read is of this key; where none can be, there is nothing to compare.

    Raises:
        ForeignStoreError: those that name a key all name another one.

    """
    keys = {name: found.identity_key for name, found in read.items() if found.identity_key is not None}
    if identity.public_key not in keys.values():
        for incarnation, key in keys.items():
            raise resume.other_key(lineage_dir(state, incarnation), key, identity.public_key)


def _known(lineage: Path, origin: str, identity: Signer) -> Checkpoint | None:
    """The head file's word, where this identity key signed it."""
    try:
        return resume.head_of(lineage, origin, identity)
    except StoreError:
        return None
