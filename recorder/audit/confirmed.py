"""What devices say: their frames in JSON's terms and in words, and the confirmations that name a commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

from recorder.audit.source import LineageSource, kind_of
from recorder.core import cbor, claims, confirmation, deviceframe
from recorder.core.controls import Abandon
from recorder.core.deviceframe import Confirmation, Frame, quantity_of
from recorder.core.entry import decode_in_order, entry_hash
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.ids import entry_id
from recorder.core.kinds import Commit, Decision, Kind, RefType

_BODY = 11
_DONE = frozenset({int(one) for one in (Decision.ADMITTED, Decision.DEVIATED, Decision.EXTERNAL)})


def frames_told(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The frames among body claims; none where these are withheld or no frames.  Who signed them is not asked here."""
    return [_told(frame) for frame in _frames(body)]


def frame_words(told: Mapping[str, Any]) -> str:
    """A frame on one line."""
    head = f"boot {told['boot']} frame {told['frame']}: {told['type']}"
    said = [f"of {told['commit']}"] if "commit" in told else []
    said += [str(told["outcome"])] if "outcome" in told else []
    for name in ("reached", "asked", "values"):
        said += [f"{one['quantity']} {one['value']:g} {one['unit']}" for one in told.get(name, ())]
    said += [f"{name} {told[name]}" for name in ("event", "fault", "detail", "frames") if name in told]
    return f"{head} {', '.join(said)}".rstrip()


def is_to_be_confirmed(header: Header, commits: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an actuation has a commit that says by when it is to be confirmed.

    Args:
        header: of the entry.
        commits: `describe.values_of` its commits.

    """
    asks = any((one.get("what") or {}).get("confirm_by_ms") is not None for one in commits)
    return asks and header.kind == Kind.ACTUATION and header.decision in _DONE and _has_singles(header)


def confirmations_of(source: LineageSource, seq: int, index: int | None) -> list[dict[str, Any]]:
    """What devices said of a commit, or of all commits of an entry; looks through all that lies above it."""
    found: list[dict[str, Any]] = []
    with closing(source.read(seq + 1)) as entries:
        for held in entries:
            if kind_of(held.raw) != Kind.CONFIRMATION:
                continue
            try:
                header = decode_in_order(held.raw).header
                record: Any = cbor.load(held.claims) if held.claims else {}
                body = claims.disclosed("body", record.get(_BODY, {}))
            except (FormatError, AttributeError):
                continue
            refs = [ref for ref in (header.refs or {}).get(int(RefType.CONFIRMS), ()) if ref.origin is None]
            if any(ref.seq == seq and index in {None, ref.index} for ref in refs):
                printed = str(entry_id(entry_hash(held.raw), held.seq))
                said = [
                    {"entry": printed, **_told(frame)}
                    for frame in _frames(body)
                    if isinstance(frame.body, Confirmation)
                    and frame.body.commit.seq == seq
                    and index in {None, frame.body.commit.place}
                ]
                found += said or [{"entry": printed}]  # what it says is withheld
    return found


def unconfirmed_in(source: LineageSource) -> Callable[[Header], bool]:
    """Tell of an entry whether it has a commit that no confirmation names and that nobody gave up.

    Goes through all of the source first, and keeps a number of each commit that is settled.
    """
    named: set[int] = set()
    given_up: set[bytes] = set()
    with closing(source.read(0)) as entries:
        for held in entries:
            if kind_of(held.raw) not in {Kind.CONFIRMATION, Kind.ABANDON}:
                continue
            try:
                header = decode_in_order(held.raw).header
            except FormatError:
                continue
            if isinstance(header.control, Abandon):
                given_up.update(header.control.requests)
            refs = (header.refs or {}).get(int(RefType.CONFIRMS), ())
            named.update(_number(ref.seq, ref.index) for ref in refs if ref.origin is None)

    def is_open(header: Header) -> bool:
        return header.kind == Kind.ACTUATION and any(
            isinstance(commit, Commit) and commit.request not in given_up and _number(header.seq, place) not in named
            for place, commit in enumerate(header.commits or ())
        )

    return is_open


def _number(seq: int, place: int) -> int:
    return seq << 16 | place  # an entry has at most 65,535 bytes, and a commit more than one


def _has_singles(header: Header) -> bool:
    return any(isinstance(commit, Commit) for commit in header.commits or ())


def _frames(body: Mapping[str, Any]) -> list[Frame]:
    raws = body.get(confirmation.FRAMES_CLAIM)
    try:
        return [deviceframe.read(raw) for raw in raws] if isinstance(raws, list) else []
    except (FormatError, TypeError):
        return []


def _told(frame: Frame) -> dict[str, Any]:
    kind = deviceframe.type_of(frame.body).name.lower()
    told: dict[str, Any] = {"boot": frame.boot, "frame": frame.seq, "tick_us": frame.tick_us, "type": kind}
    for name, part in frame.body._asdict().items():
        match name:
            case "asked" | "reached" | "values":
                told[name] = [{**quantity_of(one)._asdict(), "value": value} for one, value in part]
            case "outcome":
                told[name] = part.name.lower()
            case "commit":
                told[name] = f"{part.seq}.{part.place}-{part.hash.hex()[:8]}"
            case "event":
                told[name] = deviceframe.EVENTS.get(part, part)
            case _:
                told[name] = part
    return told
