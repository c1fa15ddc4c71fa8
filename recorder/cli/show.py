"""`lineage show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from recorder.audit.asked import asked_of
from recorder.audit.axis import Neighbours, neighbours
from recorder.audit.begun import begun
from recorder.audit.brought import brought
from recorder.audit.carried import BundleSource
from recorder.audit.confirmed import confirmations_of, is_to_be_confirmed
from recorder.audit.decisions import decided
from recorder.audit.deleted import deletion_of
from recorder.audit.describe import described, plain, values_of
from recorder.audit.rowview import row_of, rows_named
from recorder.audit.source import Held, entry_at, entry_named
from recorder.audit.state import StateSource
from recorder.cli import output
from recorder.cli.options import json_option, opened, source_options
from recorder.cli.trustfile import read_trust
from recorder.core.entry import Entry, decode
from recorder.core.errors import FormatError
from recorder.core.ids import EntryId, entry_id
from recorder.core.kinds import Kind
from recorder.core.tlogproof import TlogProof
from recorder.store.errors import StoreError


@click.command(
    "show",
    epilog="Examples: lineage show 1205-4f09ab77 --state /var/lib/lineage; lineage show 1205.0.17-4f09ab77 (a row)",
)
@click.argument("wanted", metavar="ID")
@click.option("--trust", type=click.Path(path_type=Path), metavar="FILE", help="Say which of its witnesses signed.")
@source_options
@json_option
def command(
    *, wanted: str, trust: Path | None, state: Path | None, bundle: Path | None, socket: Path | None, as_json: bool
) -> None:
    """Print one entry, commit or row: its claims, its inclusion proof, its neighbours on the axes.

    ID is printed as SEQ-HHHHHHHH, SEQ.IDX-HHHHHHHH or SEQ.IDX.ROW-HHHHHHHH; the numbers alone are taken too.
    JSON has all that leads from a row's bytes to the signed root, the entry's bytes as `raw` among it.
    """
    trusted = None if trust is None else read_trust(trust)
    with opened(state, bundle, socket) as source:
        held, named = entry_named(source, wanted)
        names = dict(source.actuators())
        shown = described(held, names)
        if "unreadable" not in shown:
            entry = decode(held.raw)
            if (deletion := deletion_of(source, entry.header, held)) is not None:
                shown["claims_deleted_by"] = str(entry_id(_hash(deletion), deletion.seq))
            _narrow(source, shown, held, entry, named)
            _carried(source, shown, entry)
            told = confirmations_of(source, held.seq, named.index) if entry.header.kind == Kind.ACTUATION else []
            if told or is_to_be_confirmed(entry.header, values_of(held.claims).get("commits", [])):
                shown["confirmed"] = told
            shown["decided"] = _decided(entry, held) or None
            found = brought(entry.header.kind, values_of(held.claims).get("body") or {})
            if (asked := asked_of(source, entry.header, held, trusted)) is not None:
                shown["witnesses"] |= asked
            shown["brings"] = begun(entry.header) if found is None else found.words
            shown["neighbours"] = [_ids(source, one) for one in neighbours(source, entry, names)]
        proof, remark = _proof(source, held, shown["hash"])
        shown["proof"] = None if proof is None else proof.encode().decode()
        shown["proof_remark"] = remark
    if as_json:
        output.json_text({**shown, "raw": held.raw.hex()})
    else:
        _print(shown, proof)


def _narrow(
    source: StateSource | BundleSource, shown: dict[str, Any], held: Held, entry: Entry, named: EntryId
) -> None:
    """Keep the commit that was asked for, and look at its row."""
    if named.index is None:
        return
    commits = shown.get("commits", [])
    if named.index >= len(commits):
        raise StoreError(f"entry {held.seq} has {len(commits)} commits, none with index {named.index}")
    shown["commits"] = [commits[named.index]]
    if named.row is not None:
        commit = rows_named(entry, named.index, named.row)
        if held.claims:
            facts = plain(row_of(source, held, entry, named.index, named.row))
        else:
            gone = f"deleted, by {shown['claims_deleted_by']}" if "claims_deleted_by" in shown else "not here"
            facts = {"row": named.row, "rows": commit.count, "missing": gone}
        shown["row"] = {"id": str(named), **facts}


def _carried(source: StateSource | BundleSource, shown: dict[str, Any], entry: Entry) -> None:
    """Claims of who and why, from the entry that carries them."""
    for name, shared in (("who", entry.header.who), ("why", entry.header.why)):
        if shared is not None and shared.carrier != entry.header.seq:
            try:
                shown[name]["claims"] = plain(values_of(entry_at(source, shared.carrier).claims).get(name))
            except StoreError as error:
                shown[name]["claims_missing"] = str(error)


def _decided(entry: Entry, held: Held) -> list[str]:
    """The decision in words, of the entry that carries its why."""
    why = values_of(held.claims).get("why")
    return decided(entry.header, why)[0] if isinstance(why, dict) else []


def _ids(source: StateSource | BundleSource, found: Neighbours) -> dict[str, Any]:
    def printed(seq: int | None) -> str | None:
        if seq is None:
            return None
        try:
            return str(entry_id(_hash(entry_at(source, seq)), seq))
        except StoreError:
            return f"{seq} (not here)"

    return {"axis": found.axis, "of": found.of, "before": printed(found.before), "after": printed(found.after)}


def _hash(held: Held) -> bytes:
    return bytes.fromhex(described(held, {})["hash"])


def _proof(source: StateSource | BundleSource, held: Held, leaf: str) -> tuple[TlogProof | None, str]:
    try:
        proof = source.prove(held.seq, bytes.fromhex(leaf))
    except FormatError as error:
        return None, str(error)
    if proof is None:
        return None, "no checkpoint covers this entry yet"
    return proof, f"included: {len(proof.hashes)} hashes lead to the checkpoint's root"


def _print(shown: dict[str, Any], proof: TlogProof | None) -> None:
    output.line(f"{shown['id']}  {shown.get('kind', 'unreadable')}  {shown.get('time', {}).get('utc', '')}".rstrip())
    for text in shown.get("decided") or filter(None, [shown.get("brings")]):
        output.line(f"  {text}")
    left_out = {"id", "seq", "kind", "decided", "brings", "neighbours", "proof", "proof_remark"}
    _tree({key: value for key, value in shown.items() if key not in left_out}, "  ")
    output.line("  neighbours")
    for one in shown.get("neighbours", []):
        of = f" of {one['of']}" if one["of"] else ""
        output.line(f"    {one['axis']}{of}: before {one['before'] or 'none'}, after {one['after'] or 'none'}")
    output.line(f"  proof: {shown['proof_remark']}")
    if proof is not None:
        for text in shown["proof"].rstrip("\n").split("\n"):
            output.line(f"    {text}".rstrip())


def _tree(values: dict[str, Any], indent: str) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            output.line(f"{indent}{key}")
            _tree(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for at, item in enumerate(value):
                output.line(f"{indent}{key} {item.get('id', at)}")
                _tree({name: part for name, part in item.items() if name != "id"}, indent + "  ")
        else:
            output.line(f"{indent}{key}: {_plain(value)}")


def _plain(value: Any) -> str:  # noqa: ANN401 -- any JSON value
    """A value on one line: text as it is, lists as JSON, null as "none"."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
