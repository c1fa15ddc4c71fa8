"""What changes who may do what: policies, credentials, matrices and revocation lists act from their entries on."""

from __future__ import annotations

from hashlib import sha256

from recorder.core import credential, policy, policy_issue
from recorder.core.chosen import RULES
from recorder.core.credential import Credential
from recorder.core.errors import FormatError, Misuse
from recorder.core.kinds import Kind
from recorder.core.message_requests import AppendRequest
from recorder.core.policy import PolicyBundle
from recorder.gate.engine import Unfit
from recorder.gate.table import of_policy
from recorder.store.tail import Op
from recorder.writer import cycles
from recorder.writer.context import Context, failed
from recorder.writer.session import Answer, receipt

KINDS = frozenset({Kind.POLICY, Kind.CREDENTIAL})
BUNDLE, CREDENTIAL, MATRIX, REVOCATION = "bundle", "credential", "matrix", "revocation"  # claims of their bodies


def install(context: Context, asked: AppendRequest) -> Answer:
    """Store what an authority signed, and put it in force; what may not be leaves no entry."""
    match asked.kind, asked.body:
        case Kind.POLICY, {"bundle": bytes(raw), **others} if not others:
            put = _policy
        case Kind.CREDENTIAL, {"credential": bytes(raw), **others} if not others:
            put = _credential
        case Kind.CREDENTIAL, {"matrix": bytes(raw), **others} if not others:
            put = _matrix
        case Kind.CREDENTIAL, {"revocation": bytes(raw), **others} if not others:
            put = _revocation
        case Kind.POLICY, _:
            return failed("claim_missing", "the body of a policy is the claim `bundle`, its bytes, and no other")
        case _:
            return failed("claim_missing", "the body is one claim of bytes: `credential`, `matrix` or `revocation`")
    if asked.refs is not None or asked.control != [sha256(raw).digest()]:
        return failed("header_value", "control is the SHA-256 of the bytes in the body, and there are no references")
    try:
        return put(context, raw)
    except FormatError as error:
        return failed(error.error, error.detail)
    except Misuse as error:
        return failed("not_possible", str(error))


def _policy(context: Context, raw: bytes) -> Answer:
    read = policy.read(raw)
    held = context.table.signed
    if held is not None:
        policy.require_newer(read.policy, held.policy)
    known, issuer = context.authorities, read.policy.issuer
    # Also by a list that came before the credential.
    revoked = known.revoked(issuer) if issuer is not None and issuer in known.pool else {}
    issued = policy_issue.judge(read, known.pool, known.matrix, known.roots, revoked, context.journal.moment)
    if issued.verdict == "invalid":
        raise FormatError(issued.reasons[0].error, "; ".join(reason.detail for reason in issued.reasons))
    for name, rules in read.policy.classes.items():
        if rules.witnesses is not None and rules.witnesses.rule not in RULES:
            rule = rules.witnesses.rule
            return failed("policy_unfit", f"class {name} chooses witnesses by {rule!r}: not one of {', '.join(RULES)}")
    try:
        table = of_policy(read, context.engine())
    except Unfit as error:
        return failed("policy_unfit", _placed(read, error))
    answer = _store(context, Kind.POLICY, BUNDLE, raw)
    context.journal.move(Op.POLICY, read.hash)
    context.journal.move(Op.SIGNED_POLICY, raw)
    context.table = table
    return answer


def _placed(read: PolicyBundle, error: Unfit) -> str:
    ids = [clause.id for clause in read.policy.clauses]
    return "; ".join(f"clause {ids[one.condition]}: {one.line}:{one.column}: {one.text}" for one in error.faults)


def _credential(context: Context, raw: bytes) -> Answer:
    known = context.authorities
    _make_room(context, credential.read(raw))
    read = known.judge_credential(raw)
    answer = _store(context, Kind.CREDENTIAL, CREDENTIAL, raw)
    context.journal.move(Op.CREDENTIAL, read.hash, raw)
    known.add(read)
    _end_revoked(context)
    return answer


def _make_room(context: Context, another: Credential) -> None:
    """Forget credentials that are good for nothing any more, where the pool is full."""
    known, journal = context.authorities, context.journal
    if another.hash in known.pool or known.has_room(another):
        return
    in_use = {cycle.delegation for cycle in journal.tail.cycles.values() if cycle.delegation is not None}
    gone = known.forgettable(journal.moment, in_use)
    journal.move(Op.FORGET, *gone)
    known.forget(gone)


def _matrix(context: Context, raw: bytes) -> Answer:
    read = context.authorities.judge_matrix(raw)
    answer = _store(context, Kind.CREDENTIAL, MATRIX, raw)
    context.journal.move(Op.MATRIX, raw)
    context.authorities.recognise(read)
    _end_revoked(context)
    return answer


def _revocation(context: Context, raw: bytes) -> Answer:
    seq = context.journal.next_seq
    revoked = context.authorities.judge_revocation(raw)
    answer = _store(context, Kind.CREDENTIAL, REVOCATION, raw)
    context.journal.move(Op.REVOCATION, sorted(revoked), seq)
    context.authorities.revoke(revoked, seq)
    _end_revoked(context)
    return answer


def _store(context: Context, kind: Kind, claim: str, raw: bytes) -> Answer:
    journal = context.journal
    seq = journal.next_seq
    body = journal.family("body", {claim: raw})
    journal.draft(kind, {11: body.digest, 15: [sha256(raw).digest()]}, {11: body.claims})
    return receipt(seq)


def _end_revoked(context: Context) -> None:
    """End the cycles whose delegation has a revoked link now: by this list, or by one that begins to act."""
    for cycle in list(context.journal.tail.cycles.values()):
        if cycle.delegation and (revoked := context.authorities.revoked(cycle.delegation)):
            cycles.end(context, cycle, f"credential_revoked: {min(revoked).hex()[:8]}")
