#!/bin/sh
# Builds the example for the Cortex-M3 of Arm's MPS2, with what is in this directory's parent.
#
#   sh build.sh MONOCYPHER OUT [SOURCE]    the directory with monocypher.c; what to make; main.c, or another with a main of its own
#
# Needs Debian's gcc-arm-none-eabi and libnewlib-arm-none-eabi.
set -eu
monocypher=$1 out=$2
here=$(cd "$(dirname "$0")" && pwd)
arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb -Os -std=gnu99 -Wall -Wextra -ffunction-sections -fdata-sections -Wl,--gc-sections \
    -nostartfiles -specs=nano.specs -T "$here/mps2.ld" -I "$here" -I "$here/.." -I "$monocypher" \
    "${3:-$here/main.c}" "$here/board_mps2.c" "$here/startup.c" \
    "$here/../lineage_device.c" "$here/../lineage_ed25519.c" "$monocypher/monocypher.c" -o "$out"
arm-none-eabi-size "$out"
