#!/bin/sh
# Writes requirements.lock anew: every package with its hashes, for all platforms, in two parts.  The first is what runs on a
# device (core, all extras, the build backend); the second is what developing adds.  configs/setup.sh cuts at the line between
# them, because pip in hash mode installs a whole file or nothing, and Debian's pip 23.0 takes no hashes from a constraint file.
#
# It also writes tests/cose-oracle.lock, the COSE library that checks our signatures: it needs a cbor2 older than 6, so a test
# installs it into a venv of its own.
#
# Usage: sh configs/lock.sh [--upgrade]      (needs `sh configs/setup.sh dev` first: uv is one of the development packages)
set -eu
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

compile() {  # compile FILE ARGUMENT...: one resolution; --no-emit-* keep the addresses of package indexes out of the file
    out=$1
    shift
    "$uv" pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-header \
        --no-annotate --no-emit-index-url --no-emit-find-links --output-file "$out" "$@"
}

# Versions that are already locked stay, unless --upgrade is given.
if [ "${1:-}" != --upgrade ] && [ -f requirements.lock ]; then
    cp requirements.lock "$work/all"
fi
compile "$work/all" --all-extras --group build --group lint --group test --group peers pyproject.toml
compile "$work/names" --extra cli --extra export --extra gate --extra mesh --extra bridge --extra sim --group build --constraint "$work/all" pyproject.toml

# A package's block starts at `name==` and ends before the next one.  Blocks of both parts are those of the whole resolution, whose
# markers serve everyone; which of them running needs, the other resolution says.
part() {  # part WANTED: 1 for what running needs, 0 for the rest
    awk -v wanted="$1" 'FNR == NR { if (/^[a-z0-9]/) { split($1, part, "=="); run[part[1]] = 1 }; next }
         /^[a-z0-9]/ { split($1, part, "=="); keep = ((part[1] in run) == wanted) }
         keep' "$work/names" "$work/all"
}
part 1 >"$work/run"
part 0 >"$work/dev"

{
    echo '# Written by sh configs/lock.sh; not by hand.'
    echo '# ---- run: what a device needs ----'
    cat "$work/run"
    echo '# ---- dev: what developing adds ----'
    cat "$work/dev"
} >requirements.lock
echo "requirements.lock: $(grep -c '==' "$work/run") packages to run, $(grep -c '==' "$work/dev") more to develop"

echo 'cwt==3.3.0' >"$work/cose.in"
compile "$work/cose" "$work/cose.in"
{
    echo '# cwt, an independent COSE library, with what it needs: tests/core/test_cose_crosscheck.py installs it into a venv of its own,'
    echo '# because it needs cbor2 < 6.  Written by sh configs/lock.sh; not by hand.'
    cat "$work/cose"
} >tests/cose-oracle.lock
