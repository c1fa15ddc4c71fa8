"""A real recorder under strace, and its trace as calls on the files below its state directory and replies on its socket."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tests.faults.serving import Serving

_CALLS = (
    "open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,chmod,fchmod,"
    "fchmodat,truncate,ftruncate,fallocate,lseek,write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,sync_file_range,msync,"
    "sendto,sendmsg,clone,clone3,fork,vfork"
)
_FORKS = frozenset({"clone", "clone3", "fork", "vfork"})
# 1 MiB: the longest write of one call is a chunk of 256 KiB, when the next segment is zero-filled.
TRACE_ALL = ("-y", "-xx", "-s", str(1 << 20), "--seccomp-bpf", "-e", f"trace={_CALLS}")

_LINE = re.compile(r"^(\d+) +(\w+)\((.*)$", re.DOTALL)
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_RESULT = re.compile(r"^(.*)\) += (-?\d+|\?)(?:<[^>]*>)?(?: .*)?$", re.DOTALL)
_FD = re.compile(r"^(\d+)<((?:\\x[0-9a-f]{2})*)>")


class Call(NamedTuple):
    """One system call; `number` pairs its beginning with its return."""

    number: int
    thread: int
    began: bool  # False: it returned, with `result`
    name: str
    arguments: str
    result: int | None  # None: it began, or the process was killed inside of it
    is_injected: bool = False  # strace made it fail


class Traced(Serving):
    """One recorder under strace; signals and exit status are the recorder's own, because the tracer is its child."""

    def __init__(
        self, state: Path, socket: Path, trace: Path, *, prelude: str = "", options: tuple[str, ...] = TRACE_ALL
    ) -> None:
        """Start and wait until it records or has failed.

        Args:
            state: the state directory.
            socket: outside of it, so that the trace holds nothing but the store.
            trace: file for strace's output; whole once the recorder has ended.
            prelude: Python that runs in the recorder's process before it starts, to break it on purpose.
            options: of strace.

        """
        super().__init__(
            state, socket, prelude=prelude, under=("strace", "-D", "-f", "-qq", *options, "-o", str(trace))
        )


class Processes:
    """Who made whom: threads share descriptors, a child process has its own from then on."""

    def __init__(self, trace: Iterable[Call]) -> None:
        """Look through a whole trace: what was made may make calls before the call that made it is seen to return."""
        self._makers: dict[int, int] = {}  # of threads, by thread
        self.parents: dict[int, int] = {}  # of processes, by process: the thread that made it
        for call in trace:
            if call.name in _FORKS and not call.began and call.result is not None and call.result > 0:
                made = self._makers if "CLONE_THREAD" in call.arguments else self.parents
                made[call.result] = call.thread

    def of(self, thread: int) -> int:
        """The process of a thread: the number of its first one."""
        while thread in self._makers:
            thread = self._makers[thread]
        return thread


def calls(trace: Path) -> Iterator[Call]:
    """The calls of a trace, each twice: where it began and where it returned."""
    open_calls: dict[str, tuple[int, str, str]] = {}  # by thread
    number = 0
    with trace.open(encoding="ascii") as lines:
        for line in lines:
            text = line.rstrip("\n")
            resumed = _RESUMED.match(text)
            if resumed:
                begun, name, before = open_calls.pop(resumed[1])
                yield _returned(begun, int(resumed[1]), name, before + resumed[3])
                continue
            found = _LINE.match(text)
            if found is None:  # a signal or an exit
                continue
            number += 1
            if found[3].endswith(_UNFINISHED):
                arguments = found[3].removesuffix(_UNFINISHED)
                open_calls[found[1]] = (number, found[2], arguments)
                yield Call(number, int(found[1]), True, found[2], arguments, None)
            else:
                returned = _returned(number, int(found[1]), found[2], found[3])
                yield returned._replace(began=True, result=None)
                yield returned


def _returned(number: int, thread: int, name: str, text: str) -> Call:
    found = _RESULT.match(text)
    if found is None:
        raise ValueError(f"strace wrote a call that cannot be read: {name}({text[:200]}")
    result = None if found[2] == "?" else int(found[2])
    return Call(number, thread, False, name, found[1], result, text.endswith("(INJECTED)"))


def strings(arguments: str) -> list[bytes]:
    """The strings among a call's arguments."""
    return [_unescaped(found) for found in arguments.split('"')[1::2]]  # -xx leaves no quotation mark inside of one


def descriptor(arguments: str) -> tuple[int, str]:
    """A call's first argument, a descriptor, and what it is open on."""
    found = _FD.match(arguments)
    if found is None:
        raise ValueError(f"no descriptor: {arguments[:80]}")
    return int(found[1]), os.fsdecode(_unescaped(found[2]))


def numbers(arguments: str) -> list[str]:
    """What follows a call's last string, split at commas."""
    return [part.strip() for part in arguments.rpartition('"')[2].split(",") if part.strip()]


def below(root: Path, path: str) -> PurePosixPath | None:
    """A path relative to a directory, or None outside of it."""
    pure = PurePosixPath(path.removesuffix(" (deleted)"))
    return pure.relative_to(root) if pure.is_relative_to(root) else None


def _unescaped(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
