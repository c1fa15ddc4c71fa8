"""Imports between rooms run one way (recorder/DESIGN.md, "Rooms").

A room is the longest entry of ROOMS that begins a module's name.  Every import counts, also one inside a function or
under TYPE_CHECKING: an arrow that runs only sometimes is still an arrow.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT = Path(__file__).resolve().parent.parent
OURS = ("recorder", "mesh", "firmware_bridge", "hwsim", "tests")

SMALL_FILES = ("recorder.store.layout", "recorder.store.configfile", "recorder.store.statusfile")  # of every process
# room -> the rooms of ours that it may import (itself always); a name ends in "." where all that lies below it is meant too
ROOMS: dict[str, tuple[str, ...]] = {
    "recorder": ("recorder.core", "recorder.client"),  # recorder/__init__.py: the public API
    "recorder.core": (),
    "recorder.store": ("recorder.core",),
    "recorder.store.view": ("recorder.core", "recorder.store"),
    "recorder.store.keyfile": (
        "recorder.core",
        "recorder.store",
    ),  # how a private key and other small files are kept, for every process
    "recorder.store.layout": ("recorder.store",),
    "recorder.store.configfile": ("recorder.core", "recorder.store.layout"),
    "recorder.store.statusfile": ("recorder.core", "recorder.store.layout"),
    "recorder.clock": (),  # the system's clocks and how far they can be trusted
    "recorder.client": ("recorder.core",),
    "recorder.writer": ("recorder.core", "recorder.store", "recorder.gate"),
    "recorder.gate": ("recorder.core",),
    "recorder.config": ("recorder.core", "recorder.store"),  # the names of files
    "recorder.daemon": tuple(f"recorder.{room}" for room in ("core", "store", "writer", "gate", "config", "clock")),
    "recorder.authority": ("recorder.core", "recorder.store"),  # key files, and how small files are written
    "recorder.audit": ("recorder.core", "recorder.store", "recorder.client", "recorder.config", "recorder.gate"),
    "recorder.export": ("recorder.core", "recorder.audit"),
    "recorder.bench": tuple(
        f"recorder.{room}" for room in ("core", "store", "writer", "client", "config", "clock", "daemon", "audit")
    ),
    "recorder.cli": ("recorder.",),
    "recorder.cli.demo": ("recorder.", "hwsim."),
    "recorder.cli.demo_bridge": ("recorder.", "hwsim."),
    "recorder.cli.demo_incident": ("recorder.", "hwsim."),
    "recorder.cli.demo_policy": ("recorder.", "hwsim."),
    **dict.fromkeys(
        (
            *("recorder.cli.mesh", "recorder.cli.mesh_ask", "recorder.cli.mesh_ask_text"),
            *("recorder.cli.mesh_look", "recorder.cli.mesh_look_text", "recorder.cli.mesh_options"),
            *("recorder.cli.demo_mesh", "recorder.cli.demo_mesh_story", "recorder.cli.demo_platform"),
        ),
        ("recorder.", "mesh."),
    ),
    "recorder.cli.bridge": ("recorder.", "firmware_bridge."),
    "mesh": ("recorder.core",),  # what peers say to each other, as values and bytes
    "mesh.node": (  # the process around it
        *("mesh", "recorder.core", "recorder.client", "recorder.clock"),
        *("recorder.store.keyfile", *SMALL_FILES),
    ),
    "firmware_bridge": ("recorder.core", "recorder.client", *SMALL_FILES),
    "firmware_bridge.line": ("recorder.core",),
    "hwsim": ("recorder.",),
}
# A room that is a part of another one: what may import the whole may import the part.
PARTS = {
    "recorder.store.view": "recorder.store",
    "firmware_bridge.line": "firmware_bridge",
    "recorder.store.keyfile": "recorder.store",
    **dict.fromkeys(SMALL_FILES, "recorder.store"),
    "recorder.cli.demo": "recorder.cli",
    **dict.fromkeys(
        (
            *("recorder.cli.mesh", "recorder.cli.mesh_ask", "recorder.cli.mesh_ask_text"),
            *("recorder.cli.mesh_look", "recorder.cli.mesh_look_text", "recorder.cli.mesh_options"),
            *("recorder.cli.demo_mesh", "recorder.cli.demo_mesh_story", "recorder.cli.demo_platform"),
        ),
        "recorder.cli",
    ),
    "recorder.cli.bridge": "recorder.cli",
    "recorder.cli.demo_bridge": "recorder.cli",
    "recorder.cli.demo_incident": "recorder.cli",
    "recorder.cli.demo_policy": "recorder.cli",
}

# room -> packages from outside that it must not import, with the reason
_EFFECTS = dict.fromkeys(
    (
        *("aiohttp", "asyncio", "concurrent", "ctypes", "glob", "http", "io", "lmdb", "logging", "mmap"),
        *("multiprocessing", "os", "pathlib", "random", "secrets", "select", "selectors", "serial", "shutil"),
        *("signal", "socket", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "zeroconf"),
    ),
    "this room is pure: clocks, randomness, files and sockets come in as arguments",
)
BANNED: dict[str, dict[str, str]] = {
    "recorder.core": _EFFECTS,
    "mesh": _EFFECTS,
    "firmware_bridge.line": _EFFECTS,
    **dict.fromkeys(
        (
            *("recorder.store", "recorder.store.view", "recorder.client", "recorder.writer"),
            *("recorder.gate", "recorder.config", "recorder.daemon"),
        ),
        dict.fromkeys(
            ("numpy", "rich", "aiohttp", "zeroconf", "pyulog", "mcap"),
            "16 MB and 74 ms, or the screen: not in the daemon's path",
        ),
    ),
}
# room -> the only packages from outside that it may import beside the standard library
ALLOWED_OUTSIDE: dict[str, tuple[str, ...]] = {
    "recorder.core": ("cbor2", "msgspec", "nacl"),
    "mesh": ("msgspec",),
    "firmware_bridge.line": ("msgspec",),
}


class Import(NamedTuple):
    """One import: which module names which, and where."""

    importer: str
    imported: str
    place: str


def room_of(module: str) -> str | None:
    """The longest room that begins `module`; a module straight under recorder/ must be, or lie in, a room of the table."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in ROOMS and (name != "recorder" or module == "recorder"):
            return name
    return None


