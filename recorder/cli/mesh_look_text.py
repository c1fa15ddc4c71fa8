"""The status of a mesh process in words and tables."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mesh.node.journal import UNASKED
from recorder.cli import output

_Row = tuple[str, str]
NEVER = "never"
STALE_S = 60  # a process that can writes each 10 s


def status_rows(found: Mapping[str, Any]) -> list[_Row]:
    """What there is to say, in the order in which it matters."""
    latest = found["latest"]
    age_s = max(0, int(time.time()) - found["utc_s"])
    rows = [
        ("running" if found["running"] else "not running", f"as of {age_s} s ago, on {', '.join(found['listen'])}"),
        ("platform", f"{found.get('platform') or 'not named by the fleet list: it sends no digests'}"),
        ("fleet", f"{found['fleet']['name']}, list {found['fleet']['version']}; witness {found['witness'] or 'none'}"),
        (
            "clock",
            "trusted"
            if found["clock_trusted"]
            else 'not trusted: nothing is cosigned here until NTP has set it, or mesh.toml says clock = "operator"',
        ),
        ("round", _round(latest)),
    ]
    if latest is not None:
        rows.append(("unwitnessed", _tail(latest["size"], found.get("witnessed"))))
    if (at_once := found.get("at_once")) is not None and at_once["rounds"]:
        rows.append(
            ("at once", f"{at_once['cosigned']:,} x cosigned, in {at_once['rounds']:,} rounds of commits that ask")
        )
    rows += _presence(found)
    rows += _kept(found)
    answers = _counts(found["answers"])
    doors = found["connections"]
    refused = f"{doors['turned_away']} connections turned away, {doors['malformed']} were no requests"
    rows.append(("answered", f"{answers or 'nothing yet'}; {refused}"))
    rows += _bounded(found)
    rows += [("trouble", found[name]) for name in _TROUBLES if found.get(name)]
    rows += [("trouble", one) for one in found.get("unkept", [])]
    if found["running"] and age_s > STALE_S:
        rows.append(
            (
                "trouble",
                f"it has written no status for {age_s} s: its disk takes nothing, or it hangs; its journal says which",
            )
        )
    if at_once is not None and at_once["trouble"]:
        rows.append(("trouble", f"at once: {at_once['trouble']}"))
    rows += [("other", f"{address} {said}") for address, said in found.get("other_versions", {}).items()]
    return rows


def print_peers(found: Mapping[str, Any]) -> None:
    """Tables: platforms of the list, witnesses, logs cosigned, archives; then who is no peer."""
    if "present" in found:
        _table(
            ("platform", "heard", "entries", "cosigned of others", "speaks", "where"),
            (
                (one["platform"], _ago(one["heard_s_ago"]), str(one["size"]), str(len(one["holds"])), *_where(one))
                for one in found["present"]
            ),
        )
    _table(
        ("witness", "cosigned", "speaks", "last"),
        (
            [one["name"], str(one["cosigned"]), _version(one), _last(one, has_round=found["latest"] is not None)]
            for one in found["peers"]
        ),
    )
    _table(
        ("log cosigned here", "entries", "incarnations before", "heads put off"),
        ([one["origin"], *(str(one[name]) for name in ("size", "retired", "put_off"))] for one in found["held"]),
    )
    if "archives" in found:
        _table(
            ("log kept here", "entries proved", "missing", "heads", ""),
            ([one["origin"], str(one["size"]), str(one["missing_entries"]), str(one["heads"]), _forked(one)]
             for one in found["archives"]),
        )  # fmt: skip
    for name, what in _PUT_OFF:
        for platform, count in found.get(name, {}).items():
            output.line(f"{platform}: {count:,} {what} put off; it has cost as much here as it may for now")
    for origin, size in found.get("incarnations_dropped", []):
        output.line(f"{origin}: its {size:,} entries are kept no more, its platform has begun too many incarnations")
    strangers = found.get("strangers", [])
    if strangers:
        output.say("seen, and not in the fleet list: nothing of them is trusted or kept")
        _table(
            ("name", "address", "seen by", "seen"),
            ([one["name"], one["address"], one["how"], _ago(one["seen_s_ago"])] for one in strangers),
        )
    if found.get("strangers_not_listed"):
        output.say(f"{found['strangers_not_listed']:,} sightings of more strangers are not listed")
    for address, said in found.get("other_versions", {}).items():
        output.line(f"{address} {said}: it is refused")
    for one in found.get("answered_wrongly", []):
        output.line(f"{one['url']} answered wrongly, {one['count']} times: {one['last']}")


def print_suspicions(suspicions: Sequence[Mapping[str, Any]]) -> None:
    """What proves nothing."""
    for one in suspicions:
        output.line(
            f"not proved: {one['origin']}: {one['peer']} has not shown that {one['offered']:,} entries follow the "
            f"{one['held']:,} that are held: {one['reason']}"
        )
    if suspicions:
        output.say("  this alone proves nothing against a log: the peer may be slow, without the hashes, or lying")


_PUT_OFF = (("archives_put_off", "growths of archives"), ("incarnations_put_off", "heads of new incarnations"))


def _bounded(found: Mapping[str, Any]) -> list[_Row]:
    """What platforms wanted beyond what each may cost here."""
    counts = [(sum(one["put_off"] for one in found["held"]), "heads to cosign")]
    counts += [(sum(found.get(name, {}).values()), what) for name, what in _PUT_OFF]
    said = ", ".join(f"{count:,} {what}" for count, what in counts if count)
    rows = [("put off", f"{said}: beyond what a platform may cost; `lineage mesh peers` lists whose")] if said else []
    if dropped := found.get("incarnations_dropped"):
        rows.append(("dropped", f"{len(dropped)} archives for later incarnations; `lineage mesh peers` lists them"))
    return rows


def _round(latest: Mapping[str, Any] | None) -> str:
    if latest is None:
        return "none yet"
    enough = "a quorum" if latest["is_quorum"] else "no quorum"
    where = "no evidence" if latest["evidence"] is None else f"evidence in entry {latest['evidence']}"
    return f"{latest['cosigned']} of {latest['asked']} cosigned {latest['size']:,} entries, {enough}, {where}"


def _tail(size: int, witnessed: int | None) -> str:
    if witnessed is None:
        return f"no quorum since the start, of {size:,} entries; `lineage status` knows of before"
    return f"the last {max(0, size - witnessed):,} of {size:,} entries at the latest round"


def _presence(found: Mapping[str, Any]) -> list[_Row]:
    rows = []
    if "present" in found:
        heard = sum(one["heard_s_ago"] is not None for one in found["present"])
        away = f"; {len(found['strangers'])} strangers" if found["strangers"] else ""
        rows.append(
            ("peers", f"{heard} of {len(found['present'])} platforms heard{away}; `lineage mesh peers` lists them")
        )
    if (discovery := found.get("discovery")) is not None:
        named = "announces nothing" if discovery["announced"] is None else f"announced as {discovery['announced']}"
        on = ", ".join(discovery["interfaces"]) or "no interface: none is up, or none of [discovery] interfaces"
        rows.append(("discovery", f"{named}, on {on}"))
        if discovery["trouble"]:
            rows.append(("trouble", f"discovery: {discovery['trouble']}"))
    if mdns := found.get("mdns"):
        rows.append(("mdns", _counts(mdns)))
    if (digests := found.get("digests")) is not None and "received" in digests:
        sent = _counts(digests["sent"]) or "nothing"
        rows.append(("digests", f"sent: {sent}; received: {_counts(digests['received']) or 'nothing'}"))
    return rows


def _kept(found: Mapping[str, Any]) -> list[_Row]:
    rows = []
    if (archives := found.get("archives")) is not None:
        entries, missing = sum(one["size"] for one in archives), sum(one["missing_entries"] for one in archives)
        gaps = f", {missing:,} of them missing" if missing else ""
        rows.append(("archives", f"hashes of {entries:,} entries of {len(archives)} logs{gaps}"))
    if "compared" in found:
        rows.append(("compared", f"{found['compared']} times with all peers"))
    if suspicions := found.get("suspicions"):
        rows.append(("suspicions", f"{len(suspicions)}: `lineage mesh forks` lists them; they prove nothing"))
    return rows


_TROUBLES = ("trouble", "digest_trouble", "pushes_trouble", "archives_trouble")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    output.table(columns, rows)
    output.say()


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} x {name.replace('_', ' ')}" for name, count in counts.items())


def _ago(seconds: int | None) -> str:
    return NEVER if seconds is None else f"{seconds} s ago"


def _version(one: Mapping[str, Any]) -> str:
    return "" if one["version"] is None else f"version {one['version']}"


def _where(one: Mapping[str, Any]) -> _Row:
    return _version(one), ", ".join(one["urls"][:2]) or "nowhere known"


def _forked(one: Mapping[str, Any]) -> str:
    return "FORKED: followed no more" if one["forked"] else ""


def _last(peer: Mapping[str, Any], *, has_round: bool) -> str:
    last: str = peer["last"]
    if peer["last"] == UNASKED and peer["url"] is None and has_round:
        last = "no address of it is known, by the list or by mDNS"
    return last if peer["forgot"] is None else f"{last}; {peer['forgot']}"
