"""What one platform may cost a witness: bounded by what is written, out of reach of ordinary use, and nobody else's to use up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mesh.allowance import HEADS, INCARNATIONS, Allowance
from mesh.bucket import Rate
from mesh.exchange import AddCheckpoint, Answer, parse_retry_after
from mesh.standing import RETIRED_MAX
from mesh.witness import Outcome, add_checkpoint, add_incarnation
from recorder.core.merkle import prove_consistency
from tests.mesh.fleet import FLEET, NEXT_ORIGIN, ORIGIN, TIME_S, Leaves, head_of, note_of
from tests.mesh.incarnations import EXACT, HELD
from tests.mesh.witnessing import COSIGNER, LEAVES, LINE, OTHER, Memory, at, refusal, request

HOUR_S, DAY_S = 3_600, 86_400


class Purse:
    """A `witness.Spend` that notes what it was asked for."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.asked: list[tuple[str, bool]] = []

    def __call__(self, line: str, is_new: bool) -> float:
        self.asked.append((line, is_new))
        self.left -= 1
        return 0.0 if self.left >= 0 else 6.2


def ask(store: Memory, body: bytes, purse: Purse, judge: Callable[..., Outcome] = add_checkpoint) -> Outcome:
    return judge(body, FLEET, store, COSIGNER, TIME_S, lambda _: False, purse)


def test_a_day_of_ordinary_use_is_never_put_off() -> None:
    """A checkpoint a second, a commit that asks for witnesses each two seconds, and ten a second for two minutes an hour."""
    allowance = Allowance()
    for second in range(6 * HOUR_S):
        heads = 10 if second % HOUR_S < 120 else 1 + second % 2
        assert not any(allowance.take(LINE, float(second), is_new=False) for _ in range(heads)), second
    assert not allowance.put_off


def test_what_one_platform_has_written_in_a_day_is_bounded() -> None:
    """However often it asks; what it is told to wait is then enough; others have what is theirs."""
    allowance = Allowance(Rate(0.01, 20))
    written, now_s = 0, 5.0
    while now_s < DAY_S:
        written += allowance.take(LINE, now_s, is_new=False) == 0
        now_s += 1.7
    assert 20 + 0.01 * DAY_S - 2 <= written <= 20 + 0.01 * DAY_S
    assert allowance.put_off[LINE] > 40_000
    wait_s = allowance.take(LINE, now_s, is_new=False)
    assert 0 < wait_s <= 100
    assert allowance.take(LINE, now_s + wait_s + 1e-6, is_new=False) == 0
    assert allowance.take("acme/arm-8", now_s, is_new=False) == 0


def test_the_bound_that_the_documents_state() -> None:
    """174,000 syncs a platform and day."""
    assert HEADS.per_s * DAY_S + HEADS.burst == 174_000


def test_incarnations_come_one_an_hour() -> None:
    """After eight; what is refused as an incarnation has cost no head, and a head costs no incarnation."""
    allowance = Allowance(Rate(0.001, INCARNATIONS.burst + 1))
    took = [allowance.take(LINE, 9.0, is_new=True) for _ in range(20)]
    assert [one == 0 for one in took] == [True] * INCARNATIONS.burst + [False] * 12
    assert max(took) == pytest.approx(HOUR_S)
    assert allowance.take(LINE, 9.0, is_new=False) == 0
    assert allowance.take(LINE, 9.0, is_new=False) > 0
    assert allowance.take(LINE, 9.0 + HOUR_S + 1, is_new=True) == 0
    days = (RETIRED_MAX - INCARNATIONS.burst) / INCARNATIONS.per_s / DAY_S
    assert days > 10, "for a thief to bring a platform to an end at a witness"


def test_what_costs_nothing_is_not_taken_off() -> None:
    """Neither what is refused nor the head that is held: heads are public, and anyone could send them again."""
    store, purse = at(17), Purse(0)
    assert ask(store, request(17, 17), purse).is_cosigned
    for body, status in (
        (request(0, 20), 409),
        (request(9, 9), 409),
        (request(17, 20, OTHER), 422),
        (AddCheckpoint(20, (), note_of(LEAVES[:17])).encode(), 400),
        (AddCheckpoint(0, (), note_of(LEAVES[:3], NEXT_ORIGIN)).encode(), 403),
    ):
        assert ask(store, body, purse).answer.status == status
    body = request(17, 20)
    assert add_checkpoint(body, FLEET, store, COSIGNER, None, lambda _: False, purse).answer.status == 503
    assert purse.asked == []


def test_who_has_cost_enough_is_told_when_to_come_again() -> None:
    """429, nothing changed; the head goes to the archive all the same, and is cosigned when there is room again."""
    store, purse = at(17), Purse(1)
    assert ask(store, request(17, 18), purse).is_cosigned
    writes, kept = store.writes, dict(store.kept)
    outcome = ask(store, request(18, 20), purse)
    assert refusal(outcome) == (429, "too_many_heads")
    assert outcome.answer.retry_after_s == 7, "no less than what is wanting"
    assert outcome.offered is not None
    assert outcome.offered.checkpoint == head_of(LEAVES[:20])
    assert (store.writes, store.kept) == (writes, kept)
    purse.left = 1
    assert ask(store, request(18, 20), purse).is_cosigned
    assert purse.asked == [(LINE, False)] * 3


def test_a_new_incarnation_is_asked_for_as_one() -> None:
    """It is put off under a name of its own; the first head of a platform is no new incarnation."""
    purse = Purse(0)
    store = at(HELD)
    outcome = ask(store, EXACT.encode(), purse, add_incarnation)
    assert refusal(outcome) == (429, "too_many_incarnations")
    assert store.held(LINE) == at(HELD).held(LINE)
    assert purse.asked == [(LINE, True)]
    purse.left = 1
    assert ask(store, EXACT.encode(), purse, add_incarnation).is_cosigned
    first = Purse(1)
    proof = tuple(prove_consistency(Leaves(LEAVES), 0, 5))
    assert ask(Memory(), AddCheckpoint(0, proof, note_of(LEAVES[:5], ORIGIN)).encode(), first).is_cosigned
    assert first.asked == [(LINE, False)]


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("0", 0),
        ("120", 120),
        ("99999999", 3_600),
        (None, None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("9" * 30, None),
        ("٣", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_when_to_ask_again(text: str | None, wait_s: int | None) -> None:
    """Seconds, an hour at most; a date, which is by another's clock, and what is none says nothing."""
    assert parse_retry_after(text) == wait_s
    assert Answer(429, "text/plain", b"").retry_after_s is None
