"""Step 9: whether a cycle of a gated class was opened by a decision, and under a delegation that lets it."""

from __future__ import annotations

from typing import NamedTuple

from recorder.core import delegation, grant, observation, policy_issue, scope
from recorder.core.credential import Credential
from recorder.core.delegation import NS, Moment, Standing
from recorder.core.errors import FormatError
from recorder.core.grant import Granted
from recorder.core.header import Header
from recorder.core.kinds import Bounds, Decision
from recorder.core.limits import HASH_BYTES
from recorder.core.observation import Observed
from recorder.core.policy import PolicyBundle
from recorder.core.verify import readings
from recorder.core.verify.acts import act_of, contemplated, timely
from recorder.core.verify.found import Found
from recorder.core.verify.held import Family, Values
from recorder.core.verify.holdings import Holdings
from recorder.core.verify.readings import Readings

SYNCHRONISED = 2  # quality of a time that says what time of the day it is
SLACK_NS = 100_000_000  # UTC moves against CLOCK_BOOTTIME between decision and entry: by more, it is a step
_READ = ("name", "value", "unit")  # of an observation that nobody signed
_ELSEWHERE = frozenset({"parent_unknown", "issuer_unknown"})  # errors that say what is not here, where not all is


class Opening(NamedTuple):
    """A cycle entry with what is known beside it."""

    header: Header
    bundle: PolicyBundle
    names: tuple[str | None, ...]  # of its actuators; None where one is not here
    who: Family | None
    why: Family | None


