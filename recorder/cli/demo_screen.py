"""What the demo prints: what happened, what was measured, the verdicts, what to look at next."""

from __future__ import annotations

from shlex import quote
from typing import Any

from recorder.cli import output
from recorder.cli.demo_ending import print_next

VERDICTS = {
    "integrity": "chain, signatures, Merkle root",
    "completeness": "nothing missing, boots and stops paired, gaps declared",
    "authority": "each act within its credential and policy",
    "witnessing": "countersigned by peers",
}
PROBLEMS_SHOWN = 4


def show(facts: dict[str, Any]) -> None:
    """Print all of it."""
    _happened(facts)
    _measured(facts["measured"])
    _verdicts(facts["verdicts"])
    _next(facts)


def _happened(facts: dict[str, Any]) -> None:
    done = facts["happened"]
    output.say(f"WHAT HAPPENED in {done['seconds']:.0f} s: an arm at work, and flight {facts['flight']} replayed")
    output.say(
        f"  {done['entries']:,} signed entries: {done['cycles']:,} cycles (a why each), {done['commits']:,} commits, "
        f"{done['rows']:,} rows"
    )
    output.say(
        f"  {done['events']:,} events without a cycle, {done['emergency_stops']:,} of them emergency stops; "
        f"{done['put_off']:,} moves put off by the planner"
    )
    dropped = f"{done['dropped_rows']:,} rows dropped"
    gaps = f"{done['gaps']:,} gaps declared (dropouts of the flight's log)"
    output.say(f"  {done['refusals']:,} refusals, {gaps}, {dropped}")
    kinds = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in done["kinds"].items())
    output.say(f"  by kind: {kinds}")
    output.say()


def _measured(found: dict[str, Any]) -> None:
    output.say("WHAT WAS MEASURED")
    if found["commit_p50_ms"] is not None:
        median, high = found["commit_p50_ms"], found["commit_p99_ms"]
        output.say(f"  a durable commit took {median:.2f} ms at the median, {high:.2f} ms at p99")
    stored = f"{found['bytes_per_commit']:,.0f} bytes stored for each"
    output.say(f"  {found['records_per_s']:,.0f} commits and rows a second, {stored}")
    memory_mib = found["rss_anon_kib"] / 1024
    output.say(f"  recorder: started in {found['start_s']:.2f} s, {memory_mib:.1f} MiB of its own memory")
    verified = f"verified in {found['verify_s']:.2f} s"
    output.say(f"  extracted in {found['extract_s']:.2f} s ({found['bundle_bytes']:,} bytes), {verified}")
    output.say()


def _verdicts(report: dict[str, Any]) -> None:
    output.say(f"VERDICTS on the extracted file, {report['entries']:,} entries up to {report['head']}")
    for name, meaning in VERDICTS.items():
        found = report[name]
        word = "nothing to check yet" if found == "nothing" else found
        output.say(f"  {name:<13} {output.coloured(found) if word == found else word}  ({meaning})")
    for problem in report["problems"][:PROBLEMS_SHOWN]:
        output.line(f"  step {problem['step']}, entry {problem['seq']}: {problem['error']}: {problem['detail']}")
    output.say()


def _next(facts: dict[str, Any]) -> None:
    state = quote(facts["state"])
    seen = [(what, of) for what in ("commit", "row", "event", "gap", "refusal") if (of := facts["ids"].get(what))]
    print_next(
        [
            (f"log --state {state}", ""),
            *((f"show --state {state} {of}", f"{'an' if what == 'event' else 'a'} {what}") for what, of in seen),
            (f"walk --state {state} --axis actuator --of arm.joint1", ""),
            (f"verify {quote(facts['bundle'])} --trust {quote(facts['trust'])}", ""),
            (f"doctor --state {state}", ""),
        ]
    )
