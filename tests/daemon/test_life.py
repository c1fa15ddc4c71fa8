"""Starting, stopping, failing and coming back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from recorder import config as configs
from recorder.clock import STEP_NS, StepWatch, SystemClock
from recorder.core.entry import decode
from recorder.core.kinds import Kind
from recorder.core.messages import Status, Verb
from recorder.daemon import boot, identity
from recorder.daemon.randomness import ReadAhead
from tests.claims import WHAT
from tests.daemon.raw import Raw
from tests.running import (
    Running,
    kinds_of,
    let_others_reach,
    lineage_of,
    make_state,
    origin_of,
    records_of,
    verified,
    wait_until,
)


def _work(running: Running, commits: int) -> None:
    with Raw(running.socket) as raw:
        _, opened = raw.open_cycle(max_commits=1000)
        for _ in range(commits):
            assert raw.ask(Verb.COMMIT, opened[0], None, opened[5]["arm"], WHAT, {}, 5, None)[0] == Status.OK
        assert raw.ask(Verb.CLOSE_CYCLE, opened[0], "done")[0] == Status.OK


def test_stopping_finishes_what_was_received(tmp_path: Path) -> None:
    """SIGTERM with requests still in the socket: each is answered, then comes the stop entry and exit status 0."""
    with Running(make_state(tmp_path / "s")) as running, Raw(running.socket) as raw:
        _, opened = raw.open_cycle(max_commits=1000)
        running.process.send_signal(signal.SIGSTOP)
        for counter in range(50):
            raw.send([int(Verb.COMMIT), 10 + counter, opened[0], None, opened[5]["arm"], WHAT, {}, 5, None])
        running.process.send_signal(signal.SIGTERM)
        running.process.send_signal(signal.SIGCONT)
        assert [raw.receive()[0] for _ in range(50)] == [Status.OK] * 50
        assert running.process.wait(240) == 0
    assert kinds_of(running.state)[-1] == Kind.STOP
    assert verified(running.state).exit_status() == 0
    assert not running.socket.exists()


def test_an_older_copy_goes_on_only_as_a_new_incarnation(tmp_path: Path) -> None:
    """A store restored from an image is noticed by the head file: a new origin names the old one's last head."""
    state = make_state(tmp_path / "s")
    with Running(state) as running:
        _work(running, 3)
        assert running.stop() == 0
    lineage = lineage_of(state)
    origin = origin_of(lineage)
    image = tmp_path / "image"
    shutil.copytree(lineage / "segments", image)
    with Running(state) as running:
        _work(running, 30)
        with Raw(running.socket) as raw:
            known = int(raw.ask(Verb.CHECKPOINT)[1].split(b"\n")[1])
        running.kill()
    shutil.rmtree(lineage / "segments")
    shutil.copytree(image, lineage / "segments")
    with Running(state) as running:
        assert "an older copy was put back" in running.said
        _work(running, 1)
        assert running.stop() == 0
    assert lineage.is_dir()
    assert lineage_of(state) != lineage
    boot = decode(records_of(state)[0][0]).header.control
    assert [(item.origin, item.size) for item in boot.previous] == [(origin, known)]
    assert verified(state).exit_status() == 0
    with Running(state) as running:
        assert "older copy" not in running.said
        assert running.stop() == 0
    boots = [decode(raw).header.control for raw, _ in records_of(state) if decode(raw).header.kind == Kind.BOOT]
    assert [boot.previous for boot in boots] == [boots[0].previous] * 2


