/* handler_traps.c: threads that trap behind each of their instructions, that have the nested-task flag, that are in a
 * restartable sequence; and what policies do to the signal mask. Each is as without us, or as signals.h says. */
#include "tests/support/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <ucontext.h>
#include <unistd.h>

#include "handler_fixture.h"
#include "tests/support/child.h"

/* --- The trap flag: the same code on an open page and on a closed one. --- */

#define TRAPS_MOST 128

static struct trace {
    unsigned count;
    struct {
        uint64_t rip, address, rflags, trap, error, rcx;
        int code;
    } traps[TRAPS_MOST];
} trace;

static void note_trap(int number, siginfo_t *info, void *ucontext)
{
    const greg_t *regs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    (void)number;
    if (trace.count == TRAPS_MOST)
        abort();
    trace.traps[trace.count].rip = (uint64_t)regs[REG_RIP];
    trace.traps[trace.count].address = (uint64_t)(uintptr_t)info->si_addr;
    trace.traps[trace.count].rflags = (uint64_t)regs[REG_EFL] & 0x50fd5;
    trace.traps[trace.count].trap = (uint64_t)regs[REG_TRAPNO];
    trace.traps[trace.count].error = (uint64_t)regs[REG_ERR];
    trace.traps[trace.count].rcx = (uint64_t)regs[REG_RCX];
    trace.traps[trace.count++].code = info->si_code;
}

/* A plain move, a replayed instruction, strings with and without an end before their count, the stack, a gather of its
 * own kind of engine, and the instruction that ends it all. */
static __attribute__((noinline)) void run_traced(char *p)
{
    char *to = p, *from = p + 512, *stack;
    size_t count = 5, more = 9;
    __asm__ volatile("movq %%rsp, %[stack]\n\t"
                     "pushq $0x302\n\tpopfq\n\t"
                     "nop\n\t"
                     "movl $5, (%[p])\n\t"
                     "nop\n\t"
                     "lock incl (%[p])\n\t"
                     "addl $7, 4(%[p])\n\t"
                     "rep movsb\n\t"
                     "movq %[p], %%rdi\n\t"
                     "movq %[more], %%rcx\n\t"
                     "movl $0x77, %%eax\n\t"
                     "repne scasb\n\t"
                     "pushq (%[p])\n\t"
                     "popq 8(%[p])\n\t"
                     "nop\n\t"
                     "pushfq\n\tandl $~0x100, (%%rsp)\n\tpopfq\n\t"
                     "nop\n\t"
                     : [stack] "=&r"(stack), "+D"(to), "+S"(from), "+c"(count)
                     : [p] "r"(p), [more] "r"(more)
                     : "rax", "memory", "cc");
}

static void take_traps(int flags)
{
    struct sigaction action = {.sa_sigaction = note_trap, .sa_flags = SA_SIGINFO | flags};
    sigaction(SIGTRAP, &action, NULL);
}

static void traps_come_behind_each_instruction(uint32_t flags)
{
    struct segue_options options = {.flags = flags};
    static struct trace native;
    char *open = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(open, page_of(0), PAGE);
    take_traps(SA_ONSTACK);
    memset(&trace, 0, sizeof trace);
    run_traced(open);
    native = trace;
    assert_int_equal(segue_install(&options), SEGUE_OK);
    if (flags & SEGUE_INSTALL_SIGTRAP)
        assert_true(native.count > 20);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    memset(&trace, 0, sizeof trace);
    run_traced(page_of(0));
    assert_int_equal(trace.count, native.count);
    for (unsigned i = 0; i < trace.count; i++) {
        assert_int_equal(trace.traps[i].rip, native.traps[i].rip);
        assert_int_equal(trace.traps[i].address, trace.traps[i].rip);
        assert_int_equal(trace.traps[i].rflags, native.traps[i].rflags);
        assert_int_equal(trace.traps[i].trap, native.traps[i].trap);
        assert_int_equal(trace.traps[i].error, native.traps[i].error);
        assert_int_equal(trace.traps[i].rcx, native.traps[i].rcx);
        assert_int_equal(trace.traps[i].code, native.traps[i].code);
    }
    mprotect(page_of(0), PAGE, PROT_READ | PROT_WRITE);
    assert_memory_equal(page_of(0), open, PAGE);
    munmap(open, PAGE);
    if (!(flags & SEGUE_INSTALL_SIGTRAP))
        signal(SIGTRAP, SIG_DFL);
}

