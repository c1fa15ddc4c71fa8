"""Step 9 and 10 of what devices sign: whose word it is, for which actuator, what is missing, what nobody confirmed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from recorder.core import cbor, claims
from recorder.core.confirmation import BATCH_MAX_FRAMES
from recorder.core.deviceframe import Body, CommitRequest, Dropped, Event, Outcome
from recorder.core.devicegap import Place
from recorder.core.kinds import Kind
from recorder.core.scope import ANY
from recorder.core.verdict import Report
from recorder.core.verify import verify_lineage
from tests.batches import Bench, InTheNameOf
from tests.credential_builder import BEGIN_S, signer
from tests.frames import DEVICE, KID
from tests.gated_builder import GatedBuilder
from tests.vectors.broken_devices import DEVICE_SCOPE, bench, device_credential

WATCHED = "by its own device"


def found(lineage: GatedBuilder, *, roots: bool = True) -> list[tuple[int | None, str]]:
    """Seq and name of each problem."""
    records = [(record.raw, record.claims) for record in lineage.records]
    report = verify_lineage(lineage.origin, records, roots=lineage.roots if roots else ())
    return [(one.seq, one.error) for one in report.problems]


def committed(lineage: GatedBuilder, **what: object) -> int:
    """A commit by the shoulder."""
    return lineage.commit(lineage.gated(**what))  # type: ignore[arg-type]


def test_what_holds() -> None:
    """Batches, a declared reboot, frames that the device let go: nothing fails, and the loss is told."""
    lineage, device = bench()
    device.batch(Event(3, []), device.reached(committed(lineage)))
    rebooted = device.gap("device_rebooted", Place(2, 0))
    unseen = device.gap("boots_unseen", Place(5, 0))
    dropped = device.batch(Dropped(7, 10, 20), Event(4, []))
    left = device.gap("not_held", Place(5, 9))
    device.batch(Event(3, []))
    assert found(lineage) == [(seq, "gap_declared") for seq in (rebooted, unseen, dropped, left)]


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"role": "platform"}, "role_mismatch"),
        ({"key": signer("another motor").public_key}, "confirmation_signature"),
        ({"expires_s": BEGIN_S + 1, "not_before_s": BEGIN_S - 9}, "credential_expired"),
        ({"not_before_s": BEGIN_S + 80_000}, "credential_early"),
        ({"scope": replace(DEVICE_SCOPE, actuators=frozenset({"elbow"}))}, "confirmation_signature"),
        ({"scope": replace(DEVICE_SCOPE, actuators=ANY)}, None),
        ({"scope": replace(DEVICE_SCOPE, actuators=frozenset({"elbow", "shoulder"}))}, None),
    ],
)
def test_whose_word_it_is(changed: dict[str, object], error: str | None) -> None:
    """A credential of role actuator, of this key, that stands, for the actuator that was committed to."""
    lineage, device = bench(device_credential(**changed))
    commit = committed(lineage)
    lineage.clock.pass_ns(10_000_000_000)
    seq = device.batch(device.reached(commit))
    assert found(lineage) == ([] if error is None else [(seq, error)])
    assert found(lineage, roots=False) == [], "without a root nobody's word is judged"


def test_revoked() -> None:
    """From the seq of the list on; a second credential of the same key is enough."""
    lineage, device = bench()
    before, after = committed(lineage), committed(lineage)
    device.batch(device.reached(before))
    lineage.revoke(device_credential())
    seq = device.batch(device.reached(after))
    assert found(lineage) == [(seq, "credential_revoked")]
    lineage, device = bench()
    lineage.revoke(device_credential())
    lineage.bring(credential=device_credential(serial=bytes(16)).signed.raw)
    device.batch(device.reached(committed(lineage)))
    assert found(lineage) == []


def test_a_thief_of_the_hosts_keys() -> None:
    """Whoever writes the lineage can sign no batch: not in the device's name, not for another log's, not of other frames."""
    lineage, device = bench()
    commit = committed(lineage)
    forged = device.batch(device.reached(commit), by=InTheNameOf(DEVICE, lineage.identity))
    moved = device.batch(device.reached(commit), origin="acme/arm-8/0123456789abcdef")
    assert found(lineage) == [(forged, "confirmation_signature"), (moved, "confirmation_signature")]


@pytest.mark.parametrize(
    ("hidden", "problems"),
    [
        (["signature"], ["unconfirmed"]),
        (["frames"], ["unconfirmed", "confirmation_signature"]),
        (["signature", "frames"], ["unconfirmed"]),
    ],
)
def test_a_thief_who_withholds_what_he_cannot_forge(hidden: list[str], problems: list[str]) -> None:
    """Key 12 says it, and nobody is shown that the device did: that is no confirmation, and no pass."""
    lineage, device = bench(confirmation=WATCHED)
    commit = committed(lineage)
    device.batch(device.reached(commit), by=InTheNameOf(DEVICE, lineage.identity))
    _withhold(lineage, hidden)
    lineage.clock.pass_ns(10_000_000_000)
    lineage.stop()
    report = _report(lineage)
    assert [one.error for one in report.problems] == problems
    assert report.notes["confirmed"] == 0
    assert report.authority == ("fail" if "confirmation_signature" in problems else "indeterminate")


def test_a_batch_about_other_things_whose_frames_are_withheld() -> None:
    """The device's signature holds, and no more is known than that."""
    lineage, device = bench(confirmation=WATCHED)
    commit = committed(lineage)
    device.batch(Event(3, []), refs=[[None, commit, lineage.hash_of(commit), 0]])
    _withhold(lineage, ["frames"])
    lineage.clock.pass_ns(10_000_000_000)
    lineage.stop()
    report = _report(lineage)
    assert (report.authority, report.notes["confirmed"]) == ("indeterminate", 0)
    assert found(lineage) == [(commit, "unconfirmed")]


