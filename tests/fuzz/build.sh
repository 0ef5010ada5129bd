#!/usr/bin/env bash
# Builds the fuzz targets: `build.sh OUT`, with the variables that OSS-Fuzz sets: CC, CFLAGS, CXX, CXXFLAGS, and
# LIB_FUZZING_ENGINE for what drives the targets; ZYDIS_CFLAGS and ZYDIS_LIBS for where Zydis is. Without any of these:
# clang with libFuzzer and the sanitizers, and the system's Zydis. TARGETS: which, decode_accesses by itself. The seeds
# are unpacked, and packed, beside the targets.
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
awk -f "$root/decode/mnemonics/classes.awk" "$root/decode/mnemonics/classes.txt" > "$objects/classes_table.h"
awk -f "$root/decode/mnemonics/mnemonics.awk" "$root/decode/mnemonics/mnemonics.txt" > "$objects/mnemonics_table.h"

# The library's sources for this system, as the build has them; what it generates is made, and found by -I.
library_sources() {
  env -u CC -u CXX -u CFLAGS -u CXXFLAGS meson setup "$objects/meson" "$root" \
    -Dtests=false -Dtools=false -Dexamples=false -Dbench=false -Ddocs=false \
    > "$objects/meson.log" || { cat "$objects/meson.log" >&2; return 1; }
  local generated
  generated=$(listed generated)
  # shellcheck disable=SC2086
  (cd "$objects/meson" && ninja $(realpath --relative-to=. $generated) > "$objects/ninja.log") ||
    { cat "$objects/ninja.log" >&2; return 1; }
  # shellcheck disable=SC2086
  dirname $generated | sort -u > "$objects/folders"
  listed sources
}

# listed sources: what the library is compiled from; listed generated: the headers that the build makes.
listed() {
  meson introspect --targets "$objects/meson" | python3 -c '
import json, sys
for target in json.load(sys.stdin):
    if sys.argv[1] == "generated":
        for name in target["filename"] if target["type"] == "custom" else []:
            if name.endswith((".h", ".inc")):
                print(name)
    elif target["name"] in ("segue_objects", "segue_decode_objects"):
        for group in target["target_sources"]:
            for source in group.get("sources", []):
                if source.endswith((".c", ".S")):
                    print(source)
' "$1"
}

# What a target links: sources, and libraries beside Zydis. The step runs on all of the library, with the processor as
# the tests run it; the address sanitizer stays out, for its registers lead anywhere.
sources_of() {
  echo "$here/$1.c"
  if [ "$1" != step ]; then
    find "$root/decode" -name '*.c'
    # The one thing that decoding's facts of the processor ask the system.
    printf "$root/%s\n" platform/linux/memory/addresses_x86_64.c tests/support/sweep/coverage.c
    return
  fi
  library_sources
  printf "$root/%s\n" tests/differential/states/{areas,batch,encodings,generate,oracle,outcome,rows}.c \
    tests/differential/states/{batch/{injection,report},encodings/{aim,bytes}}.c \
    tests/differential/states/oracle_x86_64.S \
    corpus/rows/{read,rows}.c corpus/support/error.c tests/support/sweep/coverage.c
}
declare -A libraries=([decode_accesses]="" [step]="-llzma -lpthread -ldl")

for target in ${TARGETS:-decode_accesses}; do
  if [ "$target" = step ]; then
    CFLAGS=${CFLAGS//address,/}
    CXXFLAGS=${CXXFLAGS//address,/}
  fi
  mkdir "$objects/$target"
  : > "$objects/folders"
  sources_of "$target" > "$objects/$target.sources"
  mapfile -t includes < <(sed 's/^/-I/' "$objects/folders")
  while read -r source; do
    # shellcheck disable=SC2086
    $CC $CFLAGS $ZYDIS_CFLAGS -std=gnu17 -D_GNU_SOURCE -I"$root/include" -iquote "$root" -I"$objects" -I"$root/decode" \
      "${includes[@]}" -c "$source" -o "$objects/$target/$(echo "$source" | tr / _).o" < /dev/null
  done < "$objects/$target.sources"
  # Libfuzzer, and the others that stand in for it, are C++.
  # shellcheck disable=SC2086
  $CXX $CXXFLAGS "$objects/$target"/*.o $LIB_FUZZING_ENGINE $ZYDIS_LIBS ${libraries[$target]} -o "$out/$target"
  cp "$here/decode_accesses.dict" "$out/$target.dict"
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
