"""A fleet list that is brought comes into force in the running process; one that cannot be used leaves the old one."""

from __future__ import annotations

import signal
from pathlib import Path

from mesh.fleetlist import make_fleet_list
from tests.mesh.fleet import ROOT, ROOT_KEY
from tests.mesh.fleet import signer as seeded
from tests.node.meshes import PORT, Platform, fleet, needs_namespaces
from tests.running import wait_until

pytestmark = needs_namespaces


def listed(platforms: list[Platform], witnesses: list[Platform], version: int) -> bytes:
    """A list of these platforms, of which these cosign."""
    lines = [one.log_line for one in platforms]
    lines += [f"witness {one.name} {one.keys.witness} http://{one.address}:{PORT}/" for one in witnesses]
    return make_fleet_list("acme", version, "\n".join([*lines, "quorum none", ""]), ROOT_KEY.name, ROOT)


def brought(platform: Platform, note: bytes, until: str = "in force") -> str:
    """Bring a list to a running process; what it says of it."""
    assert platform.process is not None
    assert platform.process.stderr is not None
    (platform.mesh / "fleet").write_bytes(note)
    platform.process.send_signal(signal.SIGHUP)
    said = ""
    while until not in said:
        line = platform.process.stderr.readline()
        assert line, said
        said += line
    return said


def test_a_newer_list_is_in_force_without_a_restart(tmp_path: Path) -> None:
    """Witnesses come and go, our own key too; nothing that was held is forgotten."""
    with fleet(tmp_path, 2, needed=1) as (one, other):
        assert one.process is not None
        pid = one.process.pid
        one.mark()
        other.mark()
        assert [each.round()["latest"]["cosigned"] for each in (one, other)] == [1, 1]
        held = other.status()["latest"]["size"]
        wait_until(lambda: [each["size"] for each in one.status()["held"]] == [held])

        assert "fleet list 2 is in force\n" in brought(one, listed([one, other], [one], 2), "listening")
        wait_until(lambda: one.status()["fleet"]["version"] == 2 and one.status()["rounds"])
        assert one.status()["peers"] == []
        assert [each["size"] for each in one.status()["held"]] == [held]
        one.mark()
        assert one.round()["latest"]["asked"] == 0

        for bad in (listed([one], [one], 1), listed([one], [one], 3)[:-9], listed([one], [one], 2), b"nonsense"):
            said = brought(one, bad)
            assert said.count("\n") == 1, "one clear line"
            assert str(one.mesh / "fleet") in said
            assert said.endswith("; fleet list 2 stays in force\n")
        assert brought(one, listed([one, other], [one], 2)).endswith("fleet list 2 is in force already\n")
        thief = make_fleet_list("acme", 9, "quorum none\n", ROOT_KEY.name, seeded("thief"))
        said = brought(one, thief)
        assert "fleet_list_signature" in said
        assert f"signed by a root of {one.mesh / 'trust'}" in said

        said = brought(one, listed([one, other], [other], 3), "listening")
        assert "does not name this witness key: it submits, and cosigns for nobody" in said
        wait_until(lambda: one.status()["fleet"]["version"] == 3 and one.status()["rounds"])
        one.mark()
        assert one.round()["latest"]["cosigned"] == 1
        assert one.status()["witness"] is None
        other.mark()
        other.round()
        assert "witness_unlisted" in other.status()["peers"][0]["last"]
        assert one.process.pid == pid
        assert one.stop_mesh() == 0
