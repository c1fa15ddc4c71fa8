"""What policy and credential entries bring, in words, by the beginning of a hash, by a name; and what stands under them."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from recorder.audit.brought import brought, named
from recorder.audit.decisions import decided
from recorder.audit.describe import values_of
from recorder.audit.downstream import Origin, impact
from recorder.core import grant, revocation
from recorder.core.entry import decode
from recorder.core.errors import Misuse
from recorder.core.grant import Grant
from recorder.core.kinds import Kind
from recorder.core.note import ED25519, VerifierKey
from recorder.core.revocation import Revoked
from tests.audit.decided import DecidedBuilder
from tests.audit.lineages import write_state
from tests.audit.test_upstream import led, opened, why_of
from tests.cli.calling import lineage
from tests.credential_builder import DEPOT, EVERYTHING, ROOT, delegated, from_root, issued, recognised, signer, terms
from tests.lineage_builder import LineageBuilder
from tests.policies import moving, small

__all__ = ["lineage"]  # the fixture that runs the command

ANN, AGAIN, BOB = from_root("ann"), from_root("ann", serial=bytes(16)), from_root("bob")
OTHER = VerifierKey.derive("other/root", ED25519, signer("other/root").public_key)
MATRIX = recognised((DEPOT, EVERYTHING)).raw
REVOKED = revocation.make(3, [Revoked(ANN.hash, 0, "lost")], signer("acme/root"))


def entered() -> DecidedBuilder:
    """Two policies of one name, two credentials of one subject, one of another, under which somebody deviates."""
    made = DecidedBuilder().begin()
    made.enforce(small())
    for one in (ANN, AGAIN, BOB):
        made.control(Kind.CREDENTIAL, one.hash, body={"credential": one.signed.raw})
    made.begin()
    made.acting(delegation=ANN.hash)

    def change(why: dict[str, Any]) -> None:
        why["deviation"]["credential"] = BOB.hash
        why["inputs"][0]["credential"] = AGAIN.hash
        why["inputs"][1]["credential"] = AGAIN.hash

    made.ask(moving(lidar__nearest=0.7), change)
    return made


def test_words() -> None:
    """Of each that can be read, and nothing of what cannot."""
    bundle = DecidedBuilder().begin().signed
    table = b"\xa1\x6flineage/table/1\xa1\x66motion\xa0"
    said = {
        (Kind.POLICY, "bundle", bundle): "policy arm-cell version 1 until 2027-11-01",
        (Kind.POLICY, "bundle", table): "configured table of 1 classes",
        (Kind.CREDENTIAL, "credential", ANN.signed.raw): "credential of ann (operator) by acme/root until 2025-10-10",
        (Kind.CREDENTIAL, "matrix", MATRIX): "recognition matrix version 1: acme depot",
        (Kind.CREDENTIAL, "revocation", REVOKED): f"revocation list version 3: {ANN.hash.hex()[:8]}",
    }
    for (kind, key, raw), words in said.items():
        found = brought(kind, {key: raw})
        assert found is not None
        assert found.words == words
        assert brought(kind, {key: raw[:-1]}) is None
        assert brought(Kind.MARK, {key: raw}) is None
    assert brought(Kind.POLICY, {"bundle": "text"}) is None
    assert brought(Kind.CREDENTIAL, {}) is None
    assert brought(Kind.POLICY, {"bundle": b"\x01"}) is None


@pytest.mark.parametrize("where", ["state", "running", "bundle"])
def test_one_is_meant(tmp_path: Path, where: str) -> None:
    """By 8 digits or more, or by a name and what it is."""
    with opened(where, entered(), tmp_path) as source:
        assert named(source, BOB.hash.hex()[:8], None) == BOB.hash
        assert named(source, BOB.hash.hex(), "credential") == BOB.hash
        assert named(source, "bob", "credential") == BOB.hash
        assert named(source, "cell", "bundle") == named(source, named(source, "cell", "bundle").hex()[:9], None)
        with pytest.raises(Misuse, match=f"2 are meant by 'ann': {ANN.hash.hex()[:16]} 'credential of ann"):
            named(source, "ann", "credential")
        for wanted, sort in ((BOB.hash.hex()[:7], None), ("bob", None), ("bob", "bundle"), (BOB.hash.hex(), "bundle")):
            with pytest.raises(Misuse, match=r"no .* here"):
                named(source, wanted, sort)  # type: ignore[arg-type]  # parametrised by hand


def test_what_a_why_rests_on_leads_to_its_credentials(tmp_path: Path) -> None:
    """That of the deviation, and that of an observer once."""
    made = entered()
    tree = why_of(made, made.seq - 1, tmp_path)
    assert [one for one in led(tree, made.seq - 1) if one[0] in ("delegation", "deviated_under", "observer")] == [
        ("delegation", 5), ("deviated_under", 7), ("observer", 6),
    ]  # fmt: skip


def test_a_grant_leads_to_its_evaluator(tmp_path: Path) -> None:
    """And is told as what decided."""
    made = DecidedBuilder().begin()
    made.control(Kind.CREDENTIAL, BOB.hash, body={"credential": BOB.signed.raw})
    says = Grant(
        made.origin, made.os_boot, bytes(16), BOB.hash, "motion", ("joint1",), 1, made.clock.mono_ns, bytes(32),
        bytes(32), bytes(32), "admitted",
    )  # fmt: skip
    seq = made.cycle(why={"grant": grant.make(says, signer("bob"))}, nonce=bytes(16)).carrier
    assert ("granted_by", 4) in led(why_of(made, seq, tmp_path), seq)
    header, why = decode(made.records[seq].raw).header, values_of(made.records[seq].claims or b"")["why"]
    assert decided(header, why)[0] == [f"external: granted by credential {BOB.hash.hex()[:16]}"]
    assert decided(header, {"grant": b"\x80"})[0] == ["external: decided elsewhere"]


def test_impact_by_name(lineage: Any, tmp_path: Path) -> None:
    """A credential and a bundle, with a word before the name; a digest by its beginning without one."""
    state = write_state(tmp_path / "s", entered())
    for words, relation in (
        (["credential", "bob"], "deviated_under"), ([BOB.hash.hex()[:9]], "deviated_under"),
        ([AGAIN.hash.hex()], "observer"), (["bundle", "arm-cell"], "policy"),
    ):  # fmt: skip
        found = lineage("impact", *words, "--state", state, "--json").json
        assert (found["asked"], [one["relation"] for one in found["listed"]]) == (" ".join(words), [relation])
    for wrong in (["credential", "ann"], ["bundle", "bob"], ["policy", "cell"], ["a", "b", "c"]):
        said = lineage("impact", *wrong, "--state", state)
        assert (said.status, said.out, said.err.count("\n")) == (2, "", 1)


def test_a_number_is_a_seq(lineage: Any, tmp_path: Path) -> None:
    """Also one of eight digits."""
    state = write_state(tmp_path / "s", LineageBuilder().setup(1))
    assert "no entry 12345678" in lineage("impact", "12345678", "--state", state).err


# --- Who stands above


def chained(*, is_recognised: bool) -> DecidedBuilder:
    """A credential of the depot, or of a root, delegated on; and a matrix."""
    made = DecidedBuilder().begin()
    top = issued(DEPOT, terms("ann", DEPOT)) if is_recognised else ANN
    below = delegated(top, "bob")
    made.control(Kind.CREDENTIAL, sha256(MATRIX).digest(), body={"matrix": MATRIX})
    for one in (top, below):
        made.control(Kind.CREDENTIAL, one.hash, body={"credential": one.signed.raw})
    made.acting(delegation=below.hash)
    made.ask(moving())
    return made


def test_the_matrix_in_force_is_a_link(tmp_path: Path) -> None:
    """Of what is done under a credential, both ways."""
    made = chained(is_recognised=True)
    tree = why_of(made, made.seq - 1, tmp_path)
    assert tree.holds
    assert ("matrix", 4) in led(tree, made.seq - 1)
    with opened("state", made, tmp_path / "two") as source:
        found: list[tuple[int, str]] = []
        impact(source, Origin(4), lambda held, relation, _: found.append((held.seq, relation)))
    assert found == [(made.seq - 1, "matrix")]


@pytest.mark.parametrize(
    ("is_recognised", "trusted", "words"),
    [
        (True, ROOT, "signed by acme depot, recognised by the matrix of root acme/root"),
        (False, ROOT, "signed by acme/root, a root of the trust file"),
        (True, OTHER, "signed by nobody who is trusted: "),
        (False, OTHER, "signed by nobody who is trusted: "),
    ],
)
def test_why_says_who_stands_above(
    lineage: Any, tmp_path: Path, is_recognised: bool, trusted: VerifierKey, words: str
) -> None:
    """Where a trust file is given: at the topmost credential, and there alone."""
    made = chained(is_recognised=is_recognised)
    state = write_state(tmp_path / "s", made)
    trust = tmp_path / "fleet.trust"
    trust.write_text(f"root {trusted}\nquorum none\n")
    said = lineage("why", made.seq - 1, "--state", state, "--trust", trust)
    assert said.status == 0
    assert len([line for line in said.lines if words in line]) == 1
    entries = lineage("why", made.seq - 1, "--state", state, "--trust", trust, "--json").json["entries"]
    assert [one["seq"] for one in entries if "anchor" in one] == [5]
    assert not any("signed by" in line for line in lineage("why", made.seq - 1, "--state", state).lines)
