"""The member `volume/N`, with which a volume before the last one says where it belongs (FORMAT.md section 7).

The manifest lists it with its SHA-256 like any other member: so the receipt vouches for the place of every volume, and
a bundle of one volume knows nothing of volumes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from recorder.core import cbor
from recorder.core.bundle import ERROR, VOLUME, VOLUMES_MAX, member
from recorder.core.errors import FormatError
from recorder.core.fields import read_fields
from recorder.core.kinds import Name, Uint

FORMAT: Literal["lineage/volume/1"] = "lineage/volume/1"


class Volume(NamedTuple):
    """What a volume says of itself; a map with these keys."""

    format: Literal["lineage/volume/1"]
    origin: Name
    made_utc_ns: Uint  # as the manifest has it
    number: Annotated[int, Meta(ge=1, le=VOLUMES_MAX)]

    @property
    def member(self) -> str:
        """Name of the member that holds it."""
        return f"{VOLUME}/{self.number}"

    def encode(self) -> bytes:
        """Return the bytes of the member."""
        return cbor.encode(self._asdict())


def parse_volume(data: bytes) -> Volume:
    """Read `volume/N`.

    Raises:
        FormatError: bundle_malformed.

    """
    return read_fields(data, Volume, ERROR, "volume: ")


def volume_count(names: Iterable[str]) -> int:
    """How many volumes the members of a manifest name, all but the last volume.

    Raises:
        FormatError: bundle_malformed: a number between them is left out.

    """
    prefix = f"{VOLUME}/"
    numbers = {member(name).number for name in names if name.startswith(prefix)}
    if numbers != set(range(1, len(numbers) + 1)):
        raise FormatError(ERROR, f"the manifest lists {len(numbers)} volumes that are not numbered from 1 on")
    return len(numbers)
