"""`lineage init`: a state directory with its configuration and its identity key."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from recorder import config as configs
from recorder.core.errors import FormatError, LineageError
from recorder.core.note import ED25519, VerifierKey
from recorder.core.trust import ERROR as TRUST_ERROR
from recorder.core.trust import Trust, parse_trust
from recorder.daemon import identity
from recorder.daemon.accounts import Accounts
from recorder.store.configfile import ConfigError
from recorder.store.layout import CONFIG, CURRENT, IDENTITY, LINEAGES, LOCK, TRUST, StateLock, replace_file, sync_dir

DIRECTORY_MODE = 0o750
CONFIG_MODE = 0o640
TRUST_MODE = 0o644
FLEET = "local"
# Written by `lineage extract`, by people and by controllers; policies, credentials and holds are for whoever edits the
# file, the first two also for root and the recorder's own user.
APPEND = ("confirmation", "control_transition", "evidence", "extraction", "mark", "observation")


class FoundingError(LineageError):
    """The state directory cannot be made; the message says why and what to do, and nothing was left behind."""


@dataclass(frozen=True)
class Answers:
    """What `init` must know.

    Attributes:
        on_unavailable: hold or continue_ungated, of class motion; the recorder never chooses.
        uids: local users that may act for the actuators and read.
        technicians: users and groups that may read, and extract from a running recorder, and nothing else.
        trust: a trust file, copied into the state; None where no signed policy will be in force.

    """

    fleet: str
    platform: str
    on_unavailable: str
    uids: Sequence[int]
    actuators: Sequence[str] = ()
    segment_mib: int = field(default=64)
    technicians: Accounts = field(default=Accounts())
    trust: bytes | None = None


def default_platform() -> str:
    """Name of the machine in the alphabet of platform names."""
    return re.sub(r"[^a-z0-9._-]+", "-", socket.gethostname().lower()).strip("._-")[:63] or "platform"


def check_free(state: Path) -> None:
    """See to it that no state lies there.

    Raises:
        FoundingError: one does, or the start of one.

    """
    if state.exists() and not state.is_dir():
        raise FoundingError(f"{state} is no directory; choose another path")
    try:
        present = {name for name in (CONFIG, CURRENT, LINEAGES, IDENTITY) if (state / name).exists()}
    except OSError as error:
        raise FoundingError(f"cannot look into {state}: {error.strerror}") from error
    if present == {IDENTITY}:
        raise FoundingError(
            f"{state / IDENTITY} stands there without {CONFIG}: restore the {CONFIG} that belongs to it, or remove it "
            f"if an interrupted `lineage init` left it"
        )
    if present:
        raise FoundingError(f"{state} holds a state already ({', '.join(sorted(present))}); choose another directory")


def found(state: Path, answers: Answers) -> VerifierKey:
    """Make the state directory; returns the key that goes into auditors' trust files.

    If we crash before the configuration is renamed into place, there is at most a key that signed nothing, and the next
    `init` says so; after it, the state is whole.  An error that is not a crash takes back everything.

    Raises:
        FoundingError: a state is there, an answer cannot be used, no room, no permission.

    """
    check_free(state)
    text = config_text(answers)
    try:
        configs.parse(text, state / CONFIG)
        if answers.trust is not None:
            check_trust(answers.trust)
    except (ConfigError, FormatError) as error:
        raise FoundingError(str(error)) from error
    with ExitStack() as undo:
        try:
            _make_directory(state, undo)
            had_lock = (state / LOCK).exists()
            lock = StateLock(state)  # stays as a file, so that a start that fails leaves the directory as it found it
            undo.callback(lock.close)
            check_free(state)  # again: another `init` may have been here, and what is undone must be ours
            if not had_lock:
                undo.callback((state / LOCK).unlink, missing_ok=True)
            _make_directory(state / LINEAGES, undo)
            names = (IDENTITY, f"{IDENTITY}.tmp", f"{CONFIG}.tmp")
            for name in names if answers.trust is None else (*names, TRUST, f"{TRUST}.tmp"):
                undo.callback((state / name).unlink, missing_ok=True)
            signer = identity.make(state)
            if answers.trust is not None:
                replace_file(state / TRUST, answers.trust, TRUST_MODE)
            replace_file(state / CONFIG, text.encode(), CONFIG_MODE)
            undo.pop_all()
            lock.close()
        except OSError as error:
            raise FoundingError(f"cannot make {state}: {error.strerror or error}") from error
    return VerifierKey.derive(f"{answers.fleet}/{answers.platform}", ED25519, signer.public_key)


def check_trust(text: bytes) -> Trust:
    """Read the trust file that a recorder is to have.

    Raises:
        FormatError: trust_malformed, also where it names no root: then nothing could be installed.

    """
    trust = parse_trust(text)
    if not trust.roots:
        raise FormatError(
            TRUST_ERROR, "no line `root VKEY`: a recorder takes what descends from a root, and nothing else"
        )
    return trust


def _make_directory(path: Path, undo: ExitStack) -> None:
    """Make a directory and what lies above it; one that is there keeps its mode."""
    if path.is_dir():
        return
    _make_directory(path.parent, undo)
    path.mkdir()
    undo.callback(_remove_directory, path)
    path.chmod(DIRECTORY_MODE)  # whatever the umask
    sync_dir(path.parent)


def _remove_directory(path: Path) -> None:
    with suppress(OSError):  # somebody put something into it meanwhile
        path.rmdir()


def config_text(answers: Answers) -> str:
    """The configuration file."""
    text = _TEMPLATE.format(
        fleet=_quoted(answers.fleet),
        platform=_quoted(answers.platform),
        segment_mib=answers.segment_mib,
        on_unavailable=_quoted(answers.on_unavailable),
        uids=", ".join(str(uid) for uid in answers.uids),
        actuators=", ".join(_quoted(name) for name in answers.actuators),
        append=", ".join(_quoted(kind) for kind in APPEND),
    )
    if any(answers.technicians):
        uids, gids = (", ".join(map(str, numbers)) for numbers in answers.technicians)
        text += _TECHNICIANS.format(uids=uids, gids=gids)
    return text


def _quoted(text: str) -> str:
    """A TOML basic string; names that the configuration refuses anyway only have to stay inside the quotes."""
    return '"' + "".join(char if char.isprintable() and char not in '"\\' else "?" for char in text) + '"'


_TEMPLATE = """\
# Configuration of `lineage run`, read once at start; an unknown key is an error.  Written by `lineage init`.

