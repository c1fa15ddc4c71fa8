"""What the verbs below `lineage mesh` share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import click

from mesh.node.places import MeshError

MESH_ENV = "LINEAGE_MESH"
PATH = click.Path(path_type=Path, readable=False)

state_option = click.option(
    "--state", type=PATH, envvar=MESH_ENV, required=True, metavar="DIR",
    help=f"The mesh's own state directory; else ${MESH_ENV}.",
)  # fmt: skip


def is_url(text: str) -> bool:
    """Whether a witness or a mesh process may answer there."""
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


@contextmanager
def needing_network() -> Iterator[None]:
    """Around an import of what speaks HTTP or mDNS, which is an extra.

    Raises:
        MeshError: it is not installed.

    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in {"aiohttp", "ifaddr", "zeroconf"}:
            raise
        raise MeshError(f"the mesh needs {error.name}: pip install 'lineage-recorder[mesh]'") from None
