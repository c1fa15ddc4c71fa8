"""Which witnesses a commit asks, chosen before any of them has signed (FORMAT.md section 2, key 18).

The choice follows from a salt and the candidates' keys alone, so whoever is told the salt can make it again; its hash
in the entry binds it.  A recorder could draw salts until it likes one; what it cannot do is choose afterwards.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256
from typing import Annotated, NamedTuple

from msgspec import Meta, ValidationError, convert

from recorder.core import cbor
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import kid
from recorder.core.kinds import Bytes16, Hash, Name
from recorder.core.limits import KID_BYTES, SALT_BYTES
from recorder.core.note import VerifierKey
from recorder.core.trust import Trust

INDEPENDENT = "independent"  # one witness of each operator before a second one of any, the recorder's own operator last
ANY = "any"
RULES = (INDEPENDENT, ANY)

Kid = Annotated[bytes, Meta(min_length=KID_BYTES, max_length=KID_BYTES)]

CHOICE_KEY = 18  # of the choice in the claims beside an entry, as of its hash in the header

_LABEL = b"lineage/choice/1\n"


class Candidate(NamedTuple):
    """A witness that may be asked."""

    name: Name  # of its key, as its cosignatures bear it
    public_key: Hash
    operator: Name  # who runs it


class Own(NamedTuple):
    """The witness on the recorder's own platform, which never witnesses for it, and who runs both."""

    name: Name
    operator: Name


class Choice(NamedTuple):
    """What is kept beside the entry, for whoever checks the choice later."""

    salt: Bytes16
    kids: list[Kid]  # in the order of the choice; empty where nobody could be asked

    def encode(self) -> bytes:
        """CBOR `[salt, [* kid]]`: its SHA-256 is `chosen` in the header.

        Raises:
            Misuse: a kid that is not 8 bytes, or another salt.

        """
        if len(self.salt) != SALT_BYTES or any(len(one) != KID_BYTES for one in self.kids):
            raise Misuse(f"a choice is {SALT_BYTES} bytes of salt and kids of {KID_BYTES} bytes")
        return cbor.pack([self.salt, list(self.kids)])

    def digest(self) -> bytes:
        """H of its encoding; raises as `encode`."""
        return sha256(self.encode()).digest()


def read_choice(value: object) -> Choice:
    """Take a decoded `[salt, [* kid]]`.

    Raises:
        FormatError: claims_malformed.

    """
    try:
        return convert(value, Choice, builtin_types=(bytes,))
    except ValidationError as error:
        raise FormatError("claims_malformed", f"a choice of witnesses: {error}") from None


def operator_of(trust: Trust, witness: str) -> str:
    """The group that a witness stands in, which is who runs it; of a witness in no group its own name."""
    return next((name for name, group in trust.groups.items() if witness in group.members), witness)


def candidates_of(trust: Trust, names: Collection[str]) -> list[Candidate]:
    """Witnesses of a trust file, with who runs them.

    Raises:
        Misuse: one that is not in the trust file.

    """
    if unknown := set(names) - trust.witnesses.keys():
        raise Misuse(f"no witness is named {min(unknown)!r}")
    keys = trust.witnesses
    return [Candidate(keys[name].name, keys[name].public_key, operator_of(trust, name)) for name in names]


def own_of(trust: Trust, key: VerifierKey) -> Own:
    """The witness of this key on the recorder's own platform.

    Raises:
        Misuse: it is not in the trust file.

    """
    name = next((name for name, one in trust.witnesses.items() if one == key), None)
    if name is None:
        raise Misuse(f"no witness has the key of {key.name}")
    return Own(key.name, operator_of(trust, name))


def choose(
    candidates: Collection[Candidate], count: int, rule: str, salt: bytes, own: Own | None = None
) -> list[Candidate]:
    """Choose witnesses by a rule; fewer than asked for where there are not as many.

    Args:
        candidates: those that were seen lately.
        count: how many are asked for.
        rule: out of `RULES`.
        salt: 16 bytes, fresh for each choice.
        own: the witness on this platform; it is never chosen, and by the rule `independent` its operator's come last.

    Raises:
        FormatError: witness_rule: a policy names a rule that is none.
        Misuse: another salt.

    """
    if rule not in RULES:
        raise FormatError("witness_rule", f"{rule!r} is none of {', '.join(RULES)}")
    if len(salt) != SALT_BYTES:
        raise Misuse(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    others = [one for one in candidates if own is None or one.name != own.name]
    drawn = sorted(others, key=lambda one: _lot(salt, one.public_key))
    if rule == INDEPENDENT:
        turns: dict[str, int] = {}
        places = {}
        for one in drawn:
            places[one] = (own is not None and one.operator == own.operator, turns.setdefault(one.operator, 0))
            turns[one.operator] += 1
        drawn.sort(key=places.__getitem__)  # stable: within a turn the lot decides
    return drawn[:count]


def choice_of(chosen: Collection[Candidate], salt: bytes) -> Choice:
    """What is kept of a choice."""
    return Choice(salt, [kid(one.public_key) for one in chosen])


def _lot(salt: bytes, public_key: bytes) -> bytes:
    return sha256(_LABEL + salt + public_key).digest()
