"""What verification says of entries that ask for witnesses: who signed, in what time, and whether the choice can be."""

from __future__ import annotations

import pytest

from recorder.core.checkpoint import parse_checkpoint
from recorder.core.chosen import ANY, INDEPENDENT, Candidate, Choice, choice_of, choose
from recorder.core.cosignature import CLAIM, cosign, cosigner_key
from recorder.core.kinds import Kind
from recorder.core.note import Note, parse_note
from recorder.core.verdict import Report, Unwitnessed
from recorder.core.verify import Verifier, check_jobs
from tests.lineage_builder import MS, LineageBuilder, OpenCycle

NAMES = ("w1", "w2", "w3", "w4")
SALT = bytes(range(16))


def witnesses(lineage: LineageBuilder) -> list[Candidate]:
    """Two operators with two witnesses each."""
    return [Candidate(name, lineage.signer(name).public_key, f"o{at // 2}") for at, name in enumerate(NAMES)]


def chosen(lineage: LineageBuilder, count: int, rule: str = INDEPENDENT, salt: bytes = SALT) -> list[Candidate]:
    return choose(witnesses(lineage), count, rule, salt)


def begun() -> tuple[LineageBuilder, OpenCycle]:
    lineage = LineageBuilder().setup(1)
    return lineage, lineage.cycle()


def evident(lineage: LineageBuilder, *names: str, size: int | None = None, note: bytes | None = None) -> int:
    """Evidence that these signed the log as it is; its entry is 1 ms after the one before."""
    note = note or lineage.checkpoint(size)
    parsed = parse_note(note)
    head = parse_checkpoint(parsed.text)
    keys = [cosigner_key(name, lineage.signer(name).public_key) for name in names]
    lines = [cosign(head, key.name, lineage.signer(key.name), 1_760_000_000) for key in keys]
    return lineage.control(Kind.EVIDENCE, body={CLAIM: Note(parsed.text, (*parsed.signatures, *lines)).encode()})


def verified(lineage: LineageBuilder, trusted: list[Candidate] | None = None) -> Report:
    verifier = Verifier(lineage.origin, witnesses=witnesses(lineage) if trusted is None else trusted)
    for record in lineage.records:
        job = verifier.feed(record.raw, record.claims)
        assert job is not None
        verifier.take(check_jobs([job]))
    return verifier.finish()


def counted(report: Report) -> tuple[int, int, int, int]:
    """In time, late, short, unjudged."""
    return tuple(report.notes[f"witnessed_{name}"] for name in ("in_time", "late", "short", "unjudged"))  # type: ignore[return-value]


def test_who_signed_in_time_and_who_did_not() -> None:
    """By the entries' own times: as many as wanted within the time, as many later, fewer; none of it is an error."""
    lineage, cycle = begun()
    names = [one.name for one in chosen(lineage, 3)]
    choice = choice_of(chosen(lineage, 3), SALT)
    lineage.asking(cycle, choice, 3)
    evident(lineage, *names[:2])
    evident(lineage, *names)
    late = lineage.asking(cycle, choice, 3, within_ms=20)
    evident(lineage, names[0])
    lineage.clock.pass_ns(20 * MS)
    evident(lineage, *names[1:])
    short = lineage.asking(cycle, choice, 3)
    evident(lineage, names[0])
    report = verified(lineage)
    assert report.exit_status() == 0, report.problems
    assert report.notes["witnesses_asked"] == 3
    assert counted(report) == (1, 1, 1, 0)
    assert report.short == [Unwitnessed(late, 3, 20, 3, 3, 1), Unwitnessed(short, 3, 100, 3, 1, 1)]


def test_what_counts_as_signed() -> None:
    """A head that covers the entry, under the log's own signature, by a witness that was chosen and is trusted."""
    lineage, cycle = begun()
    choice = choice_of(chosen(lineage, 1), SALT)
    (name,) = [one.name for one in chosen(lineage, 1)]
    other = next(one for one in NAMES if one != name)
    seq = lineage.asking(cycle, choice, 1)
    evident(lineage, name, size=seq)  # the head below the entry
    evident(lineage, other)
    evident(lineage, name, note=lineage.checkpoint(signer=lineage.epoch))
    lineage.control(Kind.EVIDENCE, body={CLAIM: b"no note"})
    assert counted(verified(lineage)) == (0, 0, 1, 0)
    evident(lineage, name)
    assert counted(verified(lineage)) == (1, 0, 0, 0)
    assert counted(verified(lineage, [])) == (0, 0, 0, 1), "who trusts no witness cannot say"


