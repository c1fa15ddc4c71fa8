"""The systemd units: accepted by systemd, as narrow as stated, and wide enough for what the recorder does."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from recorder.cli.checks_services import BRIDGE as BRIDGE_SERVICE
from recorder.cli.checks_services import MESH as MESH_SERVICE
from recorder.cli.checks_services import Service

UNITS = Path(__file__).resolve().parent.parent / "configs" / "systemd"
SERVICE = UNITS / "lineage-recorder.service"
# Measured 0.7 with systemd 252; --threshold takes tenths.  What is left: adjtimex (twice), RootDirectory, ProtectClock,
# AF_UNIX, ProcSubset, PrivateUsers; each has its reason in the unit.
EXPOSURE_MAX_TENTHS = 7
MESH = UNITS / "lineage-mesh.service"
# Measured 1.7: the network is what it is for, netlink tells which there is, and the group of the recorder's socket; the rest is
# as above.
MESH_EXPOSURE_MAX_TENTHS = 17
BRIDGE = UNITS / "lineage-bridge@.service"
# Measured 0.6: serial ports, and the groups of theirs and of the recorder's socket; no network.
BRIDGE_EXPOSURE_MAX_TENTHS = 6

analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _settings(name: str, unit: Path = SERVICE) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


@analyze
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """`systemd-analyze verify` finds nothing to say, once the command that the unit names exists."""
    for unit in UNITS.iterdir():
        if unit.is_file():
            (tmp_path / unit.name).write_text(
                unit.read_text().replace("/opt/lineage/.venv/bin/lineage", sys.executable)
            )
    done = _run("systemd-analyze", "verify", "--man=no", *sorted(tmp_path.iterdir()))
    said = [line for line in done.stderr.splitlines() if "lineage" in line]
    assert (done.returncode, said) == (0, [])


@analyze
def test_verify_would_notice_a_mistake(tmp_path: Path) -> None:
    """The check above can fail: a misspelt setting is reported."""
    unit = tmp_path / SERVICE.name
    unit.write_text(SERVICE.read_text().replace("ProtectSystem=", "ProtectSytem="))
    assert "ProtectSytem" in _run("systemd-analyze", "verify", "--man=no", unit).stderr


@analyze
@pytest.mark.parametrize(
    ("unit", "most"),
    [(SERVICE, EXPOSURE_MAX_TENTHS), (MESH, MESH_EXPOSURE_MAX_TENTHS), (BRIDGE, BRIDGE_EXPOSURE_MAX_TENTHS)],
)
def test_the_exposure_stays_at_its_stated_score(unit: Path, most: int) -> None:
    """`systemd-analyze security` scores each service no worse than the figure that the project states."""
    score = ("systemd-analyze", "security", "--offline=true", "--no-pager")
    done = _run(*score, f"--threshold={most}", unit)
    assert done.returncode == 0, done.stdout
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found
    assert float(found[1]) * 10 <= most
    assert _run(*score, "--threshold=1", unit).returncode != 0, "the threshold decides nothing"


@analyze
@pytest.mark.parametrize("kind", ["sysusers", "tmpfiles"])
def test_the_user_and_the_directories_can_be_made(kind: str, tmp_path: Path) -> None:
    """systemd-sysusers and systemd-tmpfiles take their files, and make the user, then the directories, below a root of the test's own."""
    if os.geteuid() != 0:
        pytest.skip("making users and directories of others needs root")
    (tmp_path / "etc").mkdir()
    done = _run("systemd-sysusers", f"--root={tmp_path}", UNITS / "sysusers.d" / "lineage.conf")
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^lineage:[^:]*:\d+:\d+:Lineage recorder:/var/lib/lineage:",
        (tmp_path / "etc/passwd").read_text(),
        re.MULTILINE,
    )
    if kind == "tmpfiles":
        done = _run("systemd-tmpfiles", f"--root={tmp_path}", "--create", UNITS / "tmpfiles.d" / "lineage.conf")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "run/lineage").stat().st_mode & 0o777 == 0o755
        assert (tmp_path / "var/lib/lineage").stat().st_mode & 0o777 == 0o700


def test_the_service_and_the_socket_agree() -> None:
    """The daemon is told the socket that the socket unit makes, and the directory that systemd lets it write."""
    listen = re.search(r"^ListenSequentialPacket=(.*)$", (UNITS / "lineage-recorder.socket").read_text(), re.MULTILINE)
    assert listen
    (command,) = _settings("ExecStart")
    assert command.split()[1:] == ["run", "--state", "/var/lib/lineage", "--socket", listen[1]]
    assert _settings("StateDirectory") == _settings("RuntimeDirectory") == ["lineage"]


