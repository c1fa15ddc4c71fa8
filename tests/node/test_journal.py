"""What the journal hears of a mesh: each trouble when it begins and when it is over, and nothing of what is well."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.node.journal import LASTS, LASTS_ABSENT, Journal


class Mesh:
    """A status as the process writes it, and what the journal made of it."""

    def __init__(self, *, has_quorum: bool = True) -> None:
        self.said: list[str] = []
        self._journal = Journal(self.said.append, has_quorum=has_quorum)
        self.status: dict[str, Any] = {
            "clock_trusted": True,
            "rounds": 0,
            "latest": None,
            "peers": [{"name": "arm-8", "last": "not asked yet"}],
            "discovery": {"interfaces": ["eth0"]},
        }

    def look(self) -> list[str]:
        """Show the journal the status once more; what it says now."""
        del self.said[:]
        self._journal.take(self.status)
        return list(self.said)

    def round(self, last: str) -> list[str]:
        """One round, in which the only witness answered so."""
        is_quorum = last.startswith("cosigned")
        self.status["rounds"] += 1
        self.status["peers"][0]["last"] = last
        self.status["latest"] = {"size": 47, "asked": 1, "cosigned": int(is_quorum), "is_quorum": is_quorum}
        return self.look()


def test_what_is_well_is_not_told() -> None:
    """No line at a start, in rounds that succeed, or before anyone was asked."""
    mesh = Mesh()
    assert mesh.look() == []
    assert [mesh.round("cosigned 47 entries") for _ in range(3)] == [[], [], []]
    assert mesh.round("cosigned 50 entries, its clock +3 s from ours") == []


def test_a_refusal_is_told_at_once_and_one_who_is_away_when_it_lasts() -> None:
    """With why; and that it is over.  Another reason meanwhile is no other trouble."""
    mesh = Mesh()
    (said,) = mesh.round("refused: 404 origin_unknown: no line")
    assert said == "arm-8 does not cosign: refused: 404 origin_unknown: no line"
    assert len(mesh.round("holds 9 entries, we have 4")) == 1, "the quorum, for the second time now"
    assert mesh.round("refused: 422 origin_forked: x") == []
    assert mesh.round("cosigned 47 entries") == ["arm-8 cosigns again", "a quorum cosigned 47 entries"]
    away = [mesh.round("not now: http://x: refused") for _ in range(LASTS + 2)]
    assert [len(one) for one in away] == [0] * (LASTS - 1) + [2, 0, 0]
    assert away[LASTS - 1][0] == "arm-8 does not cosign: not now: http://x: refused"
    assert away[LASTS - 1][1].startswith("no quorum: 0 of 1 witnesses that could be asked cosigned 47 entries")
    assert mesh.look() == [], "nothing between rounds"


def test_one_who_comes_and_goes_is_not_told_each_time() -> None:
    """A round without it between two with it is nothing."""
    mesh = Mesh()
    for _ in range(5):
        assert mesh.round("not now: no answer in time") == []
        assert mesh.round("cosigned 47 entries") == []


def test_a_list_without_a_quorum_lacks_none() -> None:
    """Nobody asked for one."""
    mesh = Mesh(has_quorum=False)
    told = [line for _ in range(LASTS + 1) for line in mesh.round("not now: no answer in time")]
    assert told == ["arm-8 does not cosign: not now: no answer in time"]


@pytest.mark.parametrize(
    ("key", "bad", "good", "after", "says", "over"),
    [
        ("clock_trusted", False, True, 1, "the clock is not trusted: ", "the clock is trusted"),
        ("discovery", {"interfaces": []}, {"interfaces": ["wlan0"]}, LASTS_ABSENT, "on no network: ", "on wlan0"),
    ],
)
def test_clock_and_network(key: str, bad: object, good: object, after: int, says: str, over: str) -> None:
    """Told once each time, the network when it stays away."""
    mesh = Mesh()
    for _ in range(2):
        mesh.status[key] = bad
        told = [mesh.look() for _ in range(after + 2)]
        assert [len(one) for one in told] == [0] * (after - 1) + [1, 0, 0]
        assert told[after - 1][0].startswith(says)
        mesh.status[key] = good
        assert mesh.look() == [over]
    del mesh.status["discovery"]
    assert mesh.look() == [], "where it is off"