def imports_of(module: str, source: str, place: str, *, is_package: bool, modules: frozenset[str]) -> Iterator[Import]:
    """Every import statement of one file, relative ones resolved, `from package import module` as the module."""
    for node in ast.walk(ast.parse(source)):
        where = f"{place}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            yield from (Import(module, alias.name, where) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")[: len(module.split(".")) - node.level + is_package]
                base = ".".join([*above, base] if base else above)
            names = {f"{base}.{alias.name}" for alias in node.names}
            yield from (Import(module, name, where) for name in sorted(names & modules))
            if names - modules:
                yield Import(module, base, where)


def may_import(importer: str, imported: str) -> bool:
    """Whether the table lets one room import the other."""
    allowed = ROOMS[importer]
    if imported == importer or imported in allowed or PARTS.get(imported) in (importer, *allowed):
        return True
    return any(name.endswith(".") and f"{imported}.".startswith(name) for name in allowed)


def wrong_arrow(found: Import) -> str | None:
    """Why this import is not allowed, or None."""
    room = room_of(found.importer)
    if room is None:
        return f"{found.place}: {found.importer} lies in no room: name it in ROOMS"
    package = found.imported.split(".")[0]
    if package in OURS:
        target = room_of(found.imported)
        if target is None or not may_import(room, target):
            return f"{found.place}: {room} must not import {found.imported}"
        return None
    if reason := BANNED.get(room, {}).get(package):
        return f"{found.place}: {room} must not import {package}: {reason}"
    outside = ALLOWED_OUTSIDE.get(room)
    if outside is not None and package not in outside and package not in sys.stdlib_module_names:
        return f"{found.place}: {room} must not import {package}: of what lies outside it may import only {', '.join(outside)}"
    return None