def test_only_the_mesh_has_a_network() -> None:
    """The recorder has local sockets alone; the mesh reaches it by its socket's group, and lies in a state of its own."""
    assert _settings("RestrictAddressFamilies") == ["AF_UNIX"]
    assert _settings("RestrictAddressFamilies", MESH) == ["AF_INET AF_INET6 AF_UNIX AF_NETLINK"]
    (command,) = _settings("ExecStart", MESH)
    (recorder,) = _settings("ExecStart")
    assert command.split()[1:] == [
        *("mesh", "run", "--state", "/var/lib/lineage-mesh", "--socket"),
        recorder.split()[-1],
    ]
    assert _settings("SupplementaryGroups", MESH) == _settings("Group")
    assert _settings("User", MESH) != _settings("User")
    assert _settings("StateDirectory", MESH) == ["lineage-mesh"]


def test_a_bridge_has_its_port_and_the_recorders_socket() -> None:
    """One for each port, with a state of that name; a user of its own, who reaches the recorder by its socket's group."""
    (command,) = _settings("ExecStart", BRIDGE)
    (recorder,) = _settings("ExecStart")
    assert command.split()[1:] == [
        *("bridge", "run", "--state", "/var/lib/lineage-bridge/%i", "--port", "/dev/%I", "--socket"),
        recorder.split()[-1],
    ]
    assert _settings("StateDirectory", BRIDGE) == ["lineage-bridge/%i"]
    assert _settings("RestrictAddressFamilies", BRIDGE) == ["AF_UNIX"]
    assert {unit: _settings("User", unit) for unit in (SERVICE, MESH, BRIDGE)} == {
        SERVICE: ["lineage"], MESH: ["lineage-mesh"], BRIDGE: ["lineage-bridge"],
    }  # fmt: skip
    assert _settings("Group")[0] in _settings("SupplementaryGroups", BRIDGE)[0].split()
    assert _settings("DevicePolicy", BRIDGE) == ["closed"], "and DeviceAllow names what is let through"


@pytest.mark.parametrize(("unit", "service"), [(MESH, MESH_SERVICE), (BRIDGE, BRIDGE_SERVICE)])
def test_what_a_unit_says_that_recorder_toml_needs_is_what_doctor_looks_for(unit: Path, service: Service) -> None:
    """The table in its comment has all kinds; the user is the one whom sysusers.d makes, in the socket's group."""
    comment = "".join(line for line in unit.read_text().splitlines(keepends=True) if line.startswith("#"))
    assert f"append = {json.dumps(list(service.append))}" in comment
    assert "read = true" in comment
    assert ("mesh = true" in comment) is service.is_mesh
    assert _settings("User", unit) == [service.user]
    users = (UNITS / "sysusers.d" / "lineage.conf").read_text()
    assert f"\nu {service.user} " in users
    assert f"\nm {service.user} lineage\n" in users


# Runs argv[3:] under the unit's seccomp rules, built with the library that systemd uses.  Two filters, the stricter one wins:
# the first allows what SystemCallFilter allows, the second refuses what MemoryDenyWriteExecute and RestrictAddressFamilies do.
CONFINED = r"""
import ctypes, os, sys
class Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]
EQUAL, MASKED_EQUAL, ALLOW, REFUSE = 4, 7, 0x7FFF0000, 0x00050001  # REFUSE: errno 1, EPERM
lib = ctypes.CDLL("libseccomp.so.2")
lib.seccomp_init.restype = ctypes.c_void_p
def add(context, action, name, *compare):
    number = lib.seccomp_syscall_resolve_name(name.encode())
    if number >= 0:
        array = (Compare * max(1, len(compare)))(*compare)
        assert lib.seccomp_rule_add_array(ctypes.c_void_p(context), action, number, len(compare), array) == 0, name
narrow, wide = lib.seccomp_init(REFUSE), lib.seccomp_init(ALLOW)
for name in sys.argv[1].split():
    add(narrow, ALLOW, name)
add(wide, REFUSE, "mmap", Compare(2, MASKED_EQUAL, 6, 6))      # PROT_WRITE | PROT_EXEC
add(wide, REFUSE, "mprotect", Compare(2, MASKED_EQUAL, 4, 4))  # PROT_EXEC
for family in set(range(64)) - {int(one) for one in sys.argv[2].split()}:
    add(wide, REFUSE, "socket", Compare(0, EQUAL, family, 0))
for context in (wide, narrow):
    assert lib.seccomp_load(ctypes.c_void_p(context)) == 0
os.execv(sys.argv[3], sys.argv[3:])
"""

