#!/usr/bin/env bash
# fuzzers.sh BUILD: the fuzzers' targets, where the tests of fuzzing have them, built unless they are newer than every
# source. Exits with 77 where clang has no libFuzzer.
set -euo pipefail
source=$(realpath "$(dirname "$0")/../..")
build=$(realpath "$1")
if ! echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
    clang -x c - -fsanitize=fuzzer -o /dev/null 2> /dev/null; then
    echo "fuzzers.sh: clang has no libFuzzer here (Debian: clang, libclang-rt-dev)" >&2
    exit 77
fi
for target in decode_accesses step; do
    out=$build/tests/fuzz/fuzz_$target/bin
    if [ -x "$out/$target" ]; then
        newer=$(find "$source"/{include,decode,emulate,patch,ctx,signals,platform,corpus,tests/fuzz,tests/support} \
            "$source/tests/differential/states" -type f '(' -name '*.[chS]' -o -name '*.txt' -o -name '*.seeds' ')' \
            -newer "$out/$target" -print -quit)
        [ -n "$newer" ] || continue
    fi
    TARGETS=$target "$source/tests/fuzz/build.sh" "$out"
done
