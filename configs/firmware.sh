#!/bin/sh
# Brings what the tests of the bridge can do without: a cross compiler, an emulator, a fuzzer for either parser, and Monocypher's source.
#
#   sh configs/firmware.sh       after `sh configs/setup.sh dev`
#
# All of it is optional: what cannot be had here is said in one line, the tests that need it are skipped with that reason, and
# this ends with 0.  Outside build/ and .venv it changes one thing: it installs the Debian packages named below, where it may.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'firmware: %s\n' "$*"; }
has() { command -v "$1" >/dev/null 2>&1; }

# Debian packages -----------------------------------------------------------------------------------------------------------------
packages=
need() { packages="$packages $*"; }
has arm-none-eabi-gcc && [ -e /usr/lib/arm-none-eabi/lib/nano.specs ] ||
    need gcc-arm-none-eabi libnewlib-arm-none-eabi
has qemu-system-arm || need qemu-system-arm
has clang || has clang-14 || need clang
# libFuzzer; Debian's package of this name follows its clang.
ls /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-* >/dev/null 2>&1 || need libclang-rt-dev

if [ -z "$packages" ]; then
    say "nothing to install"
elif ! has apt-get || [ "$(id -u)" -ne 0 ]; then
    say "not here, and not mine to install:$packages"
else
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT INT TERM
    # shellcheck disable=SC2086  # one word per package
    install() { DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages >"$log" 2>&1; }
    if install || { apt-get update >"$log" 2>&1 && install; }; then
        say "installed$packages"
    else
        say "could not be installed:$packages ($(tail -n 1 "$log"))"
    fi
fi

# Atheris -------------------------------------------------------------------------------------------------------------------------
if [ -e build/atheris/atheris ]; then
    say "build/atheris is there"
elif .venv/bin/pip --disable-pip-version-check --quiet install --require-hashes --no-deps --only-binary :all: \
    --target build/atheris.part -r tests/fuzz.lock; then
    mv build/atheris.part build/atheris
    say "build/atheris has $(sed -n 's/ .*//; /^atheris/p' tests/fuzz.lock)"
else
    rm -rf build/atheris.part
    say "Atheris could not be had for this Python: is a package index reachable?"
fi

# Monocypher ----------------------------------------------------------------------------------------------------------------------
# Its optional file with SHA-512 is in no package: c/lineage_ed25519.c has that part.
if [ -e build/monocypher/monocypher.c ]; then
    say "build/monocypher is there"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work" "${log:-}"' EXIT INT TERM
# To read a source package pip runs its build script: in an environment of its own, with tools that the lock names.
grep -A 1 -E '^(setuptools|wheel)==' tests/firmware.lock | grep -v '^--$' >"$work/tools"
grep -A 1 '^pymonocypher==' tests/firmware.lock >"$work/source"
if .venv/bin/python -m venv "$work/venv" &&
    "$work/venv/bin/pip" --disable-pip-version-check --quiet install --require-hashes --only-binary :all: -r "$work/tools" &&
    "$work/venv/bin/pip" --disable-pip-version-check --quiet download --require-hashes --no-deps --no-binary :all: \
        --no-build-isolation -d "$work" -r "$work/source" &&
    tar -xzf "$work"/pymonocypher-*.tar.gz -C "$work"; then
    mkdir -p build/monocypher
    cp "$work"/pymonocypher-*/monocypher.h "$work"/pymonocypher-*/LICENSE.txt build/monocypher/
    cp "$work"/pymonocypher-*/monocypher.c build/monocypher/monocypher.c # last: it says that the rest is there
    say "build/monocypher has the source of $(sed -n 's/ .*//; /^pymonocypher/p' "$work/source")"
else
    say "Monocypher's source could not be had: is a package index reachable?"
fi
