"""What the mesh keeps in files: standings, the own log's tree, forks, the fleet list, configuration and key."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.fleetlist import make_fleet_list
from mesh.node.config import load
from mesh.node.desk import WitnessDesk
from mesh.node.fleetfile import fleet_held, fleet_in_force
from mesh.node.forkbook import ForkBook
from mesh.node.forkfiles import count_forks, forks_in
from mesh.node.founding import found, witness_key
from mesh.node.heldsizes import encode_held, parse_held
from mesh.node.places import DamagedError, MeshError, StoreFailedError
from mesh.node.run import trusted_clock
from mesh.node.standings import StandingFiles
from mesh.node.tree import LogTree
from mesh.node.unkept import Unkept
from mesh.standing import Standing
from recorder.clock import QUALITY_FREE, QUALITY_SYNCHRONISED, SystemClock
from recorder.core.errors import FormatError, Misuse
from recorder.core.forks import ForkProof, fork_of
from recorder.core.merkle import prove_consistency, root_of, verify_consistency
from recorder.core.note import ED25519, Note, NoteSignature, VerifierKey, parse_note
from recorder.core.tiles import tile_path
from recorder.store.configfile import ConfigError
from recorder.store.layout import replace_file
from tests.mesh import fleet as fleets
from tests.mesh.fleet import FLEET, ORIGIN, ROOT, ROOT_KEY, TIME_S, hashes, head_of, note_of, policy, signer
from tests.mesh.witnessing import COSIGNER, LEAVES, LINE, OTHER, request

OLD, NEW = Standing(note_of(LEAVES[:5])), Standing(note_of(LEAVES[:9]))
TRUST = f"root {ROOT_KEY}\nquorum none\n".encode()


# --- Standings


def test_what_is_held_is_read_back_by_another_process(tmp_path: Path) -> None:
    """Compare-and-swap, in both directions."""
    store = StandingFiles(tmp_path / "s")
    assert store.held(LINE) is None
    assert not store.swap(LINE, OLD, NEW), "nothing is held"
    assert store.swap(LINE, None, OLD)
    assert store.held(LINE) == OLD
    assert not store.swap(LINE, None, NEW)
    again = StandingFiles(tmp_path / "s")
    assert again.held(LINE) == OLD
    assert again.swap(LINE, OLD, NEW)
    assert again.swap(LINE, NEW, NEW)
    assert again.all() == [(LINE, NEW)]


def test_every_damaged_byte_is_noticed(tmp_path: Path) -> None:
    """None would let the log begin anew; the file is named."""
    store = StandingFiles(tmp_path / "s")
    store.swap(LINE, None, OLD)
    (path,) = (tmp_path / "s").iterdir()
    sound = path.read_bytes()
    for at in range(len(sound)):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        with pytest.raises(DamagedError, match=path.name):
            StandingFiles(tmp_path / "s").held(LINE)
    for cut in (b"", sound[:-1], sound + b"x"):
        path.write_bytes(cut)
        with pytest.raises(DamagedError):
            StandingFiles(tmp_path / "s").swap(LINE, None, NEW)
    damaged = StandingFiles(tmp_path / "s")
    assert damaged.all() == []
    assert store.swap(LINE, OLD, NEW), "who holds it in memory writes over what went bad since"
    assert damaged.held(LINE) == NEW, "what was restored is read"
    assert damaged.all() == [(LINE, NEW)]


def test_a_file_in_the_place_of_another_is_noticed(tmp_path: Path) -> None:
    """What is held of one log is not taken for another's."""
    store = StandingFiles(tmp_path / "s")
    store.swap(LINE, None, OLD)
    (path,) = (tmp_path / "s").iterdir()
    store.swap("acme/arm-8", None, NEW)
    (other,) = set((tmp_path / "s").iterdir()) - {path}
    path.replace(other)
    store = StandingFiles(tmp_path / "s")
    assert store.all() == []
    with pytest.raises(DamagedError, match="belongs to 'acme/arm-7'"):
        store.held("acme/arm-8")


