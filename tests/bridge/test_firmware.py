"""The device's C part: what it writes is what our readers read, what it reads is bounded, and it fits a small core.

Some tests need what a machine may lack: `sh configs/firmware.sh` brings it where it can. LINEAGE_FUZZ_S=600 fuzzes so long.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from firmware_bridge.line import messages
from firmware_bridge.line.framing import Unframer, frame, stuff
from recorder.core import cbor, deviceframe
from recorder.core.deviceframe import Confirmation, Dropped, Event, Fault, Observation
from recorder.core.keys import SeedSigner, kid
from tests.bridge.device import C_DIR, HERE, SOURCE, needs_gcc
from tests.bridge.emulated import EXAMPLE, MONOCYPHER, image, needs_arm, needs_monocypher, needs_qemu, program_output
from tests.bridge.test_messages import EACH
from tests.bridge.world import Peer, World
from tests.c.building import C99, SANITIZERS, WARNINGS
from tests.documents import rows_of
from tests.frames import DEVICE

CODE_MAX_BYTES = 24 * 1024
TEN_MILLION = 10_000_000
FUZZ_S = int(os.environ.get("LINEAGE_FUZZ_S", "0"))


def written(world: World) -> list[deviceframe.Body]:
    """All that is in the entries."""
    return [held.body for entry in world.entries for held in entry.frames]


@needs_gcc
@pytest.mark.parametrize("level", ["-O0", "-O2", "-O3"])
def test_c99_and_cxx_without_a_warning(tmp_path: Path, level: str) -> None:
    """As an embedder would compile it; the header is for C++ too."""
    subprocess.run(["gcc", *WARNINGS, *C99, level, "-c", str(SOURCE), "-o", str(tmp_path / "one.o")], check=True)
    if shutil.which("g++") is not None and level == "-O0":
        (tmp_path / "use.cc").write_text(
            '#include "lineage_device.h"\nint main() { return sizeof(lineage_device) == 0; }\n'
        )
        options = ["-std=c++11", *WARNINGS, f"-I{C_DIR}"]
        subprocess.run(["g++", *options, "-c", "use.cc"], cwd=tmp_path, check=True)


@needs_gcc
def test_the_example_compiles(tmp_path: Path) -> None:
    """What README.md shows is the example, and C without a warning."""
    (shown,) = re.findall(r"```c\n(.*?)```", (C_DIR / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    main = EXAMPLE / "main.c"
    assert shown == main.read_text(encoding="utf-8")
    subprocess.run(["gcc", *WARNINGS, *C99, f"-I{C_DIR}", "-c", main, "-o", tmp_path / "o"], check=True)


def test_every_frame(device: Peer) -> None:
    """Each call makes the frame that it says, of whatever outcome and sign."""
    world = World(device)
    device.do("event 1 8:23.5")
    device.do("fault 3 -2147483648")
    device.do("fault 64 2147483647")
    device.do("observe")
    for outcome in range(1, 7):
        device.do(f"confirm {2**63 + outcome} {outcome} 0")
        world.run(lambda: world.link.state.value == "up" and not device.do("full 0"))
    world.run(lambda: len(written(world)) == 10)
    bodies = written(world)
    assert bodies[:4] == [Event(1, [(8, 23.5)]), Fault(3, -(2**31)), Fault(64, 2**31 - 1), Observation([])]
    confirmed = [body for body in bodies if isinstance(body, Confirmation)]
    assert [body.outcome for body in confirmed] == list(range(1, 7))
    assert confirmed[0].commit.seq == 2**63 + 1


def test_every_float_is_written_as_short_as_it_goes(device: Peer) -> None:
    """Halves, subnormal halves, singles and what lies just beside them: our reader takes the shortest spelling alone."""
    chosen = random.Random(3)
    values = [0.0, -0.0, 1.0, 65504.0, 65536.0, 65520.0, 6.103515625e-05, 5.960464477539063e-08, 2.98e-8, 1e-45, 3.4e38]
    values += [struct.unpack("<f", struct.pack("<I", 0x33800000 + (step << 12)))[0] for step in range(0, 0x8000, 61)]
    values += [struct.unpack("<e", struct.pack("<H", half))[0] for half in range(0, 0x7C00, 97)]
    values += [struct.unpack("<f", struct.pack("<I", chosen.getrandbits(32) & 0xBF7FFFFF))[0] for _ in range(100)]
    world = World(device)
    world.run()
    for at in range(0, len(values), 8):
        device.do("observe " + " ".join(f"1:{value.hex()}" for value in values[at : at + 8]))
        world.run(lambda: len(written(world)) == at // 8 + 1)  # noqa: B023 -- it runs within this turn
    told = [value for body in written(world) if isinstance(body, Observation) for _, value in body.values]
    singles = [struct.unpack("<f", struct.pack("<f", value))[0] for value in values]
    assert [cbor.pack(value) for value in told] == [cbor.pack(value) for value in singles]
    assert not world.troubles


def test_what_cannot_be_said_is_counted(device: Peer) -> None:
    """A NaN, an infinity, code 0, nine values, an outcome that there is not: no frame, and the lineage hears of it."""
    world = World(device)
    world.run()
    none = ("observe 1:nan", "observe 1:-inf", "event 0", "observe 0:1", "observe" + " 1:1" * 9)
    for command in (*none, "confirm 5 0 0", "confirm 5 7 0"):
        assert device.do(command) == 0
    world.run(lambda: sum(body.frames for body in written(world) if isinstance(body, Dropped)) == 7)
    assert {type(body) for body in written(world)} == {Dropped}


def test_a_line_without_room_loses_nothing(device: Peer) -> None:
    """A UART whose buffer is full: what it refused goes out later, in order."""
    world = World(device)
    world.run()
    device.do("full 1")
    for commit in (1, 2, 3):
        world.confirm(commit)
    for _ in range(3):
        world.step()
    assert not world.entries
    device.do("full 0")
    world.run()
    world.check()


def test_acks_that_cannot_be(device: Peer) -> None:
    """Of frames that are gone, or were never made, or with numbers that fall: nothing is sent for them, nothing forgotten."""
    world = World(device)
    world.confirm(1)
    world.run()
    world.step()  # the ack that empties the ring
    world.confirm(2)
    for numbers in ((0, 0, 0), (3, 3, 3), (1, 2, 1), (2, 1, 2), (2**64 - 1, 1, 1)):
        for resend in messages.Resend:
            device.received(frame(messages.make(messages.Ack(world.link.session, *numbers, resend))))
    sent = [messages.read(raw) for raw in Unframer().feed(b"".join(device.poll(world.now_us)))]
    assert [made.seq for made in sent if isinstance(made, deviceframe.Frame)] == [1]
    world.run()


def test_messages_that_are_none(device: Peer) -> None:
    """Every message of the host with every byte another, cut short and prolonged; noise: no crash, and the next one is read."""
    chosen = random.Random(5)
    device.boot(1)
    line = bytearray()
    for message in EACH:
        raw = messages.make(message)
        for at in range(len(raw)):
            line += frame(raw[:at] + bytes((raw[at] ^ chosen.randrange(1, 256),)) + raw[at + 1 :])
            line += frame(raw[: at + 1]) + frame(raw + raw[:at] + b"\1")
    line += chosen.randbytes(50_000)
    for at in range(0, len(line), 20_000):
        device.received(bytes(line[at : at + 20_000]))
    device.poll(0)
    hello = messages.make(EACH[0])
    noise = device.received(b"\0")
    assert device.received(stuff(hello + bytes(4)) + b"\0") == noise + 1, "a message that is whole, and its CRC not"
    assert device.poll(0) == []
    device.received(b"\0" + frame(messages.make(EACH[0])))
    (answer,) = Unframer().feed(b"".join(device.poll(1)))
    assert isinstance(messages.read(answer), messages.Here)


def test_ten_million_random_bytes(device: Peer) -> None:
    """In pieces of every size: it comes to no harm, says nothing, and reads the first whole frame after them."""
    device.boot(1)
    device.poll(0)
    device.do(f"noise 6 {TEN_MILLION}")
    assert device.poll(1) == []
    device.received(b"\0" + frame(messages.make(EACH[0])))
    (answer,) = Unframer().feed(b"".join(device.poll(2)))
    assert isinstance(messages.read(answer), messages.Here)


def test_it_sends_again_after_300_ms_without_progress(device: Peer) -> None:
    """Frames and their signature, by itself; not before, and not what was acknowledged."""
    world = World(device)
    world.run()
    world.step()  # the ack with which frames begin
    session, start_us = world.link.session, world.now_us
    for commit in range(4):
        world.confirm(commit)

    def sent(now_us: int) -> list[object]:
        found = [messages.read(raw) for raw in Unframer().feed(b"".join(device.poll(now_us)))]
        return [one.seq if isinstance(one, deviceframe.Frame) else type(one) for one in found]

    everything = [0, 1, 2, 3, messages.Batch]
    assert sent(start_us) == everything
    assert sent(start_us + 299_999) == []
    assert sent(start_us + 300_000) == everything
    device.received(frame(messages.make(messages.Ack(session, 3, 0, 0, messages.Resend.NOTHING))))
    assert sent(start_us + 599_999) == []
    assert sent(start_us + 600_000) == [3, messages.Batch]
    device.received(frame(messages.make(messages.Ack(session, 4, 4, 0, messages.Resend.NOTHING))))
    assert sent(start_us + 9_000_000) == []


def test_it_calls_until_somebody_does(device: Peer) -> None:
    """Twice a second, so that a host at another rate hears noise and not silence; then no more."""
    device.boot(3)
    said = [Unframer().feed(b"".join(device.poll(now_us))) for now_us in (0, 499_999, 500_000, 999_999, 1_000_000)]
    assert [[messages.read(raw) for raw in one] for one in said] == [
        [messages.Booted(kid(DEVICE.public_key), 3)] if heard else [] for heard in (True, False, True, False, True)
    ]
    device.received(frame(messages.make(EACH[0])))
    assert len(device.poll(1_500_000)) == 1, "its answer"
    assert device.poll(9_000_000) == []


@pytest.mark.timeout(FUZZ_S + 600)
def test_fuzzed(tmp_path: Path) -> None:
    """What libFuzzer finds within some thousand runs or the seconds asked for, from one message of each type on: nothing."""
    clang = shutil.which("clang") or shutil.which("clang-14")
    if clang is None:
        pytest.skip("clang is not here")
    (tmp_path / "corpus").mkdir()
    hello = messages.make(EACH[0])
    session = messages.session_of(
        bytes(16), bytes.fromhex("66687aadf862bd77"), 1
    )  # of the fuzzed device's key, 32 zeros
    for number, message in enumerate(EACH):
        raw = messages.make(message._replace(session=session) if "session" in message._fields else message)  # type: ignore[call-arg]
        ack = messages.make(messages.Ack(session, 0, 0, 0, messages.Resend.NOTHING))
        seed = b"\0" + b"".join(bytes((len(each),)) + each for each in (hello, ack, raw))
        (tmp_path / "corpus" / str(number)).write_bytes(seed)
    options = ["-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all", "-DLINEAGE_RING=8"]
    built = subprocess.run(
        [clang, *C99, *options, f"-I{C_DIR}", HERE / "fuzz.c", SOURCE, "-o", tmp_path / "fuzz"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "libclang_rt.fuzzer" in built.stderr:
        pytest.skip("this clang has no libFuzzer")
    assert built.returncode == 0, built.stderr
    limits = ["-seed=1", "-max_len=600", "-timeout=60"]
    limits += [f"-max_total_time={FUZZ_S}", "-print_final_stats=1"] if FUZZ_S else ["-runs=5000"]
    done = subprocess.run(
        [tmp_path / "fuzz", *limits, tmp_path / "corpus"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    if FUZZ_S:
        covered = re.findall(r"#\d+\s+DONE .*", done.stderr)
        print(*covered, *re.findall(r"stat::\S+ +\d+", done.stderr), sep="\n")


@needs_gcc
@needs_monocypher
def test_monocypher_signs_as_ed25519_says(tmp_path: Path) -> None:
    """Keys and signatures are those of another library, for messages around each block's end."""
    sources = [HERE / "monocypher.c", C_DIR / "lineage_ed25519.c"]
    subprocess.run(["gcc", *C99, "-O1", "-c", MONOCYPHER / "monocypher.c", "-o", tmp_path / "m.o"], check=True)
    command = ["gcc", *WARNINGS, *C99, "-O1", *SANITIZERS["asan"], f"-I{C_DIR}", f"-I{MONOCYPHER}"]
    subprocess.run([*command, *sources, tmp_path / "m.o", "-o", tmp_path / "signs"], check=True)
    seed = bytes(range(32))
    texts = [bytes(size) for size in (1, 47, 48, 63, 64, 79, 80, 81, 111, 112, 127, 128, 240, 320)]
    asked = "".join(text.hex() + "\n" for text in texts)
    said = subprocess.run([tmp_path / "signs", seed.hex()], input=asked, capture_output=True, text=True, check=True)
    signer = SeedSigner(seed)
    assert said.stdout.split() == [signer.public_key.hex(), *(signer.sign(text).hex() for text in texts)]


