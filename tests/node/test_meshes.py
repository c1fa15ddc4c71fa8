"""Platforms in network namespaces that cosign each other: what each honest one holds, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.cli import run
from recorder.core.canonical import encode_base64
from recorder.core.checkpoint import parse_checkpoint, sign_checkpoint
from recorder.core.keys import SeedSigner
from recorder.core.note import parse_note
from recorder.store.layout import read_current
from tests.node.meshes import PORT, Platform, ask, checked, fleet, needs_namespaces, peer_of
from tests.node.test_ask import asked
from tests.running import wait_until

pytestmark = needs_namespaces

BRINGING = """  # a checkpoint of somebody else's log to a witness
from urllib.request import urlopen
root, *hashes = urlopen("{log}/proof/{old}-{size}").read().decode().splitlines(keepends=True)
note = urlopen("{log}/checkpoint").read().decode()
print(urlopen("{witness}add-checkpoint", ("old {old}\\n" + "".join(hashes) + "\\n" + note).encode()).status)
"""


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Platform]]:
    with fleet(tmp_path_factory.mktemp("four"), 4, needed=3) as platforms:
        yield platforms


def cosigned_by_all(platforms: list[Platform]) -> None:
    for one in platforms:
        one.mark()
        status = one.round()
        others = len(platforms) - 1
        assert status["trouble"] is None
        assert (status["latest"]["asked"], status["latest"]["cosigned"]) == (others, others), status["peers"]
        assert status["latest"]["is_quorum"]
        report = checked(one)
        assert (report.witnessing, report.integrity, report.exit_status()) == ("pass", "pass", 0)
        assert (report.notes["witnesses"], report.notes["witnesses_trusted"]) == (others, others + 1)
        assert report.notes["witnessed_entries"] == status["latest"]["size"]
        assert report.unwitnessed.entries <= 2, "the evidence itself, and what peers were seen to have"


def without_learning(platform: Platform) -> None:
    """Have its recorder take no heads from the mesh, as one did that knew nothing of it."""
    config = platform.state / "recorder.toml"
    config.write_text(config.read_text().replace("mesh = true", "mesh = false"))


def test_three_platforms_cosign_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each head is cosigned by both others, evidence is in each lineage, and `lineage verify --trust` says so."""
    with fleet(tmp_path, 3, needed=2) as platforms:
        cosigned_by_all(platforms)
        first = platforms[0]
        before = first.status()["latest"]
        assert first.round()["latest"] == before, "evidence alone calls for no further round"
        assert run(["verify", "--state", str(first.state), "--trust", str(tmp_path / "fleet.trust")]) == 0
        said = capsys.readouterr().out
        assert "witnessing    pass" in said
        assert f"2 of 3 witnesses of the trust file cosigned the first {before['size']} entries" in said
        assert run(["mesh", "status", "--state", str(first.mesh)]) == 0
        assert "running" in (said := capsys.readouterr().out)
        assert "2 of 2 cosigned" in said
        assert run(["mesh", "peers", "--state", str(first.mesh)]) == 0
        assert "acme/arm-1/" in capsys.readouterr().out
        assert [one.stop_mesh() for one in platforms] == [0, 0, 0]
        assert run(["mesh", "status", "--state", str(first.mesh)]) == 0
        assert "not running" in capsys.readouterr().out


def test_four_platforms_cosign_each_other(four: list[Platform]) -> None:
    """Three of four are a quorum, and all three others sign."""
    cosigned_by_all(four)


def test_a_witness_that_lost_what_it_held_is_noticed(four: list[Platform]) -> None:
    """It answers 409 with 0; it gets its proof and cosigns, and that it forgot is told."""
    first, wiped = four[0], four[3]
    first.mark()
    assert first.round()["latest"]["cosigned"] == 3
    held = {one["name"]: one["forgot"] for one in first.status()["peers"]}
    assert set(held.values()) == {None}
    assert wiped.stop_mesh() == 0
    shutil.rmtree(wiped.mesh / "standings")
    wiped.begin_mesh()
    wiped.await_mesh()
    first.mark()
    status = first.round()
    assert status["latest"]["cosigned"] == 3
    assert "then 0" in peer_of(status, wiped)["forgot"]