static void trap_comes_behind_each_stepped_instruction(void **state)
{
    (void)state;
    traps_come_behind_each_instruction(0);
}

static void trap_comes_where_signals_are_open(void **state)
{
    (void)state;
    traps_come_behind_each_instruction(SEGUE_INSTALL_OPEN_SIGNALS);
}

static void trap_comes_where_signals_are_blocked(void **state)
{
    (void)state;
    traps_come_behind_each_instruction(SEGUE_INSTALL_BLOCK_SIGNALS);
}

static void trap_comes_through_our_own_handler(void **state)
{
    (void)state;
    traps_come_behind_each_instruction(SEGUE_INSTALL_SIGTRAP);
}

/* A thread without a handler dies of it, at the instruction behind. */
static int case_untaken_trap(void)
{
    if (fixture_setup(NULL) != 0 || segue_install(NULL) != SEGUE_OK || add(0, 1, NULL, NULL) != SEGUE_OK)
        return 1;
    signal(SIGTRAP, SIG_DFL);
    run_traced(page_of(0));
    return 0;
}

static int case_blocked_trap(void)
{
    sigset_t trap;
    sigemptyset(&trap);
    sigaddset(&trap, SIGTRAP);
    if (fixture_setup(NULL) != 0 || segue_install(NULL) != SEGUE_OK || add(0, 1, NULL, NULL) != SEGUE_OK)
        return 1;
    take_traps(0);
    char *p = page_of(0);
    __asm__ volatile(
        "pushfq; orl $0x100, (%%rsp)\n\tmovl $14, %%eax; xorl %%edi, %%edi; movq %1, %%rsi; xorl %%edx, %%edx\n\t"
        "movl $8, %%r10d; syscall; popfq; movl $5, (%0); nop"
        :
        : "r"(p), "r"(&trap)
        : "rax", "rdi", "rsi", "rdx", "r10", "rcx", "r11", "memory", "cc");
    return 0;
}

static void trap_that_nobody_takes_kills(void **state)
{
    (void)state;
    assert_int_equal(child_run("untaken").signal, SIGTRAP);
    assert_int_equal(child_run("blocked").signal, SIGTRAP);
}

/* --- The nested-task flag. --- */

static uint64_t flags_after(void (*access)(char *p), char *p)
{
    uint64_t flags;
    __asm__ volatile("pushq $0x4202; popfq" : : : "cc");
    access(p);
    __asm__ volatile("pushfq; popq %0; pushq $0x202; popfq" : "=r"(flags) : : "cc");
    return flags;
}

static void load_plainly(char *p)
{
    __asm__ volatile("movq (%0), %%rax" : : "r"(p) : "rax");
}

static void add_to(char *p)
{
    __asm__ volatile("addl $0x1234567, (%0)" : : "r"(p) : "memory", "cc");
}

static void nested_task_flag_is_kept(void **state)
{
    const uint32_t ways[] = {0, SEGUE_INSTALL_OPEN_SIGNALS, SEGUE_INSTALL_BLOCK_SIGNALS};
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct segue_options options = {.flags = ways[i]};
        assert_int_equal(segue_install(&options), SEGUE_OK);
        assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
        assert_true(flags_after(load_plainly, page_of(0)) & 0x4000);
        assert_true(flags_after(add_to, page_of(0)) & 0x4000);
        assert_true(flags_after(add_to, page_of(0)) & 0x4000);
        assert_int_equal(segue_region_remove(page_of(0)), SEGUE_OK);
        assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    }
}

