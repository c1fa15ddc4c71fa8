"""Who stands above the topmost credentials of a why: a trusted root, or an issuer that the matrix recognises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recorder.audit.upstream import Place, Why
from recorder.core import credential, delegation, matrix
from recorder.core.credential import Credential
from recorder.core.errors import FormatError
from recorder.core.kinds import Kind
from recorder.core.matrix import Matrix
from recorder.core.note import VerifierKey


def anchors(tree: Why, roots: Sequence[VerifierKey]) -> Iterator[tuple[Place, str]]:
    """For each credential of the tree without a parent, in words who signed it."""
    bodies = [
        (place, node.values.get("body") or {})
        for place, node in tree.nodes.items()
        if node.entry is not None and node.entry.header.kind == Kind.CREDENTIAL
    ]
    recognised = [found for _, body in bodies if (found := _matrix(body.get("matrix"), roots)) is not None]
    newest = max(recognised, key=lambda one: one.version, default=None)
    for place, body in bodies:
        top = _credential(body.get("credential"))
        if top is not None and top.terms.delegated_from is None:
            yield place, _who(top, newest, roots)


def _who(top: Credential, recognised: Matrix | None, roots: Sequence[VerifierKey]) -> str:
    chain = delegation.trace(top, {}, recognised, roots)
    if chain.anchor is None:
        return f"signed by nobody who is trusted: {chain.reasons[0].detail}"
    if chain.anchor.scope is None or recognised is None:
        return f"signed by {chain.anchor.name}, a root of the trust file"
    beyond = f"; beyond what that may grant: {chain.reasons[0].detail}" if chain.reasons else ""
    return f"signed by {chain.anchor.name}, recognised by the matrix of root {recognised.root.name}{beyond}"


def _credential(raw: object) -> Credential | None:
    try:
        return credential.read(raw) if isinstance(raw, bytes) else None
    except FormatError:
        return None


def _matrix(raw: object, roots: Sequence[VerifierKey]) -> Matrix | None:
    """A matrix that one of the roots signed."""
    try:
        return matrix.read(raw, roots) if isinstance(raw, bytes) else None
    except FormatError:
        return None