def test_a_mesh_that_starts_again_goes_on(four: list[Platform]) -> None:
    """What was held is read back: its first proof is from the size that the witnesses hold, and they cosign."""
    first = four[0]
    assert first.stop_mesh() == 0
    first.begin_mesh(by_command=True)
    first.await_mesh()
    first.mark()
    assert first.round()["latest"]["cosigned"] == 3
    assert {one["forgot"] for one in first.status()["peers"]} == {None}


def test_a_platform_that_has_cost_enough_waits(four: list[Platform]) -> None:
    """Two heads at once are cosigned, the third is put off: no fault of anyone, told on both sides, and asked for once."""
    first, bounded = four[0], four[1]
    usual = (bounded.mesh / "mesh.toml").read_text()
    assert bounded.stop_mesh() == 0
    bounded.configure("limits", heads_per_s=0.001, heads_burst=2)
    bounded.begin_mesh()
    bounded.await_mesh()
    for _ in range(2):
        first.mark()
        assert first.round()["latest"]["cosigned"] == 3
    for said in ("not now: 429 too_many_heads; again in ", "not now: it asked to be left alone for "):
        first.mark()
        status = first.round()
        assert status["latest"]["cosigned"] == 2
        peer = peer_of(status, bounded)
        assert (peer["failures"], peer["last"][: len(said)]) == (0, said)
    status = bounded.round()
    assert status["answers"]["429"] == 1
    assert [one["put_off"] for one in status["held"] if one["line"] == f"acme/{first.name}"] == [1]
    four[2].mark()
    assert four[2].round()["latest"]["cosigned"] == 3, "of another platform nothing was used up"
    assert bounded.stop_mesh() == 0
    (bounded.mesh / "mesh.toml").write_text(usual)
    for one in (first, bounded):  # the one has to forget for how long it was to wait
        if one is first:
            assert one.stop_mesh() == 0
        one.begin_mesh()
        one.await_mesh()


def test_who_was_away_is_asked_alone_at_rest(four: list[Platform]) -> None:
    """Whoever was not there when the others signed is asked later, also where nothing more is recorded; once."""
    first, away = four[0], four[3]
    first.mark()
    before = first.round()
    assert away.stop_mesh() == 0
    first.mark()
    status = first.round()
    assert status["latest"]["cosigned"] == 2
    away.begin_mesh()
    away.await_mesh()
    for _ in range(2):  # and then there is nobody left to ask
        status = first.round()
        counts = {one["name"]: one["cosigned"] for one in before["peers"]}
        assert {one["name"]: one["cosigned"] for one in status["peers"]} == {
            name: count + 1 for name, count in counts.items()
        }
    assert f"cosigned {status['latest']['size']}" not in peer_of(status, away)["last"], (
        "evidence of the others is below"
    )
    report = checked(first)
    assert (report.witnessing, report.exit_status()) == ("pass", 0)


def test_a_witness_whose_cosignature_never_came_is_asked_until_it_does(four: list[Platform]) -> None:
    """That it announces our head does not say that we have what it signed: that may have gone to somebody else."""
    first, away = four[0], four[3]
    first.mark()
    before = first.round()
    origin, old = before["latest"]["origin"], before["latest"]["size"]
    assert away.stop_mesh() == 0
    first.mark()
    size = first.round()["latest"]["size"]
    away.begin_mesh()
    away.await_mesh()
    program = BRINGING.format(log=f"{first.url}log/{origin}", witness=away.url, old=old, size=size)
    assert ask(four[1], program) == "200\n"
    incarnation = origin.rpartition("/")[2]

    def announced() -> int:
        (found,) = (one for one in first.status()["present"] if one["platform"] == f"acme/{away.name}")
        return int(found["holds"].get(incarnation, 0))

    wait_until(lambda: announced() == size)
    assert away.stop_mesh() == 0
    assert peer_of(first.round(), away)["last"].startswith("not now")
    away.begin_mesh()
    away.await_mesh()
    assert peer_of(first.round(), away)["cosigned"] == peer_of(before, away)["cosigned"] + 1