/* --- Restartable sequences. --- */

static enum segue_verdict open_and_retry(void *context, const struct segue_event *event)
{
    (void)context;
    mprotect((void *)(uintptr_t)(event->address & ~UINT64_C(4095)), PAGE, PROT_READ | PROT_WRITE);
    return SEGUE_RETRY;
}

static enum segue_verdict always_step(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    return SEGUE_STEP;
}

/* A sequence that stores, and begins again where it was interrupted, `tries` times at most: then it stores without.
 * Returns how often it was interrupted. */
static long store_in_sequence(char *p, long tries)
{
    struct rseq *area = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
    long interrupted = 0;
    __asm__ volatile(".pushsection .data.rel.sequences, \"aw\"\n\t"
                     ".balign 32\n\t"
                     "3: .long 0, 0\n\t"
                     ".quad 1f, 2f - 1f, 4f\n\t"
                     ".popsection\n\t"
                     "0: leaq 3b(%%rip), %%rax\n\t"
                     "movq %%rax, 8(%[area])\n\t"
                     "1: movq $77, (%[p])\n\t"
                     "2: jmp 6f\n\t"
                     ".long 0x53053053\n\t"
                     "4: incq %[interrupted]\n\t"
                     "cmpq %[tries], %[interrupted]\n\t"
                     "jb 0b\n\t"
                     "movq $78, (%[p])\n\t"
                     "6: movq $0, 8(%[area])\n\t"
                     : [interrupted] "+r"(interrupted)
                     : [area] "r"(area), [p] "r"(p), [tries] "r"(tries)
                     : "rax", "memory", "cc");
    return interrupted;
}

static void store_in_a_restartable_sequence_begins_it_again(void **state)
{
    (void)state;
    skip_if(__rseq_size ? NULL : "the C library has no restartable sequences");
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    /* Nothing opens the page: the sequence comes to its other way. */
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    assert_int_equal(store_in_sequence(page_of(0), 3), 3);
    assert_int_equal(*(uint64_t *)memory.alias, 78);
    assert_int_equal(add(1, 1, always_step, NULL), SEGUE_OK);
    assert_int_equal(store_in_sequence(page_of(1), 3), 3);
    assert_int_equal(*(uint64_t *)((char *)memory.alias + PAGE), 78);
    /* The policy opens it. */
    assert_int_equal(add(2, 1, open_and_retry, NULL), SEGUE_OK);
    assert_int_equal(store_in_sequence(page_of(2), 3), 1);
    assert_int_equal(*(uint64_t *)((char *)memory.alias + 2 * PAGE), 77);
}

/* One that only ever begins again is ended. */
static int case_endless_sequence(void)
{
    if (fixture_setup(NULL) != 0 || segue_install(NULL) != SEGUE_OK || add(0, 1, NULL, NULL) != SEGUE_OK)
        return 1;
    return __rseq_size ? (int)store_in_sequence(page_of(0), 1l << 60) : 77;
}

static void sequence_that_gets_no_further_is_handed_on(void **state)
{
    (void)state;
    struct child_result result = child_run("endless");
    skip_if(result.status == 77 ? "the C library has no restartable sequences" : NULL);
    assert_int_equal(result.signal, SIGSEGV);
}

/* --- The signal mask. --- */

static enum segue_verdict verdict_of_policy;
static enum segue_verdict change_mask(void *context, const struct segue_event *event)
{
    sigset_t change;
    sigemptyset(&change);
    sigaddset(&change, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &change, NULL);
    sigemptyset(&change);
    sigaddset(&change, SIGUSR2);
    pthread_sigmask(SIG_UNBLOCK, &change, NULL);
    if (verdict_of_policy == SEGUE_RETRY)
        open_and_retry(context, event);
    return verdict_of_policy;
}

