"""Configuration: `mesh.toml` in the mesh's state directory, read once at start; unknown keys are refused."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from mesh.node.places import MeshError
from recorder.core.errors import Misuse

PORT = 7171
TEMPLATE = """\
# Configuration of `lineage mesh run`, read once at start; an unknown key is an error.  Written by `lineage mesh init`.

[witness]
listen = [{listen}]    # ADDRESS:PORT, an IPv6 address in brackets
# Whose word it takes that the time is right; without a right time nothing is cosigned.
#   "kernel"     the kernel's: what NTP (chrony, timesyncd) sets
#   "operator"   yours: PTP or GNSS keep the time, which the kernel does not know
clock = "kernel"

[submit]
interval_s = 60.0                 # a checkpoint goes to the witnesses at least this often, where anything was recorded
timeout_s = 10.0                  # for one witness and checkpoint, retries included

[archive]
per_peer_mib = 64.0               # hashes of one platform's entries that are kept, 32 bytes each; then the oldest go
total_mib = 1024.0                # of all platforms together
save_s = 60.0                     # made durable at least this often; a card wears by it
interval_s = 60.0                 # between comparisons of histories with all peers
pulls = 4                         # at a time

[limits]
connections = 64                  # that peers may have open
per_address = 4                   # of them from one address
request_s = 10.0                  # for a request, from the connection to the answer
"""


class ConfigError(MeshError):
    """The configuration cannot be used; the message names file, key and what to write instead."""


class Witness(Struct, forbid_unknown_fields=True, frozen=True):
    """The side that cosigns."""

    listen: Annotated[list[str], Meta(min_length=1, max_length=8)]
    clock: Literal["kernel", "operator"] = "kernel"


class Submit(Struct, forbid_unknown_fields=True, frozen=True):
    """The side that asks for cosignatures."""

    interval_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 60.0
    timeout_s: Annotated[float, Meta(ge=0.1, le=600)] = 10.0


class Archiving(Struct, forbid_unknown_fields=True, frozen=True):
    """What is kept of peers' logs, and how often histories are compared."""

    per_peer_mib: Annotated[float, Meta(ge=0.01, le=65_536)] = 64.0
    total_mib: Annotated[float, Meta(ge=0.01, le=1_048_576)] = 1_024.0
    save_s: Annotated[float, Meta(ge=0.1, le=3_600)] = 60.0
    interval_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 60.0
    pulls: Annotated[int, Meta(ge=1, le=64)] = 4


class Limits(Struct, forbid_unknown_fields=True, frozen=True):
    """What peers may take of this process."""

    connections: Annotated[int, Meta(ge=1, le=512)] = 64
    per_address: Annotated[int, Meta(ge=1, le=512)] = 4
    request_s: Annotated[float, Meta(ge=0.1, le=600)] = 10.0


class Config(Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    witness: Witness
    submit: Submit = Submit()
    archive: Archiving = Archiving()
    limits: Limits = Limits()


def load(path: Path) -> Config:
    """Read and check a configuration.

    Raises:
        ConfigError: missing, not TOML, an unknown key, a value out of its range.

    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing; `lineage mesh init --state {path.parent}` makes it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    try:
        config = msgspec.convert(tomllib.loads(text), Config)
        for one in config.witness.listen:
            address(one)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    except (msgspec.ValidationError, Misuse) as error:
        raise ConfigError(f"{path}: {error}") from error
    return config


def address(text: str) -> tuple[str, int]:
    """Split ADDRESS:PORT.

    Raises:
        Misuse: it is not written so.

    """
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not bare or (":" in bare) != (host != bare) or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise Misuse(f"listen: {text!r} is not written as ADDRESS:PORT, such as 0.0.0.0:{PORT} or [::]:{PORT}")
    return bare, int(port)
