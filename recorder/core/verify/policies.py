"""Step 9: the policy bundles that entries put in force, and whether who signed each of them might."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from recorder.core import policy, policy_issue
from recorder.core.delegation import Moment
from recorder.core.errors import FormatError
from recorder.core.note import VerifierKey
from recorder.core.policy import PolicyBundle
from recorder.core.sign1 import SIGNED
from recorder.core.verify.found import Found
from recorder.core.verify.holdings import Holdings


class Policies:
    """The signed bundle in force, None where a configured table is, or where its bytes are not here."""

    def __init__(self, found: Found, roots: Sequence[VerifierKey], holdings: Holdings) -> None:
        self._found = found
        self._roots = roots
        self._holdings = holdings
        self._latest: PolicyBundle | None = None  # the last signed one, to which a later one is compared
        self.in_force: PolicyBundle | None = None
        self.is_known = True  # what is in force could be read
        self.judged = self.indeterminate = self.unjudged = 0

    def take(self, seq: int, digest: bytes, raw: object, moment: Moment) -> None:
        """Take a policy entry; `raw` is the claim `bundle`, None where it is not here."""
        before = self._latest
        if before is not None and before.hash == digest:  # a start of the recorder writes the one in force anew
            self.in_force, self.is_known = before, True
            return
        self.in_force = None
        self.is_known = isinstance(raw, bytes) and sha256(raw).digest() == digest
        if not isinstance(raw, bytes) or not self.is_known:
            self.unjudged += 1
            return
        if not raw.startswith(SIGNED):
            if before is not None and self._roots:
                name = f"{before.policy.name} version {before.policy.version}"
                self._found("policy_older", seq, f"what is no signed policy does not follow {name}")
            return
        try:
            read = policy.read(raw)
        except FormatError as error:
            self.is_known = False
            self._found(error.error, seq, error.detail)
            return
        self.in_force = self._latest = read
        if self._roots:
            self._judge(seq, read, before, moment)

    def _judge(self, seq: int, read: PolicyBundle, before: PolicyBundle | None, moment: Moment) -> None:
        held = self._holdings
        issuer = read.policy.issuer
        if issuer is not None and held.is_partial and issuer not in held.pool:
            self.unjudged += 1
        else:
            revoked = {} if issuer is None else held.revoked(issuer)
            issued = policy_issue.judge(read, held.pool, held.matrix, self._roots, revoked, moment)
            self.judged += 1
            if issued.verdict == "indeterminate":
                self.indeterminate += 1
            elif issued.verdict == "invalid":
                for reason in issued.reasons:
                    self._found(reason.error, seq, reason.detail)
        if before is not None:
            try:
                policy.require_newer(read.policy, before.policy)
            except FormatError as error:
                self._found(error.error, seq, error.detail)
