"""tlog-proof: one text from leaf to cosigned head, every byte of which counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import checkpoint, cosignature, merkle, note, tlogproof
from recorder.core.canonical import encode_base64
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import SeedSigner

ORIGIN = "fleet/crane-7/0123456789abcdef"
LOG = SeedSigner(b"\x07" * 32)
WITNESS = SeedSigner(b"\x08" * 32)
LOG_KEY = note.VerifierKey.derive(ORIGIN, note.ED25519, LOG.public_key)
WITNESS_KEY = cosignature.cosigner_key("witness.example/w", WITNESS.public_key)
LEAVES = [merkle.leaf_hash(bytes([n])) for n in range(11)]


class Plain:
    """Subtrees over LEAVES."""

    def node(self, level: int, index: int) -> bytes:
        """Hash the subtree."""
        return merkle.root_of(LEAVES[index << level : (index + 1) << level])


def cosigned(size: int) -> bytes:
    """Make a checkpoint note over the first leaves with log and witness signatures."""
    head = checkpoint.Checkpoint(ORIGIN, size, merkle.root_of(LEAVES[:size]))
    line = cosignature.cosign(head, WITNESS_KEY.name, WITNESS, 1767139200)
    return note.Note(head.text(), (*checkpoint.sign_checkpoint(head, LOG).signatures, line)).encode()


def proof_of(index: int, size: int, extra: bytes | None = None) -> tlogproof.TlogProof:
    """Prove one leaf."""
    return tlogproof.TlogProof(index, tuple(merkle.prove_inclusion(Plain(), index, size)), cosigned(size), extra)


PROOF = proof_of(6, 11, b"spice")
ENCODED = PROOF.encode()


def refused_or_same(data: bytes) -> tlogproof.TlogProof | None:
    """Parse; what is not refused must be written as exactly these bytes."""
    try:
        parsed = tlogproof.parse_tlog_proof(data)
    except FormatError as failure:
        if failure.error != "tlog_proof_malformed":
            raise
        return None
    assert parsed.encode() == data
    return parsed


def test_text() -> None:
    """The text has the lines of the specification, the proof from the leaf's sibling up, the note verbatim."""
    lines = ENCODED.decode().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra c3BpY2U=", "index 6"]
    assert lines[3] == encode_base64(LEAVES[7])
    assert lines[7:10] == ["", ORIGIN, "11"]
    assert ENCODED.endswith(b"\n\n" + PROOF.checkpoint)
    assert proof_of(0, 1).encode().startswith(b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + ORIGIN.encode())


def test_every_leaf_of_every_size() -> None:
    """Each leaf's proof is read back and verifies, and names log and witness."""
    for size in (1, 2, 3, 8, 11):
        for index in range(size):
            proof = proof_of(index, size)
            assert tlogproof.parse_tlog_proof(proof.encode()) == proof
            opened = tlogproof.verify_tlog_proof(proof, LEAVES[index], LOG_KEY, [WITNESS_KEY])
            assert opened.checkpoint.size == size
            assert [verified.key for verified in opened.note.verified] == [LOG_KEY, WITNESS_KEY]


def test_proofs_that_do_not_hold() -> None:
    """Another leaf, index or log key fails by its own error."""
    with pytest.raises(FormatError, match="inclusion_proof"):
        tlogproof.verify_tlog_proof(PROOF, LEAVES[7], LOG_KEY)
    for index in (5, 7, 11, 2**63 - 1):
        other = tlogproof.TlogProof(index, PROOF.hashes, PROOF.checkpoint)
        with pytest.raises(FormatError, match="inclusion_proof"):
            tlogproof.verify_tlog_proof(tlogproof.parse_tlog_proof(other.encode()), LEAVES[6], LOG_KEY)
    stranger = note.VerifierKey.derive(ORIGIN, note.ED25519, WITNESS.public_key)
    with pytest.raises(FormatError, match="note_signature"):
        tlogproof.verify_tlog_proof(PROOF, LEAVES[6], stranger)


