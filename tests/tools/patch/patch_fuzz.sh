#!/bin/sh
# patch_fuzz.sh BUILD SECONDS: a bounded AFL++ run of `segue patch` over damaged ELF files and archives. BUILD is made
# with afl-clang-fast if it is not there; its folder fuzz keeps what was found, for the next run to go on from. Fails
# if a file made the command crash or hang. That no input was changed is seen by their modes: they are made read-only,
# and afterwards the seeds are held against copies.
set -eu
build=$1 seconds=$2
here=$(cd "$(dirname "$0")/../.." && pwd)
command -v afl-fuzz >/dev/null 2>&1 || {
    echo "patch_fuzz.sh: afl-fuzz is missing: apt-get install afl++" >&2
    exit 1
}
if [ ! -f "$build/build.ninja" ]; then
    (cd "$here" && AFL_QUIET=1 CC=afl-clang-fast meson setup "$build" -Dtests=false -Dbench=false -Dexamples=false \
        -Ddocs=false -Ddefault_library=static >/dev/null)
fi
AFL_QUIET=1 ninja -C "$build" tools/segue >/dev/null

seeds=$build/fuzz/seeds found=$build/fuzz/found copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
if [ ! -d "$seeds" ]; then
    mkdir -p "$seeds"
    cat >"$copy/guard.c" <<'END'
void use(char *);
__thread int word __attribute__((tls_model("initial-exec")));
int guarded(int x) { char a[64]; use(a); return x + a[2] + word; }
END
    cc -c -O1 -fPIC -fstack-protector-all "$copy/guard.c" -o "$seeds/object"
    cc -shared -nostdlib -s "$seeds/object" -o "$seeds/shared"
    (cd "$seeds" && cp object a_member_with_a_long_name && ar rc archive object a_member_with_a_long_name)
    rm -f "$seeds/a_member_with_a_long_name"
    objcopy --only-keep-debug "$seeds/shared" "$seeds/debug"
    chmod a-w "$seeds"/*
fi
cp -p "$seeds"/* "$copy"
resume=$seeds
[ ! -d "$found" ] || resume=-
AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_AFFINITY=1 AFL_QUIET=1 \
    AFL_BENCH_UNTIL_CRASH=1 \
    afl-fuzz -i "$resume" -o "$found" -V "$seconds" -t 2000 -- \
    "$build/tools/segue" patch --dry-run --json @@ >"$build/fuzz/log" 2>&1 || :
grep -E 'execs_done|execs_per_sec|corpus_count|edges_found|saved_crashes|saved_hangs' "$found/default/fuzzer_stats" || {
    tail -20 "$build/fuzz/log" >&2
    exit 1
}
for seed in "$seeds"/*; do
    cmp "$seed" "$copy/$(basename "$seed")"
done
[ "$(find "$found/default/crashes" "$found/default/hangs" -name 'id*' | wc -l)" -eq 0 ]
