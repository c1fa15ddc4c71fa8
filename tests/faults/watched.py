"""What another process takes of the machine, once a second, out of /proc."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import NamedTuple, Self

PERIOD_S = 1.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_TICK_FIELDS = slice(11, 13)  # utime and stime behind the name and its bracket: proc(5)


class Sample(NamedTuple):
    """CPU, user and system, since the process began; the memory is that of the moment."""

    mono_s: float
    all_s: tuple[float, float]  # threads that have ended too
    first_thread_s: tuple[float, float]
    rss_anon_kib: int
    sleeps: int  # voluntary context switches of the first thread


class Watched:
    """Samples of a process for as long as this is entered, one more at the end."""

    def __init__(self, pid: int) -> None:
        self._proc = Path(f"/proc/{pid}")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.samples = [self._sample()]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.samples.append(self._sample())

    def _run(self) -> None:
        while not self._stop.wait(PERIOD_S):
            self.samples.append(self._sample())

    def _sample(self) -> Sample:
        status = dict(line.split(":", 1) for line in (self._proc / "status").read_text().splitlines())
        return Sample(
            time.monotonic(),
            _cpu_s(self._proc / "stat"),
            _cpu_s(self._proc / "task" / self._proc.name / "stat"),
            int(status["RssAnon"].split()[0]),
            int(status["voluntary_ctxt_switches"]),
        )

    @property
    def seconds(self) -> float:
        """Between the first and the last sample."""
        return self.samples[-1].mono_s - self.samples[0].mono_s

    @property
    def rss_anon_kib(self) -> list[int]:
        """Anonymous memory, over time."""
        return [sample.rss_anon_kib for sample in self.samples]

    @property
    def spent_s(self) -> tuple[float, float]:
        """CPU between the first and the last sample: of the first thread, and of all others."""
        first, last = self.samples[0], self.samples[-1]
        everything = sum(last.all_s) - sum(first.all_s)
        of_first = sum(last.first_thread_s) - sum(first.first_thread_s)
        return of_first, everything - of_first

    @property
    def sleeps(self) -> int:
        """How often the first thread fell asleep meanwhile."""
        return self.samples[-1].sleeps - self.samples[0].sleeps


def _cpu_s(stat: Path) -> tuple[float, float]:
    user, system = stat.read_text().rpartition(")")[2].split()[_TICK_FIELDS]
    return int(user) / _TICKS_PER_S, int(system) / _TICKS_PER_S
