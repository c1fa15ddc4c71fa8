"""What a peer tells that it holds of a platform: one text for each account, and nothing of another platform in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.account import ACCOUNT_MAX_BYTES, Account, account_of, parse_account
from recorder.core.errors import FormatError, Misuse
from tests.mesh.fleet import NEXT_ORIGIN, ORIGIN, hashes, head_of, note_of

PLATFORM = "acme/arm-7"
NOTES = [note_of(hashes(12)), note_of(hashes(5), NEXT_ORIGIN)]
FULL = Account(PLATFORM, {ORIGIN: 12, NEXT_ORIGIN: 3}, [head_of(hashes(9))], NOTES)


@pytest.mark.parametrize("account", [FULL, Account(PLATFORM, {}, [], []), Account(PLATFORM, {}, [], NOTES[:1])])
def test_it_is_read_back(account: Account) -> None:
    """Lines and notes, in their order."""
    assert parse_account(account.encode()) == account


def test_parts_are_joined() -> None:
    """Several parts of a process tell of one platform; a note that two of them hold stands once."""
    parts = (Account(PLATFORM, {ORIGIN: 12}, [], NOTES[1:]), Account(PLATFORM, {NEXT_ORIGIN: 3}, FULL.retired, NOTES))
    assert account_of(PLATFORM, *parts) == FULL._replace(notes=NOTES[::-1])


def test_notes_beyond_the_room_are_left_out() -> None:
    """The ones that count most are told."""
    notes = [note_of(hashes(count)) for count in range(1, 400)]
    text = Account(PLATFORM, {}, [], notes).encode()
    assert ACCOUNT_MAX_BYTES - 300 < len(text) <= ACCOUNT_MAX_BYTES
    told = parse_account(text).notes
    assert told == notes[: len(told)]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"lineage/platform/1\n",
        b"lineage/platform/2\nacme/arm-7\n",
        b"lineage/platform/1\nacme\n",
        b"lineage/platform/1\nacme/arm-7",
        b"lineage/platform/1\nacme/arm-7\nother line\n",
        b"lineage/platform/1\nacme/arm-7\narchived acme/arm-8/0123456789abcdef 4\n",
        b"lineage/platform/1\nacme/arm-7\narchived acme/arm-7/0123456789abcdef 04\n",
        b"lineage/platform/1\nacme/arm-7\n" + b"archived acme/arm-7/0123456789abcdef 4\n" * 2,
        b"lineage/platform/1\nacme/arm-7\nretired acme/arm-7/0123456789abcdef 4 AAAA\n",
        b"lineage/platform/1\nacme/arm-7\n" + b"x\n" * 301,
        b"lineage/platform/1\nacme/arm-8\n\n" + NOTES[0],
        b"lineage/platform/1\nacme/arm-7\n\n" + NOTES[0][:-2],
        b"lineage/platform/1\nacme/arm-7\n\nno note\n\n\xe2\x80\x94 x y\n",
        FULL.encode() + b"\n" * ACCOUNT_MAX_BYTES,
    ],
)
def test_what_is_no_account(text: bytes) -> None:
    """One name for all of it."""
    with pytest.raises(FormatError, match="account_malformed"):
        parse_account(text)


def test_what_cannot_be_written() -> None:
    """An account that nobody would take back is the caller's mistake."""
    with pytest.raises(Misuse):
        Account("acme/arm-8", {ORIGIN: 1}, [], []).encode()


@given(st.binary(max_size=120) | st.tuples(st.integers(0, 700), st.binary(max_size=4)))
def test_any_bytes(anything: bytes | tuple[int, bytes]) -> None:
    """Bytes are refused under the one name, or are what is written back."""
    if not isinstance(anything, bytes):
        text = FULL.encode()
        at, new = anything
        anything = text[:at] + new + text[at + len(new) :]
    try:
        account = parse_account(anything)
    except FormatError as error:
        assert error.error == "account_malformed"
    else:
        assert parse_account(account.encode()) == account
