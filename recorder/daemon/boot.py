"""Starting: which incarnation goes on, and the entries that every start writes before anything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from recorder import config as configs
from recorder.config import Config
from recorder.core import entry, policy
from recorder.core.checkpoint import Checkpoint
from recorder.core.errors import FormatError
from recorder.core.keys import SEED_BYTES, SeedSigner, Signer, kid
from recorder.core.kinds import Boot, Kind, Previous
from recorder.core.note import ED25519, VerifierKey
from recorder.core.policy import AtRisk
from recorder.core.retention import Rule
from recorder.core.trust import parse_trust
from recorder.gate.authorities import Authorities
from recorder.gate.cel import Cel
from recorder.gate.table import ActionClass, Table, configured, of_policy
from recorder.store import head as heads
from recorder.store.errors import ForeignStoreError, StoreDamagedError, StoreError
from recorder.store.layout import (
    CONFIG,
    CURRENT,
    IDENTITY,
    LINEAGES,
    TRUST,
    lineage_dir,
    ordinals,
    read_current,
    replace_file,
    segment_dir,
)  # fmt: skip
from recorder.store.opening import create_store, open_store
from recorder.store.segment import Segment
from recorder.store.store import Store
from recorder.store.tail import Op, Tail
from recorder.store.view import holds_entries
from recorder.writer.context import Context
from recorder.writer.journal import Clock, Journal

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
INCARNATION_BYTES = 8
FIRST = 1  # ordinal of a lineage's first segment
EPOCH_NS_PER_HOUR = 3_600_000_000_000


class Started(NamedTuple):
    """A recorder that may answer requests."""

    context: Context
    known: Checkpoint | None  # last checkpoint that left
    remark: str | None  # what the operator must hear: a rolled back store, a new incarnation


def table_of(config: Config) -> Table:
    """The configured classes as a bundle: in force where no policy is."""
    return configured(
        {
            name: ActionClass(
                *(row.gated, row.on_unavailable, row.retention, row.claims),
                *(row.max_commits, row.max_valid_ms, row.on_full),
            )
            for name, row in config.classes.items()
        },
        AtRisk(config.recorder.rows_window_ms, config.recorder.at_risk_ms),
        {name: Rule(*configs.retention_of(rule, f"retention.{name}")) for name, rule in config.retention.items()},
    )


def context_of(state: Path, config: Config, journal: Journal) -> Context:
    """What the writer knows at a start: the policy that was in force goes on, else the configured table.

    Raises:
        StoreError: the trust file cannot be read.
        Misuse: a policy is in force, and its engine is not installed.

    """
    held = journal.tail.authority
    table = table_of(config) if held.policy is None else of_policy(policy.read(held.policy), Cel())
    authorities = Authorities.restore(trusted_roots(state), held.credentials.values(), held.matrix, held.revocations)
    platform = f"{config.platform.fleet}/{config.platform.name}"
    required = config.recorder.require_policy
    return Context(journal, table, platform, authorities=authorities, engine=Cel, require_policy=required)


def trusted_roots(state: Path) -> tuple[VerifierKey, ...]:
    """The roots of the state's trust file; none where there is no such file.

    Raises:
        StoreError: it cannot be read.

    """
    path = state / TRUST
    try:
        return parse_trust(path.read_bytes()).roots
    except FileNotFoundError:
        return ()
    except (OSError, FormatError) as error:
        raise StoreError(f"{path}: {error}; `lineage init --trust` wrote it, put it back or take it away") from error


def os_boot_id() -> bytes:
    """16 bytes that are new at every OS boot."""
    return bytes.fromhex(BOOT_ID.read_text("ascii").strip().replace("-", ""))


def start(state: Path, config: Config, identity: Signer, clock: Clock, randomness: Callable[[int], bytes]) -> Started:
    """Open the lineage, or a new incarnation, and write boot and policy entries.

    Raises:
        StoreError: the store cannot be used; the message says why and what to do.
        SyncFailedError: writing failed.

    """
    prefix = f"{config.platform.fleet}/{config.platform.name}"
    current = read_current(state)
    remark = None
    if current is None:
        _refuse_orphans(state)
        store, known = new_incarnation(state, prefix, config, randomness), None
        # In force before its boot entry: if we crash between the two, the next start finds it empty and goes on.
        put_in_force(state, store)
        previous: list[Previous] = []
    else:
        store, known, previous, remark = _resume(state, prefix, current, config, identity, randomness)
    try:
        journal = Journal(store, identity, clock, randomness)
        context = context_of(state, config, journal)
        write_boot(context, identity, previous, randomness)
        if store.lineage.name != read_current(state):
            # Only now: if we crash before this, the older copy is noticed again; after it, what it lacks is on record.
            put_in_force(state, store)
    except BaseException:
        store.close()
        raise
    return Started(context, known, remark)


def new_incarnation(state: Path, prefix: str, config: Config, randomness: Callable[[int], bytes]) -> Store:
    """Make an empty lineage; nobody looks at it before it is put in force."""
    incarnation = randomness(INCARNATION_BYTES).hex()
    return create_store(
        lineage_dir(state, incarnation), f"{prefix}/{incarnation}", config.store.segment_mib * 1024 * 1024
    )


def put_in_force(state: Path, store: Store) -> None:
    """Make a lineage the one that the next start goes on with."""
    replace_file(state / CURRENT, f"{store.lineage.name}\n".encode(), 0o644)


def _refuse_orphans(state: Path) -> None:
    """A first start, or a `current` that was lost?  A new lineage beside one with entries would deny those."""
    for lineage in sorted((state / LINEAGES).glob("*")):
        if holds_entries(lineage):
            raise StoreError(
                f"{state / CURRENT} is missing, but {lineage} holds entries; write {lineage.name} back into it, "
                f"or run `lineage recover --state {state}`"
            )


def _resume(
    state: Path, prefix: str, current: str, config: Config, identity: Signer, randomness: Callable[[int], bytes]
) -> tuple[Store, Checkpoint | None, list[Previous], str | None]:
    lineage = lineage_dir(state, current)
    origin = f"{prefix}/{current}"
    # Before the head file: one that another key signed would look damaged, and no sound lineage is to be given up.
    first = first_boot(lineage, origin, identity.public_key)
    known = head_of(lineage, origin, identity)
    store = open_store(lineage, origin, known, config.store.segment_mib * 1024 * 1024)
    if known is None or store.tail.size >= known.size:
        return store, known, list(first.previous) if first is not None else [], None
    have = store.tail.size
    store.close()
    named = [*(first.previous if first is not None else []), Previous(origin, known.size, known.root)]
    remark = (
        f"the store holds {have} entries, but a checkpoint of {known.size} left this recorder: an older copy was put "
        f"back; it is kept in {lineage} and a new incarnation begins"
    )
    return new_incarnation(state, prefix, config, randomness), None, named, remark


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


def write_boot(
    context: Context, identity: Signer, previous: list[Previous], randomness: Callable[[int], bytes]
) -> None:
    """Write the boot entry, then, once that is durable, the first entry of its epoch key."""
    journal = context.journal
    tail = journal.tail
    os_boot = os_boot_id()
    if tail.boot and tail.os_boot != os_boot:
        for carrier in list(tail.cycles):
            journal.move(Op.CYCLE_GONE, carrier)
    carried = [[cycle.carrier, cycle.made] for cycle in tail.cycles.values()]
    epoch = SeedSigner(randomness(SEED_BYTES))
    control = [
        identity.public_key, epoch.public_key, randomness(16), None, [list(item) for item in previous], None, os_boot,
        carried,
    ]  # fmt: skip
    journal.move(Op.BOOT, tail.boot + 1, os_boot, identity.public_key, epoch.public_key)
    journal.tick()
    journal.draft(Kind.BOOT, {15: control})
    journal.write()
    journal.use_epoch(epoch)
    body = journal.family("body", {"bundle": context.table.bundle})
    journal.draft(Kind.POLICY, {11: body.digest, 15: [context.table.digest]}, {11: body.claims})
    journal.move(Op.POLICY, context.table.digest)
    journal.tick()
    journal.write()


def rotate_epoch(context: Context, randomness: Callable[[int], bytes]) -> None:
    """Introduce a fresh epoch key; what is drafted was written before, under the old one."""
    journal = context.journal
    epoch = SeedSigner(randomness(SEED_BYTES))
    journal.move(Op.EPOCH, epoch.public_key)
    journal.draft(Kind.EPOCH, {15: [epoch.public_key]})
    journal.write()
    journal.use_epoch(epoch)
