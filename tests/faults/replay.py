"""A traced run over again on the model of a disk: every moment at which the power may go, and what had been promised by then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol

from recorder.core.checkpoint import parse_checkpoint
from recorder.core.messages import Status
from recorder.core.note import parse_note
from recorder.core.protocol import decode_reply
from tests.faults.disk import LOCK_FILE, Disk, Pending, Size
from tests.faults.traced import Call, Processes, below, descriptor, numbers, strings

_WRITES = frozenset({"write", "pwrite64", "writev", "pwritev"})
_SYNCS = frozenset({"fsync", "fdatasync"})


@dataclass(slots=True)
class Promised:
    """What a client or a reader of heads has been told."""

    entries: dict[int, bytes] = field(default_factory=dict)  # hashes, or their first bytes, by seq
    checkpoint: int = 0  # size

    def take(self, message: bytes) -> bool:
        """Take what the recorder sends; whether it promises more than before."""
        before = len(self.entries), self.checkpoint
        note_reply(self, message)
        return before != (len(self.entries), self.checkpoint)


class Promises(Protocol):
    """What a process has said on its sockets."""

    def take(self, message: bytes) -> bool:
        """Take what it sends; whether that promises more than before."""
        ...


def note_reply(promised: Promised, message: bytes) -> None:
    """Take what a reply or a push promises."""
    status, _, body = decode_reply(message)
    if status is Status.PUSH:
        promised.entries.update(enumerate(body[1], body[0]))
    elif status is Status.REFUSED or (status is Status.OK and isinstance(body, list) and len(body) == 9):
        promised.entries[body[0]] = body[1]  # Refused, Opened
    elif status is Status.OK and isinstance(body, list) and len(body) == 5:
        promised.entries[body[0]] = body[2]  # Receipt
    elif status is Status.OK and isinstance(body, bytes):
        promised.checkpoint = parse_checkpoint(parse_note(body).text).size


class Moment(NamedTuple):
    """Between two calls; `disk` and `promised` are only to be looked at before the next moment is asked for."""

    number: int
    after: str  # the call that came last, for messages
    disk: Disk
    promised: Any  # the `Promises` of the run


class _Open(NamedTuple):
    durable_on_return: bool
    at: int


def moments(
    root: Path,
    initial: Path,
    traces: Sequence[Sequence[Call]],
    *,
    journaled: bool,
    promised: Promises | None = None,
) -> Iterator[Moment]:
    """Every moment of some runs, one after the other, on one state directory.

    Args:
        root: where the directory lay during the runs.
        initial: a copy of it from before; durable.
        traces: calls of each run.
        journaled: of the disk.
        promised: takes what the runs sent; a recorder's if left out.

    """
    replay = _Replay(root, Promised() if promised is None else promised, journaled=journaled)
    replay.disk.load(initial)
    index = 0
    for trace in traces:
        replay.begin(Processes(trace))
        for call in trace:
            # Just before a change, all promises made so far count: the strictest moment with these pending changes.
            if replay.changes(call) and replay.dirty:
                yield Moment(index, replay.after, replay.disk, replay.promised)
                index += 1
                replay.dirty = False
            replay.take(call)
        replay.end()
    yield Moment(index, replay.after, replay.disk, replay.promised)


class _Replay:
    def __init__(self, root: Path, promised: Promises, *, journaled: bool) -> None:
        self.disk = Disk(journaled=journaled)
        self.promised = promised
        self.dirty = True
        self.after = "start"
        self._processes = Processes(())
        self._descriptors: dict[int, dict[int, _Open]] = {}  # by process and number
        self._root = root
        self._writing: dict[int, Pending] = {}
        self._syncing: dict[int, list[Pending]] = {}

    def begin(self, processes: Processes) -> None:
        """Another run begins."""
        self._processes = processes

    def changes(self, call: Call) -> bool:
        """Whether a call may change what a power cut leaves."""
        if call.name in _WRITES or call.name in _SYNCS:
            return below(self._root, descriptor(call.arguments)[1]) is not None
        if call.name == "openat" and "O_CREAT" not in call.arguments and "O_TRUNC" not in call.arguments:
            return False
        return call.name != "lseek" and any(below(self._root, path) is not None for path in _paths(call))

    def take(self, call: Call) -> None:
        if not call.began and call.result is None:
            return  # killed inside of it: what it did stays as undecided as it was when it began
        if call.name in ("sendto", "sendmsg"):
            if call.began:
                self._reply(call)
        elif call.name in _WRITES:
            self._write(call)
        elif call.name in _SYNCS:
            self._sync(call)
        elif call.result is not None and call.result >= 0:
            self._rest(call, call.result)

    def end(self) -> None:
        """A process ended: what it was writing when it was killed is in the cache, and the next one may sync it.

        A run that is killed is idle but for the thread that makes the next segment, whose file the next start removes.
        """
        for pending in self._writing.values():
            pending.returned = True
        self._writing.clear()
        self._syncing.clear()
        self._descriptors.clear()

    def _opened_by(self, call: Call) -> dict[int, _Open]:
        """The descriptors of the process that makes a call; a child's begin as its parent's are when it is first seen."""
        process = self._processes.of(call.thread)
        if process not in self._descriptors:
            parent = self._processes.of(self._processes.parents.get(process, process))
            self._descriptors[process] = dict(self._descriptors.get(parent, {}))
        return self._descriptors[process]

    def _reply(self, call: Call) -> None:
        found = strings(call.arguments)
        if not found or not found[0]:
            return
        # The strictest moment with what is pending is one after this promise.
        self.dirty |= self.promised.take(found[0])

    def _write(self, call: Call) -> None:
        number, name = descriptor(call.arguments)
        path = below(self._root, name)
        if path is None:
            return
        if not call.began:
            pending = self._writing.pop(call.number)
            if call.result != len(pending.change.content):  # type: ignore[union-attr]  # a write's is Data
                raise ValueError(f"a short or failed write is not modelled: {call.name} to {path}: {call.result}")
            self.disk.returned(pending)
            self.dirty = True
            return
        if '"...' in call.arguments:
            raise ValueError(f"strace cut the bytes of a {call.name} to {path}")
        descriptors = self._opened_by(call)
        opened = descriptors[number]
        content = b"".join(strings(call.arguments))
        at = int(numbers(call.arguments)[-1]) if call.name.startswith("p") else opened.at
        if not call.name.startswith("p"):
            descriptors[number] = opened._replace(at=at + len(content))
        self._writing[call.number] = self.disk.write(path, at, content, durable_on_return=opened.durable_on_return)
        self._changed(f"{call.name} of {len(content)} bytes at {at} of {path}")

    def _sync(self, call: Call) -> None:
        path = below(self._root, descriptor(call.arguments)[1])
        if path is None:
            return
        if call.began:
            self._syncing[call.number] = self.disk.covered(path)
            return
        if call.result != 0:
            raise ValueError(f"a failed {call.name} of {path} is not modelled")
        self.disk.settle(self._syncing.pop(call.number))
        self._changed(f"{call.name} of {path}")

    def _rest(self, call: Call, result: int) -> None:
        """What changes names, sizes and modes, at its return; until then a crash finds it done or not done."""
        if call.name == "lseek":
            number, _ = descriptor(call.arguments)
            descriptors = self._opened_by(call)
            if number in descriptors:  # else it is none of ours, or the duplicate that lists a directory
                descriptors[number] = descriptors[number]._replace(at=result)
            return
        paths = [below(self._root, found) for found in _paths(call)]
        if not paths or paths[0] is None:
            return
        made = self._open(call, result, paths[0]) if call.name == "openat" else self._named(call, paths[0], paths[-1])
        if made is None:
            return
        self.disk.returned(made)
        if isinstance(made.change, Size) and paths[0].name == LOCK_FILE:
            self.disk.settle([made])  # it is mapped, and what a power cut leaves of it is made up (`disk.write_out`)
        self._changed(f"{call.name} of {paths[0]}")

    def _open(self, call: Call, result: int, path: PurePosixPath) -> Pending | None:
        self._opened_by(call)[result] = _Open("O_DSYNC" in call.arguments or "O_SYNC" in call.arguments, 0)
        if "O_CREAT" in call.arguments and self.disk.find(path) is None:
            return self.disk.make(path, is_dir=False, mode=_last(call, 8))
        if "O_TRUNC" in call.arguments and self.disk.size(path):
            return self.disk.truncate(path, 0)
        return None

    def _named(self, call: Call, path: PurePosixPath, other: PurePosixPath | None) -> Pending:
        match call.name:
            case "ftruncate":
                return self.disk.truncate(path, _last(call, 10))
            case "mkdir":
                return self.disk.make(path, is_dir=True, mode=_last(call, 8))
            case "rename" if other is not None:
                return self.disk.rename(path, other)
            case "unlink" | "unlinkat" | "rmdir":
                return self.disk.remove(path)
            case "chmod":
                return self.disk.chmod(path, _last(call, 8))
            case _:
                raise ValueError(f"{call.name} of {path} is not modelled")

    def _changed(self, after: str) -> None:
        self.after = after
        self.dirty = True


def _paths(call: Call) -> list[str]:
    """The paths that a call names."""
    if call.name in ("sendto", "sendmsg"):
        return []
    if call.name == "ftruncate":
        return [descriptor(call.arguments)[1]]
    found = [text.decode() for text in strings(call.arguments)]
    if (
        call.name.endswith("at")
        and found
        and not found[0].startswith("/")
        and not call.arguments.startswith("AT_FDCWD")
    ):
        return [f"{descriptor(call.arguments)[1]}/{found[0]}"]
    return found


def _last(call: Call, base: int) -> int:
    """The last argument, a number."""
    return int(call.arguments.rpartition(",")[2], base)