def test_claims_that_were_deleted() -> None:
    """Old confirmations may be gone: nothing is confirmed by them, and nobody is told off for it."""
    lineage, device = bench(confirmation=WATCHED)
    device.batch(device.reached(committed(lineage)))
    lineage.records[-1] = lineage.records[-1]._replace(claims=None)
    lineage.clock.pass_ns(10_000_000_000)
    lineage.stop()
    report = _report(lineage)
    assert [one.error for one in report.problems] == ["claims_missing"], "that no deletion entry accounts for"
    assert (report.authority, report.notes["confirmed"]) == ("indeterminate", 0)


@pytest.mark.parametrize("hidden", ["deleted", "withheld"])
def test_batches_that_are_not_here_are_no_hole(hidden: str) -> None:
    """What retention takes leaves the frames behind it accounted for, and authority open; more than that is a hole."""
    lineage, device = bench()
    taken = [device.batch(device.reached(committed(lineage))), device.batch(Event(3, []), Event(4, []))]
    device.gap("device_rebooted", Place(2, 0))
    taken.append(device.batch(Event(3, [])))
    last = device.batch(Event(3, []))
    for seq in taken:
        _hide(lineage, seq, None if hidden == "deleted" else ["signature"])
    expected = {"gap_declared", "claims_missing"} if hidden == "deleted" else {"gap_declared"}
    assert {error for _, error in found(lineage)} == expected, "no deletion entry accounts for them here"
    assert _report(lineage).authority == "indeterminate"
    device.frames(*(Event(3, []) for _ in range(BATCH_MAX_FRAMES)))
    late = device.batch(Event(3, []))
    assert (late, "frames_unaccounted") in found(lineage), f"nothing is hidden behind entry {last}"


def test_other_observations_hide_no_frames() -> None:
    """Neither one without a signature of anybody's, nor a batch that is shown."""
    lineage, device = bench()
    device.batch(Event(3, []))
    seq = lineage.control(Kind.OBSERVATION, None, body={"it": "rains"})
    _hide(lineage, seq, None)
    device.frames(Event(4, []))
    assert (device.batch(Event(3, [])), "frames_unaccounted") in found(lineage)


