"""Submitting: the first proof is the right one, every answer has its consequence, and only cosignatures that hold count."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.exchange import Answer, conflict, cosigned, refused
from mesh.submission import (
    SENT_MAX,
    Again,
    Attempt,
    Behind,
    Done,
    Failed,
    Later,
    Show,
    Step,
    after,
    delay_s,
    request_for,
    with_cosignatures,
)
from mesh.succession import Succession
from recorder.core.checkpoint import open_checkpoint
from recorder.core.cosignature import Cosignature, cosign
from recorder.core.errors import FormatError, Misuse
from recorder.core.merkle import prove_inclusion
from recorder.core.note import NoteSignature, cosigned_message
from tests.mesh.fleet import FLEET, NEXT_ORIGIN, ORIGIN, TIME_S, WITNESSES, Leaves, hashes, head_of, note_of, signer
from tests.mesh.incarnations import born, named, show
from tests.mesh.witnessing import LEAVES, OTHER, Memory, ask, at

KEY = WITNESSES["arm-8"]
HEAD = head_of(LEAVES[:20])
NOTE = note_of(LEAVES[:20])
LINE = cosign(HEAD, KEY.name, signer("witness arm-8"), TIME_S)


def send(store: Memory, attempt: Attempt, leaves: list[bytes] = LEAVES[:20], origin: str = ORIGIN) -> Step:
    """One request to a real witness."""
    head, note = head_of(leaves, origin), note_of(leaves, origin)
    answer = ask(store, request_for(attempt, head, note, Leaves(leaves))).answer
    return after(attempt, answer, head, KEY, TIME_S - 3)


FIFTH = Attempt(5)


def read(answer: Answer, attempt: Attempt = FIFTH) -> Step:
    return after(attempt, answer, HEAD, KEY, TIME_S)


@settings(max_examples=30)
@given(st.integers(0, 40), st.integers(0, 20))
def test_at_most_one_request_more_than_needed(held: int, announced: int) -> None:
    """Whatever a witness holds and whatever was announced: the second request at the latest is cosigned, or we are behind."""
    store = at(held)
    step = send(store, Attempt(announced))
    if held > 20:
        assert step == Behind(held)
        return
    if announced != held:
        assert step == Again(Attempt(held, 1), forgot=announced if held < announced else None)
        assert isinstance(step, Again)
        step = send(store, step.attempt)
    assert isinstance(step, Done)
    assert (step.cosignature.time_s, step.skew_s) == (TIME_S, 3)


def test_another_history_is_refused() -> None:
    """A log whose history is not the one that was cosigned is told so, once and for all."""
    step = send(at(9), Attempt(9), OTHER[:20])
    assert isinstance(step, Failed)
    assert (step.status, step.error) == (422, "consistency_proof")


def test_a_new_incarnation_shows_itself() -> None:
    """Asked for by the witness, shown once, and then the log goes on growing."""
    store = at(9)
    boot, leaves = born([named(9)], entries=6)
    attempt = Attempt(0)
    step = send(store, attempt, leaves[:3], NEXT_ORIGIN)
    assert step == Show(Attempt(0, 1, is_shown=True))
    inclusion = tuple(prove_inclusion(Leaves(leaves[:3]), 0, 3))
    answer = show(store, Succession(boot, inclusion, (), note_of(leaves[:3], NEXT_ORIGIN))).answer
    assert isinstance(after(attempt, answer, head_of(leaves[:3], NEXT_ORIGIN), KEY, TIME_S), Done)
    assert isinstance(send(store, Attempt(3), leaves, NEXT_ORIGIN), Done)
    retired = send(store, Attempt(9))
    assert isinstance(retired, Failed)
    assert (retired.status, retired.error) == (410, "incarnation_retired")


def test_showing_is_tried_once() -> None:
    """A witness that still asks after it was shown is left alone."""
    unknown = refused(403, FormatError("incarnation_unknown", "show it"))
    assert isinstance(read(unknown), Show)
    assert isinstance(read(unknown, Attempt(0, 1, is_shown=True)), Failed)


@pytest.mark.parametrize(
    ("answer", "step"),
    [
        (conflict(7), Again(Attempt(7, 1))),
        (conflict(3), Again(Attempt(3, 1), forgot=5)),
        (conflict(20), Again(Attempt(20, 1))),
        (conflict(21), Behind(21)),
        (conflict(5), Failed(409, "witness_contradicts", "it was sent a proof from 5, and asks for one from 5")),
        (Answer(409, "text/plain", b"another root\n"), Failed(409, "", "another root")),
        (Answer(400, "text/plain", b"old_size: no\n"), Failed(400, "old_size", "no")),
        (Answer(403, "text/plain", b"Forbidden\n"), Failed(403, "", "Forbidden")),
        (Answer(404, "text/plain", b""), Failed(404, "", "")),
        (Answer(422, "text/plain", b"bad consistency proof\n"), Failed(422, "", "bad consistency proof")),
        (Answer(429, "text/plain", b"slow down\n"), Later("429 slow down")),
        (Answer(429, "text/plain", b"slow down\n", None, 7), Later("429 slow down; again in 7 s", 7)),
        (refused(503, FormatError("clock_untrusted", "no clock")), Later("503 clock_untrusted")),
        (Answer(301, "text/plain", b"elsewhere"), Failed(301, "", "elsewhere")),
        (Answer(409, "text/x.tlog.size", b"x\n"), None),
        (Answer(200, "text/plain", b"x\n"), None),
    ],
)
def test_every_answer_has_its_consequence(answer: Answer, step: Step | None) -> None:
    """Another size: again; not now: later; all else: a person is told. What cannot be read is the witness's failure."""
    got = read(answer)
    if step is None:
        assert isinstance(got, Failed)
        assert got.error == "witness_answer_malformed"
    else:
        assert got == step


