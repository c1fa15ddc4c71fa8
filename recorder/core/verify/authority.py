"""Step 9: credentials, delegations, policies and budgets, of a lineage whose cycles are decided under a signed policy.

What needs entries below is judged here, in order; what needs the claims of commits, or a decision made again, goes to
the jobs with what they must know.  Under a configured table nothing is claimed of authority: there is nothing to judge.
"""

from __future__ import annotations

from collections.abc import Sequence

from recorder.core import cbor, confirmation, observation
from recorder.core.entry import Entry
from recorder.core.findings import AUTHORITY_STEP
from recorder.core.header import Header
from recorder.core.kinds import Kind
from recorder.core.moments import Floor
from recorder.core.note import VerifierKey
from recorder.core.policy import PolicyBundle
from recorder.core.verdict import LEFT_OPEN, Verdict
from recorder.core.verify.acts import confirm_by_ms
from recorder.core.verify.devices import Devices, shows
from recorder.core.verify.disclosure import BODY
from recorder.core.verify.effects import Effects, is_due
from recorder.core.verify.found import Found
from recorder.core.verify.held import Family, Values, Whos, body_of, read, why_of
from recorder.core.verify.holdings import Holdings
from recorder.core.verify.job import Checked
from recorder.core.verify.opening import Opening, Openings
from recorder.core.verify.permits import Permits
from recorder.core.verify.policies import Policies
from recorder.core.verify.readings import Readings
from recorder.core.verify.under import Acting, Deciding, Under

NAMES_KEPT = 65_536  # of actuators
_BATCHES = frozenset({int(Kind.CONFIRMATION), int(Kind.OBSERVATION)})
_WITHOUT = frozenset({int(Kind.GAP), int(Kind.ABANDON)})
_SIGNATURE = confirmation.SIGNATURE_CLAIM.encode()
_READING = observation.CLAIM.encode()
_ACTUATION = int(Kind.ACTUATION)  # what most entries are, and a member of an enum takes longer to look up