static enum segue_status read_and_change_mask(void *context, uint64_t address, void *bytes, size_t size)
{
    (void)context;
    (void)address;
    memset(bytes, 0, size);
    verdict_of_policy = SEGUE_STEP;
    change_mask(NULL, NULL);
    return SEGUE_OK;
}

static uint64_t mask_now(void)
{
    uint64_t mask = 0;
    sigset_t set;
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    memcpy(&mask, &set, sizeof mask);
    return mask;
}

static volatile uint64_t mask_of_handler;

static void note_mask(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    (void)info;
    ucontext_t *frame = ucontext;
    mask_of_handler = mask_now();
    frame->uc_mcontext.gregs[REG_RIP] += 4;
}

static void mask_is_the_threads_own_again(void **state)
{
    const uint32_t ways[] = {0, SEGUE_INSTALL_OPEN_SIGNALS, SEGUE_INSTALL_BLOCK_SIGNALS, SEGUE_INSTALL_OWN_STACK};
    const enum segue_verdict verdicts[] = {SEGUE_STEP, SEGUE_RETRY, SEGUE_PASS};
    struct sigaction action = {.sa_sigaction = note_mask, .sa_flags = SA_SIGINFO};
    sigset_t blocked, kept;
    (void)state;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    sigaddset(&action.sa_mask, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &blocked, &kept);
    sigaction(SIGSEGV, &action, NULL);
    uint64_t before = mask_now();
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct segue_options options = {.flags = ways[i]};
        assert_int_equal(segue_install(&options), SEGUE_OK);
        for (size_t k = 0; k < sizeof verdicts / sizeof *verdicts; k++) {
            verdict_of_policy = verdicts[k];
            mask_of_handler = 0;
            assert_int_equal(add(0, 1, change_mask, NULL), SEGUE_OK);
            /* Four bytes. */
            __asm__ volatile("movq 8(%0), %%rax" : : "r"(page_of(0)) : "rax");
            assert_int_equal(mask_now(), before);
            if (verdicts[k] == SEGUE_PASS)
                assert_int_equal(mask_of_handler, before | 1u << (SIGHUP - 1) | 1u << (SIGSEGV - 1));
            assert_int_equal(segue_region_remove(page_of(0)), SEGUE_OK);
        }
        struct segue_region device = {.window = {.base = (uint64_t)(uintptr_t)page_of(1),
                                                 .size = PAGE,
                                                 .kind = SEGUE_WINDOW_CALLBACK,
                                                 .read = read_and_change_mask}};
        assert_int_equal(segue_region_add(&device), SEGUE_OK);
        mprotect(page_of(1), PAGE, PROT_NONE);
        assert_int_equal(load(page_of(1) + 8), 0);
        assert_int_equal(mask_now(), before);
        assert_int_equal(segue_region_remove(page_of(1)), SEGUE_OK);
        assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    }
    signal(SIGSEGV, SIG_DFL);
    pthread_sigmask(SIG_SETMASK, &kept, NULL);
}

int main(int argc, char **argv)
{
    static const struct child_case cases[] = {
        {"untaken", case_untaken_trap}, {"blocked", case_blocked_trap}, {"endless", case_endless_sequence}};
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(trap_comes_behind_each_stepped_instruction),
        FIXTURE_TEST(trap_comes_where_signals_are_open),
        FIXTURE_TEST(trap_comes_where_signals_are_blocked),
        FIXTURE_TEST(trap_comes_through_our_own_handler),
        cmocka_unit_test(trap_that_nobody_takes_kills),
        FIXTURE_TEST(nested_task_flag_is_kept),
        FIXTURE_TEST(store_in_a_restartable_sequence_begins_it_again),
        cmocka_unit_test(sequence_that_gets_no_further_is_handed_on),
        FIXTURE_TEST(mask_is_the_threads_own_again),
    };
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
