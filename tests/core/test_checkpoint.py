"""Checkpoints: exact text, and a note that counts only with the log's own signature."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import checkpoint, cosignature, note
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import SeedSigner
from recorder.core.merkle import empty_root
from tests.core.refusals import perhaps

VECTORS = Path(__file__).resolve().parents[3] / "shared/vectors/c2sp.json"
ORIGIN = "fleet/crane-7/0123456789abcdef"
LOG = SeedSigner(b"\x07" * 32)
WITNESS = SeedSigner(b"\x08" * 32)
LOG_KEY = note.VerifierKey.derive(ORIGIN, note.ED25519, LOG.public_key)
WITNESS_KEY = cosignature.cosigner_key("witness.example/w", WITNESS.public_key)
HEAD = checkpoint.Checkpoint(ORIGIN, 20852163, bytes(range(32)))
TEXT = HEAD.text()
NOTE = checkpoint.sign_checkpoint(HEAD, LOG)
SIGNED = NOTE.encode()
COSIGNED = note.Note(
    TEXT, (*NOTE.signatures, cosignature.cosign(HEAD, "witness.example/w", WITNESS, 1767139200))
).encode()

origins = st.text(min_size=1, max_size=20).filter(note.is_key_name)
heads = st.builds(
    checkpoint.Checkpoint, origins, st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32)
) | st.builds(checkpoint.Checkpoint, origins, st.just(0), st.just(empty_root()))


def test_the_specifications_example() -> None:
    """The text of tlog-checkpoint parses and is written back alike."""
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    parsed = checkpoint.parse_checkpoint(text)
    assert (parsed.origin, parsed.size, parsed.root[:4].hex()) == ("example.com/behind-the-sofa", 20852163, "0ac5186a")
    assert parsed.text() == text


def test_shared_vector() -> None:
    """The shared vector's checkpoint text parses and is written back alike."""
    if not VECTORS.exists():
        pytest.skip("no shared vectors here")
    text = json.loads(VECTORS.read_text())["cosignature_v1"]["checkpoint_text"]
    parsed = checkpoint.parse_checkpoint(text)
    assert (parsed.origin, parsed.size) == ("rome2026h1.example.org", 300)
    assert parsed.text() == text


@given(
    heads, st.lists(st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=9), min_size=1, max_size=3)
)
def test_extension_lines_are_read_where_the_caller_says_so(head: checkpoint.Checkpoint, lines: list[str]) -> None:
    """And come back; elsewhere there are none."""
    text = head.text() + "".join(f"{line}\n" for line in lines)
    extended = checkpoint.parse_checkpoint(text, may_extend=True)
    assert extended == dataclasses.replace(head, extension=text.removeprefix(head.text()))
    assert extended.text() == text
    for changed in (text[:-1], text + "\n"):
        with pytest.raises(FormatError, match="checkpoint_malformed"):
            checkpoint.parse_checkpoint(changed, may_extend=True)
    with pytest.raises(FormatError, match="checkpoint_malformed"):
        checkpoint.parse_checkpoint(text)
    with pytest.raises(Misuse, match="extension"):
        dataclasses.replace(head, extension=text[:-1])


@given(heads)
def test_round_trip(head: checkpoint.Checkpoint) -> None:
    """Any checkpoint is read back from its text, which is refused when cut or continued."""
    text = head.text()
    assert checkpoint.parse_checkpoint(text) == head
    for changed in (text[:-1], text + "\n", text + "extension\n", "", "\n" + text, text.replace("\n", "\r\n")):
        with pytest.raises(FormatError, match="checkpoint_malformed"):
            checkpoint.parse_checkpoint(changed)


