"""Processes of different versions of the mesh protocol: each refuses politely, lives on, and tells what it saw."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mesh.exchange import VERSION_HEADER
from tests.node.meshes import PORT, Platform, ask, fleet, needs_namespaces, peer_of
from tests.running import wait_until

pytestmark = needs_namespaces
ROOT = Path(__file__).resolve().parent.parent.parent

SENT = """
import urllib.request, urllib.error
for version in ("2", "", None, "1"):
    headers = {{}} if version is None else {{{header!r}: version}}
    for path, body in (("add-checkpoint", b"old 0\\n"), ("held", None)):
        try:
            answer = urllib.request.urlopen(urllib.request.Request({url!r} + path, body, headers), timeout=120)
        except urllib.error.HTTPError as error:
            answer = error
        print(version, path, answer.status, answer.headers[{header!r}], answer.read().decode().split(":")[0].split(" ")[0])
"""


@contextmanager
def other_witness(platform: Platform, *version: str) -> Iterator[subprocess.Popen[str]]:
    """A witness in the place of a platform's own mesh, with its key."""
    who = [str(platform.mesh), platform.keys.witness.name, str(PORT)]
    program = [sys.executable, "-m", "tests.node.version2", *who, *version]
    process = subprocess.Popen(
        ["ip", "netns", "exec", platform.network, *program], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "listening\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def asked(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_two_versions_refuse_politely(tmp_path: Path) -> None:
    """Cosignatures of another version are not taken, requests of one are not judged; a witness without a version is used."""
    with fleet(tmp_path, 2, needed=1) as (one, other):
        one.mark()
        assert one.round()["latest"]["cosigned"] == 1
        assert peer_of(one.status(), other)["version"] == "1"
        assert other.stop_mesh() == 0
        with other_witness(other, "2") as process:
            one.mark()
            status = one.round()
            assert asked(process) == "/add-checkpoint 1", "it was shown a checkpoint, and cosigned it"
            assert (status["latest"]["asked"], status["latest"]["cosigned"]) == (1, 0)
            peer = peer_of(status, other)
            assert peer["version"] == "2"
            assert "speaks version 2 of the mesh protocol, this is 1" in peer["last"]
            wait_until(lambda: "speaks version 2" in str(one.round()["answered_wrongly"]))
        with other_witness(other) as process:
            assert one.round()["latest"]["cosigned"] == 1, "a C2SP witness states no version; a round by hand asks all"
            assert asked(process) == "/add-checkpoint 1"
            assert peer_of(one.status(), other)["version"] is None
        held = one.status()["held"]
        said = ask(one, SENT.format(header=VERSION_HEADER, url=f"http://{one.address}:{PORT}/"))
        assert said.splitlines() == [
            *("2 add-checkpoint 400 1 mesh_version", "2 held 400 1 mesh_version"),
            *(" add-checkpoint 400 1 mesh_version", " held 400 1 mesh_version"),
            *("None add-checkpoint 400 1 add_checkpoint_malformed", f"None held 200 1 {held[0]['origin']}"),
            *("1 add-checkpoint 400 1 add_checkpoint_malformed", f"1 held 200 1 {held[0]['origin']}"),
        ]
        one.mark()
        status = one.round()
        assert status["held"] == held
        assert list(status["other_versions"]) == [one.address]
        assert other.process is None
        other.begin_mesh()  # it is brought up to date: the next round by hand finds it
        other.await_mesh()
        one.mark()
        assert one.round()["latest"]["cosigned"] == 1
