"""A witness of the small fleet: its store in memory, requests of one log that has two histories."""

from __future__ import annotations

from collections.abc import Callable

from mesh.exchange import AddCheckpoint, Refusal, parse_answer
from mesh.standing import Standing, decode_standing
from mesh.witness import Cosigner, Outcome, add_checkpoint
from recorder.core.merkle import prove_consistency
from tests.mesh.fleet import FLEET, ORIGIN, TIME_S, WITNESSES, Leaves, hashes, note_of, signer

LEAVES = hashes(40)
OTHER = hashes(40, "other", common=6)
COSIGNER = Cosigner(WITNESSES["arm-8"].name, signer("witness arm-8"))
LINE = "acme/arm-7"


class Memory:
    """A store in memory; what it would write is what it reads back."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.before_swap: Callable[[], object] = lambda: None
        self.after_held: Callable[[], object] = lambda: None
        self.fails = False
        self.writes = 0

    def held(self, line: str) -> Standing | None:
        kept = self.kept.get(line)
        act, self.after_held = self.after_held, lambda: None
        act()
        return None if kept is None else decode_standing(kept)

    def swap(self, line: str, old: Standing | None, new: Standing) -> bool:
        act, self.before_swap = self.before_swap, lambda: None
        act()
        if self.held(line) != old:
            return False
        if self.fails:
            raise OSError("the card is gone")
        self.writes += 1
        self.kept[line] = new.encode()
        return True


def request(old: int, new: int, leaves: list[bytes] = LEAVES, origin: str = ORIGIN) -> bytes:
    proof = prove_consistency(Leaves(leaves), old, new) if old <= new else []
    return AddCheckpoint(old, tuple(proof), note_of(leaves[:new], origin)).encode()


def ask(store: Memory, body: bytes, time_s: int | None = TIME_S, cosigner: Cosigner = COSIGNER) -> Outcome:
    return add_checkpoint(body, FLEET, store, cosigner, time_s)


def refusal(outcome: Outcome) -> tuple[int, str]:
    read = parse_answer(outcome.answer)
    assert isinstance(read, Refusal)
    return read.status, read.error


def at(size: int) -> Memory:
    """A witness that cosigned so far."""
    store = Memory()
    if size:
        assert ask(store, request(0, size)).is_cosigned
    return store
