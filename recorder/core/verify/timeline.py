"""Step 10: boots and stops, declared gaps, and the recorder's own clocks."""

from __future__ import annotations

from recorder.core.controls import Boot, Gap
from recorder.core.header import Header
from recorder.core.kinds import Kind
from recorder.core.verify.found import Found

STEP_NS = 100_000_000  # a UTC step over 100 ms is an entry (FORMAT.md section 8)
SLEW_PPM = 500  # what adjtimex slews at most; a clock that is being slewed does not step


class Timeline:
    """The recorder's clocks entry by entry.

    UTC is compared within one daemon start: nobody watched it between two.
    """

    __slots__ = ("_found", "_last_kind", "_mono_ns", "_os_boot", "_quality", "_step_at", "_utc_ns", "boots")

    def __init__(self, found: Found) -> None:
        self._found = found
        self.boots = 0
        self._os_boot = b""
        self._last_kind: int | None = None
        self._utc_ns = self._mono_ns = self._quality = 0
        self._step_at: tuple[int, int] | None = None  # seq and ns of a step that the next entry may yet declare

    def check(self, header: Header) -> None:
        """Judge the next entry."""
        kind, seq, time = header.kind, header.seq, header.time
        if kind == Kind.BOOT:
            self._boot(seq, header.control)
        elif kind == Kind.GAP:
            self._gap(seq, header.control)
        utc_ns, mono_ns, boot, quality, _ = time
        if boot != self.boots:
            self._found("boot_number", seq, f"boot {boot} after {self.boots} boot entries")
        if mono_ns < self._mono_ns:
            self._found("clock_mono", seq, f"CLOCK_BOOTTIME fell from {self._mono_ns} to {mono_ns} ns")
        if self._step_at is not None:
            self._settle(kind)
        if kind != Kind.BOOT and quality and self._quality and mono_ns >= self._mono_ns:
            passed_ns = mono_ns - self._mono_ns
            step_ns = (utc_ns - self._utc_ns) - passed_ns
            if (
                not -STEP_NS <= step_ns <= STEP_NS
                and abs(step_ns) > STEP_NS + passed_ns * SLEW_PPM // 1_000_000
                and Kind.CLOCK_STEP not in (kind, self._last_kind)
            ):
                self._step_at = seq, step_ns
        self._utc_ns, self._mono_ns, self._quality = utc_ns, mono_ns, quality
        self._last_kind = kind

    def finish(self) -> None:
        """Judge what waited for a next entry."""
        self._settle(None)

    def _settle(self, kind: int | None) -> None:
        if self._step_at is not None and kind != Kind.CLOCK_STEP:
            seq, step_ns = self._step_at
            self._found("clock_step_undeclared", seq, f"UTC stepped by {step_ns} ns and no entry says so")
        self._step_at = None

    def _boot(self, seq: int, boot: Boot) -> None:
        self.boots += 1
        if self._last_kind not in (None, Kind.STOP):
            self._found("unclean_stop", seq, "a boot without a stop before it")
        if boot.os_boot != self._os_boot:
            self._os_boot = boot.os_boot
            self._mono_ns = 0

    def _gap(self, seq: int, gap: Gap) -> None:
        count = "an unknown number of" if gap.count is None else gap.count
        self._found("gap_declared", seq, f"{count} commits of actuators {gap.actuators} not recorded: {gap.reason}")