@pytest.mark.parametrize("persisted", [False, True])
@pytest.mark.parametrize("old", [None, OLD])
def test_what_could_not_be_written_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: Standing | None, *, persisted: bool
) -> None:
    """Failed, or failed and there all the same: what was answered counts, and the next write settles it."""
    store = StandingFiles(tmp_path / "s")
    assert old is None or store.swap(LINE, None, old)
    write = replace_file

    def fail(path: Path, content: bytes, mode: int) -> None:
        if persisted:
            write(path, content, mode)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("mesh.node.standings.replace_file", fail)
    with pytest.raises(StoreFailedError):
        store.swap(LINE, old, NEW)
    with pytest.raises(OSError, match="Input/output"):
        store.probe()
    assert store.held(LINE) == old
    assert StandingFiles(tmp_path / "s").held(LINE) == (NEW if persisted else old)
    monkeypatch.undo()
    store.probe()
    assert not store.swap(LINE, NEW, NEW), "it was answered to nobody, and may be on no disk"
    assert store.swap(LINE, old, NEW)
    assert StandingFiles(tmp_path / "s").held(LINE) == NEW


def test_names_that_cannot_be_synced_are_not_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier process renamed is visible, and a power cut could still take it: first it has to be durable."""
    assert StandingFiles(tmp_path / "s").swap(LINE, None, OLD)

    def fail(_: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("mesh.node.standings.sync_dir", fail)
    store = StandingFiles(tmp_path / "s")
    assert store.all() == []
    for ask in (lambda: store.held(LINE), lambda: store.swap(LINE, OLD, OLD)):
        with pytest.raises(StoreFailedError):
            ask()
    monkeypatch.undo()
    assert store.swap(LINE, OLD, OLD)
    assert store.all() == [(LINE, OLD)]


def test_what_a_replaced_key_signed_is_not_vouched_for(tmp_path: Path) -> None:
    """The list names another key for the platform now: nothing of the one before is told as its head."""
    store = StandingFiles(tmp_path / "s")
    store.swap(LINE, None, OLD)
    before, after = (
        WitnessDesk(
            fleet, store, ForkBook(tmp_path / "forks", fleet, print, Unkept(print)), COSIGNER, lambda: TIME_S, print
        )
        for fleet in (FLEET, fleets.listed(policy().replace(*keys_of(LINE)), 4))
    )
    assert before.checkpoint(ORIGIN).status == 200
    assert before.account(LINE).notes
    assert after.checkpoint(ORIGIN).status == 404
    assert not after.account(LINE).notes


def keys_of(line: str) -> tuple[str, str]:
    """The key of a platform, and another one."""
    one, other = (
        str(VerifierKey.derive(line, ED25519, signer(f"{each} {line}").public_key)) for each in ("identity", "next")
    )
    return one, other


# --- The witness over them


def desk(tmp_path: Path, time_s: int | None = TIME_S) -> WitnessDesk:
    return WitnessDesk(
        FLEET, StandingFiles(tmp_path / "s"), ForkBook(tmp_path / "forks", FLEET, print, Unkept(print)), COSIGNER, lambda: time_s, print
    )  # fmt: skip


def test_a_fork_is_kept_and_shown(tmp_path: Path) -> None:
    """Two roots of one size: 422, and the proof is a file that convicts by itself; damage to it is named."""
    witness = desk(tmp_path)
    assert witness.add_checkpoint(request(0, 9)).status == 200
    for _ in range(2):
        assert witness.add_checkpoint(request(9, 9, OTHER)).status == 422
    (tmp_path / "forks" / "half.tmp").write_bytes(b"lineage/fork/1\n")  # as a write leaves it that is under way
    assert count_forks(tmp_path / "forks") == 1
    ((path, fork),) = forks_in(tmp_path / "forks", FLEET)
    assert fork.origin == ORIGIN
    (path.parent / f"{'0' * 64}.tmp").write_bytes(b"half")  # of another that was being written as the power went
    assert count_forks(path.parent) == len(list(forks_in(path.parent, FLEET))) == 1
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DamagedError, match=path.name):
        list(forks_in(tmp_path / "forks", FLEET))
    assert witness.answers == {200: 1, 422: 2}


def test_one_fork_is_one_proof_whatever_lines_are_put_below_it(tmp_path: Path) -> None:
    """Lines of keys that nobody knows would fill the room for proofs, and make them too long to be recorded."""
    book = ForkBook(tmp_path / "forks", FLEET, print, Unkept(print))
    plain = fork_of(note_of(LEAVES[:5]), note_of(hashes(5, "other")))
    assert plain is not None
    strange = [NoteSignature(f"nobody-{at}", bytes(4), bytes(64 * at)) for at in range(1, 4)]
    for lines in ([], strange, strange[:1], [*strange * 2]):
        first, second = (
            Note((note := parse_note(one)).text, (*note.signatures, *lines)).encode()
            for one in (plain.first, plain.second)
        )
        assert book.keep(ForkProof(first, second), "a test") == (not lines)
    assert book.names() == [sha256(plain.encode()).hexdigest()]


def test_what_is_full_of_forks_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for them is bounded."""
    monkeypatch.setattr("mesh.node.forkbook.FORKS_MAX", 0)
    witness = desk(tmp_path)
    witness.add_checkpoint(request(0, 9))
    outcome = witness.add_checkpoint(request(9, 9, OTHER))
    assert (outcome.status, count_forks(tmp_path / "forks")) == (422, 0)