@needs_monocypher
@needs_arm
def test_it_fits_a_cortex_m3() -> None:
    """All of it, with Ed25519, under 24 KB of code and constants: the example less what is the board's and its own."""
    listed = subprocess.run(["arm-none-eabi-size", "-A", image()], capture_output=True, text=True, check=True).stdout
    text = int(re.findall(r"^\.text +(\d+)", listed, re.MULTILINE)[0])
    print(listed)
    assert text <= CODE_MAX_BYTES, "the whole example, even"


@needs_monocypher
@needs_arm
@needs_qemu
def test_what_it_costs() -> None:
    """Instructions and stack on a Cortex-M3, as DESIGN.md states them, to a tenth."""
    said = program_output(EXAMPLE / "measure.c", "-icount", "shift=0")
    print(said)
    found = {
        what: int(number) for what, number in re.findall(r"^(.*) (\d+) (?:instructions|bytes)$", said, re.MULTILINE)
    }
    design = (C_DIR.parent / "DESIGN.md").read_text(encoding="utf-8")
    stated = {
        what.strip("`"): int(number.replace(",", ""))
        for what, number in rows_of(design, "| call | instructions or bytes |")
    }
    assert stated
    for what, number in stated.items():
        assert found[what] == pytest.approx(number, rel=0.1), what


@pytest.mark.parametrize(
    ("verdict", "commit"), [(256, [7, 0, bytes(16)]), (4, None), (0, None), (2, None), (1, [7, 0, bytes(16)])]
)
def test_receipts_that_cannot_be(device: Peer, verdict: int, commit: list[object] | None) -> None:
    """A verdict that there is not, an admission without its commit, a refusal with one: nothing is admitted by it."""
    world = World(device)
    world.run(lambda: world.link.state.value == "up")
    world.step()
    for said in ([verdict, commit], [3, None]):
        device.received(frame(cbor.pack([1, 6, world.link.session, 0, None, 1, *said, False])))
    assert [receipt[2] for receipt in device.receipts] == [3]
