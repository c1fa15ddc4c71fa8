"""Claims as an export shows them: by value, or null with the reason why they are not here."""

from __future__ import annotations

from typing import Any, NamedTuple

from recorder.audit.describe import plain
from recorder.core import cbor, claims
from recorder.core.errors import FormatError

WITHHELD = "withheld: only its hash is here"
NOT_HELD = "not held here"

Missing = dict[str, str]  # claim, reason


class Family(NamedTuple):
    """One family of claims."""

    values: dict[str, Any]
    missing: list[Missing]


class Deleted(NamedTuple):
    """What a deletion entry says of the claims of earlier ones."""

    first: int
    last: int
    retention_class: str
    id: str

    def reason(self) -> str:
        """In words."""
        return f"deleted: entry {self.id}, retention class {self.retention_class}"


def family(name: str, held: Any, reason: str) -> Family:  # noqa: ANN401 -- whatever lies beside an entry
    """A family in either form, with null for each claim that is not here.

    Args:
        name: who, what, where, why or body.
        held: the family, or None where it is not here at all.
        reason: why something of this entry would not be here.

    """
    if held is None:
        return Family({}, [{"claim": name, "reason": reason}])
    try:
        values = plain(claims.disclosed(name, held))
        absent = claims.withheld(held)
    except (FormatError, AttributeError) as error:
        return Family({}, [{"claim": name, "reason": f"unreadable: {error}"}])
    return Family(
        values | dict.fromkeys(absent), [{"claim": f"{name}.{key}", "reason": reason} for key in absent]
    )  # fmt: skip


class Beside:
    """The claims record beside one entry."""

    def __init__(self, held: bytes, deletion: Deleted | None) -> None:
        """Decode it.

        Args:
            held: its bytes, b"" where there are none.
            deletion: of what is not here.

        """
        self._record: dict[Any, Any] = {}
        self.reason = deletion.reason() if deletion is not None else (WITHHELD if held else NOT_HELD)
        if not held:
            return
        try:
            record = cbor.decode(held)  # strictly: what fails verification may be exported too
        except FormatError as error:
            self.reason = f"unreadable: {error}"
            return
        if isinstance(record, dict):
            self._record = record

    def family(self, name: str, key: int) -> Family:
        """A family under a key of the record."""
        return family(name, self._record.get(key), self.reason)

    def of_act(self, index: int) -> tuple[Family, Family, Any]:
        """What and where of a commit or rows message, and its rows in either form, None where they are not here."""
        acts = self._record.get(10)
        act: Any = acts[index] if isinstance(acts, list) and index < len(acts) else None
        what, where, rows = (*act[:3], None, None, None)[:3] if isinstance(act, list) else (None, None, None)
        return family("what", what, self.reason), family("where", where, self.reason), rows
