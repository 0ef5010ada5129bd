#!/usr/bin/env bash
# What OSS-Fuzz runs: builds Zydis with the sanitizer at hand and into the targets, since the machine that runs them has
# no Zydis; then the targets. SRC has the sources, WORK is scratch, OUT gets the results.
set -euo pipefail
zydis=$SRC/zydis
zycore=${ZYCORE:-$zydis/dependencies/zycore}
includes="-I$zydis/include -I$zydis/src -I$zycore/include"
mkdir -p "$WORK/zydis"
for source in "$zydis"/src/*.c; do
  # shellcheck disable=SC2086
  $CC $CFLAGS -DZYDIS_STATIC_BUILD -DZYCORE_STATIC_BUILD $includes -c "$source" \
    -o "$WORK/zydis/$(basename "$source" .c).o"
done
for source in "$zycore"/src/*.c; do
  # shellcheck disable=SC2086
  [ ! -e "$source" ] || $CC $CFLAGS -DZYCORE_STATIC_BUILD $includes -c "$source" \
    -o "$WORK/zydis/zycore_$(basename "$source" .c).o"
done
rm -f "$WORK/libZydis.a"
ar rcs "$WORK/libZydis.a" "$WORK"/zydis/*.o
ZYDIS_CFLAGS="-DZYDIS_STATIC_BUILD -DZYCORE_STATIC_BUILD $includes" ZYDIS_LIBS="$WORK/libZydis.a" \
  "$SRC/segue/tests/fuzz/build.sh" "$OUT"
