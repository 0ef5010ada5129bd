/* stack_depth.c: how much of the stack that a fault is served on the library takes, over the faults of the differential
 * test: instructions of every class and of the generated corpus' rows, through every kind of window, with faults of the
 * step's own among them (memory that is missing, exceptions that the instruction raises).
 *
 * A handler stands over the library's and calls it: it paints the stack below it and looks how far the paint is gone.
 * Where a guarded access or a replayed instruction faults, the kernel's second frame lies over the paint; then the
 * interrupted stack pointer shows the depth.
 *
 * What it shows: none of these faults took more than THREAD_OWN_STACK. The way on to another handler, and the way out
 * without the kernel, it does not see; handler_stacks.c has those.
 *
 *      stack_depth [FILE] */
#include "tests/support/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "signals/threads/thread.h"
#include "tests/differential/states/batch.h"
#include "tests/differential/states/rows.h"

#define PAINT 0x5a
#define PAINTED 16384
/* Right below the caller, where its own calls have been. */
#define UNPAINTED 512
#define BATCHES 40

static const char *file;
static struct sigaction ours;
static stack_t stack;

static struct {
    /* The stack pointer before the library was called, and how deep it has been since. */
    char *base;
    size_t depth, deepest;
    bool has_second_frame;
    /* Of the deepest. */
    unsigned char code[16];
} seen;

static bool is_on_stack(const char *address)
{
    return address > (char *)stack.ss_sp && address <= (char *)stack.ss_sp + stack.ss_size;
}

static __attribute__((noinline)) void call_ours(int number, siginfo_t *info, void *ucontext)
{
    __asm__ volatile("movq %%rsp, %0\n\t"
                     "callq *%1"
                     : "=m"(seen.base)
                     : "r"(ours.sa_sigaction), "D"(number), "S"(info), "d"(ucontext)
                     : "rax", "rcx", "r8", "r9", "r10", "r11", "memory", "cc");
}

static void look(void)
{
    const char *at = seen.base - PAINTED;
    while (at < seen.base - UNPAINTED && *at == PAINT)
        at++;
    if (!seen.has_second_frame && (size_t)(seen.base - at) > seen.depth)
        seen.depth = (size_t)(seen.base - at);
}

static void watch(int number, siginfo_t *info, void *ucontext)
{
    /* The kernel leaves a thread's alignment check flag in force. */
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~(unsigned long long)TEST_FLAG_ALIGNMENT_CHECK);
    const greg_t *registers = ((const ucontext_t *)ucontext)->uc_mcontext.gregs;
    char *interrupted = (char *)(uintptr_t)registers[REG_RSP], *here = __builtin_frame_address(0);
    if (is_on_stack(interrupted) && seen.base && interrupted < seen.base) {
        char *base = seen.base;
        seen.has_second_frame = true;
        if ((size_t)(base - interrupted) > seen.depth)
            seen.depth = (size_t)(base - interrupted);
        call_ours(number, info, ucontext);
        seen.base = base;
        return;
    }
    unsigned char code[16] = {0};
    size_t in_page = AREA_PAGE - (size_t)registers[REG_RIP] % AREA_PAGE;
    memcpy(code, (const void *)(uintptr_t)registers[REG_RIP], in_page < sizeof code ? in_page : sizeof code);
    memset(here - UNPAINTED - PAINTED, PAINT, PAINTED);
    seen.depth = 0;
    seen.has_second_frame = false;
    call_ours(number, info, ucontext);
    look();
    seen.base = NULL;
    if (seen.depth > seen.deepest) {
        seen.deepest = seen.depth;
        memcpy(seen.code, code, sizeof code);
    }
}

static void report(const char *text)
{
    print_error("%s\n", text);
}

static size_t run_batches(const struct batch_options *options, uint64_t count, struct batch_totals *totals)
{
    memset(&seen, 0, sizeof seen);
    for (uint64_t i = 0; i < count; i++)
        batch_run(options, i, totals);
    assert_int_equal(totals->differences, 0);
    assert_true(totals->stepped > count * BATCH_CASES / 8);
    return seen.deepest;
}

static void keeps_to_the_need(const char *what, size_t depth)
{
    print_message("%s: %zu bytes; the deepest is", what, depth);
    for (size_t i = 0; i < sizeof seen.code; i++)
        print_message(" %02x", seen.code[i]);
    print_message("\n");
    assert_in_range(depth, UNPAINTED + 1, THREAD_OWN_STACK);
}

static int prepare(void **state)
{
    struct sigaction action = {.sa_sigaction = watch, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    (void)state;
    skip_if(batch_prepare());
    sigaltstack(NULL, &stack);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    return sigaction(SIGSEGV, &action, &ours);
}

static void deepest_way_of_every_class_keeps_to_the_need(void **state)
{
    static const char *const names[] = {"alias", "exposed", "callback", "forced", "mixed"};
    volatile uint64_t at;
    prepare(state);
    for (unsigned set = 0; set < AREA_SETS; set++) {
        struct batch_totals totals = {0};
        const struct batch_options options = {
            .seed = 1, .set = (enum area_set)set, .all_encodings = true, .report = report, .case_at_hand = &at};
        keeps_to_the_need(names[set], run_batches(&options, BATCHES, &totals));
    }
}

static void deepest_way_of_every_row_keeps_to_the_need(void **state)
{
    struct batch_totals totals = {0};
    volatile uint64_t at;
    prepare(state);
    assert_true(rows_read(file) && rows_begin(1));
    const struct batch_options options = {
        .seed = 1, .set = AREA_SETS, .rows = true, .report = report, .case_at_hand = &at};
    keeps_to_the_need("rows", run_batches(&options, rows_batches(), &totals));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest classes[] = {cmocka_unit_test(deepest_way_of_every_class_keeps_to_the_need)};
    const struct CMUnitTest rows[] = {cmocka_unit_test(deepest_way_of_every_row_keeps_to_the_need)};
    /* One of them in a process: the differential test's memory is made once. */
    file = argc > 1 ? argv[1] : NULL;
    return file ? cmocka_run_group_tests(rows, NULL, NULL) : cmocka_run_group_tests(classes, NULL, NULL);
}
