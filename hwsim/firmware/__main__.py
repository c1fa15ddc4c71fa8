"""`python -m hwsim.firmware`: a simulated motor controller on a serial line that a bridge can open."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from hwsim.firmware import faults as fault_values
from hwsim.firmware.faults import Faults, UnreadableFaults
from hwsim.firmware.flash import Flash, UnreadableFlash
from hwsim.firmware.motor import US_PER_S, Motor
from hwsim.firmware.port import Simulator

MISUSE = 2


@click.command(epilog="Example: python -m hwsim.firmware --link /tmp/tty-arm --flash arm.flash --request-hz 2")
@click.option("--link", type=click.Path(path_type=Path), required=True, help="Name to make for the serial line.")
@click.option(
    "--flash", "flash_path", type=click.Path(path_type=Path), required=True, help="Seed and boots; made if missing."
)
@click.option("--faults", "faults_path", type=click.Path(path_type=Path), help="TOML file; hwsim/firmware/faults.py.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Else until it is interrupted.")
@click.option(
    "--request-hz", type=click.FloatRange(0, 1000), default=0.0, help="Moves that it asks for, under a grant."
)
@click.option("--observe-hz", type=click.FloatRange(0, 1000), default=0.0, help="Readings of its own sensor.")
@click.option("--baud", type=click.IntRange(min=1200), help="How much fits the line; else all does.")
@click.option("--ring", type=click.IntRange(4, 256), default=32, show_default=True, help="Frames that it can hold.")
def main(
    *, link: Path, flash_path: Path, faults_path: Path | None, seconds: float | None, request_hz: float,
    observe_hz: float, baud: int | None, ring: int,
) -> None:  # fmt: skip
    """Be a motor controller with a key of its own behind a pseudo-terminal.

    Its public key is printed first: it is what `lineage bridge enroll` binds to an actuator.
    """
    try:
        faults = fault_values.load(faults_path) if faults_path is not None else Faults()
        flash = Flash.open(flash_path)
    except (UnreadableFaults, UnreadableFlash, OSError) as error:
        fail(str(error))
    motor = Motor(faults, period_us=period_us(request_hz), observe_us=period_us(observe_hz))
    simulator = Simulator(link, flash, motor, faults, baud=baud or 0, ring=ring)
    until = time.monotonic() + seconds if seconds is not None else float("inf")

    def is_over() -> bool:
        for line in motor.told:
            click.echo(line)
        motor.told.clear()
        return time.monotonic() >= until

    simulator.plug()
    click.echo(f"key {flash.signer.public_key.hex()}")
    click.echo(f"boot {flash.boots} on {link}")
    with suppress(KeyboardInterrupt):
        simulator.run(is_over)
    click.echo(f"{simulator.device.made} frames in boot {flash.boots}, {simulator.device.noise} pieces of noise")


def period_us(hz: float) -> int:
    """The time between; 0 for never."""
    return round(US_PER_S / hz) if hz else 0


def fail(message: str) -> NoReturn:
    """Say what is wrong and exit as for misuse or unreadable input."""
    click.echo(message, err=True)
    sys.exit(MISUSE)


if __name__ == "__main__":
    main()