def test_the_latest_head_is_given_cosigned_also_after_a_restart(tmp_path: Path) -> None:
    """Under the origin it has; without a clock a witness that started again does not invent a time."""
    witness = desk(tmp_path)
    witness.add_checkpoint(request(0, 9))
    assert witness.held().body == f"{ORIGIN} 9\n".encode()
    for one in (witness, desk(tmp_path)):
        assert COSIGNER.name.encode() in one.checkpoint(ORIGIN).body
    assert desk(tmp_path, None).checkpoint(ORIGIN).status == 503
    for unknown in ("acme/arm-7/fedcba9876543210", "acme/arm-8/0123456789abcdef", "nobody"):
        assert witness.checkpoint(unknown).status == 404


def test_damage_stops_one_log_and_no_other(tmp_path: Path) -> None:
    """500 with a name; the path is not told."""
    desk(tmp_path).add_checkpoint(request(0, 9))
    (path,) = (tmp_path / "s").iterdir()
    path.write_bytes(b"x")
    witness = desk(tmp_path)
    for answer in (witness.add_checkpoint(request(9, 12)), witness.checkpoint(ORIGIN)):
        assert answer.status == 500
        assert answer.body.startswith(b"standing_malformed: ")
        assert str(tmp_path).encode() not in answer.body


@pytest.mark.parametrize(("quality", "is_trusted"), [(QUALITY_FREE, False), (QUALITY_SYNCHRONISED, True)])
def test_the_kernels_word_on_time_is_taken_unless_the_operator_gives_his(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quality: int, *, is_trusted: bool
) -> None:
    """A clock that nobody set is none."""
    found(tmp_path / "m", "arm-7.acme", ["127.0.0.1:7171"], TRUST)
    config = tmp_path / "m" / "mesh.toml"
    monkeypatch.setattr(SystemClock, "read", lambda _: (TIME_S * 10**9, 0, quality, None))
    assert trusted_clock(load(config))() == (TIME_S if is_trusted else None)
    config.write_text(config.read_text().replace('clock = "kernel"', 'clock = "operator"'))
    assert trusted_clock(load(config))() is not None


# --- The own log's tree


def test_a_tree_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    """Over several levels of tiles; what it proves, verifies."""
    leaves = hashes(70_000)
    tree = LogTree(tmp_path / "t")
    tree.append(leaves[:66_000])
    tree.save()
    tree.append(leaves[66_000:66_100])  # and we crash before it is saved
    again = LogTree(tmp_path / "t")
    assert again.size == 66_000
    again.append(leaves[66_000:])
    assert again.root() == root_of(leaves)
    proof = prove_consistency(again.reader(), 300, 70_000)
    verify_consistency(300, root_of(leaves[:300]), 70_000, root_of(leaves), proof)
    assert again.tile(0, 1) == b"".join(leaves[256:512])
    assert again.tile(0, 273, 5) == b"".join(leaves[273 * 256 : 273 * 256 + 5])
    for level, index, width in ((0, 273, 256), (0, 274, 1), (3, 0, 1), (0, 999, 256)):
        with pytest.raises(Misuse):
            again.tile(level, index, width)


def test_a_damaged_tile_is_named_and_a_damaged_tree_is_begun_anew(tmp_path: Path) -> None:
    """Each tile has to lead to the node above it."""
    tree = LogTree(tmp_path / "t")
    tree.append(hashes(700))
    tree.save()
    path = tmp_path / "t" / tile_path(0, 1)
    path.write_bytes(bytes(8192))
    with pytest.raises(DamagedError, match="001"):
        tree.tile(0, 1)
    path.unlink()
    with pytest.raises(DamagedError, match="cannot read"):
        tree.tile(0, 1)
    assert tree.tile(0, 0) == b"".join(hashes(256))
    (tmp_path / "t" / "tree").write_bytes(b"\x00")
    assert LogTree(tmp_path / "t").size == 0


