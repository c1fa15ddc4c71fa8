"""Configuration: `bridge.toml` in the bridge's state directory, read once at start; unknown keys are refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from firmware_bridge.line.messages import BATCH_FRAMES_MAX
from recorder.core.deviceframe import EVENTS
from recorder.core.kinds import Name, Positive
from recorder.core.required import REQUIRED
from recorder.store.configfile import ConfigError, tables_of, text_at

BAUD = 115_200
_TEMPLATE = """\
# Configuration of `lineage bridge run`, read once at start; an unknown key is an error.
# Written by `lineage bridge init`.

[device]
actuators = [{actuators}]    # that the device moves; its credential has to name them
baud = {baud}
batch_frames = 32             # the device signs at the latest after so many frames,
batch_ms = 100                # or so long after the first of them
receipts = true               # it is told of what others commit for its actuators, so that it can confirm that

# What the device may ask for itself.  Without this table it only confirms what others commit.
#
# [cycle]
# action_class = "motion"
# max_commits = 1000           # of one cycle; the next one is opened in time
# valid_ms = 60000
# answer_ms = 50               # the device hears within this time, or that there was no answer
# irreversible = false         # true: what it confirms is signed at once
# delegation = ""              # hash of the platform's credential, where a signed policy is in force
#
# [cycle.who]                  # claims of every cycle; platform is filled in, what is left out is null
# operator = "ann"
# [cycle.why]                  # under a signed policy the recorder writes evaluator and clauses
# evaluator = "the cell's controller"
# [cycle.what]                 # of every commit; magnitude and unit are those that the device asks for, its first value
# mode = "position"
# reversibility = "reversible"
# [cycle.where]
# frame = "base"

# Events of the device that are acts of their own: they stand in the lineage as ungated acts of these classes.
[events]
emergency_stop = "emergency_stop"
"""

Claims = dict[str, Any]


class Device(Struct, forbid_unknown_fields=True, frozen=True):
    """What is at the other end of the line."""

    actuators: Annotated[list[Name], Meta(min_length=1, max_length=64)]
    baud: Annotated[int, Meta(ge=300, le=20_000_000)] = BAUD
    batch_frames: Annotated[int, Meta(ge=1, le=BATCH_FRAMES_MAX)] = 32
    batch_ms: Annotated[int, Meta(ge=1, le=60_000)] = 100
    receipts: bool = True


class Cycle(Struct, forbid_unknown_fields=True, frozen=True):
    """What the device may ask for, and with which claims."""

    action_class: Name
    max_commits: Positive = 1000
    valid_ms: Annotated[int, Meta(ge=100, le=86_400_000)] = 60_000
    answer_ms: Annotated[int, Meta(ge=1, le=60_000)] = 50
    irreversible: bool = False
    delegation: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""
    who: Claims = {}
    why: Claims = {}
    what: Claims = {}
    where: Claims = {}

    def family(self, name: str) -> Claims:
        """The claims of a family, with null for what is required and not given: TOML has no null."""
        given: Claims = getattr(self, name)
        required = REQUIRED[name] if name != "where" or given else ()
        lists: Claims = {"inputs": [], "alternatives": []} if name == "why" else {}
        whole = {**dict.fromkeys(required), **lists, **given}
        return whole | ({"delegation": bytes.fromhex(self.delegation)} if name == "who" and self.delegation else {})


class Events(Struct, forbid_unknown_fields=True, frozen=True):
    """Action classes by event."""

    emergency_stop: Name | None = None
    limit_reached: Name | None = None
    brake_on: Name | None = None
    brake_off: Name | None = None
    watchdog: Name | None = None
    power_failing: Name | None = None

    @property
    def classes(self) -> dict[int, str]:
        """The class of each event's code that has one."""
        return {code: found for code, name in EVENTS.items() if (found := getattr(self, name, None)) is not None}


class Config(Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    device: Device
    cycle: Cycle | None = None
    events: Events = Events()


def text_of(actuators: Sequence[str], baud: int) -> str:
    """A configuration to begin with."""
    return _TEMPLATE.format(actuators=", ".join(map(json.dumps, actuators)), baud=baud)


def load(path: Path) -> Config:
    """Read and check a configuration.

    Raises:
        ConfigError: missing, not TOML, an unknown key, a value out of its range.

    """
    return parse(text_at(path, lambda: f"`lineage bridge init --state {path.parent}` makes it"), path)


def parse(text: str, path: Path) -> Config:
    """Check a configuration's text; `path` is for messages."""
    try:
        return msgspec.convert(tables_of(text, path), Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error
