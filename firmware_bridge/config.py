"""Configuration: `bridge.toml` in the bridge's state directory, read once at start; unknown keys are refused."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from firmware_bridge.line.messages import BATCH_FRAMES_MAX
from firmware_bridge.places import BridgeError
from recorder.core.kinds import Name

BAUD = 115_200


class ConfigError(BridgeError):
    """The configuration cannot be used; the message names file, key and what to write instead."""


class Device(Struct, forbid_unknown_fields=True, frozen=True):
    """What is at the other end of the line."""

    actuators: Annotated[list[Name], Meta(min_length=1, max_length=64)]
    baud: Annotated[int, Meta(ge=300, le=20_000_000)] = BAUD
    batch_frames: Annotated[int, Meta(ge=1, le=BATCH_FRAMES_MAX)] = 32
    batch_ms: Annotated[int, Meta(ge=1, le=60_000)] = 100


class Config(Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    device: Device


def load(path: Path) -> Config:
    """Read and check a configuration.

    Raises:
        ConfigError: missing, not TOML, an unknown key, a value out of its range.

    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing; `lineage bridge init --state {path.parent}` makes it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    try:
        return msgspec.convert(tomllib.loads(text), Config)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error
