"""The verdicts of `lineage verify` in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recorder.audit.incarnations import Other
from recorder.cli import output
from recorder.core.shownfork import ShownFork
from recorder.core.verdict import LEFT_OPEN, Report, Verdict

PROBLEMS_SHOWN = 20
VERDICTS = ("integrity", "completeness", "authority", "witnessing")
# What is not well, in words, and where to read on.
_MEANS = {
    ("integrity", "fail"): "changed, contradicted, or not signed by who should have; the problems say where",
    ("completeness", "fail"): "something is missing that nobody declared; the problems say what",
    ("completeness", "lossy"): "what is missing, or open, was declared; the problems say what",
    ("authority", "fail"): "no credential or policy covers something that was done or decided; the problems say what",
    ("authority", "indeterminate"): "nothing speaks against it, and not all could be judged; the notes say why",
    ("witnessing", "fail"): "witnesses vouch for less than they should; the problems say for what",
}
_STANDING = {
    "unfinished": "it was begun and never put in force: nothing was recorded in it",
    "unnamed": "no boot entry names it, but it holds entries",
    "unknown": "whether it is named lies in a boot entry that cannot be read",
}


def print_report(report: Report, origin: str) -> None:
    """Print what was found in one lineage."""
    output.say(
        f"lineage of {origin}: {report.entries:,} entries, {report.commits:,} commits, head {report.head or 'none'}"
    )
    output.say()
    for verdict in VERDICTS:
        found = getattr(report, verdict)
        means = f": {_MEANS[verdict, found]}" if (verdict, found) in _MEANS else ""
        output.say(f"  {verdict:<13} {outcome(verdict, found, report.notes)}{means}")
    output.say()
    for step in report.steps:
        if step.checked or step.outcome != "nothing":
            output.say(f"  step {step.step:>2}  {step.outcome:<8} {step.title}: {step.checked:,} checked")
    for remark in _remarks(report):
        output.line(f"  note: {remark}")
    for fork in report.forks:
        _print_fork(fork)
    if not report.problems:
        return
    output.say()
    output.say("problems:")
    for found in report.problems[:PROBLEMS_SHOWN]:
        place = "lineage" if found.seq is None else f"entry {found.seq}"
        output.line(f"  step {found.step}, {place}: {found.error}: {found.detail}")
    left_out = sum(report.problem_counts.values()) - min(len(report.problems), PROBLEMS_SHOWN)
    if left_out:
        counts = ", ".join(f"{name} {count}" for name, count in report.problem_counts.items())
        output.say(f"  and {left_out} more; in all: {counts}")


def outcome(verdict: str, found: Verdict, notes: Mapping[str, int]) -> str:
    """A verdict in words: where there was something to judge and none of it could be, that is no lack of subjects."""
    if found != "nothing":
        return output.coloured(found)
    is_open = verdict == "authority" and any(notes.get(name) for name in LEFT_OPEN)
    return "nothing proved, see the notes" if is_open else "nothing to check"


def print_other(other: Other) -> None:
    """Print what was found of an incarnation that is not in force."""
    output.say()
    output.line(f"another incarnation: {other.origin}")
    for one in other.named:
        head = f"{one.size:,} entries" if one.root is None else f"{one.size:,} entries and root {one.root.hex()[:16]}"
        output.line(f"  named by the boot entry of {one.by}, with {head}")
    if remark := _STANDING.get(other.outcome.standing or ""):
        output.say(f"  {remark}")
    if not other.is_here:
        output.say("  it is not here; check the bundle that was taken of it")
    if other.outcome.error is not None:
        output.line(f"  it could not be checked: {other.outcome.error}")
    if other.outcome.report is not None:
        print_report(other.outcome.report, other.origin)


_BEARINGS = {
    "this_log": "convicts this log",
    "split": "proves another line of this platform's logs beside this one; it convicts neither",
    "another_incarnation": "is about another incarnation, signed by the same key; no verdict here rests on it",
    "another_log": "is about another log; it says nothing against this lineage",
    "unknown_log": "was not checked, and says nothing against this lineage",
    "proves_nothing": "proves nothing",
}


def _print_fork(fork: ShownFork) -> None:
    output.say()
    lines = fork.words.splitlines()
    what = f"{_BEARINGS[fork.bearing]}:" if len(lines) > 1 else f"{_BEARINGS[fork.bearing]}: {fork.words}"
    output.line(f"  the fork proof in {fork.place} {what}")
    for line in lines if len(lines) > 1 else ():
        output.line(f"    {line}")


def _remarks(report: Report) -> list[str]:
    remarks = []
    if report.identity == "unpinned":
        remarks.append(
            "the identity key is the one that the lineage itself names; its `log` line in the --trust file pins it"
        )
    if size := report.notes.get("witnessed_entries"):
        some = f"{report.notes['witnesses']} of {report.notes['witnesses_trusted']}"
        remarks.append(f"{some} witnesses of the trust file cosigned the first {size:,} entries")
    if count := report.notes.get("evidence_unusable"):
        remarks.append(
            f"{count:,} evidence entries hold a checkpoint of another log, one that no known witness signed, "
            "or a fork proof that is none"
        )
    if count := report.notes.get("evidence_forks_left"):
        remarks.append(f"{count:,} more fork proofs of evidence entries were not checked")
    if count := report.notes.get("peer_heads_untrusted"):
        first = report.notes["peer_heads_untrusted_first"]
        remarks.append(
            f"{count:,} observation entries, the first of them {first}, hold heads of peers that no log of the trust "
            f"file signed"
        )
    remarks += _asked(report)
    if report.unwitnessed.entries:
        tail = f"the last {report.unwitnessed.entries:,} entries ({report.unwitnessed.seconds:,.0f} s)"
        remarks.append(f"no witness vouches for {tail}: whoever holds the identity key could rewrite them")
    remarks += authority_remarks(report.roots, report.notes)
    remarks += _deleted(report)
    if report.notes.get("unsigned_bundle"):
        remarks.append("the bundle is unsigned: no recorder logged that it was taken")
    if count := report.notes.get("refs_unchecked"):
        remarks.append(f"{count:,} references lead to other logs or too far back to be checked")
    return remarks


def _asked(report: Report) -> list[str]:
    """How it went with the entries that asked for witnesses."""
    notes = report.notes
    asked = notes.get("witnesses_asked", 0)
    if not asked:
        return []
    in_time, late, short = (notes[f"witnessed_{name}"] for name in ("in_time", "late", "short"))
    remarks = [f"{asked:,} entries asked for witnesses: {in_time:,} had them in time, {late:,} later, {short:,} never"]
    if count := notes["witnessed_unjudged"]:
        remarks.append(
            f"of {count:,} it is not known: the choice is not here, or the trust file does not name whom it asked"
        )
    for one in report.short[:PROBLEMS_SHOWN]:
        fate = f"{one.in_time} of {one.wanted} signed within {one.within_ms} ms, {one.signed} in all"
        remarks.append(f"entry {one.seq}: {fate}, {one.asked} were asked")
    if (left := late + short - len(report.short[:PROBLEMS_SHOWN])) > 0:
        remarks.append(f"and {left:,} more that had fewer in time than they asked for")
    return remarks


def authority_remarks(roots: Sequence[str], notes: Mapping[str, int]) -> list[str]:
    """By which roots decisions were judged, and what was left open."""
    remarks = []
    names = ", ".join(root.partition("+")[0] for root in roots)
    if count := notes.get("authority_cycles"):
        remarks.append(f"{count:,} cycles under a signed policy were judged by the roots of the trust file: {names}")
    if count := notes.get("authority_unjudged"):
        why = (
            "the trust file names no root, or none is given"
            if not roots
            else "claims or credentials that it needs are not here"
        )
        remarks.append(f"authority of {count:,} cycles, policies or credentials was not judged: {why}")
    if count := notes.get("authority_indeterminate"):
        remarks.append(
            f"authority of {count:,} cycles, policies or credentials is indeterminate: the recorder's clock was not "
            f"known to be synchronised, so none of them is known to have been in its time"
        )
    if count := notes.get("acts_unjudged"):
        remarks.append(f"{count:,} commits were not held against what was decided: claims of theirs are not here")
    if count := notes.get("decisions_unreplayed"):
        remarks.append(
            f"{count:,} decisions were not made again: claims are not here, or no engine "
            f"(pip install 'lineage-recorder[gate]')"
        )
    if count := notes.get("same_serial"):
        remarks.append(f"{count:,} serials of credentials were used more than once by their issuer")
    return remarks + _device_remarks(roots, notes)


def _device_remarks(roots: Sequence[str], notes: Mapping[str, int]) -> list[str]:
    """What devices confirmed, and whether it was asked whose word that is."""
    remarks = []
    if count := notes.get("confirmed"):
        whose = f"{notes['batches_judged']:,} batches held against their credentials" if roots else "not asked by whom"
        remarks.append(f"{count:,} commits were confirmed by devices: {whose}")
    if count := notes.get("confirmed_short"):
        remarks.append(
            f"{count:,} confirmations say that a commit was not reached, or in part: `lineage why` of it says what was"
        )
    if count := notes.get("confirmed_again"):
        remarks.append(f"{count:,} confirmations are of commits that were confirmed before")
    if count := notes.get("requests_unproven"):
        remarks.append(
            f"{count:,} commits say that a device asked for them, and no frame here that it signed does: that is the "
            f"word of whoever committed"
        )
    if count := notes.get("batches_unjudged"):
        remarks.append(f"{count:,} batches or commits of them were not judged: claims or credentials are not here")
    return remarks


def _deleted(report: Report) -> list[str]:
    """Which deletion entries account for claims that are gone."""
    remarks = [
        f"claims of entries {one.first} to {one.last}, class {one.retention_class}, were deleted: entry {one.seq}"
        for one in report.deleted[:PROBLEMS_SHOWN]
    ]
    if (left := report.notes.get("deletions", 0) - len(remarks)) > 0:
        remarks.append(f"and {left:,} more deletion entries account for claims that are gone")
    if count := report.notes.get("deletions_before_term"):
        remarks.append(
            f"{count:,} deletions took claims before their term, as the rules in force permit where room is short"
        )
    if count := report.notes.get("deletions_unjudged"):
        remarks.append(
            f"{count:,} deletions could not be held against rules: those in force cannot be read, or others authorise"
        )
    return remarks
