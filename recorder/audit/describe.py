"""An entry in words and as JSON; secrets of claims at rest never come out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recorder.audit.begun import begun
from recorder.audit.brought import brought
from recorder.audit.confirmed import frame_words, frames_told
from recorder.audit.source import Held
from recorder.audit.span import time_text
from recorder.core import cbor, claims
from recorder.core.chosen import CHOICE_KEY, read_choice
from recorder.core.entry import Entry, decode, entry_hash
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.ids import entry_id
from recorder.core.kinds import Commit, Decision, Kind, RefType, Rows, Stage, kind_name

_FAMILIES = {8: "who", 9: "why", 11: "body"}
_QUALITY = ("unknown", "free-running", "NTP/PTP", "GNSS or signed")
LINE_DETAIL_CHARS = 120


def plain(value: Any) -> Any:  # noqa: ANN401 -- any decoded value in, the same in JSON's terms out
    """A decoded value in JSON's terms: bytes as hex, tuples with names as maps."""
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "_asdict"):
        return {key: plain(item) for key, item in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def values_of(held: bytes) -> dict[str, Any]:
    """Claims that can be read, by family; `commits` is a list with what, where and what is known of rows."""
    if not held:
        return {}
    try:
        record = cbor.decode(held)
        found: dict[str, Any] = {
            name: claims.disclosed(name, record[key]) for key, name in _FAMILIES.items() if key in record
        }
        if 10 in record:
            found["commits"] = [
                {"what": claims.disclosed("what", item[0]), "where": claims.disclosed("where", item[1])}
                for item in record[10]
            ]
        if CHOICE_KEY in record:
            found["choice"] = read_choice(record[CHOICE_KEY])
    except (FormatError, TypeError, IndexError, KeyError) as error:
        return {"unreadable": str(error)}
    return found


def withheld_of(held: bytes) -> list[str]:
    """Claims of which only the hash is here, as `family.key`; those of commits as `INDEX.family.key`."""
    try:
        record = cbor.decode(held) if held else {}
        families = [(name, record[key]) for key, name in _FAMILIES.items() if key in record]
        for at, item in enumerate(record.get(10, ())):
            families += [(f"{at}.what", item[0]), (f"{at}.where", item[1])]
        return [f"{name}.{key}" for name, family in families for key in claims.withheld(family)]
    except (FormatError, AttributeError, TypeError, IndexError):
        return []  # `values_of` says that they cannot be read


def described(held: Held, names: Mapping[int, str]) -> dict[str, Any]:
    """An entry with its claims, for `--json`."""
    leaf = entry_hash(held.raw)
    base: dict[str, Any] = {"id": str(entry_id(leaf, held.seq)), "seq": held.seq, "hash": leaf.hex()}
    try:
        entry = decode(held.raw)
    except FormatError as error:
        return base | {"unreadable": str(error)}
    header = entry.header
    values = values_of(held.claims)
    base |= {
        "kind": kind_name(header.kind),
        "time": {**plain(header.time), "utc": time_text(header.time.utc_ns), "quality": _QUALITY[header.time.quality]},
        "kid": entry.kid.hex(),
        "prev": header.prev.hex(),
    }
    for name, words, value in (("decision", Decision, header.decision), ("stage", Stage, header.stage)):
        if value is not None:
            base[name] = words(value).name.lower()
    if header.classes is not None:
        base |= plain(header.classes)
    if header.commits is not None:
        base["commits"] = _commits(entry, values.get("commits", []), names)
    for name, shared in (("who", header.who), ("why", header.why)):
        if shared is not None:
            base[name] = {**plain(shared), "claims": plain(values.get(name))}
    if header.actuator_axis is not None:
        base["actuator_axis"] = {_name(number, names): plain(axis) for number, axis in header.actuator_axis.items()}
    if header.body is not None:
        base |= _bodied(header.body, values.get("body"))
    if header.refs is not None:
        base["refs"] = {RefType(kind).name.lower(): plain(refs) for kind, refs in header.refs.items()}
    for name in ("policy_axis", "control", "bounds"):
        if (part := getattr(header, name)) is not None:
            base[name] = plain(part)
    return base | _apart(header, values)


def _apart(header: Header, values: Mapping[str, Any]) -> dict[str, Any]:
    """What few entries have."""
    found: dict[str, Any] = {}
    if header.witnesses is not None:
        found["witnesses"] = {**plain(header.witnesses), "choice": plain(values.get("choice"))}
    if "unreadable" in values:
        found["claims_unreadable"] = values["unreadable"]
    return found


def _bodied(digest: bytes, body: dict[str, Any] | None) -> dict[str, Any]:
    frames = frames_told(body or {})
    return {"body": {"digest": digest.hex(), "claims": plain(body)}} | ({"frames": frames} if frames else {})


def _commits(entry: Entry, values: list[dict[str, Any]], names: Mapping[int, str]) -> list[dict[str, Any]]:
    commits: list[dict[str, Any]] = []
    for index, commit in enumerate(entry.header.commits or ()):
        one = {
            "id": str(entry_id(entry.hash, entry.header.seq, index)),
            **plain(commit),
            "actuator": _name(commit.actuator, names),
            "number": commit.actuator,
        }
        if index < len(values):
            one["claims"] = plain(values[index])
        commits.append(one)
    return commits


def line(held: Held, names: Mapping[int, str]) -> tuple[str, str, str, str]:
    """Id, time, what sort of entry, and the gist of it."""
    leaf = entry_hash(held.raw)
    printed = str(entry_id(leaf, held.seq))
    try:
        header = decode(held.raw).header
    except FormatError as error:
        return printed, "", "unreadable", str(error)
    sort = kind_name(header.kind)
    if header.decision is not None and header.kind != Kind.REFUSAL:
        sort += f" {Decision(header.decision).name.lower()}"
    if header.stage:
        sort += f", {Stage(header.stage).name.lower()}"
    gist = _gist(header, held, names)
    cut = gist if len(gist) <= LINE_DETAIL_CHARS else f"{gist[: LINE_DETAIL_CHARS - 1]}…"
    return printed, time_text(header.time.utc_ns), sort, cut


def _gist(header: Header, held: Held, names: Mapping[int, str]) -> str:
    parts: list[str] = []
    if header.classes is not None:
        parts.append(header.classes.action_class)
    if header.commits is not None:
        counts: dict[str, int] = {}
        for commit in header.commits:
            name = _name(commit.actuator, names)
            counts[name] = counts.get(name, 0) + (commit.count if isinstance(commit, Rows) else 1)
        parts += [name if count == 1 else f"{name} x{count}" for name, count in counts.items()]
        if isinstance(header.commits[0], Commit):
            values = values_of(held.claims).get("commits", [{}])
            parts.append(_act(values[0].get("what", {})) if values else "")
        if header.why is not None and header.why.carrier != header.seq:
            parts.append(f"cycle {header.why.carrier}")
    elif header.bounds is not None:
        named = ", ".join(_name(number, names) for number in header.bounds.actuators)
        parts.append(f"for {named}, at most {header.bounds.max_commits} commits")
    if header.kind == Kind.REFUSAL:
        parts.append("; ".join(header.control.reasons))
    elif (words := begun(header)) is not None:
        return words
    elif (found := brought(header.kind, _body(header, held))) is not None:
        return f"{found.words}  {header.control.digest.hex()[:16]}"
    elif header.control is not None and header.kind != Kind.CYCLE:
        shown = plain(header.control)
        if isinstance(shown, dict):
            parts += [f"{key} {_short(value)}" for key, value in shown.items() if value not in (None, [], "")]
    body = _body(header, held)
    if told := frames_told(body):
        more = f" and {len(told) - 1} more" if len(told) > 1 else ""
        return f"{frame_words(told[0])}{more}"
    if header.kind == Kind.CONTROL_TRANSITION:
        parts.append(_control(body))
        body = {key: value for key, value in body.items() if key not in _CONTROL}
    parts += [f"{key} {_short(value)}" for key, value in list(body.items())[:3] if value is not None]
    return "  ".join(part for part in parts if part)


def _body(header: Header, held: Held) -> dict[str, Any]:
    body: dict[str, Any] = values_of(held.claims).get("body", {}) if header.body is not None else {}
    return body


_CONTROL = {"in_control": "nobody", "asked": "nobody", "means": "no means known"}


def _control(body: Mapping[str, Any]) -> str:
    """Who is in control, in words; what is withheld is not spoken of."""
    told = {key: none if body[key] is None else _short(body[key]) for key, none in _CONTROL.items() if key in body}
    words = [f"{told['in_control']} in control"] if "in_control" in told else []
    words += [f"{told['asked']} was asked"] if "asked" in told else []
    words += [f"by {told['means']}" if body["means"] is not None else told["means"]] if "means" in told else []
    return ", ".join(words)


def _act(what: Mapping[str, Any]) -> str:
    words = [str(what[key]) for key in ("mode", "magnitude", "unit") if what.get(key) is not None]
    return " ".join(words)


def _short(value: Any) -> str:  # noqa: ANN401 -- of JSON's terms
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= 24 else f"{text[:16]}…"


def _name(number: int, names: Mapping[int, str]) -> str:
    return names.get(number, f"#{number}")
