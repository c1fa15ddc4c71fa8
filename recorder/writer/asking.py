"""Entries that ask for witnesses: who is asked is chosen while the entry is drafted, before anyone can have signed.

The choice goes into the header as a hash, and beside the entry as it is (FORMAT.md sections 2 and 4).
"""

from __future__ import annotations

from typing import NamedTuple

from recorder.core.chosen import CHOICE_KEY, INDEPENDENT, Candidate, Own, choice_of, choose
from recorder.core.keys import kid
from recorder.core.kinds import Witnesses
from recorder.core.limits import SALT_BYTES
from recorder.core.message_replies import Asked
from recorder.core.message_requests import Wanted
from recorder.core.policy_classes import WitnessRule
from recorder.writer.families import Randomness
from recorder.writer.header import Fields, with_witnesses


class Known(NamedTuple):
    """Who may be asked, as the mesh says."""

    candidates: tuple[Candidate, ...]
    own: Own | None


NOBODY = Known((), None)


class Wish(NamedTuple):
    """What a commit asks for: its class's rule, or more where the client wants more."""

    k: int
    within_ms: int
    rule: str
    is_before: bool = False  # nobody acts before so many have signed


class Ask(NamedTuple):
    """What an entry asks for, and whom."""

    seq: int
    wish: Wish
    chosen: tuple[Candidate, ...]

    def told(self) -> Asked:
        """What subscribers are told."""
        return Asked(self.seq, self.wish.within_ms, [kid(one.public_key) for one in self.chosen])


def wish_of(rule: WitnessRule | None, asked: Wanted | None) -> Wish | None:
    """What is asked for; a client can ask for more witnesses or less time than the rule, never for less of it."""
    if rule is None:
        return None if asked is None else Wish(*asked, INDEPENDENT)
    if asked is None:
        return Wish(rule.k, rule.within_ms, rule.rule, rule.before)
    return Wish(max(rule.k, asked[0]), min(rule.within_ms, asked[1]), rule.rule, rule.before)


def made(
    seq: int, wish: Wish, known: Known, randomness: Randomness, fields: Fields
) -> tuple[Ask, Fields, dict[int, bytes]]:
    """Choose; returns the ask, the header's fields with it, and what is kept beside the entry.

    With nobody to ask the entry says what was wanted, and its hash is that of an empty choice.
    """
    salt = randomness(SALT_BYTES)
    chosen = choose(known.candidates, wish.k, wish.rule, salt, known.own)
    choice = choice_of(chosen, salt)
    key = Witnesses(wish.k, wish.within_ms, wish.rule, choice.digest(), int(wish.is_before))
    return Ask(seq, wish, tuple(chosen)), with_witnesses(fields, key), {CHOICE_KEY: choice.encode()}