# --- Fleet list, key, configuration


def listed(version: int, text: str = "") -> bytes:
    return make_fleet_list("acme", version, text or policy(), ROOT_KEY.name, ROOT)


def test_the_fleet_list_only_grows(tmp_path: Path) -> None:
    """A newer one replaces what is held, an older one is refused, and without one there is nobody to trust."""
    found(tmp_path, "arm-7.acme", ["127.0.0.1:7171"], TRUST)
    with pytest.raises(MeshError, match="is missing"):
        fleet_in_force(tmp_path)
    with pytest.raises(MeshError, match="never started"):
        fleet_held(tmp_path)
    for version in (3, 3, 5):
        (tmp_path / "fleet").write_bytes(listed(version))
        assert fleet_in_force(tmp_path).version == fleet_held(tmp_path).version == version
    (tmp_path / "fleet").write_bytes(listed(4))
    with pytest.raises(MeshError, match="version 4"):
        fleet_in_force(tmp_path)
    (tmp_path / "fleet").unlink()
    assert fleet_in_force(tmp_path).version == 5
    (tmp_path / "fleet").write_bytes(listed(6)[:-10])
    with pytest.raises(MeshError, match="fleet"):
        fleet_in_force(tmp_path)


def test_a_state_is_made_once(tmp_path: Path) -> None:
    """The key is printed, kept for its owner alone, and never replaced."""
    keys = found(tmp_path, "arm-7.acme", ["127.0.0.1:7171", "[::1]:7171"], TRUST)
    assert witness_key(tmp_path).public_key == keys.witness.public_key
    assert load(tmp_path / "mesh.toml").witness.listen == ["127.0.0.1:7171", "[::1]:7171"]
    with pytest.raises(MeshError, match="there already"):
        found(tmp_path, "arm-7.acme", ["127.0.0.1:7171"], TRUST)
    (tmp_path / "witness.key").chmod(0o640)
    with pytest.raises(MeshError, match="others can read it"):
        witness_key(tmp_path)
    (tmp_path / "witness.key").unlink()
    with pytest.raises(MeshError, match="missing"):
        witness_key(tmp_path)
    with pytest.raises(FormatError, match="no line `root VKEY`"):
        found(tmp_path / "other", "arm-7.acme", ["127.0.0.1:7171"], b"quorum none\n")


@pytest.mark.parametrize(
    "text",
    ["", "[witness", "[witness]\nlisten = []", '[witness]\nlisten = ["::1:7171"]', '[witness]\nlisten = ["host"]',
     '[witness]\nlisten = ["h:0"]', '[witness]\nlisten = ["h:1"]\nclock = "guess"', '[witness]\nlisten = ["h:1"]\n[x]'],
)  # fmt: skip
def test_a_configuration_that_cannot_be_used_is_refused(tmp_path: Path, text: str) -> None:
    """With the file's name."""
    (tmp_path / "mesh.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"mesh\.toml"):
        load(tmp_path / "mesh.toml")


# --- Announced sizes


def test_announced_sizes_are_read_as_written() -> None:
    """And nothing else is."""
    heads = [head_of(LEAVES[:5]), head_of(LEAVES[:7], "acme/arm-8/0123456789abcdef")]
    assert parse_held(encode_held(heads)) == {head.origin: head.size for head in heads}
    assert parse_held(b"") == {}
    for wrong in (b"a/b 1", b"a/b\n", b"a/b 01\n", b"a/b -1\n", b"a/b 1\na/b 2\n", b" 1\n", b"\xff 1\n", b"a/b 1 2\n"):
        with pytest.raises(FormatError, match="held_malformed"):
            parse_held(wrong)


@given(st.binary(max_size=40) | st.from_regex(rb"([a-z/]{1,5} [0-9]{1,20}\n){0,3}", fullmatch=True))
def test_any_bytes_are_announced_sizes_or_refused(body: bytes) -> None:
    """By that name; and what is read is all that stood there."""
    try:
        read = parse_held(body)
    except FormatError as error:
        assert error.error == "held_malformed"
    else:
        assert "".join(f"{origin} {size}\n" for origin, size in read.items()).encode() == body
