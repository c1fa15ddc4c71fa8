"""Tables, colours and progress."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import pytest

from recorder.cli import output


def test_a_table_is_plain_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns are aligned, nothing trails."""
    output.table(["name", "n"], [["arm", "1"], ["arm.joint1", "20"]])
    assert capsys.readouterr().out == "name        n\narm         1\narm.joint1  20\n"


def test_a_table_is_plain_without_rich(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra may be absent on a terminal too."""
    real = builtins.__import__

    def without_rich(name: str, *rest: Any, **options: Any) -> Any:
        if name.startswith("rich"):
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(builtins, "__import__", without_rich)
    output.table(["a"], [["[b]not markup[/b]"]])
    assert "[b]not markup[/b]" in capsys.readouterr().out


def test_a_table_on_a_terminal_takes_text_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What looks like markup is shown, not obeyed."""
    pytest.importorskip("rich")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output.table(["a"], [["[b]not markup[/b]"]])
    assert "[b]not markup[/b]" in capsys.readouterr().out


def test_progress_shows_on_a_terminal_after_a_second(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at once, not in a pipe, and gone at the end."""
    assert output.PROGRESS_AFTER_S == 1.0
    monkeypatch.setattr(output, "PROGRESS_AFTER_S", 3600.0)  # whenever this test gets to its next line
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with output.Progress("verifying") as progress:
        progress(1, 10)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(output, "PROGRESS_AFTER_S", 0.0)
        monkeypatch.setattr(output, "PROGRESS_EVERY_S", 0.0)
        progress(5, 10)
        assert "verifying: 5 of 10 entries (50 %)" in capsys.readouterr().err
    assert capsys.readouterr().err.strip() == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    with output.Progress("verifying") as progress:
        progress(5, 10)
    assert capsys.readouterr().err == ""


def test_json_keeps_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """On one line, or for people."""
    output.json_line({"name": "Ä"})
    output.json_text({"name": "Ä"})
    assert capsys.readouterr().out == '{"name": "Ä"}\n{\n  "name": "Ä"\n}\n'