def test_a_restored_image_is_refused_and_convicted(four: list[Platform], capsys: pytest.CaptureFixture[str]) -> None:
    """Behind what was cosigned it is told so (409); at the same size with another history it is a fork, which peers keep (422)."""
    first, peer = four[1], four[0]
    first.mark()
    first.round()
    first.stop_recorder()
    image = first.state.parent / "image"
    shutil.copytree(first.state, image, symlinks=True)
    first.start_recorder()
    first.mark(20)
    ahead = first.round()["latest"]["size"]
    first.stop_recorder()
    shutil.rmtree(first.state)
    image.rename(first.state)
    without_learning(first)
    first.start_recorder()

    status = first.round()
    assert status["trouble"] is None
    assert status["latest"]["size"] < ahead
    assert status["latest"]["cosigned"] == 0
    refusals = (f"holds {ahead} entries", "422 origin_forked")  # the latter of who has compared its digest already
    assert all(any(each in one["last"] for each in refusals) for one in status["peers"]), status["peers"]

    first.mark(ahead - first.size())
    status = first.round()
    assert (status["latest"]["size"], status["latest"]["cosigned"]) == (ahead, 0)
    refusals = ("422 consistency_proof", "422 origin_forked")  # the latter where another peer's proof was faster
    assert all(any(each in one["last"] for each in refusals) for one in status["peers"]), status["peers"]
    capsys.readouterr()
    assert run(["mesh", "forks", "--state", str(peer.mesh)]) == 1
    said = capsys.readouterr().out
    assert "FORK of acme/arm-1/" in said
    assert f"{ahead} entries" in said
    _is_shown_to_an_authority(first, peer, ahead, capsys)


