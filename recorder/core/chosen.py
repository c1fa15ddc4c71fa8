"""Which witnesses a commit asks, chosen before any of them has signed (FORMAT.md section 2, key 18).

The choice follows from a salt and the candidates' keys alone, so whoever is told the salt can make it again; its hash
in the entry binds it.  A recorder could draw salts until it likes one; what it cannot do is choose afterwards.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256

from recorder.core import cbor
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import kid
from recorder.core.limits import KID_BYTES, SALT_BYTES
from recorder.core.note import VerifierKey
from recorder.core.trust import Trust

INDEPENDENT = "independent"  # one witness of each operator before a second one of any, the recorder's own operator last
ANY = "any"
RULES = (INDEPENDENT, ANY)

_LABEL = b"lineage/choice/1\n"


def operator_of(trust: Trust, witness: str) -> str:
    """The group that a witness stands in, which is who runs it; of a witness in no group its own name."""
    return next((name for name, group in trust.groups.items() if witness in group.members), witness)


def choose(
    trust: Trust, candidates: Collection[str], count: int, rule: str, salt: bytes, own: str | None = None
) -> list[str]:
    """Choose witnesses by a rule; fewer than asked for where there are not as many.

    Args:
        trust: names the witnesses and, by its groups, who runs them.
        candidates: names out of `trust`, as those that were seen lately.
        count: how many are asked for.
        rule: out of `RULES`.
        salt: 16 bytes, fresh for each choice.
        own: the witness on this platform; it is never chosen, and by the rule `independent` its operator's come last.

    Raises:
        FormatError: witness_rule: a policy names a rule that is none.
        Misuse: a candidate that is not in the trust file, or another salt.

    """
    if rule not in RULES:
        raise FormatError("witness_rule", f"{rule!r} is none of {', '.join(RULES)}")
    if len(salt) != SALT_BYTES:
        raise Misuse(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    if unknown := set(candidates) - trust.witnesses.keys():
        raise Misuse(f"no witness is named {min(unknown)!r}")
    drawn = sorted(set(candidates) - {own}, key=lambda name: _lot(salt, trust.witnesses[name]))
    if rule == INDEPENDENT:
        turns: dict[str, int] = {}
        places = {}
        for name in drawn:
            operator = operator_of(trust, name)
            places[name] = (own is not None and operator == operator_of(trust, own), turns.setdefault(operator, 0))
            turns[operator] += 1
        drawn.sort(key=places.__getitem__)  # stable: within a turn the lot decides
    return drawn[:count]


def chosen_hash(salt: bytes, kids: Collection[bytes]) -> bytes:
    """H(CBOR `[salt, [+ kid]]`), the kids in the order of the choice.

    Raises:
        Misuse: no kid, one that is not 8 bytes, or another salt.

    """
    if len(salt) != SALT_BYTES or not kids or any(len(one) != KID_BYTES for one in kids):
        raise Misuse(f"a choice is {SALT_BYTES} bytes of salt and one or more kids of {KID_BYTES} bytes")
    return sha256(cbor.pack([salt, list(kids)])).digest()


def kids_of(trust: Trust, names: Collection[str]) -> list[bytes]:
    """The kids of these witnesses, in the order given."""
    return [kid(trust.witnesses[name].public_key) for name in names]


def _lot(salt: bytes, key: VerifierKey) -> bytes:
    return sha256(_LABEL + salt + key.public_key).digest()
