"""Policy bundles: read or refused, never anything else; what holds between their parts; what may follow what."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from msgspec import convert, to_builtins
from msgspec.structs import replace

from recorder.core import cbor, policy, sign1
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import SeedSigner
from recorder.core.policy import Policy
from tests.core.shapes import mutated, naive_cbor, values
from tests.policies import clause, example, small

SIGNER = SeedSigner(bytes(range(32)))
SMALL = small(clause("input.force_n > 50.0", classes='["motion"]'))
FULL = to_builtins(example().policy, builtin_types=(bytes,))
FULL["classes"]["motion"]["witnesses"] = {"k": 2, "within_ms": 500, "rule": "nearest"}
FULL["classes"]["motion"]["confirmation"] = "within_100_ms"
FULL["issuer"] = bytes(32)


def changed(path: str, to: Any) -> dict[str, Any]:
    """The full policy with one place changed; `path` has slashes between keys and indices."""
    value = to_builtins(convert(FULL, Policy, builtin_types=(bytes,)), builtin_types=(bytes,))
    *way, last = path.split("/")
    place: Any = value
    for key in way:
        place = place[int(key)] if isinstance(place, list) else place[key]
    if to is Ellipsis:
        del place[last]
    else:
        place[last] = to
    return dict(value)


def test_a_bundle_is_read_as_it_was_made() -> None:
    """Policy to bytes and back; its hash is of the exact bytes, and the signature verifies under the signer's key alone."""
    raw = policy.sign(SMALL, SIGNER)
    read = policy.read(raw)
    assert read.policy == SMALL
    assert read.signed.payload == naive_cbor(to_builtins(SMALL, builtin_types=(bytes,)))
    assert sign1.verify(read.signed, SIGNER.public_key)
    assert not sign1.verify(read.signed, SeedSigner(bytes(32)).public_key)
    assert policy.read(policy.sign(replace(SMALL, version=4), SIGNER)).hash != read.hash


def test_every_byte_counts() -> None:
    """A bundle with any one byte changed is malformed, or its signature fails."""
    raw = policy.sign(SMALL, SIGNER)
    for at in range(len(raw)):
        other = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        try:
            signed = policy.read(other).signed
        except FormatError as error:
            assert error.error == "policy_malformed"
        else:
            assert not sign1.verify(signed, SIGNER.public_key)


@given(st.one_of(values, mutated(FULL)))
def test_any_value_is_read_or_refused(value: Any) -> None:
    """A payload is refused under its own error name, or it is a policy that encodes to the same bytes."""
    data = naive_cbor(value)
    try:
        read = policy.decode(data)
    except FormatError as error:
        event("refused")
        assert error.error == "policy_malformed"
    else:
        event("read")
        assert policy.encode(read) == data


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No bytes raise anything but the error of the format."""
    for reads in (policy.decode, policy.read):
        with pytest.raises(FormatError) as refused:
            reads(data)
        assert refused.value.error == "policy_malformed"


@pytest.mark.parametrize(
    ("path", "to", "detail"),
    [
        ("exp", FULL["nbf"], "never in force"),
        ("classes/braking/gated", True, r"\[class.braking\] cannot be gated"),
        ("classes/landing/disk_full_action", "refuse", 'can only be "notify"'),
        ("classes/motion/disk_full_action", "halt", None),
        ("classes/motion/on_unavailable", "continue_ungated", None),
        ("classes/landing/verbs", ["event", "event"], "a verb twice"),
        ("classes/grip", {**FULL["classes"]["motion"]}, r"\[class.grip\] is gated and has no permit"),
        ("clauses/0/id", "operator.enable", "2 clauses have this id"),
        ("clauses/0/deviate_to", "stop", "a deviate clause needs it, others have none"),
        ("clauses/5/deviate_to", None, "a deviate clause needs it, others have none"),
        ("clauses/0/classes", ["grip"], "class grip is none of this policy: braking, emergency_stop, landing, motion"),
        ("clauses/0/classes", ["braking"], "class braking is not gated"),
        ("clauses/0/classes", ["motion", "motion"], "names a class twice"),
        ("clauses/0/classes", [], "Expected `array` of length >= 1"),
        ("clauses/0/classes", "all", "Invalid enum value"),
        ("clauses/0/when", "", "length >= 1"),
        ("clauses/0/when", "x" * 1025, "length <= 1024"),
        ("clauses/0/reason", "Not a code", "matching regex"),
        ("clauses/0/effect", "allow", "Invalid enum value"),
        ("clauses", [FULL["clauses"][6]] * 65, "length <= 64"),
        ("retention/5y", {"keep_s": None, "max_bytes": None, "rows_may_go": False}, r"\[retention.5y\] is of no class"),
        ("inputs/stick.speed/type", "float", "Invalid enum value"),
        ("inputs/Stick", FULL["inputs"]["stick.speed"], "matching regex"),
        ("inputs/a.", FULL["inputs"]["stick.speed"], "matching regex"),
        ("format", "lineage/policy/2", "Invalid enum value"),
        ("engine", "rego", "Invalid enum value"),
        ("version", -1, "`int` >= 0"),
        ("version", True, "Expected `int`, got `bool`"),
        ("name", "a\n", "matching regex"),
        ("issuer", b"short", "length"),
        ("issuer", ..., "missing required field `issuer`"),
        ("clauses/0/deviate_to", ..., "missing required field `deviate_to`"),
        ("priority", 1, "unknown field `priority`"),
        ("classes/motion/priority", 1, "unknown field `priority`"),
    ],
)  # fmt: skip
def test_what_is_refused(path: str, to: Any, detail: str | None) -> None:
    """Each rule of the parts and between them, with the place that the detail names; None where the change is allowed."""
    data = cbor.encode(changed(path, to))
    if detail is None:
        policy.decode(data)
        return
    with pytest.raises(FormatError, match=detail) as refused:
        policy.decode(data)
    assert refused.value.error == "policy_malformed"


def test_halt_asks_for_hold() -> None:
    """A class that halts when the disk is full cannot go on when the recorder is away."""
    value = changed("classes/motion/on_unavailable", "continue_ungated")
    value["classes"]["motion"]["disk_full_action"] = "halt"
    with pytest.raises(FormatError, match="halts when the disk is full"):
        policy.decode(cbor.encode(value))


def test_a_bundle_that_readers_would_refuse_is_not_signed() -> None:
    """Signing reads its own bytes first, and what is too large is our caller's mistake."""
    with pytest.raises(FormatError, match="never in force"):
        policy.sign(replace(SMALL, exp=0), SIGNER)
    long = [replace(SMALL.clauses[0], id=f"c{number}", when="true || " * 120 + "true") for number in range(63)]
    with pytest.raises(Misuse, match="over 49152"):
        policy.sign(replace(SMALL, clauses=[*long, SMALL.clauses[1]]), SIGNER)


@pytest.mark.parametrize(
    ("name", "version", "follows"), [("cell", 4, True), ("cell", 3, False), ("cell", 2, False), ("other", 9, False)]
)
def test_what_may_follow_the_bundle_in_force(name: str, version: int, follows: bool) -> None:
    """The version only grows, also by one, and a policy of another name does not follow."""
    new = replace(SMALL, name=name, version=version)
    if follows:
        policy.require_newer(new, SMALL)
        return
    with pytest.raises(FormatError, match=f"policy_older: {name} version {version} does not follow cell version 3"):
        policy.require_newer(new, SMALL)