def test_one_commit_confirmed_twice() -> None:
    """It is one commit; and what was not reached is counted, since the word of a device may be that it failed."""
    lineage, device = bench(confirmation=WATCHED)
    first, second = committed(lineage), committed(lineage)
    device.batch(device.reached(first), device.reached(first))
    device.batch(device.reached(second)._replace(outcome=Outcome.NOT_MOVED))
    device.batch(device.reached(second)._replace(outcome=Outcome.PARTLY))
    notes = _report(lineage).notes
    assert (notes["confirmed"], notes["confirmed_again"], notes["confirmed_short"]) == (2, 2, 2)


@pytest.mark.parametrize("is_first", [True, False], ids=["commit first", "batch first"])
@pytest.mark.parametrize(
    ("body", "named", "proven"),
    [
        (CommitRequest(4, 1, [(2, 0.5)], 200, None), 0, 1),
        (CommitRequest(4, 2, [(2, 0.5)], 200, None), 0, 0),  # for another actuator
        (Event(1, []), 0, 0),  # no request
        (CommitRequest(4, 1, [(2, 0.5)], 200, None), 1, 0),  # another frame
    ],
)
def test_who_says_that_a_device_asked(body: Body, named: int, proven: int, *, is_first: bool) -> None:
    """`device` in a what is the word of who commits, until a frame that the device signed says the same."""
    lineage, device = bench()
    if not is_first:
        device.batch(body)
    lineage.doing = {"device": [KID, 1, named]}
    committed(lineage)
    if is_first:
        device.batch(body)
    notes = _report(lineage).notes
    assert (notes["requests_proven"], notes["requests_unproven"]) == (proven, 1 - proven)


def test_a_request_is_one_commit() -> None:
    """The second entry that names its frame is none that it asked for; an event may move several actuators."""
    lineage, device = bench()
    lineage.doing = {"device": [KID, 1, 0]}
    committed(lineage)
    committed(lineage)
    device.batch(CommitRequest(4, 1, [(2, 0.5)], 200, None), Event(1, []))
    lineage.doing = {"device": [KID, 1, 1]}
    lineage.event((1, 2))
    notes = _report(lineage).notes
    assert (notes["requests_proven"], notes["requests_unproven"]) == (3, 1)


@pytest.mark.parametrize("said", [7, [KID], [KID, 1, -1], ["kid", 1, 0], [KID, 1, 0, 0]])
def test_what_names_no_frame(said: object) -> None:
    """Is a claim like any other: it needs no proof and gets none."""
    lineage, device = bench()
    lineage.doing = {"device": said}
    committed(lineage)
    device.batch(CommitRequest(4, 1, [(2, 0.5)], 200, None))
    assert _report(lineage).integrity == "pass"
    assert _report(lineage).notes["requests_proven"] == 0


def test_a_device_alone_is_something_that_was_judged() -> None:
    """Also where nothing is under a signed policy."""
    lineage = GatedBuilder().begin()
    lineage.bring(credential=device_credential().signed.raw)
    Bench(lineage).batch(Event(3, []))
    report = _report(lineage)
    assert (report.authority, report.notes["batches_judged"]) == ("pass", 1)


def _withhold(lineage: GatedBuilder, keys: list[str]) -> None:
    """Disclose the last entry's body but for these claims."""
    _hide(lineage, len(lineage.records) - 1, keys)


def _hide(lineage: GatedBuilder, seq: int, keys: list[str] | None) -> None:
    """Disclose the body of an entry but for these claims; None: none of it is here."""
    if keys is None:
        lineage.records[seq] = lineage.records[seq]._replace(claims=None)
        return
    held = cbor.decode(lineage.records[seq].claims or b"")
    held[11] = claims.to_transport("body", held[11], withhold=keys)
    lineage.records[seq] = lineage.records[seq]._replace(claims=cbor.encode(held))


def _report(lineage: GatedBuilder) -> Report:
    records = [(record.raw, record.claims) for record in lineage.records]
    return verify_lineage(lineage.origin, records, roots=lineage.roots)


