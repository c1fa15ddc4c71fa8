"""The witness: every status, held before it is answered, no rollback whoever is faster, no time without a clock."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.exchange import AddCheckpoint, Cosigned, parse_answer
from mesh.standing import Standing, decode_standing, signed_by_log
from mesh.witness import RACES_MAX, Cosigner, add_checkpoint
from recorder.core.checkpoint import Checkpoint, open_checkpoint
from recorder.core.cosignature import cosign, verify_cosignature
from recorder.core.errors import FormatError
from recorder.core.forks import parse_fork, verify_fork, verify_fork_under
from recorder.core.keys import SeedSigner
from recorder.core.merkle import prove_consistency
from recorder.core.note import ED25519, Note, VerifierKey, parse_note, sign_text
from tests.core.shapes import naive_cbor
from tests.mesh.fleet import (
    FLEET,
    FOREIGN,
    NEXT_ORIGIN,
    ORIGIN,
    TIME_S,
    WITNESSES,
    Leaves,
    head_of,
    listed,
    note_of,
    signer,
)
from tests.mesh.witnessing import COSIGNER, LEAVES, LINE, OTHER, Memory, ask, at, refusal, request


def test_a_log_grows() -> None:
    """From the first head on, each consistent one is cosigned, with the time that was given; the same head again too."""
    store = at(0)
    for old, new in ((0, 3), (3, 3), (3, 17), (17, 40)):
        outcome = ask(store, request(old, new), TIME_S + new)
        read = parse_answer(outcome.answer)
        assert isinstance(read, Cosigned)
        cosignature = verify_cosignature(head_of(LEAVES[:new]), read.lines[0], WITNESSES["arm-8"])
        assert cosignature.time_s == TIME_S + new
        held = store.held(LINE)
        assert held is not None
        assert held.head == head_of(LEAVES[:new])


def test_a_foreign_log_is_witnessed_as_any() -> None:
    """A C2SP log that is no lineage has a state of its own, under its own key."""
    store = at(5)
    body = AddCheckpoint(0, (), note_of(LEAVES[:9], FOREIGN, signer("foreign"))).encode()
    assert ask(store, body).is_cosigned
    assert set(store.kept) == {LINE, FOREIGN}
    assert refusal(ask(store, AddCheckpoint(0, (), note_of(LEAVES[:9], FOREIGN)).encode())) == (403, "note_signature")


def foreign_note(leaves: list[bytes], extension: str) -> bytes:
    """A head of the foreign log with extension lines."""
    text = head_of(leaves, FOREIGN).text() + extension
    return Note(text, (sign_text(text, FOREIGN, signer("foreign")),)).encode()


def test_extension_lines_of_a_foreign_log_are_cosigned_with_it() -> None:
    """As tlog-cosignature says; they say nothing of the tree, so the next head may have others, or none."""
    store = at(0)
    for old, new, extension in ((0, 9, "one\ntwo words\n"), (9, 9, "other\n"), (9, 17, ""), (17, 20, "\u2014 three\n")):
        proof = tuple(prove_consistency(Leaves(LEAVES), old, new))
        outcome = ask(store, AddCheckpoint(old, proof, foreign_note(LEAVES[:new], extension)).encode())
        read = parse_answer(outcome.answer)
        assert isinstance(read, Cosigned)
        head = Checkpoint(FOREIGN, new, head_of(LEAVES[:new]).root, extension)
        assert verify_cosignature(head, read.lines[0], WITNESSES["arm-8"]).time_s == TIME_S
        if extension:
            with pytest.raises(FormatError, match="note_signature"):
                verify_cosignature(head_of(LEAVES[:new], FOREIGN), read.lines[0], WITNESSES["arm-8"])
        held = store.held(FOREIGN)
        assert held is not None
        assert held.head == head


def test_a_fork_of_a_log_with_extension_lines_is_proved() -> None:
    """Another root for the size that is held; other lines alone are none."""
    store = at(0)
    assert ask(store, AddCheckpoint(0, (), foreign_note(LEAVES[:9], "one\n")).encode()).is_cosigned
    outcome = ask(store, AddCheckpoint(9, (), foreign_note(OTHER[:9], "two\n")).encode())
    assert refusal(outcome) == (422, "consistency_proof")
    assert outcome.fork is not None
    proof = parse_fork(outcome.fork.encode())
    assert verify_fork(proof, FLEET.trust, FLEET.foreign).origin == FOREIGN
    with pytest.raises(FormatError, match="checkpoint_malformed"):
        verify_fork_under(proof, FLEET.foreign[FOREIGN])


@pytest.mark.parametrize("extension", ["\n", "one\n\ntwo\n", "x" * 4_096 + "\n"], ids=["empty", "between", "long"])
def test_extension_lines_that_are_none(extension: str) -> None:
    """Empty ones, and more than there is room for in a proof."""
    body = AddCheckpoint(0, (), foreign_note(LEAVES[:9], extension)).encode()
    assert refusal(ask(at(0), body)) == (400, "checkpoint_malformed")


def test_the_known_answer_of_a_witness_in_use() -> None:
    """A request for a public log's checkpoint gives, byte by byte, the cosignature that another implementation made."""
    origin, text = (
        "rome2026h1.example.org",
        "rome2026h1.example.org\n300\nlCkHUpkmVBEms2r2T1K6Og69+wUuuN3MIEW1/ezu2v0=\n",
    )
    log, witness = signer("rome"), SeedSigner(sha256(b"skylight test witness key").digest())
    fleet = listed(f"foreign {VerifierKey.derive(origin, ED25519, log.public_key)}\nquorum none\n")
    body = AddCheckpoint(0, (), Note(text, (sign_text(text, origin, log),)).encode()).encode()
    answer = add_checkpoint(body, fleet, Memory(), Cosigner("witness.example.org", witness), 1767139200).answer
    assert answer.status == 200
    assert answer.body.decode() == (
        "— witness.example.org uKLPIAAAAABpVGeAhm2bOvKc3LaB9PFN1ruG19Y5yqslmcAAbhftnn1Zznmo0LXFZq4LGvqKqLX8jWlwLKasxEGTLIqAVusneCBmBw==\n"
    )


