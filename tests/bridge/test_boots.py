"""The boot number in flash: whatever a power cut leaves of a record or of a page, no number comes twice."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.bridge.device import C_DIR, needs_gcc
from tests.c.building import C99, WARNINGS

pytestmark = needs_gcc

RECORDS = 3
PAGE_BITS = RECORDS * 64
ERASED = 2**64 - 1

Words = ctypes.POINTER(ctypes.c_uint32)
Read = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint32, Words)
Erase = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_uint)


class Hooks(ctypes.Structure):
    """`lineage_flash`."""

    _fields_ = (
        ("user", ctypes.c_void_p), ("records", ctypes.c_uint32), ("read", Read), ("program", Read), ("erase", Erase),
    )  # fmt: skip


class Flash:
    """Two pages, whose bits move one after the other; the power goes after so many of them."""

    def __init__(self, call: Callable[[Any], int]) -> None:
        self.pages = [[ERASED] * RECORDS, [ERASED] * RECORDS]
        self.erasures = 0
        self._left: int | None = None  # bits until the power goes
        self._order = list(range(64))
        self._call = call
        self._hooks = Hooks(None, RECORDS, Read(self._read), Read(self._program), Erase(self._erase))

    def start(self, power_bits: int | None = None, seed: int = 0) -> int | None:
        """The number of a start; None where the power went before it had one.  Bits move in the seed's order."""
        Random(seed).shuffle(self._order)
        self._left = power_bits
        number = self._call(ctypes.byref(self._hooks))
        return number if self._left is None or self._left > 0 else None

    def _moves(self) -> bool:
        if self._left is None:
            return True
        self._left = max(0, self._left - 1)
        return self._left > 0

    def _read(self, _user: object, page: int, record: int, words: Any) -> bool:
        held = self.pages[page][record]
        words[0], words[1] = held & 0xFFFFFFFF, held >> 32
        return True

    def _program(self, _user: object, page: int, record: int, words: Any) -> bool:
        wanted = words[0] | words[1] << 32
        for bit in self._order:
            if not wanted >> bit & 1 and self._moves():
                self.pages[page][record] &= ~(1 << bit)
        return True

    def _erase(self, _user: object, page: int) -> bool:
        self.erasures += 1
        for record in range(RECORDS):
            for bit in self._order:
                if not self.pages[page][record] >> bit & 1 and self._moves():
                    self.pages[page][record] |= 1 << bit
        return True


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], int]:
    """`lineage_next_boot`."""
    built: Path = tmp_path_factory.mktemp("boots") / "boots.so"
    subprocess.run(
        ["gcc", *WARNINGS, *C99, "-shared", "-fPIC", C_DIR / "lineage_boots.c", "-o", built], check=True
    )  # fmt: skip
    found = ctypes.CDLL(str(built)).lineage_next_boot
    found.restype = ctypes.c_uint32
    return found


def test_it_counts(call: Callable[[Any], int]) -> None:
    """One by one, and a page is erased where the other one is full."""
    flash = Flash(call)
    assert [flash.start() for _ in range(20)] == list(range(1, 21))
    assert flash.erasures == 19 // RECORDS


def test_the_power_is_lost_at_every_bit(call: Callable[[Any], int]) -> None:
    """And again at the next start: the number that follows is higher than any that was ever used."""
    for at in range(3 * RECORDS):
        for cut in count(1):
            flash = Flash(call)
            used = 0
            for _ in range(at):
                used = flash.start() or used
            if (number := flash.start(cut, seed=cut)) is not None:
                assert number > used
                break  # it needs no more bits than this
            held = [page.copy() for page in flash.pages]
            for again in (None, 1, 7, 40):
                flash.pages = [page.copy() for page in held]
                between = 0 if again is None else flash.start(again, seed=again) or 0
                then = flash.start()
                assert then is not None
                assert then > max(used, between), (at, cut, again)
                assert between == 0 or between > used


def test_cells_that_do_not_take_it(call: Callable[[Any], int]) -> None:
    """A record that is torn is passed over; memory that takes nothing more is told, and not a number of before."""
    flash = Flash(call)
    assert flash.start() == 1
    flash.pages[0][1] = 0x1234
    assert (flash.start(), flash.pages[0][2] & 0xFFFFFFFF) == (2, 2)
    flash._hooks.program = Read(lambda *_: False)
    assert flash.start() == 0


def test_the_last_number(call: Callable[[Any], int]) -> None:
    """Behind it there is none: `ones` is what erased memory says."""
    flash = Flash(call)
    flash.pages[0][0] = (2**32 - 3) | 2 << 32
    assert [flash.start() for _ in range(2)] == [2**32 - 2, 0]
