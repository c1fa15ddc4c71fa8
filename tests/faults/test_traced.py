"""Reading strace's output: calls of several threads, calls that a kill cut short, calls that were made to fail."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from tests.faults.traced import Processes, below, calls, descriptor, numbers, strings

TRACE = r"""7 pwrite64(5<\x2f\x78>, "\x41\x42", 2, 512 <unfinished ...>
8 fsync(6<\x2f\x78>) = 0
7 <... pwrite64 resumed>) = 2
7 fdatasync(5<\x2f\x78>) = -1 EIO (Input/output error) (INJECTED)
8 rename("\x2f\x61", "\x2f\x62" <unfinished ...>
8 <... rename resumed>) = ?
8 +++ killed by SIGKILL +++
"""


def test_calls_begin_and_return(tmp_path: Path) -> None:
    """Each call twice, in the order of what happened; one that a kill cut short has no result, an injected failure is marked."""
    (tmp_path / "trace").write_text(TRACE)
    found = list(calls(tmp_path / "trace"))
    assert [(call.thread, call.name, call.began, call.result) for call in found] == [
        (7, "pwrite64", True, None),
        (8, "fsync", True, None),
        (8, "fsync", False, 0),
        (7, "pwrite64", False, 2),
        (7, "fdatasync", True, None),
        (7, "fdatasync", False, -1),
        (8, "rename", True, None),
        (8, "rename", False, None),
    ]
    assert [call.is_injected for call in found if not call.began] == [False, False, True, False]
    assert (strings(found[0].arguments), descriptor(found[0].arguments)) == ([b"AB"], (5, "/x"))
    assert numbers(found[0].arguments) == ["2", "512"]
    assert strings(found[6].arguments) == [b"/a", b"/b"]


def test_a_call_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """Nothing is skipped in silence."""
    (tmp_path / "trace").write_text("7 fsync(5</x>) and so on\n")
    with pytest.raises(ValueError, match="cannot be read"):
        list(calls(tmp_path / "trace"))


def test_a_thread_is_of_its_process_and_a_child_is_not(tmp_path: Path) -> None:
    """Whoever made it, and whether it spoke before the call that made it returned."""
    (tmp_path / "trace").write_text(
        "7 clone3({flags=CLONE_VM|CLONE_THREAD, child_tid=0x7}, 88 <unfinished ...>\n"
        "8 vfork( <unfinished ...>\n"
        "9 fsync(3<\\x2f>) = 0\n"
        "8 <... vfork resumed>) = 9\n"
        "7 <... clone3 resumed> => {parent_tid=[8]}, 88) = 8\n"
        "7 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = -1 EAGAIN (Resource temporarily unavailable)\n"
    )
    found = Processes(calls(tmp_path / "trace"))
    assert [found.of(thread) for thread in (7, 8, 9)] == [7, 7, 9]
    assert found.parents == {9: 8}


def test_only_what_lies_below_counts() -> None:
    """A path outside of the state is none of it; one that was removed while open still is."""
    assert below(Path("/s"), "/s/a/b (deleted)") == PurePosixPath("a/b")
    assert below(Path("/s"), "/sa") is None