def wrong_arrows(sources: Mapping[str, str]) -> list[str]:
    """All wrong arrows of a tree, given as path -> source."""
    return [wrong for found in _imports(sources) if (wrong := wrong_arrow(found))]


def cycle(sources: Mapping[str, str]) -> list[str]:
    """One import cycle among the files, or an empty list.

    A package's __init__ that gathers names from its modules is no cycle with them unless a module imports the package
    itself: Python's implicit import of the parent is not an arrow that anyone wrote.
    """
    graph: dict[str, set[str]] = {}
    modules = _modules(sources)
    for found in _imports(sources):
        if found.imported in modules:
            graph.setdefault(found.importer, set()).add(found.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _modules(sources: Iterable[str]) -> frozenset[str]:
    return frozenset(map(_module, sources))


def _imports(sources: Mapping[str, str]) -> Iterator[Import]:
    modules = _modules(sources)
    for path, source in sorted(sources.items()):
        yield from imports_of(_module(path), source, path, is_package=path.endswith("/__init__.py"), modules=modules)


@pytest.fixture(scope="module")
def tree() -> dict[str, str]:
    return {
        path.relative_to(ROOT).as_posix(): path.read_text()
        for top in OURS
        if top != "tests"
        for path in sorted((ROOT / top).rglob("*.py"))
    }


def test_every_arrow_runs_the_way_that_the_table_allows(tree: dict[str, str]) -> None:
    """No file of ours imports what its room must not."""
    assert "recorder/core/errors.py" in tree, "the tree was not read"
    assert wrong_arrows(tree) == []


def test_no_file_imports_itself_through_others(tree: dict[str, str]) -> None:
    """There is no import cycle among our files."""
    assert cycle(tree) == []


WRONG = [
    ("recorder/core/entry.py", "import time"),
    ("recorder/core/entry.py", "def f():\n    from os import urandom"),
    ("recorder/core/entry.py", "import click"),
    ("recorder/core/entry.py", "from recorder.store import segment"),
    ("recorder/core/entry.py", "from ..store import segment"),
    ("recorder/core/entry.py", "from .. import store"),
    ("recorder/core/entry.py", "import recorder"),
    ("recorder/store/__init__.py", "from recorder.writer import Writer"),
    ("recorder/client/ring.py", "import numpy as np"),
    ("recorder/client/ring.py", "from recorder.store.view import Sealed"),
    ("recorder/gate/bounds.py", "import recorder.config"),
    ("recorder/daemon/loop.py", "import rich.table"),
    ("recorder/daemon/loop.py", "from recorder.cli import main"),
    ("recorder/audit/walk.py", "from recorder.daemon import loop"),
    ("recorder/export/export.py", "from recorder.store import segment"),
    ("recorder/writer/writer.py", "import mcap.writer"),
    ("recorder/cli/run.py", "import hwsim.arm"),
    ("recorder/bench/run.py", "from recorder.cli import main"),
    ("recorder/audit/walk.py", "from recorder.bench import figure"),
    ("recorder/helper.py", "import json"),
    ("recorder/core/entry.py", "if TYPE_CHECKING:\n    from recorder.client import Recorder"),
    ("mesh/witness.py", "from recorder.store import segment"),
    ("mesh/witness.py", "import firmware_bridge.frame"),
    ("mesh/witness.py", "from recorder.client import Recorder"),
    ("mesh/witness.py", "from mesh.node import server"),
    ("mesh/witness.py", "import time"),
    ("mesh/witness.py", "import aiohttp"),
    ("mesh/node/server.py", "from recorder.gate import table"),
    ("mesh/node/server.py", "from recorder.daemon import loop"),
    ("mesh/node/server.py", "from recorder.store import segment"),
    ("mesh/node/server.py", "from recorder.store.view import View"),
    ("firmware_bridge/frame.py", "from mesh import witness"),
    ("firmware_bridge/frame.py", "from recorder import daemon"),
    ("firmware_bridge/line/link.py", "import serial"),
    ("firmware_bridge/line/link.py", "from time import monotonic_ns"),
    ("firmware_bridge/line/link.py", "from recorder.client import Recorder"),
    ("firmware_bridge/line/link.py", "import nacl.signing"),
    ("firmware_bridge/line/link.py", "from firmware_bridge import process"),
    ("firmware_bridge/process.py", "from recorder.store import segment"),
    ("hwsim/arm.py", "from tests.doubles import clock"),
]
RIGHT = [
    (
        "recorder/core/entry.py",
        "import hashlib\nimport cbor2\nfrom nacl import signing\nfrom . import cbor\nfrom .cbor import loads",
    ),
    ("recorder/store/view.py", "from recorder.store.segment import read\nimport lmdb"),
    ("recorder/store/__init__.py", "from recorder.store import view"),
    ("recorder/audit/walk.py", "from recorder.store.view import Sealed"),
    ("recorder/cli/demo.py", "import hwsim.arm\nfrom recorder.cli import output"),
    ("recorder/cli/__init__.py", "from recorder.cli import demo\nimport rich"),
    ("mesh/witness.py", "from recorder.core import cbor\nimport msgspec"),
    (
        "mesh/node/server.py",
        "import mesh.witness\nfrom recorder.store import keyfile\nfrom recorder.client import Recorder\nimport aiohttp",
    ),
    ("firmware_bridge/line/link.py", "import msgspec\nfrom zlib import crc32\nfrom recorder.core.entry import Entry"),
    (
        "firmware_bridge/process.py",
        "import serial\nfrom firmware_bridge.line.link import Link\nfrom recorder.client import Recorder",
    ),
    ("hwsim/arm.py", "import numpy\nfrom recorder.client import Recorder"),
]
# Files that the samples name, so that `from package import module` can be told from `from module import name`.
OTHERS = dict.fromkeys(
    (
        *("recorder/__init__.py", "recorder/core/__init__.py", "recorder/core/cbor.py", "recorder/store/__init__.py"),
        *(
            "recorder/store/keyfile.py",
            "recorder/store/segment.py",
            "recorder/store/view.py",
            "recorder/daemon/__init__.py",
            "recorder/daemon/loop.py",
        ),
        *(
            "recorder/cli/__init__.py",
            "recorder/cli/output.py",
            "recorder/cli/demo.py",
            "recorder/bench/figure.py",
            "mesh/__init__.py",
            "mesh/witness.py",
            "mesh/node/server.py",
        ),
    ),
    "",
)


@pytest.mark.parametrize(("path", "source"), WRONG)
def test_a_wrong_arrow_is_named(path: str, source: str) -> None:
    """The checker finds each kind of wrong import, and says in which file and line it stands."""
    found = wrong_arrows({**OTHERS, path: source})
    assert len(found) == 1
    assert found[0].startswith(f"{path}:{source.count(chr(10)) + 1}: ")


@pytest.mark.parametrize(("path", "source"), RIGHT)
def test_a_right_arrow_passes(path: str, source: str) -> None:
    """The checker lets through what the architecture allows."""
    assert wrong_arrows({**OTHERS, path: source}) == []


def test_a_cycle_is_named() -> None:
    """Two modules that import each other, one of them inside a function, are a cycle."""
    sources = {
        "recorder/core/entry.py": "from recorder.core import claims",
        "recorder/core/claims.py": "def f():\n    from .entry import Entry",
    }
    assert set(cycle({**OTHERS, **sources})) == {"recorder.core.entry", "recorder.core.claims"}


@pytest.mark.parametrize("module", ["recorder.daemon", "recorder.client"])
def test_the_daemons_path_loads_nothing_heavy(module: str) -> None:
    """Importing the daemon or the client brings in neither numpy, nor the screen, nor the network, also not by way of another package."""
    if not (ROOT / module.replace(".", "/")).is_dir():
        pytest.skip(f"{module} does not exist yet")
    heavy = ("numpy", "cel_expr_python", "rich", "zeroconf", "pyulog", "hwsim", "mcap", "aiohttp", "recorder.cli")
    program = f"import sys, {module}; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
