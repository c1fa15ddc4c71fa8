"""Step 9 of what is done: cycles that a delegation covers; their commits held against decision, verbs and budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recorder.core import cbor, scope
from recorder.core.header import Header
from recorder.core.kinds import Commit, Decision
from recorder.core.verify.acts import contemplated, deviate_to
from recorder.core.verify.budgets import Budgets
from recorder.core.verify.cycles import CYCLES_KEPT
from recorder.core.verify.found import Found
from recorder.core.verify.held import Family
from recorder.core.verify.holdings import Holdings
from recorder.core.verify.opening import SYNCHRONISED
from recorder.core.verify.under import Acting


class _Permit:
    """A cycle that a delegation covers, and what its users are held against."""

    __slots__ = ("acting", "decision", "delegation", "not_after_ns", "verbs")

    def __init__(self, header: Header, delegation: bytes | None, verbs: Sequence[str] | None, acting: Acting) -> None:
        assert header.bounds is not None
        self.decision = header.decision
        self.not_after_ns = header.bounds.not_after_mono_ns
        self.delegation = delegation  # hash of the credential; None where it could not be judged
        self.verbs = verbs
        self.acting = acting


class Permits:
    """The cycles that are open, and what their delegations have left."""

    def __init__(self, found: Found, holdings: Holdings, names: Mapping[int, str]) -> None:
        """Begin without any.

        Args:
            found: takes what is wrong.
            holdings: credentials that the lineage has brought.
            names: of actuators, by number, as far as they are known; the caller adds to them.

        """
        self.by_carrier: dict[int, _Permit] = {}
        self._found = found
        self._holdings = holdings
        self._names = names
        self._budgets = Budgets(found)
        self._purge_at = CYCLES_KEPT

    def boot(self) -> None:
        """Another OS boot: no cycle goes on, and CLOCK_BOOTTIME begins anew."""
        self.by_carrier.clear()
        self._budgets.boot()

    def end(self, carrier: int) -> None:
        """A cycle is over."""
        self.by_carrier.pop(carrier, None)

    def open(self, header: Header, delegation: bytes | None, verbs: Sequence[str] | None, why: Family | None) -> None:
        """A cycle begins; `why` is what it says of its reasons, where that can be read."""
        bounds = header.bounds
        assert bounds is not None
        act = None if why is None else contemplated(why.values)
        chain = None if delegation is None else self._holdings.chain(delegation)
        acting = Acting(
            None if act is None else cbor.pack(act[0]),
            None if chain is None else cbor.encode(scope.to_value(chain.links[0].terms.scope)),
            deviate_to(header, None if why is None else why.values),
            tuple((number, self._names[number]) for number in bounds.actuators if number in self._names),
            is_timed=False,
        )
        if chain is not None:
            self._budgets.open(header.seq, chain, header.time.mono_ns, bounds.not_after_mono_ns)
        self.by_carrier[header.seq] = _Permit(header, delegation, verbs, acting)
        if len(self.by_carrier) > self._purge_at:
            now_ns = header.time.mono_ns
            self.by_carrier = {seq: one for seq, one in self.by_carrier.items() if one.not_after_ns >= now_ns}
            self._purge_at = max(CYCLES_KEPT, 2 * len(self.by_carrier))

    def use(self, header: Header) -> Acting | None:
        """An entry with commits under a cycle; what its job holds them against, None where there is nothing."""
        assert header.why is not None
        permit = self.by_carrier.get(header.why.carrier)
        if permit is None or header.decision in (Decision.OUTSIDE_GRANT, Decision.UNGATED):
            return None
        seq = header.seq
        if header.decision != permit.decision:
            ours, theirs = header.decision, permit.decision
            self._found("cycle_decision", seq, f"decision {ours}, that of cycle {header.why.carrier} is {theirs}")
        made = 0
        for commit in header.commits or ():
            if isinstance(commit, Commit):
                made, verb = made + 1, "commit"
            else:
                made, verb = made + commit.count, "record"
            if permit.verbs is not None and verb not in permit.verbs:
                self._found("verb_not_permitted", seq, f"{verb} is not among {', '.join(permit.verbs) or 'none'}")
        if permit.delegation is not None:
            for since in self._holdings.revoked(permit.delegation).values():
                if since <= seq:
                    detail = f"under cycle {header.why.carrier}, whose delegation is revoked from seq {since}"
                    self._found("credential_revoked", seq, detail)
            if (chain := self._holdings.chain(permit.delegation)) is not None:
                self._budgets.use(seq, chain, made)
        return permit.acting._replace(is_timed=header.time.quality >= SYNCHRONISED)
