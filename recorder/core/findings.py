"""All that verification can find: each named error, its step (FORMAT.md section 8), the verdicts that it decides."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

Severity = Literal["failed", "lossy"]  # lossy: a loss that the lineage itself declares

PROBLEMS_MAX = 100  # kept in full; all are counted by name

TITLES = {
    1: "sizes and encoding",
    2: "keys and shapes of each kind",
    3: "key windows",
    4: "signatures",
    5: "seq and prev",
    6: "axes, references, cycle bounds",
    7: "Merkle root, checkpoints, inclusion",
    8: "claims against digests",
    9: "credentials and delegations",
    10: "boots, stops, gaps, cycle ends, clocks",
    11: "policy replay",
}
AUTHORITY_STEP = 9


class Finding(NamedTuple):
    """What a named error means: its step (FORMAT.md section 8), the verdicts that it decides, and how."""

    step: int
    verdicts: tuple[str, ...] = ("integrity",)
    severity: Severity = "failed"
    in_lineage: bool = True  # False: not an error of a whole lineage, but of proofs, tiles, ids, or our own state


def _findings(step: int, names: str, **rest: Any) -> dict[str, Finding]:  # noqa: ANN401 -- fields of Finding
    return {name: Finding(step, **rest) for name in names.split()}


_AUTHORITY = {"verdicts": ("authority",)}
_COMPLETENESS = {"verdicts": ("completeness",)}
_LOSSY = {"verdicts": ("completeness",), "severity": "lossy"}
_APART = {"in_lineage": False}

FINDINGS: dict[str, Finding] = {
    **_findings(1, "entry_too_large entry_malformed cbor_malformed"),
    **_findings(1, "entry_bundle tile_path tile_malformed id_malformed id_mismatch", **_APART),
    **_findings(1, "bundle_malformed trust_malformed record_damaged", **_APART),
    **_findings(1, "credential_malformed matrix_malformed revocation_malformed policy_malformed", **_AUTHORITY),
    **_findings(1, "grant_malformed observation_malformed", **_AUTHORITY),
    **_findings(1, "request_malformed", **_APART),
    **_findings(2, "header_keys header_value schema_malformed"),
    **_findings(3, "boot_missing identity_changed identity_untrusted kid_unknown key_window after_stop"),
    **_findings(3, "epoch_key_reused"),
    **_findings(4, "signature_invalid"),
    **_findings(5, "seq_mismatch prev_mismatch"),
    **_findings(6, "actuator_axis policy_axis ref_order ref_hash request_order nonce_reused carrier_mismatch"),
    **_findings(6, "actuator_undeclared schema_undeclared"),
    **_findings(6, "cycle_unknown cycle_digest cycle_bundle cycle_policy cycle_os_boot cycle_carried", **_AUTHORITY),
    **_findings(6, "cycle_expired cycle_commits cycle_actuator cycle_class cycle_ended", **_AUTHORITY),
    **_findings(6, "stage_order stage_changed", **_AUTHORITY),
    **_findings(7, "root_mismatch checkpoint_malformed checkpoint_signature checkpoint_fork origin_mismatch"),
    **_findings(7, "truncated", verdicts=("integrity", "completeness")),
    **_findings(7, "note_malformed note_signature tlog_proof_malformed", **_APART),
    **_findings(7, "fork_malformed fork_origin fork_unproved split_malformed split_origin split_unproved", **_APART),
    **_findings(7, "inclusion_proof consistency_proof tree_state", **_APART),
    **_findings(7, "member_digest bundle_volume tile_mismatch extraction_receipt", **_APART),
    **_findings(8, "claims_malformed claims_mismatch claims_missing claims_extra claim_required"),
    **_findings(8, "bundle_digest credential_digest observation_digest"),
    **_findings(1, "confirmation_malformed frame_malformed", **_AUTHORITY),
    **_findings(8, "confirmation_frames", **_AUTHORITY),
    **_findings(9, "confirmation_signature", **_AUTHORITY),
    **_findings(8, "rows_malformed rows_root rows_time"),
    **_findings(7, "unwitnessed_tail", verdicts=("witnessing",), **_APART),
    **_findings(8, "witness_choice", verdicts=("witnessing",)),
    **_findings(8, "deletion_early deletion_held", **_AUTHORITY),
    **_findings(9, "matrix_signature matrix_version observation_signature observation_entry", **_AUTHORITY),
    **_findings(9, "request_signature", **_AUTHORITY, **_APART),
    **_findings(9, "credential_signature issuer_unknown issuer_mismatch parent_unknown", **_AUTHORITY),
    **_findings(9, "delegation_role delegation_scope delegation_validity delegation_depth", **_AUTHORITY),
    **_findings(9, "credential_early credential_expired credential_revoked role_mismatch", **_AUTHORITY),
    **_findings(9, "grant_signature grant_origin grant_os_boot grant_expired grant_beyond grant_inputs", **_AUTHORITY),
    **_findings(9, "policy_signature policy_scope policy_early policy_expired policy_older", **_AUTHORITY),
    **_findings(9, "delegation_missing delegation_holder delegation_uncovered budget_exceeded", **_AUTHORITY),
    **_findings(9, "decision_missing class_mixed cycle_decision verb_not_permitted beyond_contemplated", **_AUTHORITY),
    **_findings(10, "boot_number clock_mono cycle_count frames_unaccounted", **_COMPLETENESS),
    **_findings(10, "unclean_stop gap_declared clock_step_undeclared unconfirmed", **_LOSSY),
    **_findings(10, "incarnation_unnamed", **_COMPLETENESS, **_APART),
    **_findings(11, "replay_malformed replay_mismatch replay_differs", **_AUTHORITY),
    **_findings(10, "selection_partial loss_declared", **_LOSSY, **_APART),
}


class Problem(NamedTuple):
    """One finding; `seq` is None where no entry is its place."""

    step: int
    seq: int | None
    error: str
    detail: str


def problem(error: str, seq: int | None, detail: str) -> Problem:
    """Make a problem in the step of its error."""
    return Problem(FINDINGS[error].step, seq, error, detail)


class ProblemLog:
    """The first problems by seq and step, whatever order they come in, and counts of all: constant memory."""

    def __init__(self, kept_max: int = PROBLEMS_MAX) -> None:
        self.counts: Counter[str] = Counter()
        self._kept: list[tuple[tuple[float, int, int], Problem]] = []
        self._kept_max = kept_max
        self._added = 0

    def add(self, found: Problem) -> None:
        """Count a problem and keep it if it is among the first."""
        self.counts[found.error] += 1
        self._added += 1
        # The number of arrival keeps equals in order and two problems from being compared.
        place = (float("inf") if found.seq is None else found.seq, found.step, self._added)
        insort(self._kept, (place, found))
        if len(self._kept) > self._kept_max:
            self._kept.pop()

    def extend(self, found: Iterable[Problem]) -> None:
        """Add several."""
        for item in found:
            self.add(item)

    @property
    def kept(self) -> list[Problem]:
        """The first problems, in order of seq and step."""
        return [item for _, item in self._kept]

    def failed_in(self, step: int) -> bool:
        """Tell whether anything but declared loss was found in a step."""
        return any(FINDINGS[name].step == step and FINDINGS[name].severity == "failed" for name in self.counts)

    def worst(self, verdict: str) -> Severity | None:
        """The gravest severity found that decides this verdict, or over all verdicts for ""."""
        found = {FINDINGS[name].severity for name in self.counts if verdict in ("", *FINDINGS[name].verdicts)}
        return "failed" if "failed" in found else "lossy" if found else None
