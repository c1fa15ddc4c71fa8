"""Incarnations: a new one is cosigned once it stands by the last head of the old one, and then never the old one again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.exchange import AddCheckpoint
from mesh.standing import RETIRED_MAX, Standing
from mesh.succession import Succession, parse_succession
from mesh.witness import add_incarnation
from recorder.core.checkpoint import Checkpoint
from recorder.core.errors import FormatError, Misuse
from recorder.core.merkle import prove_consistency
from tests.core.shapes import naive_cbor
from tests.mesh.fleet import FLEET, NEXT_ORIGIN, ORIGIN, TIME_S, Leaves, hashes, head_of, note_of, signer
from tests.mesh.incarnations import EXACT, HELD, OLD, born, named, show, shown
from tests.mesh.witnessing import COSIGNER, LINE, ask, at, refusal, request


def test_the_step_to_a_new_incarnation() -> None:
    """Naming the very head that was cosigned, it is cosigned at once; it grows on, and the old one is over for good."""
    store = at(HELD)
    assert refusal(ask(store, AddCheckpoint(0, (), EXACT.note).encode())) == (403, "incarnation_unknown")
    assert show(store, EXACT).is_cosigned
    held = store.held(LINE)
    assert held is not None
    assert (held.head.origin, held.retired) == (NEXT_ORIGIN, (head_of(OLD[:HELD]),))
    _, leaves = born([named(HELD)], entries=5)
    assert leaves[:3] == born([named(HELD)])[1]
    assert ask(store, request(3, 5, leaves, NEXT_ORIGIN)).is_cosigned
    assert refusal(ask(store, request(HELD, 20))) == (410, "incarnation_retired")
    assert refusal(show(store, shown([(NEXT_ORIGIN, 5, head_of(leaves).root)], ORIGIN))) == (410, "incarnation_retired")
    assert show(store, EXACT).answer.body == b"5\n"


def test_a_larger_head_that_follows() -> None:
    """What other witnesses cosigned since is named with a proof from the head that this one holds."""
    assert show(at(HELD), shown([named(3), named(HELD)])).is_cosigned
    consistency = prove_consistency(Leaves(OLD), HELD, 30)
    assert show(at(HELD), shown([("acme/arm-7/00", 1, None), named(30)], consistency=consistency)).is_cosigned


_BOOT, _LEAVES = born([named(HELD)])
_OTHER = hashes(40, "other", common=6)


def another_key(header: dict[int, Any]) -> None:
    header[15][0] = signer("thief").public_key


def second(header: dict[int, Any]) -> None:
    header[3] = 1


def after_something(header: dict[int, Any]) -> None:
    header[4] = bytes(31) + b"\x01"


def an_epoch(header: dict[int, Any]) -> None:
    header[2], header[15] = 3, [header[15][1]]


@pytest.mark.parametrize(
    ("succession", "detail"),
    [
        (shown([]), "does not name"),
        (shown([("acme/arm-7/0000000000000000", HELD, head_of(OLD[:HELD]).root)]), "does not name"),
        (shown([named(HELD - 1)]), "cosigned here, or more"),
        (shown([(ORIGIN, HELD, None)]), "without a root"),
        (shown([named(HELD, _OTHER)]), "cosigned here, or more"),
        (shown([named(30)]), "cosigned here, or more"),
        (shown([named(30, _OTHER)], consistency=prove_consistency(Leaves(_OTHER), HELD, 30)), "cosigned here, or more"),
        (shown([named(HELD)], consistency=[bytes(32)]), "cosigned here, or more"),
        (shown([named(HELD)], identity=signer("thief")), "not one of"),
        (Succession(_BOOT[:-1] + bytes([_BOOT[-1] ^ 1]), EXACT.inclusion, (), EXACT.note), "not one of"),
        (Succession(born([named(HELD)], ORIGIN)[0], EXACT.inclusion, (), EXACT.note), "not one of"),
        (Succession(_BOOT, EXACT.inclusion[:-1], (), EXACT.note), "does not begin with the boot entry"),
        (Succession(born([named(HELD), named(3)])[0], EXACT.inclusion, (), EXACT.note), "does not begin with"),
        (shown([named(HELD)], changed=another_key), "not one of"),
        (shown([named(HELD)], changed=second), "not a boot at seq 0"),
        (shown([named(HELD)], changed=after_something), "not a boot at seq 0"),
        (shown([named(HELD)], changed=an_epoch), "not a boot at seq 0"),
        (Succession(b"x", EXACT.inclusion, (), EXACT.note), "no boot entry"),
    ],
)  # fmt: skip
def test_what_does_not_stand_by_the_old_one(succession: Succession, detail: str) -> None:
    """Naming less, nothing, or another root; a boot entry of another key, origin or tree: refused, and nothing changes."""
    store = at(HELD)
    before = dict(store.kept)
    outcome = show(store, succession)
    assert refusal(outcome) == (422, "incarnation_unproved")
    assert detail in outcome.answer.body.decode()
    assert store.kept == before


def test_requests_refused_before_they_are_judged() -> None:
    """No request, an unknown origin, a signature of another key, and no clock are refused as with add-checkpoint."""
    store = at(HELD)
    note = note_of(_LEAVES, NEXT_ORIGIN, signer("thief"))
    assert refusal(add_incarnation(b"", FLEET, store, COSIGNER, TIME_S)) == (400, "add_incarnation_malformed")
    assert refusal(show(store, Succession(_BOOT, EXACT.inclusion, (), note))) == (403, "note_signature")
    unknown = note_of(_LEAVES, "acme/arm-9/0123456789abcdef")
    assert refusal(show(store, Succession(_BOOT, EXACT.inclusion, (), unknown))) == (404, "origin_unknown")
    assert refusal(show(store, EXACT, None)) == (503, "clock_untrusted")


def test_a_witness_without_memory_has_nothing_to_hold_it_to() -> None:
    """Who never cosigned the platform says so: from 0 on by add-checkpoint."""
    outcome = show(at(0), EXACT)
    assert (outcome.answer.status, outcome.answer.body) == (409, b"0\n")


def test_incarnations_are_bounded() -> None:
    """After so many incarnations a person has to look."""
    store = at(HELD)
    held = store.held(LINE)
    assert held is not None
    retired = tuple(Checkpoint(f"acme/arm-7/{at:016x}", 1, bytes(32)) for at in range(RETIRED_MAX))
    store.kept[LINE] = Standing(held.note, retired).encode()
    assert refusal(show(store, EXACT)) == (410, "incarnation_retired")
    with pytest.raises(Misuse):
        Standing(held.note, retired).succeeded(EXACT.note)


@given(st.binary(max_size=80) | st.tuples(st.integers(0, 900), st.binary(max_size=3)))
def test_any_bytes(anything: bytes | tuple[int, bytes]) -> None:
    """Bytes are refused under the one name, or are the request that is written back."""
    if not isinstance(anything, bytes):
        at_, new = anything
        body = EXACT.encode()
        anything = body[:at_] + new + body[at_ + len(new) :]
    try:
        assert parse_succession(anything).encode() == anything
    except FormatError as error:
        assert error.error == "add_incarnation_malformed"


def test_hashes_are_whole() -> None:
    """A hash of another length, or what is none, is refused and not left out."""
    for wrong in (bytes(31), "x", 5):
        with pytest.raises(FormatError, match="add_incarnation_malformed"):
            parse_succession(naive_cbor(["lineage/incarnation/1", b"", [bytes(32), wrong], [], b""]))


@pytest.mark.parametrize("hashes_", [(bytes(31),), (bytes(32),) * 64])
def test_requests_that_cannot_be_made(hashes_: tuple[bytes, ...]) -> None:
    """What could not be read back is misuse."""
    for succession in (
        Succession(b"", hashes_, (), b""),
        Succession(b"", (), hashes_, b""),
        Succession(bytes(140_000), (), (), b""),
    ):
        with pytest.raises(Misuse):
            succession.encode()