@pytest.mark.parametrize(
    ("held", "old", "new", "answer"),
    [
        (0, 5, 9, (409, b"0\n")),
        (7, 0, 9, (409, b"7\n")),
        (7, 6, 9, (409, b"7\n")),
        (7, 8, 9, (409, b"7\n")),
        (9, 0, 3, (409, b"9\n")),
        (9, 3, 3, (409, b"9\n")),
        (40, 0, 40, (409, b"40\n")),
    ],
)
def test_another_old_size(held: int, old: int, new: int, answer: tuple[int, bytes]) -> None:
    """Where the old size is not the one that is held, the answer is the one that is; nothing changes."""
    store = at(held)
    before = dict(store.kept)
    outcome = ask(store, request(old, new))
    assert (outcome.answer.status, outcome.answer.body) == answer
    assert outcome.answer.content_type == "text/x.tlog.size"
    assert store.kept == before


def bad_requests() -> list[tuple[bytes, int, str]]:
    good = AddCheckpoint(7, tuple(prove_consistency(Leaves(LEAVES), 7, 9)), note_of(LEAVES[:9]))
    proof = good.proof
    extended = head_of(LEAVES[:9]).text() + "extension\n"
    spoilt = parse_note(note_of(LEAVES[:9])).signatures[0]
    return [
        (b"", 400, "add_checkpoint_malformed"),
        (AddCheckpoint(10, (), good.note).encode(), 400, "old_size"),
        (AddCheckpoint(7, proof, b"no head\n\n" + str(spoilt).encode() + b"\n").encode(), 400, "checkpoint_malformed"),
        (AddCheckpoint(7, proof, Note(extended, (sign_text(extended, ORIGIN, signer(f"identity {LINE}")),)).encode()).encode(), 400, "checkpoint_malformed"),
        (AddCheckpoint(7, proof, note_of(LEAVES[:9], by=signer("thief"))).encode(), 403, "note_signature"),
        (AddCheckpoint(7, proof, Note(head_of(OTHER[:9]).text(), (spoilt,)).encode()).encode(), 403, "note_signature"),
        (AddCheckpoint(7, proof, note_of(LEAVES[:9], "acme/arm-9/0123456789abcdef")).encode(), 404, "origin_unknown"),
        (AddCheckpoint(7, proof, note_of(LEAVES[:9], "acme/arm-7")).encode(), 404, "origin_unknown"),
        (AddCheckpoint(0, (), note_of(LEAVES[:9], NEXT_ORIGIN)).encode(), 403, "incarnation_unknown"),
        (AddCheckpoint(7, proof[:-1], good.note).encode(), 422, "consistency_proof"),
        (AddCheckpoint(7, (*proof, bytes(32)), good.note).encode(), 422, "consistency_proof"),
        (AddCheckpoint(7, (), good.note).encode(), 422, "consistency_proof"),
        (request(7, 9, OTHER), 422, "consistency_proof"),
        (AddCheckpoint(7, (bytes(32),), note_of(LEAVES[:7])).encode(), 422, "consistency_proof"),
    ]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "error"), bad_requests())