def _is_shown_to_an_authority(first: Platform, peer: Platform, size: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever asks is told of the fork and given its proof, by which the lineage itself fails, off line."""
    proofs = first.state.parent / "proofs"
    said = asked(peer, "acme/arm-1", "--state", peer.mesh, "--range", "0-2", "--out", proofs, status=1)
    assert "CONTRADICTION: its own key signed two histories" in said
    assert f"head of {size} entries" in said
    assert str(next(iter(proofs.iterdir()))) in said
    trust = first.state.parent / "fleet.trust"
    capsys.readouterr()
    assert run(["verify", "--state", str(first.state), "--trust", str(trust), "--fork", str(proofs), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["integrity"] == "fail"
    assert {one["bearing"] for one in report["forks"]} == {"this_log"}
    assert {"checkpoint_fork", "root_mismatch"} <= report["problem_counts"].keys()
    seen = {one["witness"] for fork in report["forks"] for head in fork["heads"] for one in head["witnessed"]}
    assert seen, "who had been shown which history"
    peer.round()
    told = checked(peer).forks
    assert [(one.bearing, one.origin) for one in told] == [("another_log", report["forks"][0]["origin"])]
    before = peer.size()
    peer.round()
    assert peer.size() == before, "it calls for no round"
    assert peer.stop_mesh() == 0
    peer.begin_mesh()
    peer.await_mesh()
    peer.round()
    assert len(checked(peer).forks) == 1, "it is recorded once"
    _is_loud_at_home(first, capsys)


def _is_loud_at_home(first: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    """The platform itself has the proof from its peers: in its mesh, in its lineage, in its recorder's status, over a restart."""
    origin = first.status()["latest"]["origin"]
    wait_until(lambda: first.round()["own_forks"] == [origin])
    wait_until(lambda: is_said(first, capsys))
    first.stop_recorder()
    first.start_recorder()
    assert is_said(first, capsys)
    report = checked(first)
    assert [one.bearing for one in report.forks] == ["this_log"]
    assert report.exit_status() == 1
    capsys.readouterr()
    assert run(["doctor", "--state", str(first.state)]) == 1
    assert f"signed two histories of {origin}" in capsys.readouterr().out
    assert run(["mesh", "status", "--state", str(first.mesh)]) == 0
    assert f"OWN FORK     {origin}" in capsys.readouterr().out


def is_said(platform: Platform, capsys: pytest.CaptureFixture[str]) -> bool:
    """Whether `lineage status` says that the key signed two histories; its round has had time to record the proof."""
    platform.round()
    capsys.readouterr()
    run(["status", "--state", str(platform.state)])
    return "FORKED       this platform's identity key signed two histories of" in capsys.readouterr().out


def test_a_recorder_that_was_wiped_is_refused(four: list[Platform]) -> None:
    """The same key without its log begins an incarnation that names none: it is asked to show itself, and has nothing to show."""
    wiped = four[2]
    wiped.mark()
    assert wiped.round()["latest"]["cosigned"] == 3
    wiped.stop_recorder()
    shutil.rmtree(wiped.state / "lineages")
    (wiped.state / "lineages").mkdir()
    (wiped.state / "current").unlink()
    without_learning(wiped)
    wiped.start_recorder()
    wiped.mark()
    status = wiped.round()
    assert status["latest"]["cosigned"] == 0
    assert all("incarnation_unproved" in one["last"] for one in status["peers"]), status["peers"]


def test_an_incarnation_that_names_the_old_one_is_cosigned(four: list[Platform]) -> None:
    """A damaged store goes on as a new incarnation from its last head, shown by add-incarnation; the old one is over.

    A witness that was away holds less than the boot entry names, and gets the proof from there.
    """
    first, peer, away = four[3], four[0], four[2]
    first.mark()
    assert first.round()["latest"]["cosigned"] == 3
    assert away.stop_mesh() == 0
    first.mark(300)  # beyond a tile
    assert first.round()["latest"]["cosigned"] == 2
    away.begin_mesh()
    away.await_mesh()
    first.stop_recorder(kill=True)
    old = read_current(first.state)
    assert old is not None
    with (first.state / "lineages" / old / "segments" / "00000001" / "data.mdb").open("r+b") as file:
        file.write(bytes(64 * 1024))
    assert run(["recover", "--state", str(first.state), "--yes"]) == 0
    first.start_recorder()
    status = first.round()
    assert status["latest"]["cosigned"] == 3, status["peers"]
    assert old not in status["latest"]["origin"]
    peer.round()
    held = next(one for one in peer.status()["held"] if one["line"] == f"acme/{first.name}")
    assert (held["origin"], held["retired"]) == (status["latest"]["origin"], 1)


FORGED = """
import urllib.request, urllib.error, base64
for body in {bodies!r}:
    try:
        print(urllib.request.urlopen({url!r}, base64.b64decode(body), timeout=120).status)
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode().partition(":")[0])
"""


def test_forged_notes_are_refused(four: list[Platform]) -> None:
    """A head that the log did not sign, a log that nobody trusts, and what is none at all; what is held stays as it was."""
    peer = four[0]
    held = peer.status()["held"]
    origin = next(one["origin"] for one in held if one["line"] == "acme/arm-3")
    thief = SeedSigner(bytes(32))
    root = encode_base64(bytes(32))
    notes = [
        sign_checkpoint(parse_checkpoint(f"{name}\n99\n{root}\n"), thief).encode()
        for name in (origin, "acme/cart-9/0123456789abcdef")
    ]
    assert parse_checkpoint(parse_note(notes[0]).text).size == 99
    bodies = [encode_base64(body) for body in (b"old 0\n\n" + notes[0], b"old 0\n\n" + notes[1], b"nonsense")]
    url = f"http://{peer.address}:{PORT}/add-checkpoint"
    said = ask(four[1], FORGED.format(bodies=bodies, url=url))
    assert said.split("\n")[:3] == ["403 note_signature", "404 origin_unknown", "400 add_checkpoint_malformed"]
    peer.round()
    assert peer.status()["held"] == held