def test_a_witness_that_keeps_changing_its_mind() -> None:
    """Requests for one checkpoint are bounded, whatever sizes are announced."""
    attempt, sent = Attempt(0), 0
    for size in range(1, 20):
        sent += 1
        step = read(conflict(size), attempt)
        if isinstance(step, Later):
            break
        assert isinstance(step, Again)
        attempt = step.attempt
    assert sent == SENT_MAX


def test_only_the_witness_itself_counts() -> None:
    """Its own line is found among others; without it, or if it does not hold or states no time, nothing was cosigned."""
    port = cosign(HEAD, "port-1.example", signer("witness port-1"), TIME_S)
    assert read(cosigned([port, LINE])) == Done(LINE, Cosignature(TIME_S, LINE.signature[8:]), 0)
    other = cosign(head_of(LEAVES[:19]), KEY.name, signer("witness arm-8"), TIME_S)
    untimed = NoteSignature(KEY.name, KEY.key_id, bytes(72))
    impostor = cosign(HEAD, KEY.name, signer("thief"), TIME_S)
    for lines in ([port], [other], [untimed], [impostor]):
        step = read(cosigned(lines))
        assert isinstance(step, Failed)
        assert step.error == "note_signature"


def test_a_cosignature_of_no_time() -> None:
    """A signature that holds over time 0 is none."""
    signature = bytes(8) + signer("witness arm-8").sign(cosigned_message(HEAD.text(), 0))
    step = read(cosigned([NoteSignature(KEY.name, KEY.key_id, signature)]))
    assert isinstance(step, Failed)
    assert "no time" in step.detail


def test_cosignatures_join_the_note() -> None:
    """The note opens with its cosignatures; one that comes twice stands there once."""
    port = cosign(HEAD, "port-1.example", signer("witness port-1"), TIME_S)
    joined = with_cosignatures(with_cosignatures(NOTE, [LINE]), [port, LINE])
    log = FLEET.log_of(ORIGIN)
    assert log is not None
    opened = open_checkpoint(joined, log.key, [KEY, WITNESSES["port-1"]])
    assert [key.name for key, _ in opened.note.verified] == [ORIGIN, KEY.name, "port-1.example"]
    assert open_checkpoint(joined, log.key).checkpoint == HEAD


def test_delays_are_bounded() -> None:
    """They double up to five minutes, and jitter takes off up to half."""
    assert [delay_s(failures, 0) for failures in (1, 2, 5, 9, 10, 1000)] == [1, 2, 16, 256, 300, 300]
    assert delay_s(3, 1) == 2
    for failures, jitter in ((0, 0.5), (1, 1.5), (1, -0.1)):
        with pytest.raises(Misuse):
            delay_s(failures, jitter)


def test_nothing_is_sent_from_behind() -> None:
    """A witness that holds more is not asked with a proof that cannot exist."""
    with pytest.raises(Misuse, match="behind"):
        request_for(Attempt(21), HEAD, NOTE, Leaves(hashes(20)))
