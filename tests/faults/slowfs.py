"""A file system that passes everything through to a directory and behaves like a bad device on the way.

    python3 -m tests.faults.slowfs BACKING MOUNTPOINT

Each line on standard input is a `Device` as JSON and is in force when a line comes back: JSON, the number of syncs so far and
the pauses, each with its first and last CLOCK_BOOTTIME ns.  The end of input unmounts.  It runs under Debian's Python, for which Debian builds pyfuse3; nothing of the recorder is imported here.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyfuse3
import trio

from tests.faults.device import Device

CACHED_S = 60.0  # nobody but the kernel changes what lies below
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_TRUNC


class SlowFs(pyfuse3.Operations):  # type: ignore[misc]  # Debian's package has no types
    """Inode numbers are those of the backing directory's file system; no hard links."""

    def __init__(self, backing: Path) -> None:
        super().__init__()
        self.device = Device()
        self.syncs = 0
        self.pauses: list[tuple[int, int]] = []
        self._backing = backing
        self._paths: dict[int, Path] = {pyfuse3.ROOT_INODE: backing}
        self._open: dict[int, int] = {}  # an open descriptor by inode, for files that have no name any more

    # What is asked -------------------------------------------------------------------------------------------------------------

    async def getattr(self, inode: int, _ctx: Any = None) -> Any:
        if inode in self._paths:
            found = os.lstat(self._paths[inode])
        elif inode in self._open:
            found = os.fstat(self._open[inode])
        else:
            raise pyfuse3.FUSEError(errno.ESTALE)  # replaced since it was looked up: the kernel looks again
        entry = pyfuse3.EntryAttributes()
        for name in (
            "st_mode",
            "st_nlink",
            "st_uid",
            "st_gid",
            "st_rdev",
            "st_size",
            "st_atime_ns",
            "st_mtime_ns",
            "st_ctime_ns",
        ):
            setattr(entry, name, getattr(found, name))
        entry.st_ino = inode
        entry.st_blksize, entry.st_blocks = 4096, -(-found.st_size // 512)
        entry.generation, entry.entry_timeout, entry.attr_timeout = 0, CACHED_S, CACHED_S
        return entry

    async def lookup(self, parent: int, name: bytes, ctx: Any = None) -> Any:
        path = self._paths[parent] / os.fsdecode(name)
        try:
            inode = os.lstat(path).st_ino
        except FileNotFoundError:
            raise pyfuse3.FUSEError(errno.ENOENT) from None
        self._paths[inode] = path
        return await self.getattr(inode)

    async def opendir(self, inode: int, _ctx: Any) -> int:
        return inode

    async def readdir(self, inode: int, start: int, token: Any) -> None:
        for at, name in enumerate(sorted(path.name for path in self._paths[inode].iterdir())):
            if at >= start and not pyfuse3.readdir_reply(
                token, name.encode(), await self.lookup(inode, name.encode()), at + 1
            ):
                return

    async def statfs(self, _ctx: Any) -> Any:
        found = pyfuse3.StatvfsData()
        capacity = self.device.capacity_bytes or 1 << 40
        found.f_bsize = found.f_frsize = 4096
        found.f_blocks = capacity // 4096
        found.f_bfree = found.f_bavail = max(0, capacity - self._used()) // 4096
        found.f_files = found.f_ffree = found.f_favail = 1 << 20
        found.f_namemax = 255
        return found

    async def read(self, fd: int, at: int, size: int) -> bytes:
        return os.pread(fd, size, at)

    # What changes something ----------------------------------------------------------------------------------------------------

    async def setattr(self, inode: int, attr: Any, fields: Any, _fh: Any, _ctx: Any) -> Any:
        self._writable()
        path = self._paths[inode] if inode in self._paths else Path(f"/proc/self/fd/{self._open[inode]}")
        if fields.update_size:
            self._room(attr.st_size - path.stat().st_size)
            os.truncate(path, attr.st_size)
        if fields.update_mode:
            path.chmod(stat.S_IMODE(attr.st_mode))
        return await self.getattr(inode)

    async def mkdir(self, parent: int, name: bytes, mode: int, ctx: Any) -> Any:
        self._writable()
        (self._paths[parent] / os.fsdecode(name)).mkdir(mode & ~ctx.umask)
        return await self.lookup(parent, name)

    async def rmdir(self, parent: int, name: bytes, _ctx: Any) -> None:
        self._writable()
        try:
            (self._paths[parent] / os.fsdecode(name)).rmdir()
        except OSError as error:
            raise pyfuse3.FUSEError(error.errno) from None

    async def unlink(self, parent: int, name: bytes, _ctx: Any) -> None:
        self._writable()
        path = self._paths[parent] / os.fsdecode(name)
        self._paths.pop(os.lstat(path).st_ino, None)
        path.unlink()

    async def rename(self, old_parent: int, old: bytes, new_parent: int, new: bytes, _flags: int, _ctx: Any) -> None:
        self._writable()
        before, after = self._paths[old_parent] / os.fsdecode(old), self._paths[new_parent] / os.fsdecode(new)
        with suppress(FileNotFoundError):
            self._paths.pop(os.lstat(after).st_ino, None)
        before.rename(after)
        for inode, path in self._paths.items():
            if path.is_relative_to(before):
                self._paths[inode] = after / path.relative_to(before)

    async def open(self, inode: int, flags: int, _ctx: Any) -> Any:
        if flags & _WRITING:
            self._writable()
        if inode not in self._paths:
            raise pyfuse3.FUSEError(errno.ESTALE)
        return self._opened(inode, os.open(self._paths[inode], flags & ~(os.O_DSYNC | os.O_SYNC)))

    async def create(self, parent: int, name: bytes, mode: int, flags: int, ctx: Any) -> Any:
        self._writable()
        self._room(1)
        path = self._paths[parent] / os.fsdecode(name)
        fd = os.open(path, (flags | os.O_CREAT) & ~(os.O_DSYNC | os.O_SYNC), mode & ~ctx.umask)
        entry = await self.lookup(parent, name)
        return self._opened(entry.st_ino, fd), entry

    async def write(self, fd: int, at: int, content: bytes) -> int:
        self._writable()
        self._room(at + len(content) - os.fstat(fd).st_size)
        return os.pwrite(fd, content, at)

    async def fsync(self, _fd: int, _datasync: bool) -> None:
        self._writable()
        self.syncs += 1
        number, began_ns = self.syncs, time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        await trio.sleep(self.device.sync_s(number))
        if self.device.pauses(number):
            self.pauses.append((began_ns, time.clock_gettime_ns(time.CLOCK_BOOTTIME)))
        if self.device.fail_syncs:
            raise pyfuse3.FUSEError(errno.EIO)

    async def fsyncdir(self, inode: int, datasync: bool) -> None:
        await self.fsync(inode, datasync)

    async def release(self, fd: int) -> None:
        self._open = {inode: held for inode, held in self._open.items() if held != fd}
        os.close(fd)

    async def forget(self, inodes: Any) -> None:
        pass  # a handful of files

    def _opened(self, inode: int, fd: int) -> Any:
        self._open[inode] = fd
        return pyfuse3.FileInfo(fh=fd, keep_cache=True)

    def _writable(self) -> None:
        if self.device.read_only:
            raise pyfuse3.FUSEError(errno.EROFS)

    def _room(self, growth: int) -> None:
        capacity = self.device.capacity_bytes
        if growth > 0 and capacity is not None and self._used() + growth > capacity:
            raise pyfuse3.FUSEError(errno.ENOSPC)

    def _used(self) -> int:
        return sum(path.stat().st_size for path in self._backing.rglob("*") if path.is_file())


async def _listen(slow: SlowFs) -> None:
    """Take orders until there are no more."""
    print("mounted", flush=True)
    async for line in trio.wrap_file(sys.stdin):
        slow.device = Device(**json.loads(line))
        print(json.dumps([slow.syncs, slow.pauses]), flush=True)
    pyfuse3.terminate()


async def _serve(slow: SlowFs) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_listen, slow)
        await pyfuse3.main()
        nursery.cancel_scope.cancel()


def main() -> None:
    """Mount, serve, unmount."""
    backing, mountpoint = Path(sys.argv[1]).resolve(), sys.argv[2]
    slow = SlowFs(backing)
    pyfuse3.init(slow, mountpoint, {*pyfuse3.default_options, "fsname=slowfs"})
    try:
        trio.run(_serve, slow)
    finally:
        pyfuse3.close(unmount=True)


if __name__ == "__main__":
    main()
