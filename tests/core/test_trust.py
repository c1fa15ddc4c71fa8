"""Trust files: tlog-policy lines, `root` lines, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core.cosignature import cosigner_key
from recorder.core.errors import FormatError
from recorder.core.keys import SeedSigner
from recorder.core.note import ED25519, VerifierKey
from recorder.core.trust import parse_trust


def public(number: int) -> bytes:
    return SeedSigner(bytes([number]) * 32).public_key


LOG = VerifierKey.derive("acme/arm-7", ED25519, public(1))
OTHER = VerifierKey.derive("acme/arm-8", ED25519, public(2))
ROOT = VerifierKey.derive("acme-authority", ED25519, public(3))
X1, X2, Y = (cosigner_key(name, public(at)) for at, name in enumerate(("x1.example", "x2.example", "y.example"), 4))
WHOLE = f"""# what this site trusts
log {LOG}
log {OTHER} https://logs.example/arm-8

  witness X1 {X1}\thttps://x1.example/
witness X2 {X2}
witness Y {Y}
group X any X1 X2
group all-of-us all X Y
quorum all-of-us
root {ROOT}
"""


def test_every_line_of_a_trust_file_is_understood() -> None:
    """Logs, witnesses, groups, quorum and roots are read; comments and spaces are not."""
    trust = parse_trust(WHOLE.encode())
    assert trust.logs == (LOG, OTHER)
    assert trust.witnesses == {"X1": X1, "X2": X2, "Y": Y}
    assert trust.urls == {"X1": "https://x1.example/"}
    assert (trust.quorum, trust.roots) == ("all-of-us", (ROOT,))


def test_a_log_is_trusted_in_every_incarnation() -> None:
    """Fleet and platform choose the key, whatever incarnation follows; other platforms have none."""
    trust = parse_trust(WHOLE.encode())
    assert trust.identity_of("acme/arm-7/0123456789abcdef") == public(1)
    assert trust.identity_of("acme/arm-70/0123456789abcdef") is None
    assert trust.identity_of("acme/arm-7") is None


@pytest.mark.parametrize(
    ("cosigned", "enough"),
    [([], False), ([X1], False), ([X1, X2], False), ([Y], False), ([X2, Y], True), ([X1, X2, Y], True)],
)
def test_groups_decide_the_quorum(cosigned: list[VerifierKey], enough: bool) -> None:
    """A group counts as one member of the next."""
    assert parse_trust(WHOLE.encode()).is_quorum(cosigned) is enough


def test_numbers_are_thresholds() -> None:
    """Two of three means two."""
    text = f"witness a {X1}\nwitness b {X2}\nwitness c {Y}\ngroup g 2 a b c\nquorum g\n"
    trust = parse_trust(text.encode())
    assert not trust.is_quorum([X1])
    assert trust.is_quorum([X1, Y])


def test_without_a_quorum_nothing_is_witnessed() -> None:
    """`quorum none` asks for no cosignature, so none makes a quorum."""
    trust = parse_trust(f"witness a {X1}\nquorum none\n".encode())
    assert trust.quorum is None
    assert not trust.is_quorum([X1])


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"log {LOG}\n",
        "quorum none",
        "quorum none\nquorum none\n",
        "quorum nobody\n",
        "quorum none extra\n",
        "logs x\nquorum none\n",
        f"log {LOG}\nlog {LOG}\nquorum none\n",
        f"log {VerifierKey.derive('acme/arm-7/0123456789abcdef', ED25519, public(1))}\nquorum none\n",
        f"log {VerifierKey.derive('acme', ED25519, public(1))}\nquorum none\n",
        f"log {cosigner_key('acme/arm-7', public(1))}\nquorum none\n",
        f"log {LOG}x\nquorum none\n",
        f"witness a {LOG}\nquorum a\n",
        f"witness none {X1}\nquorum none\n",
        f"witness a {X1}\nwitness a {X2}\nquorum a\n",
        f"witness a {X1}\nwitness b {X1}\nquorum a\n",
        f"witness a {X1}\ngroup g any a a\nquorum g\n",
        f"witness a {X1}\ngroup g any a\ngroup h any a\nquorum g\n",
        f"witness a {X1}\ngroup g 2 a\nquorum g\n",
        f"witness a {X1}\ngroup g 0 a\nquorum g\n",
        f"witness a {X1}\ngroup g some a\nquorum g\n",
        f"witness a {X1}\ngroup g any b\nquorum g\n",
        f"witness a {X1}\ngroup g any\nquorum g\n",
        f"witness a {X1}\ngroup g any none\nquorum g\n",
        f"root {ROOT}\nroot {ROOT}\nquorum none\n",
        "quorum none\r\n",
        "quorum none\x00\n",
    ],
)
def test_what_is_not_in_the_grammar_is_refused(text: str) -> None:
    """Each departure is one named error."""
    with pytest.raises(FormatError) as caught:
        parse_trust(text.encode())
    assert caught.value.error == "trust_malformed"


def test_the_line_is_named() -> None:
    """A person finds what to correct."""
    with pytest.raises(FormatError, match="line 2: "):
        parse_trust(b"quorum none\nnonsense\n")


@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(st.sampled_from(WHOLE.split()), max_size=20).map(lambda p: " ".join(p).encode() + b"\n"),
    )
)
def test_arbitrary_bytes_give_the_named_error_or_a_value(text: bytes) -> None:
    """Nothing else comes out."""
    try:
        parse_trust(text)
    except FormatError as error:
        assert error.error == "trust_malformed"