def test_requests_refused(body: bytes, status: int, error: str) -> None:
    """Each refusal has its status and its name, whatever the clock, and nothing changes."""
    store = at(7)
    before = dict(store.kept)
    for time_s in (TIME_S, None):
        assert refusal(ask(store, body, time_s)) == (status, error)
    assert store.kept == before


def test_the_first_head_needs_no_proof() -> None:
    """A proof from nothing is empty."""
    assert refusal(ask(at(0), AddCheckpoint(0, (bytes(32),), note_of(LEAVES)).encode())) == (422, "consistency_proof")


@pytest.mark.parametrize(("old", "status"), [(7, 422), (0, 409)])
def test_another_root_for_the_size_held_is_a_fork(old: int, status: int) -> None:
    """A second history is refused, and proved by the note that was held; also where the old size was a guess."""
    store = at(7)
    outcome = ask(store, AddCheckpoint(old, (), note_of(OTHER[:7])).encode())
    assert outcome.answer.status == status
    assert outcome.fork is not None
    assert verify_fork(outcome.fork, FLEET.trust).origin == ORIGIN
    assert ask(store, request(7, 7)).fork is None


def test_a_log_of_which_two_histories_are_proved_is_cosigned_no_more() -> None:
    """Whatever it shows; what is held stays as it was, and another origin is judged as before."""
    store = at(5)
    held = store.held(LINE)
    for body in (request(5, 9), request(0, 9), request(5, 5)):
        outcome = add_checkpoint(body, FLEET, store, COSIGNER, TIME_S, lambda origin: origin == ORIGIN)
        assert refusal(outcome) == (422, "origin_forked")
    assert store.held(LINE) == held
    assert add_checkpoint(
        request(5, 9), FLEET, store, COSIGNER, TIME_S, lambda origin: origin == NEXT_ORIGIN
    ).is_cosigned


def test_what_the_log_signed_is_handed_on() -> None:
    """A head that the log signed is for the archive, cosigned or not; one that nobody signed is not."""
    for body in (request(7, 9), request(6, 9), request(7, 9, OTHER)):
        offered = ask(at(7), body).offered
        assert offered is not None
        assert offered.checkpoint.size == 9
    assert ask(at(7), AddCheckpoint(7, (), note_of(LEAVES, by=signer("thief"))).encode()).offered is None


def test_without_a_trusted_clock() -> None:
    """No time is invented, and nothing is held that was not cosigned."""
    store = at(7)
    before = dict(store.kept)
    assert refusal(ask(store, request(7, 9), None)) == (503, "clock_untrusted")
    assert store.kept == before


