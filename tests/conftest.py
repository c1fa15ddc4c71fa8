"""The one flag that the suite adds, Hypothesis without a clock, and Ctrl-C for whoever was started without it."""

from __future__ import annotations

import signal

import hypothesis
import pytest

# A deadline would make a slow machine (a Pi, CI) fail what is right; pytest-timeout bounds all.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

# A shell's background job ignores SIGINT, and so would every process that it starts; tests interrupt some of these.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the long forms too: 200 kills, ten minutes, every byte")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="a long form: give --long"))
