"""A disk between two syncs: what is durable, what is only in the cache, and what a power cut may leave of it.

Pure but for `write_out`.  A file's bytes, its size and its mode, and the names in a directory, are each durable once a sync of
that file or directory has returned; until then any part of them may be lost, whatever the order in which they were made.  On a
`journaled` disk (ext4, XFS) names and modes are lost only from the newest back, and every sync makes all earlier ones durable.

A torn write is one of which only some sectors arrived.  Sectors themselves are whole.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

SECTOR_BYTES = 512
ROOT = 0
LOCK_FILE = "lock.mdb"  # of LMDB: mapped and never synced


class Data(NamedTuple):
    """Bytes written to a file."""

    node: int
    at: int
    content: bytes


class Size(NamedTuple):
    """A file cut or grown."""

    node: int
    size: int


class Mode(NamedTuple):
    """Permissions changed."""

    node: int
    mode: int


class Link(NamedTuple):
    """A name in directory `parent`."""

    parent: int
    name: str
    node: int


class Unlink(NamedTuple):
    """A name taken away."""

    parent: int
    name: str


class Move(NamedTuple):
    """A name changed atomically, also for one in another directory."""

    parent: int
    old: str
    into: int  # directory
    new: str
    node: int


Change = Data | Size | Mode | Link | Unlink | Move
_METADATA = (Mode, Link, Unlink, Move)


@dataclass(slots=True, eq=False)
class Pending:
    """A change that a power cut may still undo."""

    change: Change
    label: str  # of the file, for messages
    returned: bool = False  # a sync that begins later covers it
    durable_on_return: bool = False  # O_DSYNC

    @property
    def is_metadata(self) -> bool:
        """Whether a journaled disk keeps its order."""
        return isinstance(self.change, _METADATA)

    def is_synced_by(self, node: int) -> bool:
        """Whether a sync of this file or directory makes it durable."""
        return node in _touched(self.change)


@dataclass(slots=True)
class _Node:
    is_dir: bool
    mode: int
    content: bytearray = field(default_factory=bytearray)
    names: dict[str, int] = field(default_factory=dict)

    def copy(self) -> _Node:
        return _Node(self.is_dir, self.mode, bytearray(self.content), dict(self.names))


class Disk:
    """One directory tree under a sequence of calls."""

    def __init__(self, *, journaled: bool) -> None:
        self.journaled = journaled
        self.pending: list[Pending] = []
        self._durable: dict[int, _Node] = {ROOT: _Node(is_dir=True, mode=0o750)}
        self._names: dict[int, dict[str, int]] = {ROOT: {}}  # as the running system sees them
        self._sizes: dict[int, int] = {}

    def load(self, root: Path) -> None:
        """Take what lies in a directory as durable."""
        for path in sorted(root.rglob("*")):
            if path.is_dir() or path.is_file():
                parent, name = self._split(PurePosixPath(path.relative_to(root)))
                node = self._new(is_dir=path.is_dir(), mode=path.stat().st_mode & 0o7777)
                if path.is_file():
                    self._durable[node].content[:] = path.read_bytes()
                    self._sizes[node] = path.stat().st_size
                self._names[parent][name] = self._durable[parent].names[name] = node

    def find(self, path: PurePosixPath) -> int | None:
        """The file or directory that has this name now."""
        node = ROOT
        for part in path.parts:
            found = self._names.get(node, {}).get(part)
            if found is None:
                return None
            node = found
        return node

    def make(self, path: PurePosixPath, *, is_dir: bool, mode: int) -> Pending:
        """Create a file or a directory."""
        parent, name = self._split(path)
        node = self._new(is_dir=is_dir, mode=mode)
        self._names[parent][name] = node
        return self._add(Link(parent, name, node), path)

    def remove(self, path: PurePosixPath) -> Pending:
        """Take a name away."""
        parent, name = self._split(path)
        del self._names[parent][name]
        return self._add(Unlink(parent, name), path)

    def rename(self, old: PurePosixPath, new: PurePosixPath) -> Pending:
        """Change a name; what had the new one is gone with the old name's going.

        Across directories it is atomic on a journaled disk only: elsewhere each directory is durable by its own sync.
        """
        (parent, name), (into, new_name) = self._split(old), self._split(new)
        node = self._names[parent].pop(name)
        self._names[into][new_name] = node
        if self.journaled or parent == into:
            return self._add(Move(parent, name, into, new_name, node), new)
        link = self._add(Link(into, new_name, node), new)
        self.returned(self._add(Unlink(parent, name), old))
        return link

    def write(self, path: PurePosixPath, at: int, content: bytes, *, durable_on_return: bool = False) -> Pending:
        """Write to a file."""
        node = self._node(path)
        self._sizes[node] = max(self._sizes[node], at + len(content))
        pending = self._add(Data(node, at, content), path)
        pending.durable_on_return = durable_on_return
        return pending

    def truncate(self, path: PurePosixPath, size: int) -> Pending:
        """Set a file's size."""
        node = self._node(path)
        self._sizes[node] = size
        return self._add(Size(node, size), path)

    def chmod(self, path: PurePosixPath, mode: int) -> Pending:
        """Set a mode."""
        return self._add(Mode(self._node(path), mode), path)

    def size(self, path: PurePosixPath) -> int:
        """Bytes of a file as the running system sees it."""
        return self._sizes[self._node(path)]

    def returned(self, pending: Pending) -> None:
        """The call that made a change came back."""
        pending.returned = True
        if pending.durable_on_return:
            self.settle([pending])

    def covered(self, path: PurePosixPath) -> list[Pending]:
        """What a sync of `path` that begins now makes durable when it returns."""
        node = self._node(path)
        return [
            pending
            for pending in self.pending
            if pending.returned and (pending.is_synced_by(node) or (self.journaled and pending.is_metadata))
        ]

    def settle(self, covered: Iterable[Pending]) -> None:
        """Make changes durable, in the order in which they were made."""
        chosen = {id(pending) for pending in covered}
        for pending in self.pending:
            if id(pending) in chosen:
                _apply(self._durable, pending.change)
        self.pending = [pending for pending in self.pending if id(pending) not in chosen]

    def write_out(self, root: Path, kept: Sequence[Change]) -> None:
        """Make the directory that a power cut leaves if of all that is pending just `kept` had arrived."""
        nodes = dict(self._durable)
        for change in kept:
            for touched in _touched(change):
                if nodes[touched] is self._durable.get(touched):
                    nodes[touched] = nodes[touched].copy()
            _apply(nodes, change)
        _write_dir(root, nodes, ROOT)

    def _new(self, *, is_dir: bool, mode: int) -> int:
        node = len(self._durable)
        self._durable[node] = _Node(is_dir, mode)
        if is_dir:
            self._names[node] = {}
        else:
            self._sizes[node] = 0
        return node

    def _add(self, change: Change, path: PurePosixPath) -> Pending:
        pending = Pending(change, str(path))
        self.pending.append(pending)
        return pending

    def _split(self, path: PurePosixPath) -> tuple[int, str]:
        return self._node(path.parent), path.name

    def _node(self, path: PurePosixPath) -> int:
        node = self.find(path)
        if node is None:
            raise ValueError(f"nothing is called {path}")
        return node


