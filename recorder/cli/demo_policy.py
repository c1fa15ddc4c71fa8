"""What the demos put in force: a policy from the sources beside this installation, and a delegation to the platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from recorder.authority import directory
from recorder.authority.directory import Authority
from recorder.core import request
from recorder.core.credential import Credential
from recorder.core.errors import LineageError
from recorder.core.policy import Policy
from recorder.core.policy_source import parse
from recorder.core.scope import ANY, Counts, Scope
from recorder.daemon import identity


class SourceError(LineageError):
    """The story cannot be told here; the message says what is missing."""


def read_source(name: str) -> Policy:
    """The policy of a source file, named from the root of the repository.

    Raises:
        SourceError: it is not there.

    """
    import hwsim  # noqa: PLC0415 -- an extra, found to be there by the demo

    path = Path(hwsim.__file__).parent.parent / name
    try:
        return parse(path.read_text("utf-8")).policy
    except FileNotFoundError:
        raise SourceError(f"{path} is missing: the story is told from the sources, with their policy") from None


class Wanted(NamedTuple):
    """What a platform is to be permitted."""

    action_class: str
    actuators: Sequence[str]
    limits: Mapping[str, tuple[float, float]]


def delegated(state: Path, authority: Authority, platform: str, wanted: Wanted, now_s: int) -> Credential:
    """The credential of the platform, for a day."""
    asked = request.read(request.make(platform, "platform", identity.load(state)))
    scope = Scope(
        frozenset({wanted.action_class}), frozenset(wanted.actuators), dict(wanted.limits), ANY, ANY, Counts(500, 900)
    )
    return directory.issue(authority, asked, scope, 1, now_s)
