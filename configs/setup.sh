#!/bin/sh
# Sets up .venv at the root of this repository.
#
#   sh configs/setup.sh        what `lineage` needs to run, with its demo and simulator
#   sh configs/setup.sh dev    that, and everything that the tests, the linter and the type checker need
#
# Some tests of the microcontroller's part want more, and are skipped without it: `sh configs/firmware.sh` brings that.
#
# Starts from Debian bookworm or Raspberry Pi OS with Python 3.11 or later and git; other systems work where the commands that it
# looks for exist.  Outside .venv it changes one thing: it installs Debian packages, those named below, when they are missing.
# Every Python package is checked against its hash in requirements.lock.  A second run with nothing to do ends at once.
set -eu

say() { printf 'setup: %s\n' "$*"; }
fail() {
    printf 'setup: error: %s\n' "$*" >&2
    exit 2
}

mode=${1:-run}
case $mode in
run | dev) ;;
*) fail "unknown mode '$mode': give none, or 'dev'" ;;
esac
[ $# -le 1 ] || fail "one argument at most, not $#"
cd "$(dirname "$0")/.." || fail "cannot enter the repository"
[ -f requirements.lock ] || fail "requirements.lock is missing in $PWD: this is not a whole checkout"

python=${PYTHON:-python3}
command -v "$python" >/dev/null 2>&1 || fail "no $python on the PATH: install Python 3.11 or later, or name one with PYTHON=..."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version 2>&1) is too old: 3.11 or later is needed; name another with PYTHON=..."

# Debian packages -----------------------------------------------------------------------------------------------------------------
packages=
need() { packages="$packages $1"; }
has() { command -v "$1" >/dev/null 2>&1; }

# Debian's Python comes without the part that puts pip into a new environment.
"$python" -c 'import ensurepip, venv' 2>/dev/null || need python3-venv
if [ "$mode" = dev ]; then
    has gcc || need gcc                    # what the tests compile: the C client, a bare LMDB commit to compare with
    has g++ || need g++                    # the C client is for C++ too; it brings libc's headers, which gcc only recommends
    has strace || need strace              # failed syncs are put in with `strace -e inject`
    has fusermount3 || need fuse3          # a bad storage device is a file system in user space, run by Debian's own Python
    /usr/bin/python3 -c 'import pyfuse3' 2>/dev/null || need python3-pyfuse3
    has systemd-analyze || need systemd    # the units are checked with it
    has git || need git
fi

if [ -n "$packages" ]; then
    has apt-get || fail "missing here:$packages (Debian's names); there is no apt-get, so install them by this system's own means"
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        has sudo || fail "missing here:$packages; run 'apt-get install$packages' as root, then this again"
        as_root=sudo
    fi
    say "installing Debian packages:$packages${as_root:+ (asks sudo)}"
    log=$(mktemp)
    # The lists are fetched only where the first try says that they are missing or old.
    # shellcheck disable=SC2086  # one word per package; as_root may be none
    install() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages >"$log" 2>&1; }
    if ! install && ! { $as_root apt-get update >"$log" 2>&1 && install; }; then
        tail -n 5 "$log" >&2
        rm -f "$log"
        fail "apt-get could not install$packages (its last lines are above); install them by hand, then run this again"
    fi
    rm -f "$log"
fi

# Python packages -----------------------------------------------------------------------------------------------------------------
# The stamp says what .venv holds: the lock, the project's metadata, the mode, the interpreter and the place.  A dev environment serves a run as well.
stamp_of() {
    { cat requirements.lock pyproject.toml; "$python" -c 'import sys; print(sys.version, sys.executable)'; echo "$1 $PWD"; } | sha256sum | cut -d ' ' -f 1
}
held=$(cat .venv/lineage-setup 2>/dev/null || true)
if [ -n "$held" ] && { [ "$held" = "$(stamp_of "$mode")" ] || [ "$held" = "$(stamp_of dev)" ]; }; then
    say "nothing to do: .venv is as requirements.lock says"
    exit 0
fi

chosen=$(mktemp)
trap 'rm -f "$chosen"' EXIT INT TERM
if [ "$mode" = dev ]; then
    cat requirements.lock >"$chosen"
else
    sed '/^# ---- dev:/,$d' requirements.lock >"$chosen"
fi

say "installing $(grep -c '^[a-z0-9].*==' "$chosen") Python packages into .venv ($mode)"
rm -f .venv/lineage-setup  # if we stop below, the next run does the work again
# --clear: after a change of the lock, nothing that it no longer names stays behind.
"$python" -m venv --clear .venv || fail "cannot make .venv in $PWD"
pip() { .venv/bin/python -m pip --disable-pip-version-check --no-input --quiet "$@"; }
# Wheels only: to build a package, pip would fetch tools that no hash of ours names.
pip install --require-hashes --only-binary :all: --requirement "$chosen" ||
    fail "pip could not install the locked packages (its message is above): is a package index reachable, and has it wheels for $(uname -m)?"
pip install --no-deps --no-build-isolation --no-index --editable . || fail "the project itself could not be installed"
stamp_of "$mode" >.venv/lineage-setup
say "done: .venv/bin/lineage"