def test_held_before_it_is_answered() -> None:
    """The signer is asked once the head is held; a store that fails means no cosignature, and none was made."""
    store = at(7)
    sizes: list[int] = []

    class Watched(SeedSigner):
        def sign(self, message: bytes) -> bytes:
            held = store.held(LINE)
            sizes.append(held.head.size if held else 0)
            return super().sign(message)

    cosigner = Cosigner(COSIGNER.name, Watched(b"\x01" * 32))
    assert ask(store, request(7, 9), cosigner=cosigner).is_cosigned
    store.fails = True
    with pytest.raises(OSError, match="card"):
        ask(store, request(9, 11), cosigner=cosigner)
    assert sizes == [9]


def test_a_larger_head_that_was_faster_stays() -> None:
    """Two requests from one size: the later one is told the size that the first one left, and nothing rolls back."""
    for moment in ("after_held", "before_swap"):
        store = at(7)
        setattr(store, moment, lambda store=store: ask(store, request(7, 20)))
        outcome = ask(store, request(7, 9))
        assert (outcome.answer.status, outcome.answer.body) == (409, b"20\n")
        held = store.held(LINE)
        assert held is not None
        assert held.head.size == 20


def test_losing_every_race_is_said() -> None:
    """Whoever keeps losing gets an answer, not an endless turn."""

    class Contended(Memory):
        def swap(self, line: str, old: Standing | None, new: Standing) -> bool:
            self.writes += 1
            return False

    store = Contended()
    assert refusal(ask(store, request(0, 9))) == (503, "witness_busy")
    assert store.writes == RACES_MAX


def test_only_the_logs_signature_is_kept() -> None:
    """Lines of unknown keys are answered over, not stored."""
    line = sign_text(head_of(LEAVES[:9]).text(), "someone.example", signer("someone"))
    cosigned = cosign(head_of(LEAVES[:9]), WITNESSES["port-1"].name, signer("witness port-1"), TIME_S)
    signed = parse_note(note_of(LEAVES[:9]))
    note = Note(signed.text, (line, cosigned, *signed.signatures)).encode()
    store = at(0)
    assert ask(store, AddCheckpoint(0, (), note).encode()).is_cosigned
    log = FLEET.log_of(ORIGIN)
    assert log is not None
    opened = open_checkpoint(note, log.key, WITNESSES.values())
    assert len(opened.note.verified) == 2
    assert signed_by_log(opened, log.key) == note_of(LEAVES[:9])
    held = store.held(LINE)
    assert held is not None
    assert held.note == note_of(LEAVES[:9])


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 40)), max_size=12))
def test_whatever_is_asked_only_one_history_grows(asked: list[tuple[bool, int, int]]) -> None:
    """Of two histories of one log, what is cosigned is always one that extends what was cosigned before."""
    store = at(0)
    last: list[bytes] = []
    for is_other, old, new in asked:
        leaves = OTHER if is_other else LEAVES
        if ask(store, request(old, new, leaves)).is_cosigned:
            assert leaves[: len(last)] == last
            last = leaves[:new]


def test_what_is_kept_is_read_back() -> None:
    """A standing with incarnations that are over is the same again; with a head that is none it is refused."""
    standing = Standing(note_of(LEAVES[:9]), (head_of(LEAVES[:5], NEXT_ORIGIN),))
    assert decode_standing(standing.encode()) == standing
    for wrong in ([NEXT_ORIGIN, 5, bytes(31)], ["a b", 5, bytes(32)], [NEXT_ORIGIN, -1, bytes(32)], [NEXT_ORIGIN], 7):
        with pytest.raises(FormatError, match=r"^standing_malformed"):
            decode_standing(naive_cbor([1, standing.note, [wrong]]))
    for whole in ([2, standing.note, []], [1, standing.note[:-1], []], [1, standing.note]):
        with pytest.raises(FormatError, match=r"^standing_malformed"):
            decode_standing(naive_cbor(whole))


@given(st.binary(max_size=100))
def test_kept_badly(data: bytes) -> None:
    """What is kept and cannot be read is an error of its own, never a witness without memory."""
    with pytest.raises(FormatError, match=r"^standing_malformed"):
        decode_standing(data)
