#!/usr/bin/env bash
# Builds the fuzz targets: `build.sh OUT` with CC and CFLAGS as OSS-Fuzz sets them, and LIB_FUZZING_ENGINE for what drives
# them. Without any of these: clang with libFuzzer and the sanitizers. The seeds are unpacked and zipped beside them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
out=${1:?usage: build.sh OUT}
: "${CC:=clang}"
: "${CFLAGS:=-O1 -g -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined}"
: "${LIB_FUZZING_ENGINE:=-fsanitize=fuzzer}"

mkdir -p "$out/tables"
awk -f "$root/decode/classes.awk" "$root/decode/classes.txt" > "$out/tables/classes_table.h"
for target in decode_accesses; do
  # shellcheck disable=SC2086
  $CC $CFLAGS -std=gnu17 -D_GNU_SOURCE -I"$root/include" -I"$root" -I"$out/tables" \
    -I"$root/decode" "$here/$target.c" "$root"/decode/*.c $LIB_FUZZING_ENGINE -lZydis -o "$out/$target"
  cp "$here/$target.dict" "$out/"
  rm -rf "$out/${target}_seeds"
  mkdir "$out/${target}_seeds"
  number=0
  while read -r hex _; do
    case $hex in '' | '#'*) continue ;; esac
    number=$((number + 1))
    # shellcheck disable=SC2001
    printf "$(sed 's/../\\x&/g' <<< "$hex")" > "$out/${target}_seeds/$number"
  done < "$here/$target.seeds"
done
