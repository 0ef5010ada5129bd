#!/usr/bin/env bash
# gdb_script.sh INCLUDE LIBRARY SCRIPT: gdb loads the script with the library. Faults that are served pass unseen, the
# one that kills stops the program, and the regions, the sites and the library's structs are shown.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
include=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cp "$2" "$work/libsegue.so.0.0.0"
ln -s libsegue.so.0.0.0 "$work/libsegue.so.0"
cp "$3" "$work/libsegue.so.0.0.0-gdb.py"
export LD_LIBRARY_PATH=$work
if ! readelf -SW "$2" | has '\.debug_info'; then
  echo "SKIP: $2 has no debug information"
  exit 77
fi
cat > "$work/subject.c" <<'C'
#include <segue/posix.h>
#include <segue/segue.h>
#include <sys/mman.h>

static enum segue_verdict policy(void *context, const struct segue_event *event)
{
    ++*(int *)context;
    return event->can_step == SEGUE_OK ? SEGUE_STEP : SEGUE_PASS;
}

__attribute__((noinline)) void stop_here(const struct segue_plan *plan)
{
    __asm__ volatile("" : : "r"(plan) : "memory");
}

int main(void)
{
    static struct segue_mapping cold, hot;
    static int count;
    if (segue_install(NULL) || segue_mapping_create(NULL, 1 << 16, &cold) || segue_mapping_create(NULL, 4096, &hot))
        return 4;
    struct segue_region regions[2] = {
        {.window = segue_mapping_window(&cold), .policy = policy, .context = &count},
        {.window = segue_mapping_window(&hot), .flags = SEGUE_REGION_HOT | SEGUE_REGION_COUNT},
    };
    if (segue_region_add(&regions[0]) || segue_region_add(&regions[1]) ||
        segue_mapping_protect(&cold, 0, cold.size, 0) || segue_mapping_protect(&hot, 0, hot.size, 0))
        return 5;
    for (int i = 0; i < 100; i++) {
        ((volatile int *)cold.memory)[i] = i;
        __asm__ volatile("movl $7, (%0)" : : "r"(hot.memory) : "memory");
    }
    static struct segue_plan plan;
    struct segue_regs regs = {.rax = 0x1000, .rip = 0x400000};
    struct segue_window window = segue_window_exposed((void *)0x1000, 0x1000);
    if (segue_decode(SEGUE_MODE_64, "\x48\x8b\x18", 3, &plan.insn))
        return 6;
    struct segue_insn insn = plan.insn;
    enum segue_status status = segue_plan(&insn, &regs, NULL, NULL, &window, 1, &plan);
    stop_here(status == SEGUE_OK || plan.refusal ? &plan : NULL);
    *(volatile int *)0x1234 = 1;
}
C
gcc -g -Og -D_GNU_SOURCE -I "$include" -o "$work/subject" "$work/subject.c" "$work/libsegue.so.0" || exit 1

# Without the library's own file of the build folder, which would have no script beside it.
shown() {
  timeout 120 gdb -batch -nx -iex 'set debuginfod enabled off' -iex "add-auto-load-safe-path $work" "$@" \
    "$work/subject" 2>&1
}
out=$(shown -ex 'break stop_here' -ex run -ex 'segue regions' -ex 'segue sites' -ex 'print *plan' \
  -ex 'print plan->insn' -ex 'up' -ex 'print regs' -ex 'print window' -ex continue -ex 'continue')
has() {
  check "$1" yes "$(grep -qE -- "$2" <<< "$out" && echo yes || echo "$out")"
}
check "served faults pass unseen" 0 "$(sed '/nothing serves/,$d' <<< "$out" | grep -c 'received signal')"
has "regions: as many as there are" '^2 regions$'
has "regions: their windows and policies" '^0x0000[0-9a-f]{12}-0x[0-9a-f]{16}  alias    policy 0x[0-9a-f]+ <policy>'
has "sites: the hot one" '^0x[0-9a-f]+  made +b1 .* main'
has "sites: how many" '^[1-9][0-9]* sites?$'
has "a plan" '^\$1 = \{\{48 8b 18, 1 memory operand\}, .*\{read 8 at 0x1000\}\}'
has "an instruction" '^\$2 = \{48 8b 18, 1 memory operand\}'
has "registers" '^rip +0x400000$'
has "a window" '= \{exposed 0x1000-0x2000\}'
has "the fault that kills stops" '^segue: nothing serves the fault at 0x1234, of the instruction at 0x[0-9a-f]+$'
has "and then kills" 'terminated with signal SIGSEGV'

out=$(shown -ex 'break main' -ex run -ex 'segue regions' -ex 'segue sites' -ex 'info signals SIGSEGV' \
  -ex 'break segue_region_add' -ex continue -ex 'info signals SIGSEGV' -ex 'segue faults shown' \
  -ex 'info signals SIGSEGV' -ex 'segue faults')
has "no region yet" '^0 regions$'
has "no site yet" '^0 sites$'
check "until it is installed gdb stops at faults, and on demand" "Yes No Yes" \
  "$(awk '/^SIGSEGV/ { print $2 }' <<< "$out" | paste -s -d ' ')"
has "what the command takes" 'segue faults served\|shown'

# The probes, and their arguments.
if readelf -nW "$2" | has 'Provider: segue'; then
  check "the probes" "fault patch refuse step" \
    "$(readelf -nW "$2" | awk '/Provider: segue/ { getline; print $2 }' | sort -u | paste -s -d ' ')"
  out=$(shown -ex 'set breakpoint pending on' -ex 'break main' -ex run -ex 'break -probe-stap segue:fault' \
    -ex 'break -probe-stap segue:step' -ex 'break -probe-stap segue:patch' -ex continue \
    -ex 'printf "fault %d\n", $_probe_arg0 == main::cold.memory' -ex continue \
    -ex 'printf "step %d\n", $_probe_arg0 == main::cold.memory' -ex 'delete 2 3' -ex continue \
    -ex 'printf "patch of kind %d\n", $_probe_arg1' -ex 'x/i $_probe_arg0')
  has "a fault has its address" '^fault 1$'
  has "a step has it, too" '^step 1$'
  has "a patch has its kind" '^patch of kind 2$'
else
  echo "SKIP of a part: the library was built without <sys/sdt.h>"
fi

# A stripped library says what is missing; the stop needs none of it.
strip "$work/libsegue.so.0.0.0"
out=$(shown -ex run -ex 'segue regions')
has "stripped: where debug information is" "install libsegue0-dbgsym"
has "stripped: the fault that kills stops" '^segue: nothing serves the fault at 0x1234'

check_end