# With a file `trust` beside this one (`lineage init --trust`, or copied there) a policy that a root in it signed can be
# installed while the recorder runs (`lineage policy install`), and takes the place of the classes below.

[platform]                      # both are part of every origin and of the verifier's key: do not change them later
fleet = {fleet}
name = {platform}

[recorder]
epoch_hours = 24.0              # a fresh signing key, in memory only, at every start and after so many hours
checkpoint_s = 60.0             # a signed head at least this often; what lies after it, an older copy could hide
rows_window_ms = 50             # rows wait this long for company: latency against wear of the card; 0 = none
at_risk_ms = 2000               # what a controller's rows may lose to a power cut, as told in hello
# require_policy = true         # no gated cycle before a signed policy is installed, also in a new incarnation

[store]
segment_mib = {segment_mib}                # 64; 16 on small cards

# What is given up as the disk fills: free space in bytes ("500MiB") or as a share of the file system ("10%"); the names
# are auditd's.  At least two segments stay free whatever stands here.
[room]
space_left = "10%"              # below this the oldest expired claims go
admin_space_left = "5%"         # below this also the oldest rows of classes whose rows_may_go

# With a mesh ([[controller]] mesh = true): more than this without a cosignature, and `status` and `doctor` warn.
# [witnesses]
# warn_entries = 100000
# warn_s = 900.0

# Retention classes.  Entries, hashes and proofs always stay; claims go, oldest first, a deletion entry before each.
[retention.1y]
keep = "1y"                     # claims may go after so long ("36h", "90d", "10y"), or "forever"
# max_bytes = "4GiB"            # over this the oldest go whatever their age
rows_may_go = true              # rows may go before their time where the disk gets full

[retention.10y]
keep = "10y"
rows_may_go = false

# Classes of action.  on_unavailable says what a controller does while the recorder is away:
#   "hold"               do not act
#   "continue_ungated"   act, and record it as ungated once the recorder is back
[class.motion]
gated = true
on_unavailable = {on_unavailable}
disk_full_action = "refuse"     # "refuse", "notify": on, out of the reserve; "halt": cycles end until a restart
retention = "1y"                # name of the retention class, stored with every entry
claims = "fields"               # "fields": disclosed or withheld one by one; "whole": faster, all or nothing
max_commits = 1000000           # the most that one cycle may ask for
max_valid_ms = 60000

# Refusing or holding these back would be the hazard: they cannot be gated, and go on without a recorder.
[class.emergency_stop]
gated = false
on_unavailable = "continue_ungated"
retention = "10y"
claims = "fields"

[class.braking]
gated = false
on_unavailable = "continue_ungated"
retention = "10y"
claims = "fields"

[class.landing]
gated = false
on_unavailable = "continue_ungated"
retention = "10y"
claims = "fields"

# Who may do what, by local user or group.  Several tables add up.  append says which kinds of entries; whoever is to
# hold needs "hold", to install "policy" and "credential": root and the recorder's own user may install anyway.
[[controller]]
uids = [{uids}]
gids = []
actuators = [{actuators}]
append = [{append}]
read = true
"""

_TECHNICIANS = """\

# Technicians: `lineage extract` from a running recorder.  To connect they must be in the group of the socket too.
[[controller]]
uids = [{uids}]
gids = [{gids}]
append = ["extraction"]
read = true
"""