def test_a_crash_while_a_rollback_is_answered_forgets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Power cut before the new incarnation is in force: the next start notices the older copy again and names it."""
    state = make_state(tmp_path / "s")
    with Running(state) as running:
        assert running.stop() == 0
    lineage = lineage_of(state)
    origin = origin_of(lineage)
    image = tmp_path / "image"
    shutil.copytree(lineage / "segments", image)
    with Running(state) as running:
        _work(running, 5)
        assert running.stop() == 0
    shutil.rmtree(lineage / "segments")
    shutil.copytree(image, lineage / "segments")

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(boot, "put_in_force", cut)
        boot.start(state, configs.load(state), identity.load(state), SystemClock(), ReadAhead())
    assert lineage_of(state) == lineage
    with Running(state) as running:
        assert "an older copy was put back" in running.said
        assert running.stop() == 0
    first = decode(records_of(state)[0][0]).header.control
    assert [item.origin for item in first.previous] == [origin]


def test_a_lost_name_of_the_lineage_is_no_first_start(tmp_path: Path) -> None:
    """Without `current`, a state that holds entries is refused: a silent new lineage would deny the old one."""
    state = make_state(tmp_path / "s")
    with Running(state) as running:
        _work(running, 1)
        assert running.stop() == 0
    name = (state / "current").read_text()
    (state / "current").unlink()
    with pytest.raises(AssertionError, match="is missing, but"):
        Running(state)
    assert not (state / "current").exists()
    (state / "current").write_text(name)
    with Running(state) as running:
        assert running.stop() == 0


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_a_failed_sync_ends_the_recorder_unacknowledged(tmp_path: Path, call: str) -> None:
    """EIO in the middle of a commit: no acknowledgement, exit status 1; the next start has all that was acknowledged."""
    if shutil.which("strace") is None:
        pytest.skip("no strace")
    state = make_state(tmp_path / "s", checkpoint_s=3600)
    under = ["strace", "-qq", "-f", "-o", str(tmp_path / "trace"), "-e", f"trace={call}"]
    # Preparing segments takes the same calls, so the failing one must come late enough to be a commit's.
    with Running(state) as running:
        wait_until(lambda: len(list((lineage_of(state) / "segments").glob("0000000[12]"))) == 2)
        assert running.stop() == 0
    acknowledged = 0
    with (
        Running(state, under=[*under, "-e", f"inject={call}:error=EIO:when=40+"]) as running,
        Raw(running.socket) as raw,
    ):
        _, opened = raw.open_cycle(max_commits=1000)
        with pytest.raises((AssertionError, ConnectionError)):
            for _ in range(200):
                assert raw.ask(Verb.COMMIT, opened[0], None, opened[5]["arm"], WHAT, {}, 5, None)[0] == Status.OK
                acknowledged += 1
        assert running.process.wait(240) == 1
        assert "stopping without a stop entry" in (running.process.stderr.read() if running.process.stderr else "")
    assert 0 < acknowledged < 200
    with Running(state) as running:
        assert running.stop() == 0
    found = sum(kind == Kind.ACTUATION for kind in kinds_of(state))
    assert acknowledged <= found <= acknowledged + 1
    assert set(verified(state).to_json()["problem_counts"]) == {"unclean_stop"}


def test_the_manager_hears_of_readiness_and_life(tmp_path: Path) -> None:
    """sd_notify: READY once it serves, WATCHDOG and STATUS while it lives, STOPPING at the end; a stalled one is silent."""
    path = tmp_path / "notify"
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(path))
    said: list[str] = []

    def listen() -> None:  # all the time: the recorder waits for no manager, so a full socket loses what is said
        while message := manager.recv(4096):
            said.append(message.decode())

    def heard(wanted: str) -> None:
        wait_until(lambda: any(message.startswith(wanted) for message in said))

    listener = threading.Thread(target=listen)
    listener.start()

    environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "600000"}
    with Running(make_state(tmp_path / "s"), env=environment) as running:
        heard("READY=1")
        heard("WATCHDOG=1")
        heard("STATUS=")
        page = running.state / "status.json"
        wait_until(page.exists)
        assert json.loads(page.read_text())["entries"] == 2
        assert running.stop() == 0
        heard("STOPPING=1")
        assert not page.exists()
    manager.shutdown(socket.SHUT_RD)
    listener.join()
    manager.close()


def test_a_page_or_a_systemd_that_cannot_be_told_is_said_once(tmp_path: Path) -> None:
    """Both are tried many times a second here; recording goes on, and the journal hears of each once."""
    state = make_state(tmp_path / "s")
    (state / "status.json.tmp").mkdir()
    (state / "status.json").mkdir()  # nor taken away at the end
    environment = {"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "60000"}
    with Running(state, env=environment) as running:
        assert running.process.stderr is not None
        while "cannot write" not in running.said or "cannot notify" not in running.said:
            running.said += running.process.stderr.readline()
        time.sleep(0.5)  # in which both are tried again
        _work(running, 3)
        assert running.stop() == 0
    said = running.said
    assert said.count(f"cannot write the status page {state / 'status.json'}: Is a directory") == 1
    assert said.count("cannot notify systemd, which may end this as hung: No such file or directory") == 1


def test_socket_activation(tmp_path: Path) -> None:
    """A socket that systemd passes is served and left in place."""
    path = tmp_path / "activated.sock"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    listener.listen(4)
    state = make_state(tmp_path / "s")
    code = (
        "import os, sys; os.dup2(int(sys.argv[3]), 3); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1');"
        "from pathlib import Path; from recorder.daemon.run import run; sys.exit(run(Path(sys.argv[1]), Path(sys.argv[2])))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(state), str(path), str(listener.fileno())], pass_fds=[listener.fileno()]
    )
    with Raw(path) as raw:
        assert raw.open_cycle()[0] == Status.OK
    process.terminate()
    assert process.wait(240) == 0
    assert path.exists()
    listener.close()


def test_a_state_holds_no_other_files(tmp_path: Path) -> None:
    """A run leaves these files and no others, so no epoch key is among them; a start introduces one."""
    state = make_state(tmp_path / "s")
    with Running(state) as running:
        _work(running, 1)
        assert running.stop() == 0
    keys = {
        decode(raw).header.control.epoch_key for raw, _ in records_of(state) if decode(raw).header.kind == Kind.BOOT
    }
    assert len(keys) == 1
    assert sorted(path.name for path in state.iterdir()) == [
        "current", "identity.key", "lineages", "lock", "recorder.toml",
    ]  # fmt: skip


def test_a_step_of_utc_is_noticed_and_slewing_is_not() -> None:
    """UTC that moves against CLOCK_BOOTTIME by more than 100 ms between two readings is a step; less is not."""
    watch = StepWatch()
    assert watch.step(1_000_000_000_000, 0) is None
    assert watch.step(1_000_000_000_000 + STEP_NS, 0) is None
    assert watch.step(1_000_000_000_000 + 10 * STEP_NS, 5) == (
        1_000_000_000_000 + STEP_NS + 5,
        1_000_000_000_000 + 10 * STEP_NS,
    )
    assert watch.step(1_000_000_000_000 + 10 * STEP_NS, 5) is None


def test_the_system_clock_is_read() -> None:
    """UTC and CLOCK_BOOTTIME are those of the system; the quality is one that the format knows."""
    utc_ns, mono_ns, quality, error_us = SystemClock().read()
    assert utc_ns > 1_700_000_000 * 10**9
    assert mono_ns > 0
    assert quality in {0, 1, 2}
    assert (error_us is not None) == (quality == 2)


def test_commits_go_on_while_a_stranger_tries_the_segment(tmp_path: Path) -> None:
    """A process of another user that keeps trying to open the live environment neither succeeds nor disturbs."""
    if os.geteuid() != 0:
        pytest.skip("acts as another user")
    state = make_state(tmp_path / "s")
    let_others_reach(state / "lineages")
    with Running(state) as running:
        for path in state.rglob("*"):
            if path.is_dir():
                path.chmod(0o755)
        code = (
            "import sys, os, select, lmdb\nos.setgid(65534); os.setuid(65534)\ntries = 0\n"
            "while tries < 100 or not select.select([sys.stdin], [], [], 0)[0]:\n"
            "    tries += 1\n"
            "    for lock in (True, False):\n"
            "        try:\n            lmdb.open(sys.argv[1], lib_version=0, lock=lock, readonly=True)\n"
            "        except (lmdb.Error, OSError):\n            continue\n        sys.exit(9)\n"
            "    if tries == 100:\n        print('trying', flush=True)\n"
        )
        segment = str(lineage_of(state) / "segments" / "00000001")
        with subprocess.Popen(
            [sys.executable, "-c", code, segment], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as stranger:  # it ends when its standard input does
            assert stranger.stdout is not None
            assert stranger.stdout.readline() == b"trying\n"
            for _ in range(20):
                _work(running, 5)
            assert stranger.poll() is None
        assert stranger.returncode == 0
        assert running.stop() == 0
    assert verified(state).exit_status() == 0
