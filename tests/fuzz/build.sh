#!/usr/bin/env bash
# Builds the fuzz targets: `build.sh OUT`, with the variables that OSS-Fuzz sets: CC, CFLAGS, CXX, CXXFLAGS, and
# LIB_FUZZING_ENGINE for what drives the targets; ZYDIS_CFLAGS and ZYDIS_LIBS for where Zydis is. Without any of these: clang
# with libFuzzer and the sanitizers, and the system's Zydis. The seeds are unpacked, and packed, beside the targets.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
out=${1:?usage: build.sh OUT}
: "${CC:=clang}"
: "${CXX:=clang++}"
: "${CFLAGS:=-O1 -g -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined}"
: "${CXXFLAGS:=$CFLAGS}"
: "${LIB_FUZZING_ENGINE:=-fsanitize=fuzzer}"
: "${ZYDIS_CFLAGS:=}"
: "${ZYDIS_LIBS:=-lZydis}"
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT

mkdir -p "$out"
awk -f "$root/decode/classes.awk" "$root/decode/classes.txt" > "$objects/classes_table.h"
for source in "$root"/decode/*.c "$here"/*.c; do
  # shellcheck disable=SC2086
  $CC $CFLAGS $ZYDIS_CFLAGS -std=gnu17 -D_GNU_SOURCE -I"$root/include" -I"$root" -I"$objects" -I"$root/decode" \
    -c "$source" -o "$objects/$(basename "$(dirname "$source")")_$(basename "$source" .c).o"
done
for target in decode_accesses; do
  # Libfuzzer, and the others that stand in for it, are C++.
  # shellcheck disable=SC2086
  $CXX $CXXFLAGS "$objects/fuzz_$target.o" "$objects"/decode_*.o $LIB_FUZZING_ENGINE $ZYDIS_LIBS -o "$out/$target"
  cp "$here/$target.dict" "$out/"
  rm -rf "$out/${target}_seeds" "$out/${target}_seed_corpus.zip"
  mkdir "$out/${target}_seeds"
  number=0
  while read -r hex _; do
    case $hex in '' | '#'*) continue ;; esac
    number=$((number + 1))
    # shellcheck disable=SC2001
    printf "$(sed 's/../\\x&/g' <<< "$hex")" > "$out/${target}_seeds/$number"
  done < "$here/$target.seeds"
  python3 -m zipfile -c "$out/${target}_seed_corpus.zip" "$out/${target}_seeds"/*
done
