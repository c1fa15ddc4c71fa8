"""The header compiles without a warning where it promises to, and refuses where it cannot work."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.c.building import C99, HEADER_DIR, HERE, WARNINGS, compiled, needs_gcc

pytestmark = needs_gcc

IMPLEMENTATION = '#define LINEAGE_IMPLEMENTATION\n#include "lineage.h"\n'
USE = """#include <stdio.h>
#include "lineage.h"
int main(void)
{
    unsigned char room[16];
    lin_buf buf;
    lin_begin(&buf, room, sizeof room);
    lin_map(&buf, 1), lin_text(&buf, "k"), lin_i64(&buf, -7);
    printf("%zu", lin_done(&buf).size);
    return lin_open("", "x") == NULL ? 0 : 1;
}
"""


@pytest.mark.parametrize("level", ["-O0", "-O2", "-O3"])
def test_c99_without_a_warning(tmp_path: Path, level: str) -> None:
    """As an embedder would: strict C99, every warning an error; -O3 looks deepest into buffers."""
    compiled(HERE / "driver.c", tmp_path / "driver", *C99, level)


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not here")
def test_one_unit_implements_and_a_cxx_unit_uses(tmp_path: Path) -> None:
    """C names for both languages, and no symbol twice."""
    (tmp_path / "one.c").write_text(IMPLEMENTATION)
    (tmp_path / "use.cc").write_text(USE)
    flags = [*WARNINGS, f"-I{HEADER_DIR}", "-c"]
    subprocess.run(["gcc", "-std=c99", *flags, "one.c", "-o", "one.o"], cwd=tmp_path, check=True)
    subprocess.run(["g++", "-std=c++11", *flags, "use.cc", "-o", "use.o"], cwd=tmp_path, check=True)
    subprocess.run(["g++", "one.o", "use.o", "-o", "both", "-pthread"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "both"], capture_output=True, check=True).stdout == b"4"


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not here")
def test_the_implementation_is_cxx_too(tmp_path: Path) -> None:
    """A project without a C file implements it in C++11."""
    (tmp_path / "one.cc").write_text(IMPLEMENTATION + USE)
    compiled(tmp_path / "one.cc", tmp_path / "one", "-std=c++11", compiler="g++")


def test_headers_in_the_wrong_order_are_told(tmp_path: Path) -> None:
    """Strict C99 hides the clock once another header came first: one sentence instead of fifty errors."""
    (tmp_path / "late.c").write_text("#include <stdio.h>\n" + IMPLEMENTATION)
    done = subprocess.run(
        ["gcc", "-std=c99", f"-I{HEADER_DIR}", "-c", "late.c"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "include lineage.h before any other header" in done.stderr


def test_a_control_loop_makes_no_system_call(tmp_path: Path) -> None:
    """Rows, events and changes of cycle, with and without room, where the kernel kills whoever calls it."""
    program = compiled(HERE / "wait_free.c", tmp_path / "wait_free", "-std=c99", "-D_GNU_SOURCE")
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("this kernel has no seccomp")
    assert (done.returncode, done.stdout) == (0, "no system call\n")
