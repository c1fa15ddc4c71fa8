"""The pure part of a bundle: names, manifest, claims that leave, the receipt."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import bundle, cbor
from recorder.core.entry import decode
from recorder.core.errors import FormatError
from recorder.core.kinds import Kind
from recorder.core.verify import verify_lineage
from tests.audit.lineages import small
from tests.lineage_builder import LineageBuilder, Record

MANIFEST = bundle.Manifest(
    bundle.FORMAT, "acme/arm-7/0123456789abcdef", True, 5, [(0, 4)], [], 1, False, {"checkpoint": bytes(32)}
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("checkpoint", bundle.Member("checkpoint")),
        ("tile/0/000", bundle.Member("tile")),
        ("tile/1/x001/234.p/7", bundle.Member("tile", 1234, 7, 1)),
        ("tile/entries/003.p/9", bundle.Member("entries", 3, 9)),
        ("claims/003.p/9", bundle.Member("claims", 3, 9)),
        ("entry/0", bundle.Member("entry", 0)),
        ("proof/12", bundle.Member("proof", 12)),
        ("claim/12", bundle.Member("claim", 12)),
    ],
)
def test_names_say_what_a_member_is(name: str, expected: bundle.Member) -> None:
    """Each name of the grammar is read."""
    assert bundle.member(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        *("", "/etc/passwd", "../checkpoint", "entry/../1", "entry/01", "entry/-1", "entry/1/", "Entry/1", "entry/1\n"),
        *("tile/0/0", "tile/0/000.p/0", "tile/0/000.p/256", "tile/64/000", "claims/3", "tile/entries/000/", "proof/x"),
        *("checkpoint/", "manifest.cbor ", "report.html", "entry/" + "9" * 30),
    ],
)
def test_other_names_are_refused(name: str) -> None:
    """No path leads out of a bundle, and nothing unknown is in it."""
    with pytest.raises(FormatError) as caught:
        bundle.member(name)
    assert caught.value.error == "bundle_malformed"


@given(st.text(max_size=60))
def test_any_name_is_read_or_refused(name: str) -> None:
    """Nothing but the named error comes out."""
    try:
        bundle.member(name)
    except FormatError as error:
        assert error.error == "bundle_malformed"


def test_a_manifest_comes_back() -> None:
    """What was written is what is read."""
    assert bundle.parse_manifest(MANIFEST.encode()) == MANIFEST


@pytest.mark.parametrize(
    "change",
    [
        {"format": "lineage/bundle/2"},
        {"whole": 1},
        {"entries": -1},
        {"members": {"checkpoint": b"short"}},
        {"ranges": [[1]]},
        {"extra": None},
    ],
)
def test_other_manifests_are_refused(change: dict[str, Any]) -> None:
    """A key too many, or a value of another type, is no manifest of this version."""
    value = {**cbor.decode(MANIFEST.encode()), **change}
    with pytest.raises(FormatError) as caught:
        bundle.parse_manifest(cbor.encode(value))
    assert caught.value.error == "bundle_malformed"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_refused(data: bytes) -> None:
    """Nothing but the named error comes out."""
    with pytest.raises(FormatError) as caught:
        bundle.parse_manifest(data)
    assert caught.value.error == "bundle_malformed"


def test_claims_leave_without_their_secrets_and_still_verify() -> None:
    """Every secret at rest is gone, and the digests in the headers still hold."""
    lineage = small()
    carried = []
    secrets = []
    for record in lineage.records:
        if record.claims is None:
            carried.append(record)
            continue
        secrets += _secrets(cbor.decode(record.claims))
        left = bundle.to_transport(decode(record.raw).header, record.claims)
        carried.append(Record(record.raw, left))
    assert len(secrets) > 50
    everything = b"".join(record.claims or b"" for record in carried)
    assert not [secret for secret in secrets if secret in everything]
    report = verify_lineage(lineage.origin, [(record.raw, record.claims) for record in carried])
    assert report.exit_status() == 0, report.problems


def _secrets(value: Any) -> list[bytes]:
    if isinstance(value, dict):
        return [secret for item in value.values() for secret in _secrets(item)]
    if isinstance(value, list) and value and isinstance(value[0], bytes) and len(value[0]) == 16:
        return [value[0]]
    return [secret for item in value for secret in _secrets(item)] if isinstance(value, list) else []


@given(st.binary(max_size=60))
def test_claims_that_cannot_be_read_do_not_leave(data: bytes) -> None:
    """Arbitrary bytes beside an entry give the domain's error, or claims without anything at rest."""
    header = decode(small(1).records[1].raw).header
    try:
        left = bundle.to_transport(header, data)
    except FormatError:
        return
    assert not _secrets(cbor.decode(left))


# --- The receipt


def receipted(change: Any = None) -> tuple[LineageBuilder, bytes]:
    lineage = LineageBuilder().setup(1)
    boot = lineage.records[0].raw
    seq = lineage.control(Kind.EXTRACTION, [[0, 2]], None, sha256(MANIFEST.encode()).digest())
    return lineage, bundle.encode_receipt(lineage.records[seq].raw, boot)


def test_a_receipt_holds_for_its_manifest_only() -> None:
    """The recorder's signature covers the manifest's hash, so another manifest is found."""
    lineage, receipt = receipted()
    identity = lineage.identity.public_key
    bundle.check_receipt(receipt, MANIFEST.encode(), lineage.origin, identity)
    for manifest, origin, key in (
        (MANIFEST._replace(entries=4).encode(), lineage.origin, identity),
        (MANIFEST.encode(), "acme/arm-7/ffffffffffffffff", identity),
        (MANIFEST.encode(), lineage.origin, lineage.signer("thief").public_key),
        (MANIFEST.encode(), lineage.origin, None),
    ):
        with pytest.raises(FormatError) as caught:
            bundle.check_receipt(receipt, manifest, origin, key)
        assert caught.value.error == "extraction_receipt"


def test_every_flipped_byte_of_a_receipt_is_found() -> None:
    """No byte of it is left unsigned or unread."""
    lineage, receipt = receipted()
    for at in range(len(receipt)):
        broken = receipt[:at] + bytes([receipt[at] ^ 1]) + receipt[at + 1 :]
        with pytest.raises(FormatError) as caught:
            bundle.check_receipt(broken, MANIFEST.encode(), lineage.origin, lineage.identity.public_key)
        assert caught.value.error == "extraction_receipt"


def test_other_entries_are_no_receipt() -> None:
    """A kind that logs no extraction, or an introduction that introduces nothing, is refused."""
    lineage, _ = receipted()
    boot, policy = lineage.records[0].raw, lineage.records[1].raw
    for pair in ((policy, boot), (lineage.records[-1].raw, policy), (boot, boot)):
        with pytest.raises(FormatError) as caught:
            bundle.check_receipt(
                bundle.encode_receipt(*pair), MANIFEST.encode(), lineage.origin, lineage.identity.public_key
            )
        assert caught.value.error == "extraction_receipt"