def test_nobody_could_be_asked() -> None:
    """It is as short as can be, whomever the verifier trusts."""
    lineage, cycle = begun()
    seq = lineage.asking(cycle, Choice(SALT, []), 2)
    views: list[list[Candidate] | None] = [None, []]
    for trusted in views:
        report = verified(lineage, trusted)
        assert (counted(report), report.short) == ((0, 0, 1, 0), [Unwitnessed(seq, 2, 100, 0, 0, 0)])
        assert report.exit_status() == 0


@pytest.mark.parametrize("rule", [INDEPENDENT, ANY])
def test_a_choice_that_its_rule_does_not_lead_to(rule: str) -> None:
    """The order is that of the lots: turned round it is another choice; a rule that nobody knows is not judged."""
    lineage, cycle = begun()
    right = choice_of(chosen(lineage, 3, rule), SALT)
    lineage.asking(cycle, right, 3, rule=rule)
    assert verified(lineage).witnessing == "nothing"
    wrong = lineage.asking(cycle, Choice(SALT, right.kids[::-1]), 3, rule=rule)
    report = verified(lineage)
    assert [(one.error, one.seq) for one in report.problems] == [("witness_choice", wrong)]
    assert (report.witnessing, report.integrity, report.exit_status()) == ("fail", "pass", 1)
    assert verified(lineage, witnesses(lineage)[:1]).problems == [], "unknown witnesses cannot be judged"


def test_a_choice_that_an_unknown_rule_made() -> None:
    """It is reported by who signed, and nothing is said of the order."""
    lineage, cycle = begun()
    choice = choice_of(chosen(lineage, 2), SALT)
    lineage.asking(cycle, Choice(SALT, choice.kids[::-1]), 2, rule="nearest")
    assert verified(lineage).problems == []


def test_the_recorders_own_operator_comes_last() -> None:
    """A choice that puts one operator's witnesses behind all others is one that the rule leads to."""
    lineage, cycle = begun()
    one, two = (sorted(by, key=lambda c: choose(by, 2, ANY, SALT).index(c)) for by in _by_operator(lineage))
    lineage.asking(cycle, choice_of([*one, *two], SALT), 4)
    assert verified(lineage).problems == []


def _by_operator(lineage: LineageBuilder) -> tuple[list[Candidate], list[Candidate]]:
    found = witnesses(lineage)
    return found[:2], found[2:]


def test_a_choice_that_is_not_here_or_is_another() -> None:
    """Deleted claims leave it unjudged; claims that do not lead to the digest are an error of integrity."""
    lineage, cycle = begun()
    choice = choice_of(chosen(lineage, 2), SALT)
    seq = lineage.asking(cycle, choice, 2)
    held = lineage.records[seq]
    lineage.records[seq] = held._replace(claims=None)
    lineage.control(Kind.DELETION, seq, seq, "standard", None)
    assert counted(verified(lineage)) == (0, 0, 0, 1)
    lineage.records[seq] = held
    assert held.claims is not None
    lineage.records[seq] = held._replace(claims=held.claims.replace(choice.kids[0], bytes(8)))
    report = verified(lineage)
    assert [one.error for one in report.problems] == ["claims_mismatch"]
    assert counted(report) == (0, 0, 0, 1)


def test_evidence_after_a_restart_counts_by_utc() -> None:
    """CLOCK_BOOTTIME tells within one start of the recorder; beyond it UTC does, where it is known."""
    lineage, cycle = begun()
    choice = choice_of(chosen(lineage, 1), SALT)
    lineage.asking(cycle, choice, 1, within_ms=50)
    lineage.stop()
    lineage.boot()
    evident(lineage, chosen(lineage, 1)[0].name)
    assert counted(verified(lineage)) == (1, 0, 0, 0)


def test_a_choice_that_names_one_twice() -> None:
    """Or more than were wanted: that needs no trust file to be wrong."""
    lineage, cycle = begun()
    one = choice_of(chosen(lineage, 1), SALT).kids
    twice = lineage.asking(cycle, Choice(SALT, one * 2), 2)
    more = lineage.asking(cycle, choice_of(chosen(lineage, 2), SALT), 1)
    found = [(problem.error, problem.seq) for problem in verified(lineage, []).problems]
    assert found == [("witness_choice", twice), ("witness_choice", more)]
