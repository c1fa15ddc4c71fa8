"""The bytes of add-checkpoint: the specification's own examples, every parser fed anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.exchange import (
    SIZE_TYPE,
    AddCheckpoint,
    Answer,
    Conflict,
    Cosigned,
    Refusal,
    conflict,
    cosigned,
    parse_answer,
    parse_request,
    refused,
)
from recorder.core.errors import FormatError, Misuse
from recorder.core.note import NoteSignature
from tests.mesh.fleet import hashes, note_of

# The example request and answer of c2sp.org/tlog-witness, section "add-checkpoint".
REQUEST = """old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
""".encode()
ANSWER = """— witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==
— witness.example/w1 I7rEps0pvK2UqkS2gSpVUDhrhVtQV9lgF6pRrWAvjJHjyWpW7VcE3SiOlVlbQNt64vWhO+DlkL0+UfzuOBMh9ChdMkP1vi/lCAsmlw==
— witness.example/w2 AWui8Sk55XjYLOijihBjhqEH6nS1ndDymE0a+6idX7pLcnoB+dhnz0854aLZgrrKbYKA7nC3HNJhm/kWl7oJlqU3rXXvpysAdyP3wQ==
""".encode()
NOTE = note_of(hashes(5))
proofs = st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple)


def test_the_specifications_request() -> None:
    """The example is read, and written back byte by byte."""
    request = parse_request(REQUEST)
    assert (request.old, len(request.proof), request.proof[0][:3].hex()) == (20852014, 4, "3e544d")
    assert request.note.startswith(b"example.com/behind-the-sofa\n20852163\n")
    assert request.encode() == REQUEST


def test_the_specifications_answer() -> None:
    """The example is read, and written back byte by byte."""
    read = parse_answer(Answer(200, "text/plain", ANSWER))
    assert isinstance(read, Cosigned)
    assert [line.name for line in read.lines] == ["witness.example/w1", "witness.example/w1", "witness.example/w2"]
    assert cosigned(read.lines).body == ANSWER


@given(st.integers(0, 2**63 - 1), proofs)
def test_requests_come_back(old: int, proof: tuple[bytes, ...]) -> None:
    """Any request is read back from its bytes, and refused when it is cut within its head."""
    request = AddCheckpoint(old, proof, NOTE)
    body = request.encode()
    assert parse_request(body) == request
    with pytest.raises(FormatError, match=r"^add_checkpoint_malformed"):
        parse_request(body[: body.index(b"\n\n") + 1])


@given(st.binary(max_size=200) | st.tuples(st.integers(0, len(REQUEST)), st.binary(max_size=3)))
def test_any_bytes_as_request(anything: bytes | tuple[int, bytes]) -> None:
    """Bytes are refused under the one name, or are the request that is written back."""
    if not isinstance(anything, bytes):
        at, new = anything
        anything = REQUEST[:at] + new + REQUEST[at + len(new) :]
    try:
        assert parse_request(anything).encode() == anything
    except FormatError as error:
        assert error.error == "add_checkpoint_malformed"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\n\n" + NOTE, b"old 5\n" + NOTE.replace(b"\n\n", b"\n"), b"old 05\n\n" + NOTE, b"old -1\n\n" + NOTE,
        b"old 9223372036854775808\n\n" + NOTE, b"OLD 5\n\n" + NOTE, b"old 5 \n\n" + NOTE, b"old 5\r\n\n" + NOTE,
        b"old 5\nAAAA\n\n" + NOTE, REQUEST.replace(b"kaw=", b"kax="), b"old 5\n\n", b"old 5\n\n" + NOTE + b"x",
        b"old 5\n" + b"A" * 43 + b"=\n" * 1 + (b"A" * 43 + b"=\n") * 63 + b"\n" + NOTE, bytes(70_000), "old 5é\n\n".encode() + NOTE,
    ],
)  # fmt: skip
def test_requests_refused(body: bytes) -> None:
    """Another size line, another hash, more than 63 of them, or no note is refused."""
    with pytest.raises(FormatError, match=r"^add_checkpoint_malformed"):
        parse_request(body)


def test_requests_that_cannot_be_made() -> None:
    """What could not be read back is misuse."""
    for old, proof, note in ((-1, (), NOTE), (1, (bytes(31),), NOTE), (1, (), b"x"), (1, (bytes(32),) * 64, NOTE)):
        with pytest.raises(Misuse):
            AddCheckpoint(old, proof, note).encode()


@pytest.mark.parametrize(
    ("content_type", "body", "size"),
    [
        (SIZE_TYPE, b"0\n", 0),
        (SIZE_TYPE, b"9223372036854775807\n", 2**63 - 1),
        ("Text/X.Tlog.Size; charset=utf-8", b"51\n", 51),
        (SIZE_TYPE, b"50", None),
        (SIZE_TYPE, b"050\n", None),
        (SIZE_TYPE, b"", None),
        (SIZE_TYPE, b"5\n\n", None),
        (SIZE_TYPE, "٣\n".encode(), None),
    ],
)
def test_sizes_of_a_conflict(content_type: str, body: bytes, size: int | None) -> None:
    """A conflict's size is one decimal and a newline."""
    if size is None:
        with pytest.raises(FormatError, match="witness_answer_malformed"):
            parse_answer(Answer(409, content_type, body))
    else:
        assert parse_answer(Answer(409, content_type, body)) == Conflict(size)
        assert parse_answer(conflict(size)) == Conflict(size)


def test_refusals() -> None:
    """Ours come back as they were worded; anybody else's is a text; a 409 without a size is a refusal."""
    assert parse_answer(refused(422, FormatError("consistency_proof", "no: way\nout"))) == Refusal(
        422, "consistency_proof", "no: way out"
    )
    assert parse_answer(Answer(409, "text/plain", b"root differs\n")) == Refusal(409, "", "root differs")
    assert parse_answer(Answer(500, "", b"\xff\x00: " + b"x" * 900)).detail == ("\ufffd : " + "x" * 900)[:500]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "body", [b"", b"\n", ANSWER[:-1], ANSWER + b"\n", b"- a AAAA\n", b"\xff\n", ANSWER * 40, bytes(70_000)]
)
def test_answers_refused(body: bytes) -> None:
    """A 200 that is not one or more signature lines is refused."""
    with pytest.raises(FormatError, match=r"^witness_answer_malformed"):
        parse_answer(Answer(200, "text/plain", body))


@given(st.integers(100, 599), st.text(max_size=30) | st.just(SIZE_TYPE), st.binary(max_size=80))
def test_any_answer(status: int, content_type: str, body: bytes) -> None:
    """Whatever a witness answers, it is understood or refused under the one name."""
    try:
        read = parse_answer(Answer(status, content_type, body))
    except FormatError as error:
        assert error.error == "witness_answer_malformed"
    else:
        assert isinstance(read, Refusal | Conflict | Cosigned)


def test_lines_are_read_as_those_of_a_note() -> None:
    """A line holds a name, a key id and a signature."""
    line = NoteSignature("w", b"\x01\x02\x03\x04", b"\x05")
    assert parse_answer(cosigned([line])) == Cosigned((line,))


def test_sizes_are_bounded() -> None:
    """Neither side reads on beyond its bound."""
    with pytest.raises(FormatError, match="at most 65536"):
        parse_request(b"old 5\n\n" + note_of(hashes(5)) + bytes(65_536))
    with pytest.raises(FormatError, match="at most 65536"):
        parse_answer(Answer(500, "text/plain", bytes(65_537)))
