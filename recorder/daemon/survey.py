"""What can be told of a lineage that may be damaged, told by a child process.

LMDB reads through a memory map and trusts its pages: a truncated file ends the process that reads it with SIGBUS, a
wrong page with an assertion.  So the reading is done by a child, which says line by line how far it came.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lmdb

from recorder.core import entry
from recorder.core.controls import Previous
from recorder.core.errors import LineageError
from recorder.core.ids import entry_id
from recorder.daemon import identity, interpreter, resume, trial
from recorder.store.errors import ForeignStoreError
from recorder.store.layout import ordinals, segment_dir
from recorder.store.opening import check_store
from recorder.store.segment import Segment

CHECK, READ = "check", "read"
WELL = "status 0"


class Found(NamedTuple):
    """What the readable part of a lineage shows."""

    origin: str | None = None
    size: int = 0  # entries below this were read
    previous: Sequence[Previous] | None = None  # earlier ones that its first boot entry names; None: it was not read
    identity_key: bytes | None = None  # that it names; None: it was not read
    head: str | None = None  # printed id of the last entry of a segment that was read to its end
    head_utc_ns: int | None = None
    unreadable: str | None = None  # why it went no further


def damage(state: Path, lineage: Path, origin: str) -> str | None:
    """Why `lineage run` cannot open this lineage, or None where it can.

    Raises:
        ForeignStoreError: it is not damaged, but not ours either.

    """
    said, ended = _child(CHECK, state, lineage, origin)
    for line in said:
        if "foreign" in line:
            raise ForeignStoreError(line["foreign"])
        if "damage" in line:
            return None if line["damage"] is None else str(line["damage"])
    return trial.ended([str(lineage), *(line["at"] for line in said if "at" in line)][-1], ended)


def readable(lineage: Path, newest: int = 0) -> Found:
    """Read a lineage as far as it goes, from each segment on; only the `newest` segments, where that is not 0."""
    found = Found()
    said, ended = _child(READ, lineage, str(newest))
    for line in said:
        if "previous" in line:
            rows = line["previous"]
            line["identity_key"] = bytes.fromhex(line["identity_key"])
            line["previous"] = [Previous(name, size, root and bytes.fromhex(root)) for name, size, root in rows]
        found = found._replace(**{**line, "size": max(found.size, line.get("size", 0))})
    if ended != WELL:
        found = found._replace(unreadable=f"reading it ends the process with {ended}")
    return found


def _child(task: str, *arguments: Path | str) -> tuple[list[dict[str, Any]], str]:
    program = "import sys; from recorder.daemon.survey import main; main(*sys.argv[1:])"
    command, env = interpreter.command(program, task, *arguments), interpreter.environment()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)  # noqa: S603 -- ourselves
    lines = []
    for line in done.stdout.split("\n"):
        try:
            lines.append(json.loads(line))
        except ValueError:  # the empty last one, or one that was cut when the process ended
            continue
    status = done.returncode
    if status == 0:
        return lines, WELL
    last = done.stderr.strip().split("\n")[-1]
    return lines, signal.Signals(-status).name if status < 0 else f"status {status} ({last})"


def main(task: str, *arguments: str) -> None:
    """The child: one JSON object a line, each flushed before more is read."""
    if task == CHECK:
        state, lineage, origin = arguments
        try:
            _say(damage=_damage(Path(state), Path(lineage), origin))
        except ForeignStoreError as error:
            _say(foreign=str(error))
    else:
        _read(Path(arguments[0]), int(arguments[1]))


def _say(**facts: Any) -> None:  # noqa: ANN401 -- JSON values
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _damage(state: Path, lineage: Path, origin: str) -> str | None:
    """As `boot` opens it."""
    try:
        signer = identity.load(state)
        trial.read(state, lambda path: _say(at=path))
        resume.first_boot(lineage, origin, signer.public_key)
        check_store(lineage, origin, resume.head_of(lineage, origin, signer))
    except ForeignStoreError:
        raise
    except (LineageError, lmdb.Error, OSError) as error:
        return str(error)
    return None


def _read(lineage: Path, newest: int) -> None:
    for ordinal in ordinals(lineage)[-newest:]:
        try:
            _read_segment(segment_dir(lineage, ordinal))
        except (LineageError, lmdb.Error, OSError) as error:
            _say(unreadable=str(error))


def _read_segment(path: Path) -> None:
    segment = Segment(path, 0, live=False)
    try:
        head = segment.head()
        if head is None:
            return
        _say(origin=head[1][0], size=head[0])
        last: tuple[int, bytes] | None = None
        for first, record in segment.records(head[0]):
            if first == 0:
                boot_entry = entry.decode(record.entries[0]).header.control
                previous = [[name, size, root and root.hex()] for name, size, root in boot_entry.previous]
                _say(previous=previous, identity_key=boot_entry.identity_key.hex())
            _say(size=first + len(record.entries))
            last = first + len(record.entries) - 1, record.entries[-1]
        if last is not None:
            seq, raw = last
            _say(head=str(entry_id(entry.entry_hash(raw), seq)), head_utc_ns=entry.decode(raw).header.time.utc_ns)
    finally:
        segment.close()
