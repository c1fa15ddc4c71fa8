"""What stands offline of whatever a test made a recorder do under a signed policy."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from recorder.audit.check import check_source, silent
from recorder.audit.opening import open_source
from recorder.audit.redecide import Redecided
from recorder.audit.replaying import replay_decisions
from recorder.audit.span import Span
from recorder.core.findings import FINDINGS
from recorder.core.trust import parse_trust


def verify(state: Path) -> None:
    """What was recorded stands by the roots of the recorder, and each decision comes out again as it was recorded."""
    differing: list[Redecided] = []

    def replayed(one: Redecided) -> None:
        if one.outcome == "different":
            differing.append(one)

    with closing(open_source(None, state)) as source:
        report = check_source(source, trust=parse_trust((state / "trust").read_bytes()), workers=1)
        replay_decisions(source, Span(0, source.size - 1), replayed, silent, workers=1)
    assert differing == []
    assert [one for one in report.problems if FINDINGS[one.error].severity == "failed"] == []
    assert (report.notes["decisions_unreplayed"], report.notes["acts_unjudged"]) == (0, 0)
    assert report.notes["authority_unjudged"] == 0