class Authority:
    """Takes every entry in order; hands out what the jobs of some of them need."""

    def __init__(self, found: Found, origin: str, roots: Sequence[VerifierKey], *, whole: bool = True) -> None:
        """Begin with the first entry.

        Args:
            found: takes what is wrong.
            origin: of the log.
            roots: the keys that credentials may chain to; without any, nothing is judged but replays.
            whole: all entries will pass; else what is not here may lie elsewhere, and is not judged.

        """
        self._found = found
        self._roots = roots
        self._whole = whole
        self._floor = Floor()
        self._whos = Whos()
        self._names: dict[int, str] = {}
        self._os_boot: bytes | None = None
        self._holdings = Holdings(found, roots, whole=whole)
        self._policies = Policies(found, roots, self._holdings)
        self._permits = Permits(found, self._holdings, self._names)
        self._readings = Readings(whole=whole)
        self._openings = Openings(found, origin, self._holdings, self._readings, whole=whole)
        self._devices = Devices(found, origin, self._holdings, self._names, has_roots=bool(roots), whole=whole)
        self._effects = Effects(found)
        self._mono_ns = 0
        self._cycles = 0  # of gated classes under a signed policy
        self._replayed = self._unreplayed = self._acts_unjudged = self._short = 0

    @property
    def roots(self) -> list[str]:
        """The keys by which it is judged, as trust files name them."""
        return [str(root) for root in self._roots]

    @property
    def verdict(self) -> Verdict:
        """What it comes to where nothing failed: no pass where nothing was judged, or something was left open."""
        if not self.checked()[AUTHORITY_STEP]:
            return "nothing"
        left = self.notes()
        return "indeterminate" if any(left[name] for name in LEFT_OPEN) else "pass"

    def checked(self) -> dict[int, int]:
        """By step how many things were judged: cycles, policies and batches of devices, and decisions made again."""
        judged = self._openings.judged + self._policies.judged + self._devices.judged
        return {AUTHORITY_STEP: judged, 11: self._replayed}

    def notes(self) -> dict[str, int]:
        """What is known beside errors, by name."""
        unjudged = self._openings.unjudged + self._policies.unjudged + self._holdings.unread
        return {
            "authority_cycles": self._openings.judged,
            "authority_indeterminate": self._openings.indeterminate
            + self._policies.indeterminate
            + self._devices.indeterminate,
            "authority_unjudged": unjudged if self._roots else self._cycles,
            "acts_unjudged": self._acts_unjudged,
            "confirmed": self._effects.confirmed,
            "confirmed_again": self._effects.again,
            "confirmed_short": self._short,
            "requests_proven": self._devices.requests.proven,
            "requests_unproven": self._devices.requests.unproven,
            "batches_judged": self._devices.judged,
            "batches_unjudged": self._devices.unjudged,
            "decisions_unreplayed": self._unreplayed,
            "same_serial": self._holdings.same_serials(),
        }

    def take(self, checked: Checked) -> None:
        """Take what jobs found."""
        self._replayed += checked.replayed
        self._unreplayed += checked.unreplayed
        self._acts_unjudged += checked.acts_unjudged
        self._short += checked.short

    def check(self, entry: Entry, claims: bytes | None) -> Under | None:
        """Judge the next entry; return what its job needs to know of those below."""
        header = entry.header
        if self._roots:
            self._floor.passing(header.time)
        kind, seq, who = header.kind, header.seq, header.who
        self._mono_ns = header.time.mono_ns
        if who is not None and who[1] == seq and claims is not None:
            self._whos.note(seq, claims)
        if kind == _ACTUATION:
            # Of most entries nothing is asked: no cycle under a policy, and nobody who could confirm.
            is_asked = self._permits.by_carrier or self._holdings.by_kid or self._policies.in_force is not None
            return self._acted(header, claims) if is_asked else None
        if kind in _BATCHES:
            return self._batch(entry, claims)
        if kind == Kind.CYCLE:
            return self._open(header, claims)
        if kind == Kind.REFUSAL:
            return self._refuse(header)
        if kind == Kind.CYCLE_END:
            self._permits.end(header.control.carrier)
        elif kind == Kind.POLICY:
            body = body_of(header, claims)
            raw = None if body is None else body.get("bundle")
            self._policies.take(seq, header.control.digest, raw, self._floor.moment(header.time, seq))
        elif kind == Kind.CREDENTIAL and self._roots:
            self._holdings.take(seq, header.control.digest, body_of(header, claims))
        elif kind in _WITHOUT:
            self._never_came(header)
        elif kind == Kind.ACTUATOR:
            self._name(header.control.number, body_of(header, claims))
        elif kind == Kind.BOOT:
            self._boot(header)
        return None

    def finish(self) -> None:
        """Judge what waited for a later entry; only of a whole lineage."""
        self._effects.finish(self._mono_ns)

    def _acted(self, header: Header, claims: bytes | None) -> Acting | None:
        self._devices.acted(header, claims)
        if is_due(header, bundle := self._under(header)):
            self._effects.acted(header, confirm_by_ms(claims), bundle)
        return self._permits.use(header) if self._permits.by_carrier else None

    def _never_came(self, header: Header) -> None:
        if header.kind == Kind.GAP:
            self._devices.gap(header.seq, header.control)
        else:
            self._effects.abandoned(header.control.requests)

    def _batch(self, entry: Entry, claims: bytes | None) -> Under | None:
        """A confirmation; or an observation, which may be a device's batch or somebody's reading."""
        header = entry.header
        if header.kind == Kind.OBSERVATION:
            if self._roots:
                self._readings.note(entry, claims)
            if claims is None or _SIGNATURE not in claims:
                if header.control is not None and (claims is None or _READING not in claims):
                    self._devices.unread()
                return None
        body = read(claims, BODY, "body", header.body)
        # Whoever holds the recorder's keys can name any commit in key 12 and withhold what the device would sign.
        if body is None or shows(body):
            self._effects.confirmed_by(header, is_here=body is not None)
        return self._devices.take(header, body, self._floor.moment(header.time, header.seq))

    def _name(self, number: int, body: Values | None) -> None:
        name = None if body is None else body.get("name")
        if isinstance(name, str) and len(self._names) < NAMES_KEPT:
            self._names[number] = name

    def _boot(self, header: Header) -> None:
        boot = header.control
        if self._whole and boot.os_boot != self._os_boot:
            self._permits.boot()
            self._effects.boot()
        self._os_boot = boot.os_boot
        self._openings.boot(boot.identity_key, boot.os_boot)

    def _under(self, header: Header) -> PolicyBundle | None:
        """The signed policy that an entry is under; that it names the one in force is for step 6."""
        bundle = self._policies.in_force
        axis = header.policy_axis
        return bundle if bundle is not None and axis is not None and axis.bundle == bundle.hash else None

    def _refuse(self, header: Header) -> Deciding | None:
        bundle = self._under(header)
        if bundle is None or header.why is None or header.why.carrier != header.seq:
            return None
        return self._deciding(header, bundle, ())

    def _open(self, header: Header, claims: bytes | None) -> Deciding | None:
        bounds, classes = header.bounds, header.classes
        assert bounds is not None
        assert classes is not None
        bundle = self._under(header)
        if bundle is None:
            if not self._policies.is_known:
                self._cycles += 1
                self._openings.unjudged += 1
            return None
        rules = bundle.policy.classes
        unknown = [name for name in bounds.action_classes if name not in rules]
        if not unknown and not any(rules[name].gated for name in bounds.action_classes):
            return None
        self._cycles += 1
        why = why_of(header, claims)
        if self._roots:
            for name in unknown:
                detail = f"class {name[:80]} is none of policy {bundle.policy.name}: nothing decided about it"
                self._found("decision_missing", header.seq, detail)
            opening = Opening(header, bundle, self._named(bounds.actuators), self._who(header), why)
            delegated = self._openings.judge(opening, self._floor.moment(header.time, header.seq))
            named = rules.get(classes.action_class)
            self._permits.open(header, delegated, None if named is None else named.verbs, why)
        return self._deciding(header, bundle, self._named(bounds.actuators))

    def _who(self, header: Header) -> Family | None:
        return None if header.who is None else self._whos.of(header.who)

    def _named(self, actuators: Sequence[int]) -> tuple[str | None, ...]:
        return tuple(map(self._names.get, actuators))

    def _deciding(self, header: Header, bundle: PolicyBundle, names: tuple[str | None, ...]) -> Deciding:
        who = self._who(header)
        known = None if who is None or who.withheld else cbor.pack(who.values)
        return Deciding(bundle.signed.raw, known, names)