def test_every_byte_mangled() -> None:
    """A proof changed at any byte is refused, fails, or differs only in what nobody signed: the extra data."""
    for at in range(len(ENCODED)):
        for new in (b"", b"\n", b"A", b"0", b"\x00", b"\xff", bytes([ENCODED[at] ^ 1])):
            mangled = ENCODED[:at] + new + ENCODED[at + 1 :]
            parsed = refused_or_same(mangled)
            if mangled == ENCODED or parsed is None:
                continue
            try:
                opened = tlogproof.verify_tlog_proof(parsed, LEAVES[6], LOG_KEY, [WITNESS_KEY])
            except FormatError:
                continue
            witnessed = [verified.key for verified in opened.note.verified] == [LOG_KEY, WITNESS_KEY]
            assert parsed.extra != PROOF.extra or not witnessed
            assert (parsed.index, parsed.hashes) == (6, PROOF.hashes)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n\n", ENCODED[:-1], ENCODED + b"\n", ENCODED + b"x", b"\n" + ENCODED, ENCODED.replace(b"@v1", b"@v2"),
        ENCODED.replace(b"index 6\n", b""), ENCODED.replace(b"index 6", b"index 06"), ENCODED.replace(b"index 6", b"index"),
        ENCODED.replace(b"index 6", b"index -6"), ENCODED.replace(b"index 6", b"index 9223372036854775808"),
        ENCODED.replace(b"index 6", b"Index 6"), ENCODED.replace(b"index 6", b"index 6\nindex 6"),
        ENCODED.replace(b"extra c3BpY2U=", b"extra "), ENCODED.replace(b"extra c3BpY2U=", b"extra"),
        ENCODED.replace(b"c3BpY2U=", b"c3BpY2V="), ENCODED.replace(b"extra c3BpY2U=", b"extra AAAA\nextra AAAA"),
        ENCODED.replace(b"extra c3BpY2U=\nindex 6", b"index 6\nextra c3BpY2U="), ENCODED.replace(b"\n", b"\r\n"),
        ENCODED.replace(b"index 6\n", b"index 6\nAAAA\n"), ENCODED.replace(b"index 6\n", "index 6\né\n".encode()),
        ENCODED.replace(b"index 6\n", b"index 6\n" + b"A" * 43 + b"=\n" + (b"A" * 43 + b"=\n") * 60),
        ENCODED.replace(b"index 6\n", b"index 6\n\n"), ENCODED.replace(ORIGIN.encode(), b"a b"),
        ENCODED.replace(b"\n11\n", b"\n011\n"), b"c2sp.org/tlog-proof@v1\n\n" + PROOF.checkpoint, b"x" * 2_000_001,
    ],
)  # fmt: skip
def test_proofs_refused(data: bytes) -> None:
    """A proof with lines missing, doubled, out of order or misspelt, or with a bad checkpoint, is refused."""
    assert data != ENCODED
    assert refused_or_same(data) is None


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.none() | st.binary(min_size=1, max_size=300),
)
def test_round_trip(index: int, hashes: list[bytes], extra: bytes | None) -> None:
    """Any index, hashes and extra data are read back as they were written."""
    proof = tlogproof.TlogProof(index, tuple(hashes), PROOF.checkpoint, extra)
    assert tlogproof.parse_tlog_proof(proof.encode()) == proof


@given(st.binary(max_size=200), st.integers(0, len(ENCODED)), st.integers(0, 4), st.binary(max_size=4))
def test_any_bytes(anything: bytes, at: int, dropped: int, new: bytes) -> None:
    """Arbitrary bytes and proofs with a stretch replaced are refused, or are written back as they were."""
    refused_or_same(anything)
    refused_or_same(b"c2sp.org/tlog-proof@v1\n" + anything)
    refused_or_same(ENCODED[:at] + new + ENCODED[at + dropped :])


def test_proofs_that_cannot_be_written() -> None:
    """A proof that could not be read back is misuse."""
    good = PROOF.checkpoint
    for proof in (
        tlogproof.TlogProof(-1, (), good),
        tlogproof.TlogProof(2**63, (), good),
        tlogproof.TlogProof(0, (b"short",), good),
        tlogproof.TlogProof(0, (b"",), good),
        tlogproof.TlogProof(0, (bytes(32),) * 64, good),
        tlogproof.TlogProof(0, (), b"no note"),
        tlogproof.TlogProof(0, (), good, b""),
        tlogproof.TlogProof(0, [bytes(32)], good),  # type: ignore[arg-type]  # read back as a tuple
    ):
        with pytest.raises(Misuse):
            proof.encode()
