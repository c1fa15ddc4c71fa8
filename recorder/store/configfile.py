"""A configuration file of one of our processes: TOML, read once at its start."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recorder.core.errors import LineageError
from recorder.store.layout import advice


class ConfigError(LineageError):
    """The configuration cannot be used; the message names file, key and what to write instead."""


def text_at(path: Path, missing: Callable[[], str]) -> str:
    """What it says; `missing` tells what to do where it is not there.

    Raises:
        ConfigError: it cannot be read.

    """
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing; {missing()}") from None
    except OSError as error:
        what = f"cannot read {path}: {error.strerror}"
        raise ConfigError(f"{what}; {advice(error, str(path.parent))}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


def tables_of(text: str, path: Path) -> dict[str, Any]:
    """Its tables; `path` is for the message.

    Raises:
        ConfigError: it is not TOML.

    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
