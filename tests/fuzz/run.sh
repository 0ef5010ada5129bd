#!/usr/bin/env bash
# Fuzzes for a bounded time: `run.sh libfuzzer|afl SECONDS [FOLDER [TARGET]]`. What is found is kept in the folder; the
# exit status is 1 if an input made a target fail, 77 if the fuzzer is not there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
engine=${1:?usage: run.sh libfuzzer|afl SECONDS [FOLDER]}
seconds=${2:?usage: run.sh libfuzzer|afl SECONDS [FOLDER]}
folder=${3:-$(mktemp -d)}
export TARGETS=${4:-decode_accesses}
target=$TARGETS
# What the step target raises is for the library's own handlers.
case $target in
  step)
    limits="-max_len=23 -len_control=0 -timeout=0 -rss_limit_mb=0"
    limits="$limits -handle_segv=0 -handle_bus=0 -handle_ill=0 -handle_fpe=0"
    ;;
  *) limits="-max_len=256 -timeout=5" ;;
esac
mkdir -p "$folder/corpus"

run_libfuzzer() {
  if ! echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
    clang -x c - -fsanitize=fuzzer -o /dev/null 2> /dev/null; then
    echo "SKIP: clang has no libFuzzer here (Debian: clang, libclang-rt-dev)"
    exit 77
  fi
  # The compiler that the caller builds with may have none.
  env -u CC -u CXX -u CFLAGS -u CXXFLAGS -u LIB_FUZZING_ENGINE "$here/build.sh" "$folder/bin"
  # shellcheck disable=SC2086
  "$folder/bin/$target" -max_total_time="$seconds" $limits -dict="$folder/bin/$target.dict" \
    -artifact_prefix="$folder/" -print_final_stats=1 -verbosity=1 "$folder/corpus" "$folder/bin/${target}_seeds" \
    > "$folder/log" 2>&1 || { tail -40 "$folder/log"; exit 1; }
  grep -E 'stat::|DONE|Done' "$folder/log"
}

run_afl() {
  if ! command -v afl-fuzz > /dev/null || ! command -v afl-clang-fast > /dev/null; then
    echo "SKIP: AFL++ is not here (Debian: afl++)"
    exit 77
  fi
  # afl-clang-fast's own driver stands in for libFuzzer's: persistent, in one process.
  CC=afl-clang-fast CXX=afl-clang-fast++ CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined" \
    LIB_FUZZING_ENGINE=-fsanitize=fuzzer AFL_QUIET=1 "$here/build.sh" "$folder/bin"
  AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_AFFINITY=1 \
    afl-fuzz -V "$seconds" -m none -t 2000 -i "$folder/bin/${target}_seeds" -o "$folder/afl" \
    -x "$folder/bin/$target.dict" -- "$folder/bin/$target" > "$folder/log" 2>&1 || { tail -40 "$folder/log"; exit 1; }
  grep -E 'execs_done|execs_per_sec|corpus_count|saved_crashes|saved_hangs|bitmap_cvg' \
    "$folder/afl/default/fuzzer_stats"
  [ "$(sed -n 's/^saved_crashes *: //p' "$folder/afl/default/fuzzer_stats")" = 0 ]
  [ "$(sed -n 's/^saved_hangs *: //p' "$folder/afl/default/fuzzer_stats")" = 0 ]
}

case $engine in
  libfuzzer) run_libfuzzer ;;
  afl) run_afl ;;
  *) echo "run.sh: the engine is libfuzzer or afl, not '$engine'" >&2; exit 2 ;;
esac