class Openings:
    """Judges cycle entries, one after the other."""

    def __init__(self, found: Found, origin: str, holdings: Holdings, readings: Readings, *, whole: bool) -> None:
        self._report = found
        self._origin = origin
        self._holdings = holdings
        self._readings = readings
        self._whole = whole
        self._identity = self._os_boot = b""
        self._seq = 0  # of the one that is judged
        self._moment = Moment(None, None, None)
        self._is_open = self._is_indeterminate = False
        self.judged = self.indeterminate = self.unjudged = 0

    def boot(self, identity: bytes, os_boot: bytes) -> None:
        """Take what a boot entry says."""
        self._identity = self._identity or identity  # that later ones name the same is for step 3
        self._os_boot = os_boot

    def judge(self, opening: Opening, moment: Moment) -> bytes | None:
        """Judge a cycle; return the hash of the credential that it is under, None where that is not here."""
        header, bundle = opening.header, opening.bundle
        bounds = _bounds(header)
        self._seq, self._moment = header.seq, moment
        self._is_open = self._is_indeterminate = False
        if len(bounds.action_classes) > 1:
            self._found("class_mixed", f"classes {', '.join(bounds.action_classes)[:200]}: a gated one stands alone")
        for reason in policy_issue.window(bundle, moment)[0]:
            self._found(reason.error, reason.detail)
        held = self._delegation(opening)
        if opening.why is None:
            self._is_open = True
        else:
            self._decision(opening, opening.why, None if held is None else held.hash)
            self._is_open |= opening.why.hides("inputs")
            self._inputs(opening.why.values.get("inputs"))
            if held is not None:
                self._scope(opening, opening.why, held)
        if self._is_open:
            self.unjudged += 1
        else:
            self.judged += 1
            self.indeterminate += self._is_indeterminate
        return None if held is None else held.hash

    def _found(self, error: str, detail: str) -> None:
        self._report(error, self._seq, detail)

    def _delegation(self, opening: Opening) -> Credential | None:
        who = opening.who
        if who is None or who.hides("delegation"):
            self._is_open = True
            return None
        digest = digest_in(who.values.get("delegation"))
        if digest is None:
            self._found("delegation_missing", "who.delegation names no credential")
            return None
        standing = self._standing(digest)
        if standing is None:
            return None
        held = standing.chain.links[0]
        try:
            delegation.require_role(held, "operator", "platform")
        except FormatError as error:
            self._found(error.error, error.detail)
        if held.terms.key != self._identity:
            self._found("delegation_holder", f"{held.terms.subject}: its key is not the identity key of this lineage")
        if standing.verdict != "invalid":
            self._check_end(opening.header, standing)
        return held

    def _standing(self, digest: bytes) -> Standing | None:
        """What a credential is worth now, with what is wrong with it reported; None where it is not here."""
        standing = self._holdings.standing(digest, self._moment)
        if standing is None:
            if self._holdings.is_partial:
                self._is_open = True
            else:
                self._found("parent_unknown", f"no credential {digest.hex()} is here")
            return None
        self._is_indeterminate |= standing.verdict == "indeterminate"
        for reason in standing.reasons if standing.verdict == "invalid" else ():
            if self._holdings.is_partial and reason.error in _ELSEWHERE:
                self._is_open = True
            else:
                self._found(reason.error, reason.detail)
        return standing

    def _check_end(self, header: Header, standing: Standing) -> None:
        """A cycle does not last longer than what it rests on."""
        earliest = self._moment.earliest_utc_ns
        if earliest is None:
            return
        left_ns = min(link.terms.expires_s for link in standing.chain.links) * NS - earliest
        if _bounds(header).not_after_mono_ns - header.time.mono_ns > left_ns + SLACK_NS:
            self._found("credential_expired", f"the cycle goes on beyond its delegation, which ends in {left_ns} ns")

    def _scope(self, opening: Opening, why: Family, held: Credential) -> None:
        act = contemplated(why.values)
        if act is None or None in opening.names:
            self._is_open = True
            return
        names = [name for name in opening.names if name is not None]
        time = opening.header.time
        utc_ns = time.utc_ns if time.quality >= SYNCHRONISED else None
        reasons = scope.covers(held.terms.scope, act_of(_class(opening.header), names, *act, utc_ns))
        for reason in timely(reasons, is_timed=utc_ns is not None):
            self._found("delegation_uncovered", reason)

    def _decision(self, opening: Opening, why: Family, under: bytes | None) -> None:
        """Which decision let it be opened: the recorder's own, or an evaluator's; and that it says about what."""
        if contemplated(why.values) is None and not why.hides("contemplated"):
            self._found("decision_missing", "the why does not say which act was decided about")
        if opening.header.decision != Decision.EXTERNAL:
            if "artefact" not in why.values and not why.hides("artefact"):
                self._found("decision_missing", "no artefact says what the decision was made of")
            return
        raw = why.values.get(grant.CLAIM)
        if isinstance(raw, bytes):
            try:
                self._grant(opening, why, grant.read(raw), under)
            except FormatError as error:
                self._found(error.error, error.detail)
        elif why.hides(grant.CLAIM):
            self._is_open = True
        else:
            self._found("decision_missing", "decided elsewhere, and no grant of an evaluator says so")

    def _inputs(self, items: object) -> None:
        """Judge the observations among the inputs: sent with them, or in entries below that they name."""
        for item in items if isinstance(items, list) else ():
            try:
                match item:
                    case {"signed": True, observation.CLAIM: bytes(raw)}:
                        self._observation(observation.read(raw), item)
                    case {"entry": printed} if observation.CLAIM not in item:
                        self._recorded(self._readings.find(printed), item)
            except FormatError as error:
                self._found(error.error, error.detail)

    def _recorded(self, body: Family | None, item: Values) -> None:
        """Judge an input that says what an observation entry does.

        Raises:
            FormatError: observation_entry, observation_malformed, observation_signature.

        """
        if body is None or any(map(body.hides, (observation.CLAIM, *_READ))):
            self._is_open = True
            return
        raw, name = body.values.get(observation.CLAIM), str(item.get("name"))[:64]
        if isinstance(raw, bytes):
            self._observation(observation.read(raw), item)
        elif item.get("signed") is True:
            raise FormatError(readings.ERROR, f"input {name}: no observer signed what entry {item['entry']} has")
        elif _said(body.values) != _said(item):
            raise FormatError(readings.ERROR, f"input {name}: entry {item['entry']} has something else")

    def _observation(self, read: Observed, item: Values) -> None:
        """Judge one that a decision rests on.

        Raises:
            FormatError: observation_signature.

        """
        says = read.says
        if _said(says._asdict()) != _said(item):
            name = str(item.get("name"))[:64]
            raise FormatError("observation_signature", f"input {name}: its observer signed something else")
        if says.credential is None:
            raise FormatError("observation_signature", f"{says.name}: it names no credential of its observer")
        standing = self._standing(says.credential)
        if standing is not None:
            observation.verify(read, standing.chain.links[0].terms.key)

    def _grant(self, opening: Opening, why: Family, granted: Granted, under: bytes | None) -> None:
        """Judge an evaluator's grant.

        Raises:
            FormatError: grant_signature, role_mismatch, grant_origin and the like.

        """
        header, says = opening.header, granted.says
        bounds = _bounds(header)
        if says.nonce != header.control.nonce:
            self._found("grant_beyond", f"granted with nonce {says.nonce.hex()}, which control does not have")
        standing = self._standing(says.credential)
        if standing is None:
            return
        grant.verify(granted, standing.chain.links[0])
        act = contemplated(why.values)
        if act is None or None in opening.names or why.hides("inputs"):
            self._is_open = True
            return
        grant.check(
            says,
            origin=self._origin,
            os_boot=self._os_boot if self._whole else says.os_boot,  # the last start need not be here
            now_mono_ns=header.time.mono_ns,
            action_class=_class(header),
            actuators=[name for name in opening.names if name is not None],
            max_commits=bounds.max_commits,
            not_after_mono_ns=bounds.not_after_mono_ns,
            delegation=under,
            act=act,
            inputs=why.values.get("inputs"),
        )


def _said(reading: Values) -> list[object]:
    """What is read off an observation; no unit is an empty one, and a whole number is not a bool."""
    value = reading.get("value")
    return [reading.get("name"), type(value) is bool, value, reading.get("unit") or ""]


def digest_in(value: object) -> bytes | None:
    """The hash of a credential, as bytes or in hex; None for anything else."""
    if isinstance(value, str) and len(value) == 2 * HASH_BYTES:
        try:
            value = bytes.fromhex(value)
        except ValueError:
            return None
    return value if isinstance(value, bytes) and len(value) == HASH_BYTES else None


def _bounds(header: Header) -> Bounds:
    assert header.bounds is not None
    return header.bounds


def _class(header: Header) -> str:
    assert header.classes is not None
    return header.classes.action_class