@given(st.text(max_size=80) | st.tuples(heads, st.text(max_size=3), st.integers(0, 80)))
def test_any_text(anything: str | tuple[checkpoint.Checkpoint, str, int]) -> None:
    """Arbitrary text and texts with a stretch replaced are refused, or are written back as they were."""
    if not isinstance(anything, str):
        head, new, at = anything
        anything = head.text()[:at] + new + head.text()[at + len(new) :]
    with perhaps("checkpoint_malformed"):
        assert checkpoint.parse_checkpoint(anything).text() == anything


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "\n\n\n", TEXT.replace("20852163", "020852163"), TEXT.replace("20852163", "-1"),
        TEXT.replace("20852163", str(2**63)), TEXT.replace("20852163", ""), TEXT.replace("20852163", "0"),
        TEXT.replace(ORIGIN, ""), TEXT.replace(ORIGIN, "a b"), TEXT.replace(ORIGIN, "a+b"), TEXT.replace("=\n", "\n"),
        TEXT.replace("=\n", "=\u2028"), TEXT.replace("\n2", "\u20282"), TEXT.replace("Hh8=", "Hh9="), TEXT + "x\n",
        TEXT.replace("AAEC", ""), TEXT.replace("AAEC", "AAECAAEC"), "x" * 2_000_000,
    ],
)  # fmt: skip
def test_texts_refused(text: str) -> None:
    """A text of other lines, sizes, origins or base64 is refused, as is an empty tree with leaves' root."""
    assert text != TEXT
    with pytest.raises(FormatError, match="checkpoint_malformed"):
        checkpoint.parse_checkpoint(text)


def test_checkpoints_that_cannot_be_made() -> None:
    """A checkpoint that could not be read back is misuse."""
    for origin, size, root in (("", 1, bytes(32)), ("a b", 1, bytes(32)), ("a", -1, bytes(32)), ("a", 2**63, bytes(32)),
                               ("a", 1, bytes(31)), ("a", 0, bytes(32))):  # fmt: skip
        with pytest.raises(Misuse):
            checkpoint.Checkpoint(origin, size, root)


def test_opening() -> None:
    """A signed checkpoint opens under its log's key, with the cosignature of a known witness."""
    assert checkpoint.open_checkpoint(SIGNED, LOG_KEY).checkpoint == HEAD
    opened = checkpoint.open_checkpoint(COSIGNED, LOG_KEY, [WITNESS_KEY])
    assert opened.checkpoint == HEAD
    assert [verified.key for verified in opened.note.verified] == [LOG_KEY, WITNESS_KEY]
    unknown = checkpoint.open_checkpoint(COSIGNED, LOG_KEY)
    assert [line.name for line in unknown.note.unverified] == [WITNESS_KEY.name]


def test_a_cosignature_alone_is_not_enough() -> None:
    """Without a signature of the log a checkpoint is refused, though a known witness cosigned it."""
    data = note.Note(TEXT, (cosignature.cosign(HEAD, WITNESS_KEY.name, WITNESS, 5),)).encode()
    with pytest.raises(FormatError, match="note_signature"):
        checkpoint.open_checkpoint(data, LOG_KEY, [WITNESS_KEY])


def test_an_origin_under_another_name() -> None:
    """A key signs for its own origin only."""
    stranger = checkpoint.Checkpoint("fleet/other", 1, bytes(32))
    data = note.Note(stranger.text(), (note.sign_text(stranger.text(), ORIGIN, LOG),)).encode()
    with pytest.raises(FormatError, match="checkpoint_malformed"):
        checkpoint.open_checkpoint(data, LOG_KEY)


def test_a_signed_text_that_is_no_checkpoint() -> None:
    """A text with an extension line is refused though the log signed it."""
    text = TEXT + "extension\n"
    data = note.Note(text, (note.sign_text(text, ORIGIN, LOG),)).encode()
    with pytest.raises(FormatError, match="checkpoint_malformed"):
        checkpoint.open_checkpoint(data, LOG_KEY)


def test_a_cosigners_key_is_no_logs_key() -> None:
    """Opening under a key of the cosignature type is misuse."""
    with pytest.raises(Misuse):
        checkpoint.open_checkpoint(COSIGNED, WITNESS_KEY)


def test_every_byte_mangled() -> None:
    """A signed checkpoint changed at any byte is refused by the bytes' grammar or by the signature."""
    for at in range(len(SIGNED)):
        for new in (b"", b"\n", b"A", b"0", b"\x00", b"\xff", bytes([SIGNED[at] ^ 1])):
            mangled = SIGNED[:at] + new + SIGNED[at + 1 :]
            if mangled != SIGNED:
                with pytest.raises(FormatError, match=r"note_(malformed|signature)"):
                    checkpoint.open_checkpoint(mangled, LOG_KEY)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Arbitrary bytes never open and raise nothing but FormatError."""
    with pytest.raises(FormatError):
        checkpoint.open_checkpoint(data, LOG_KEY, [WITNESS_KEY])
