"""[room] and [retention.NAME]: what is accepted, and one clear error for what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder import config as configs
from recorder.core.retention import Rule
from recorder.daemon.boot import table_of
from recorder.store.configfile import ConfigError
from tests.running import CONFIG

PATH = Path("/x/recorder.toml")


def parsed(motion: str = "", more: str = "") -> configs.Config:
    """A configuration with this in class motion, and with these tables."""
    text = CONFIG.format(
        checkpoint_s=60, rows_window_ms=20, epoch_hours=24, uid=0, motion=motion, append="[]", more=more
    )
    return configs.parse(text, PATH)


def test_without_a_word_nothing_is_deleted() -> None:
    """Every class is kept for ever; gated ones are refused when the disk is full, the others go on."""
    config = parsed()
    table = table_of(config)
    assert table.retention == {}
    assert {name: row.disk_full_action for name, row in table.classes.items()} == {
        "motion": "refuse", "fast": "refuse", "emergency_stop": "notify",
    }  # fmt: skip
    space, admin = configs.room_of(config, PATH)
    assert (space.of(1000), admin.of(1000)) == (100, 50)


def test_rules_are_part_of_the_bundle() -> None:
    """What may be deleted, and when, stands in the policy entry."""
    retention = (
        '[retention.1y]\nkeep = "90d"\nmax_bytes = "1GiB"\nrows_may_go = true\n[retention.unclassed]\nkeep = "36h"'
    )
    table = table_of(parsed(more=retention))
    assert table.retention == {"1y": Rule(7_776_000, 1 << 30, rows_may_go=True), "unclassed": Rule(129_600)}
    assert b"rows_may_go" in table.bundle
    assert table.digest != table_of(parsed()).digest
    assert table_of(parsed('disk_full_action = "halt"')).digest != table_of(parsed()).digest


@pytest.mark.parametrize(
    ("motion", "more", "said"),
    [
        ("", '[room]\nspace_left = "much"', "room.space_left: 'much' is neither a number of bytes"),
        ("", '[room]\nadmin_space_left = "100%"', "room.admin_space_left: "),
        ("", "[room]\nspace_left = 1.5", "space_left"),
        ("", '[room]\nspace_left = "1%"', "room.space_left is below room.admin_space_left"),
        ("", '[room]\nspace_left = "1MiB"\nadmin_space_left = "2MiB"', "room.space_left is below"),
        ("", '[room]\nspace = "1%"', "space"),
        ("", '[retention.2y]\nkeep = "2y"', "[retention.2y] is of no class: retention = one of 1y"),
        ("", '[retention.1y]\nkeep = "2w"', "retention.1y.keep: '2w' is no term"),
        ("", '[retention.1y]\nmax_bytes = "10%"', "retention.1y.max_bytes = '10%': a number of bytes above 0"),
        ("", "[retention.1y]\nmax_bytes = 0", "retention.1y.max_bytes = 0"),
        ("", '[retention.1y]\nmax_bytes = "much"', "retention.1y.max_bytes: 'much'"),
        ("", "[retention.1y]\nrows = true", "rows"),
        ('disk_full_action = "ignore"', "", "disk_full_action"),
        ("", '[class.braking]\ngated = false\non_unavailable = "hold"\ndisk_full_action = "refuse"', "is not gated"),
        ("", "[stores]\nx = 1", "at the top level: there is no such key: stores"),
        ("", "[retention]\nx = 1", "[retention.x]: expected a table, got a whole number"),
        ("", "[retention.1y]\nkeep = 1", "[retention.1y]: keep: expected text, got a whole number"),
        ("", '[class.x]\ngated = 1\non_unavailable = "hold"', "[class.x]: gated: expected true or false, got a whole"),
        ("", "[class.x]\ngated = true", "[class.x]: missing: on_unavailable"),
        (
            "",
            '[class.x]\ngated = true\non_unavailable = "maybe"',
            '[class.x]: on_unavailable: invalid enum value \'maybe\', expected "hold" or "continue_ungated"',
        ),
        (
            'disk_full_action = "ignore"',
            "",
            "[class.motion]: disk_full_action: invalid enum value 'ignore', expected \"r",
        ),
        ("", '[[controller]]\nuids = ["ann"]', "[[controller]] number 2: uids: expected a whole number, got text"),
        ("", "[[controller]]\nusers = []", "[[controller]] number 2: there is no such key: users"),
        ("", '[class.landing]\ngated = false\non_unavailable = "hold"', "[class.landing] cannot wait for a recorder"),
        (
            "",
            '[class.x]\ngated = true\non_unavailable = "continue_ungated"\ndisk_full_action = "halt"',
            "[class.x] halts when the disk is full, and goes on when the recorder is away",
        ),
    ],
)
def test_what_is_wrong_is_named(motion: str, more: str, said: str) -> None:
    """File, key and what to write instead."""
    with pytest.raises(ConfigError) as caught:
        parsed(motion, more)
    assert str(caught.value).startswith(str(PATH))
    assert said in str(caught.value)