# What the recorder does with the kernel, in small.
WORK = r"""
import ctypes, gc, lmdb, mmap, msgspec, os, select, signal, socket, subprocess, sys, threading, time
import cbor2
from nacl.signing import SigningKey
key = SigningKey.generate()
assert key.verify_key.verify(key.sign(cbor2.dumps({1: -19})))
def refused(act):
    try:
        act()
    except OSError as error:
        return error.errno == 1
    return False
libc = ctypes.CDLL(None, use_errno=True)
timex = ctypes.create_string_buffer(512)  # struct timex with modes = 0: read only
assert libc.adjtimex(timex) >= 0, "clock quality cannot be read"
environment = lmdb.open(sys.argv[1], map_size=1 << 24, mode=0o600)
with environment.begin(write=True) as transaction:
    transaction.put(b"seq", b"entry")
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1] + "/socket"); listener.listen()
client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); client.connect(sys.argv[1] + "/socket")
peer, _ = listener.accept()
assert len(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)) == 12
poll = select.epoll(); poll.register(peer, select.EPOLLIN)
client.send(b"request"); assert poll.poll(1) and peer.recv(64) == b"request"
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).close()  # sd_notify
thread = threading.Thread(target=time.sleep, args=(0.01,)); thread.start(); thread.join()
subprocess.run([sys.executable, "-c", "pass"], check=True)  # the helper that fills segments with zeros
child = os.fork()  # the trial of the start, before LMDB is opened in earnest
if child == 0:
    os._exit(libc.prctl(1, signal.SIGKILL) | libc.prctl(4, 0))
assert os.waitpid(child, 0)[1] == 0
signal.signal(signal.SIGTERM, lambda *_: None); gc.freeze(); time.clock_gettime(time.CLOCK_BOOTTIME)
with open(sys.argv[1] + "/head", "wb") as head:
    head.write(b"head"); head.flush(); os.fsync(head.fileno()); os.fdatasync(head.fileno())
    os.posix_fallocate(head.fileno(), 0, 4096); os.sched_getaffinity(0)
os.rename(sys.argv[1] + "/head", sys.argv[1] + "/head2")
print("did the work")
assert refused(lambda: socket.socket(socket.AF_INET)), "a network socket was made"
assert refused(lambda: mmap.mmap(-1, 4096, prot=7)), "a page is writable and executable"
assert refused(lambda: os.chroot("/")), "a privileged call went through"
print("was refused the rest")
"""


@analyze
def test_the_filters_leave_room_for_the_work_and_for_nothing_else(tmp_path: Path) -> None:
    """Under the unit's own system call rules the recorder's work can be done, and what it must never do is refused."""
    done = _confined(SERVICE, WORK, tmp_path)
    assert (done.stdout.splitlines(), done.stderr) == (["did the work", "was refused the rest"], "")


# What the mesh does beside that: interfaces over netlink, datagrams to groups of both families, mDNS.
MESH_WORK = r"""
import asyncio, socket, sys
from mesh.node.config import Digests
from mesh.node.datagrams import Datagrams
from mesh.node.interfaces import interfaces_up
from zeroconf.asyncio import AsyncZeroconf
async def work():
    interfaces_up(())
    datagrams = Datagrams(Digests(port=int(sys.argv[2])), [], lambda *_: None)
    datagrams.look()
    datagrams.spread(b"digest")
    datagrams.close()
    await AsyncZeroconf(interfaces=["127.0.0.1"]).async_close()
asyncio.run(work())
print("did the work")
try:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
except PermissionError:
    print("was refused the rest")
"""


@analyze
def test_the_filters_of_the_mesh_leave_room_for_networks_and_not_for_frames(tmp_path: Path) -> None:
    """Which interfaces there are comes over netlink; without it nothing would be sent or found."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
    done = _confined(MESH, MESH_WORK, tmp_path, str(port))
    assert (done.stdout.splitlines(), done.stderr) == (["did the work", "was refused the rest"], "")


def _confined(unit: Path, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program under a unit's rules about system calls and address families."""
    try:
        import ctypes

        ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("libseccomp is not here")
    allowed: set[str] = set()
    for line in _settings("SystemCallFilter", unit):
        names = {call for name in line.lstrip("~").split() for call in _expand(name)}
        allowed = allowed - names if line.startswith("~") else allowed | names
    (families,) = _settings("RestrictAddressFamilies", unit)
    numbers = " ".join(str(int(getattr(socket, one))) for one in families.split())
    confined = [sys.executable, "-c", CONFINED, " ".join(sorted(allowed)), numbers]
    return _run(*confined, sys.executable, "-c", program, *arguments)


def _expand(name: str) -> set[str]:
    """The system calls of one word of SystemCallFilter: a set of systemd's with the sets inside it, or the call itself."""
    if not name.startswith("@"):
        return {name}
    listed = _run("systemd-analyze", "syscall-filter", "--no-pager", name).stdout
    words = [
        line.strip() for line in listed.splitlines()[1:] if line.startswith(" ") and not line.strip().startswith("#")
    ]
    return {call for word in words for call in _expand(word)}
