"""`lineage bench`: what it prints; the figures are for those who read them."""

from __future__ import annotations

from pathlib import Path

from tests.cli.states import lineage, one_line, parsed

SMALL = ("--seconds", "1", "--segment-mib", "4", "--segments", "2")


def test_it_measures_and_leaves_nothing(tmp_path: Path) -> None:
    """Five rounds, two verbs in three states, memory and two starts; the directory is gone afterwards."""
    found = parsed(lineage("bench", "--state", tmp_path / "bench", *SMALL, "--json"))
    assert len(found["commit"]["rounds"]) == 5
    assert found["commit"]["ratio"] > 0
    assert found["commit"]["record_bytes"] > 300
    loops = [(one["verb"], one["recorder"]) for one in found["calls"]]
    assert loops == [(verb, state) for verb in ("event", "record") for state in ("running", "killed", "stopped")]
    assert all(one["pending"] == 0 for one in found["calls"])
    assert set(found["memory_kib"]["after_commits"]) == {"RssAnon", "RssFile"}
    assert [one["segments"] for one in found["start"]] == [1, 2]
    assert list(tmp_path.iterdir()) == []


def test_the_table(tmp_path: Path) -> None:
    """The same for people."""
    done = lineage("bench", "--state", tmp_path / "bench", *SMALL)
    assert done.returncode == 0, done.stderr
    for part in ("bare p50 µs", "ratio, median of the rounds", "p99.9 µs", "RssAnon", "ratio of the starts"):
        assert part in done.stdout


def test_a_directory_that_is_there_is_refused(tmp_path: Path) -> None:
    """It removes what it made, so it must have made it."""
    assert "exists" in one_line(lineage("bench", "--state", tmp_path))
