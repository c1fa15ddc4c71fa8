#!/bin/sh
# Boots the example in QEMU, enrols it, has it ask, move and confirm over the real bridge to a real recorder, and verifies.
#
#   sh transcript.sh [DIRECTORY]     after configs/setup.sh and configs/firmware.sh; a new temporary directory if left out
#
# Prints each command and what it says.
set -eu
example=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$example/../../.." && pwd)
work=${1:-$(mktemp -d)}
mkdir -p "$work"
cd "$work"
PATH=$root/.venv/bin:$PATH
running=
trap 'kill $running 2>/dev/null || true' EXIT INT TERM

say() { printf '\n$ %s\n' "$*"; }
do_it() {
    say "$@"
    "$@"
}
wait_for() { # wait_for FILE TEXT
    for _ in $(seq 300); do
        grep -q "$2" "$1" 2>/dev/null && return
        sleep 0.1
    done
    echo "$1 does not say: $2" >&2
    cat "$1" >&2
    exit 1
}

do_it sh "$example/build.sh" "${LINEAGE_MONOCYPHER:-$root/build/monocypher}" firmware.elf
[ -e flash.bin ] || { head -c 32 /dev/urandom && head -c 4 /dev/zero; } >flash.bin

lineage authority init --authority authority --name demo --json >authority.json
printf 'root %s\nquorum none\n' "$(python -c 'import json; print(json.load(open("authority.json"))["root"])')" >fleet.trust
lineage init --state state --fleet demo --platform cell-1 --actuator arm --on-unavailable hold --trust fleet.trust --yes >init.log
cat >>state/recorder.toml <<END

[[controller]]
uids = [$(id -u)]
actuators = ["arm"]
append = ["confirmation", "fault", "observation"]
read = true
END
lineage run --state state --socket state/recorder.sock 2>recorder.log &
running="$running $!"
wait_for recorder.log 'recording'
lineage credential install authority/matrix.cose --socket state/recorder.sock >install.log

say qemu-system-arm -machine mps2-an385 -kernel firmware.elf -serial pty
qemu-system-arm -machine mps2-an385 -display none -monitor none -semihosting-config enable=on,target=native \
    -kernel firmware.elf -serial pty </dev/null >qemu.log 2>&1 &
running="$running $!"
wait_for qemu.log 'redirected to'
cat qemu.log
port=$(sed -n 's/.*redirected to \([^ ]*\).*/\1/p' qemu.log)

do_it lineage bridge init --state bridge --actuator arm
cat >>bridge/bridge.toml <<END

[cycle]
action_class = "motion"
answer_ms = 500
[cycle.who]
operator = "ann"
[cycle.why]
evaluator = "the joint's own controller"
clauses = []
[cycle.what]
mode = "position"
reversibility = "reversible"
END
do_it lineage bridge key --port "$port"
do_it lineage bridge enroll --state bridge --port "$port" --authority authority --name joint --days 1 \
    --socket state/recorder.sock
say lineage bridge run --state bridge --port "$port" --socket state/recorder.sock
lineage bridge run --state bridge --port "$port" --socket state/recorder.sock 2>bridge.log &
bridge=$!
running="$running $bridge"
wait_for bridge.log 'shown its key'
for _ in $(seq 100); do # it asks for a move twice a second
    [ "$(lineage log --state state --no-follow -n 100 | grep -c ' confirmation ')" -lt 3 ] || break
    sleep 0.1
done
kill "$bridge"
wait "$bridge"
cat bridge.log
do_it lineage bridge status --state bridge
do_it lineage log --state state --no-follow -n 8
say lineage verify --state state --trust state/trust
lineage verify --state state --trust state/trust || [ $? -eq 3 ] # 3: nothing failed, and not all could be judged