def torn(write: Data, sectors: Iterable[int]) -> list[Data]:
    """The parts of a write that arrived; sectors count from the one that holds the write's first byte."""
    base = write.at - write.at % SECTOR_BYTES
    parts = []
    for sector in sectors:
        first = max(write.at, base + sector * SECTOR_BYTES)
        last = min(write.at + len(write.content), base + (sector + 1) * SECTOR_BYTES)
        if first < last:
            parts.append(Data(write.node, first, write.content[first - write.at : last - write.at]))
    return parts


def sectors_of(write: Data) -> int:
    """How many sectors a write touches."""
    return (write.at + len(write.content) - 1) // SECTOR_BYTES - write.at // SECTOR_BYTES + 1


def _touched(change: Change) -> tuple[int, ...]:
    """The files or directories that a change is in."""
    match change:
        case Data(node) | Size(node) | Mode(node):
            return (node,)
        case Move(parent, _, into):
            return (parent, into)
        case Link(parent) | Unlink(parent):
            return (parent,)


def _apply(nodes: dict[int, _Node], change: Change) -> None:
    match change:
        case Data(node, at, content):
            held = nodes[node].content
            if len(held) < at:
                held.extend(bytes(at - len(held)))
            held[at : at + len(content)] = content
        case Size(node, size):
            held = nodes[node].content
            del held[size:]
            held.extend(bytes(size - len(held)))
        case Mode(node, mode):
            nodes[node].mode = mode
        case Link(parent, name, node):
            nodes[parent].names[name] = node
        case Unlink(parent, name):
            nodes[parent].names.pop(name, None)
        case Move(parent, old, into, new, node):
            if nodes[parent].names.get(old) == node:
                del nodes[parent].names[old]
            nodes[into].names[new] = node


def _write_dir(path: Path, nodes: dict[int, _Node], number: int) -> None:
    path.mkdir(parents=True, exist_ok=True)
    for name, child in nodes[number].names.items():
        node = nodes[child]
        if node.is_dir:
            _write_dir(path / name, nodes, child)
        elif name == LOCK_FILE:  # after a power cut it holds anything
            (path / name).write_bytes(random.Random(child).randbytes(len(node.content)))
        else:
            (path / name).write_bytes(node.content)
        (path / name).chmod(node.mode)
