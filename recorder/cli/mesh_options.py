"""What the verbs below `lineage mesh` share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from mesh.node.places import MeshError

MESH_ENV = "LINEAGE_MESH"
PATH = click.Path(path_type=Path, readable=False)

state_option = click.option(
    "--state", type=PATH, envvar=MESH_ENV, required=True, metavar="DIR",
    help=f"The mesh's own state directory; else ${MESH_ENV}.",
)  # fmt: skip


@contextmanager
def needing_aiohttp() -> Iterator[None]:
    """Around an import of what speaks HTTP, which is an extra.

    Raises:
        MeshError: it is not installed.

    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "aiohttp":
            raise
        raise MeshError("the mesh needs aiohttp: pip install 'lineage-recorder[mesh]'") from None
