#!/usr/bin/env bash
# debugger.sh VERSION INCLUDE LIBRARY: what a debugger, Valgrind and a preprocessor see. A breakpoint on
# segue_debug_unhandled is met at the fault that kills, and not at served ones; under Valgrind the library says that it
# does not work.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
include=$2
library=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cp "$library" "$work/libsegue.so.0"
strip "$work/libsegue.so.0"
# Whatever the test's own environment says: Valgrind gives up over clang's debug information.
export LD_LIBRARY_PATH=$work
cat > "$work/dies.c" <<'C'
#include <segue/segue.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(int argument_count, char **arguments)
{
    struct segue_mapping heap;
    enum segue_status status = segue_install(NULL);
    if (status != SEGUE_OK) {
        printf("%s: %s\n", segue_status_name(status), segue_reason());
        return 3;
    }
    if (segue_mapping_create(NULL, 4096, &heap) != SEGUE_OK)
        return 4;
    struct segue_region region = {
        .window = {.base = (uint64_t)heap.memory, .size = heap.size, .kind = SEGUE_WINDOW_ALIAS, .alias = heap.alias}};
    if (segue_region_add(&region) != SEGUE_OK)
        return 5;
    mprotect(heap.memory, heap.size, PROT_NONE);
    for (int i = 0; i < 100; i++)
        ((volatile int *)heap.memory)[i] = i;
    puts(segue_version() == SEGUE_VERSION ? segue_version_text() : "another version");
    fflush(stdout);
    *(volatile int *)(argument_count > 1 && !strcmp(arguments[1], "high") ? 0x8000000000000000 : 0x1234) = 1;
}
C
gcc -O1 -D_GNU_SOURCE -I "$include" -o "$work/dies" "$work/dies.c" "$work/libsegue.so.0" -Wl,-rpath,"$work" || exit 1
check "the version that runs is that of the headers" "$1" "$("$work/dies" 2> /dev/null | head -1)"

# Stripped: the symbol is a public one. RDI leads to struct segue_fault, RSI to struct segue_regs.
gdb_output=$(timeout 60 gdb -batch -nx -ex 'set debuginfod enabled off' -ex 'handle SIGSEGV nostop noprint pass' \
  -ex 'set breakpoint pending on' -ex 'break segue_debug_unhandled' -ex run \
  -ex 'printf "address %lx, trap %d\n", *(long *)$rdi, *((char *)$rdi + 10)' -ex 'x/i ((long *)$rsi)[16]' -ex continue \
  --args "$work/dies" 2>&1)
check "met once, at the fault that kills" "1 address 1234, trap 14" \
  "$(grep -c '^Breakpoint 1, ' <<< "$gdb_output") $(grep -o 'address .*' <<< "$gdb_output")"
check "then the process dies of it" yes \
  "$(grep -q 'terminated with signal SIGSEGV' <<< "$gdb_output" && echo yes || echo "$gdb_output")"

if command -v valgrind > /dev/null; then
  out=$(timeout 120 valgrind -q "$work/dies" 2>&1)
  check "Valgrind: status" 3 $?
  check "Valgrind: refused by name" yes \
    "$(grep -q '^SEGUE_UNSUPPORTED: Valgrind' <<< "$out" && echo yes || echo "$out")"
else
  echo "SKIP of a part: there is no valgrind"
fi

check_end