def test_a_confirmation_of_another_logs_commit() -> None:
    """A device's frame names commits of its own log."""
    lineage, device = bench()
    commit = committed(lineage)
    seq = device.batch(device.reached(commit), refs=[["acme/arm-8/0123", commit, lineage.hash_of(commit), 0]])
    assert found(lineage, roots=False) == [(seq, "confirmation_frames")]


def test_frames_that_are_not_those() -> None:
    """Other frames, a hash in control of another signature: found without any trust file."""
    lineage, device = bench()
    others = Bench(lineage).frames(Event(9, []))
    changed = device.batch(Event(3, []), frames=others)
    lineage.breaking(lambda header: header.update({15: [bytes(32)]}))
    control = device.batch(Event(3, []))
    assert found(lineage, roots=False) == [(changed, "confirmation_frames"), (control, "confirmation_malformed")]


@pytest.mark.parametrize("named", ["other", "none", "twice", "place"])
def test_key_12_names_what_the_frames_confirm(named: str) -> None:
    """No other commit, no fewer, no more, and not another one of that entry."""
    lineage, device = bench()
    commit, other = committed(lineage), committed(lineage)
    ref = [None, commit, lineage.hash_of(commit), 0]
    refs = {
        "other": [[None, other, lineage.hash_of(other), 0]], "none": [], "twice": [ref, ref],
        "place": [[*ref[:3], 1]],
    }  # fmt: skip
    seq = device.batch(device.reached(commit), refs=refs[named])
    assert (seq, "confirmation_frames") in found(lineage)


@pytest.mark.parametrize("what", ["hole", "repeat", "boot", "gap"])
def test_frames_are_accounted_for(what: str) -> None:
    """A hole, a repeat, a boot that nobody declared, a gap that is about other frames."""
    lineage, device = bench()
    device.batch(Event(3, []), Event(4, []))
    if what == "hole":
        device.frames(Event(3, []))
    elif what == "repeat":
        device.at = Place(1, 1)
    elif what == "boot":
        device.at = Place(2, 0)
    else:
        device.at = Place(1, 1)
        device.gap("not_held", Place(1, 5))
    seq = device.batch(Event(3, []))
    expected = seq if what != "gap" else seq - 1
    assert (expected, "frames_unaccounted") in found(lineage)


def test_what_nobody_confirmed() -> None:
    """Due after `confirm_by_ms`, as far as the lineage goes; late is confirmed; what is given up is not due."""
    lineage, device = bench(confirmation=WATCHED)
    lineage.doing = {"confirm_by_ms": 500}
    first, second, third = committed(lineage), committed(lineage), committed(lineage)
    request = lineage.octets("session", 8) + lineage._counter.to_bytes(8, "big")
    assert found(lineage) == [], "the time is not over"
    lineage.clock.pass_ns(400_000_000)
    device.batch(device.reached(first))
    assert found(lineage) == []
    lineage.clock.pass_ns(200_000_000)
    lineage.control(Kind.MARK, body={})
    assert found(lineage) == [(second, "unconfirmed"), (third, "unconfirmed")]
    lineage.control(Kind.ABANDON, [request])
    assert found(lineage) == [(second, "unconfirmed")]
    device.batch(device.reached(second))
    assert found(lineage) == []


def test_due_when_the_machine_starts_anew() -> None:
    """Its clock begins again; what was due before is."""
    lineage, _ = bench(confirmation=WATCHED)
    lineage.doing = {"confirm_by_ms": 86_400_000}
    commit = committed(lineage)
    lineage.stop()
    assert found(lineage) == []
    lineage.boot(new_os_boot=True)
    assert found(lineage) == [(commit, "unconfirmed")]


def test_no_confirmation_is_due() -> None:
    """Of a class whose policy asks for none, whatever the commit says."""
    lineage, _ = bench()
    lineage.doing = {"confirm_by_ms": 1}
    committed(lineage)
    lineage.clock.pass_ns(10_000_000_000)
    lineage.stop()
    assert found(lineage) == []
