"""Starting: which incarnation goes on, and the entries that every start writes before anything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from recorder import config as configs
from recorder.config import Config
from recorder.core import policy
from recorder.core.checkpoint import Checkpoint
from recorder.core.controls import Previous
from recorder.core.errors import FormatError
from recorder.core.keys import SEED_BYTES, SeedSigner, Signer
from recorder.core.kinds import Kind
from recorder.core.note import VerifierKey
from recorder.core.policy import AtRisk
from recorder.core.retention import Rule
from recorder.core.trust import parse_trust
from recorder.daemon.resume import Resumed, new_incarnation, resume
from recorder.gate.authorities import Authorities
from recorder.gate.cel import Cel
from recorder.gate.table import ActionClass, Table, configured, of_policy
from recorder.store import peerheads
from recorder.store.errors import StoreError
from recorder.store.layout import (
    CURRENT,
    LINEAGES,
    TRUST,
    read_current,
    replace_file,
)  # fmt: skip
from recorder.store.store import Store
from recorder.store.tail import Op
from recorder.store.view import holds_entries
from recorder.writer.context import Context
from recorder.writer.journal import Clock, Journal

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
EPOCH_NS_PER_HOUR = 3_600_000_000_000


class Started(NamedTuple):
    """A recorder that may answer requests."""

    context: Context
    known: Checkpoint | None  # last checkpoint that left
    remark: str | None  # what the operator must hear: a rolled back store, a new incarnation
    previous: list[Previous]  # that the boot entry at seq 0 names


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


def context_of(state: Path, config: Config, journal: Journal, identity: Signer) -> Context:
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
    return Context(
        *(journal, table, platform),
        authorities=authorities,
        engine=Cel,
        identity_key=identity.public_key,
        require_policy=required,
    )


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
    if current is None:
        _refuse_orphans(state)
        begun = Resumed(new_incarnation(state, prefix, config, randomness), None, [], None, None)
        # In force before its boot entry: if we crash between the two, the next start finds it empty and goes on.
        put_in_force(state, begun.store)
    else:
        begun = resume(state, prefix, current, config, identity, randomness)
    store = begun.store
    try:
        journal = Journal(store, identity, clock, randomness)
        context = context_of(state, config, journal, identity)
        write_boot(context, identity, begun.previous, randomness, begun.confirmed_by)
        if store.lineage.name != read_current(state):
            # Only now: if we crash before this, the older copy is noticed again; after it, what it lacks is on record.
            put_in_force(state, store)
            peerheads.forget(state)  # if we crash before this, the next start finds them named
    except BaseException:
        store.close()
        raise
    return Started(context, begun.known, begun.remark, begun.previous)


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


def write_boot(
    context: Context,
    identity: Signer,
    previous: list[Previous],
    randomness: Callable[[int], bytes],
    confirmed_by: Literal["witness"] | None = None,
) -> None:
    """Write the boot entry, then, once that is durable, the first entry of its epoch key.

    Args:
        context: of the incarnation.
        identity: signs the boot entry.
        previous: earlier incarnations that it names.
        randomness: for the epoch key.
        confirmed_by: who confirmed what it names.

    """
    journal = context.journal
    tail = journal.tail
    os_boot = os_boot_id()
    if tail.boot and tail.os_boot != os_boot:
        for carrier in list(tail.cycles):
            journal.move(Op.CYCLE_GONE, carrier)
    carried = [[cycle.carrier, cycle.made] for cycle in tail.cycles.values()]
    epoch = SeedSigner(randomness(SEED_BYTES))
    control = [
        identity.public_key, epoch.public_key, randomness(16), None, [list(item) for item in previous], confirmed_by,
        os_boot, carried,
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
