/* patch_stopped.c: other threads while the one that changes code has stopped in the middle, with the breakpoint
 * standing: they go through a new jump, call or NOP, and wait for any other instruction. The changing thread stops at a
 * page of the code's second view that is closed: between two bytes of the new instruction. */
#include "tests/support/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "batch_code.h"
#include "patch/poke/lock.h"
#include "patch/poke/protocol/emulated.h"

/* The instruction begins so many bytes before the second page. */
#define BEFORE 1u
#define TARGET 64u
#define FLAG_TRAP 0x100

/* ---- which instructions are emulated --------------------------------------------------------------------------- */

#define SITE_ADDRESS UINT64_C(0x400000)

static void plain_instructions_are_known(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum emulated_kind kind;
        int64_t distance;
        unsigned length;
    } cases[] = {
        {"\xe9\x10\0\0\0", 5, EMULATED_JUMP, 0x15, 5},
        {"\xe9\xf0\xff\xff\xff", 5, EMULATED_JUMP, -0x0b, 5},
        {"\xeb\x10", 2, EMULATED_JUMP, 0x12, 2},
        {"\xeb\x80", 2, EMULATED_JUMP, -0x7e, 2},
        {"\xe8\xf0\xff\xff\xff", 5, EMULATED_CALL, -0x0b, 5},
        /* What is behind the jump is not executed. */
        {"\xe9\x10\0\0\0\x90\x90", 7, EMULATED_JUMP, 0x15, 5},
        {"\x90\xe9\x10\0\0\0", 6, EMULATED_JUMP, 1, 1},
        {"\x66\x90", 2, EMULATED_JUMP, 2, 2},
        {"\x0f\x1f\x00", 3, EMULATED_JUMP, 3, 3},
        {"\x0f\x1f\x40\0", 4, EMULATED_JUMP, 4, 4},
        {"\x0f\x1f\x44\0\0", 5, EMULATED_JUMP, 5, 5},
        {"\x66\x0f\x1f\x44\0\0", 6, EMULATED_JUMP, 6, 6},
        {"\x0f\x1f\x80\0\0\0\0", 7, EMULATED_JUMP, 7, 7},
        {"\x66\x2e\x0f\x1f\x84\0\0\0\0\0", 10, EMULATED_JUMP, 10, 10},
        /* Cut off; PAUSE; XCHG R8; another instruction of the same opcode; a prefix whose meaning differs between
         * processors; a conditional jump; through a register; ENDBR64; MOV; RET. */
        {"\xe9\x10\0\0", 4, EMULATED_NONE, 0, 0},
        {"\xf3\x90", 2, EMULATED_NONE, 0, 0},
        {"\x41\x90", 2, EMULATED_NONE, 0, 0},
        {"\x0f\x1f\x48\0", 4, EMULATED_NONE, 0, 0},
        {"\x66\xe9\x10\0\0\0", 6, EMULATED_NONE, 0, 0},
        {"\x74\x10", 2, EMULATED_NONE, 0, 0},
        {"\xff\xe0", 2, EMULATED_NONE, 0, 0},
        {"\xf3\x0f\x1e\xfa", 4, EMULATED_NONE, 0, 0},
        {"\xb8\x01\0\0\0", 5, EMULATED_NONE, 0, 0},
        {"\xc3", 1, EMULATED_NONE, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct emulated found = emulated_find(SITE_ADDRESS, (const uint8_t *)cases[i].bytes, cases[i].size);
        if (found.kind != cases[i].kind)
            fail_msg("case %zu is of kind %d", i, found.kind);
        if (found.kind == EMULATED_NONE)
            continue;
        assert_int_equal(found.target, SITE_ADDRESS + (uint64_t)cases[i].distance);
        assert_int_equal(found.behind, SITE_ADDRESS + cases[i].length);
    }
    /* Where no program's address is, the jump's own fault comes. */
    assert_int_equal(emulated_find(0, (const uint8_t *)"\xeb\x80", 2).kind, EMULATED_NONE);
}

/* ---- a thread that has stopped ---------------------------------------------------------------------------------- */

static struct segue_mapping code;
static uint8_t *site;
static volatile int stopped, may_go_on;
static volatile unsigned own_traps;

/* Stops the thread that changes the code until it may go on. */
static void stop(int number, siginfo_t *info, void *ucontext)
{
    const struct timespec time = {.tv_nsec = 100000};
    (void)number;
    (void)info;
    (void)ucontext;
    stopped = 1;
    while (!may_go_on)
        nanosleep(&time, NULL);
    mprotect((char *)code.alias + PAGE, PAGE, PROT_READ | PROT_WRITE);
}

static bool store_word(uint64_t address, uint64_t word)
{
    *(uint64_t *)(uintptr_t)address = word;
    return true;
}

static bool refuse_word(uint64_t address, uint64_t word)
{
    (void)address;
    (void)word;
    return false;
}

static void on_trap(int number, siginfo_t *info, void *ucontext)
{
    greg_t *regs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    struct poke_thread thread = {
        .rip = (uint64_t)regs[REG_RIP], .rsp = (uint64_t)regs[REG_RSP], .may_be_emulated = true, .store = store_word};
    (void)number;
    (void)info;
    own_traps++;
    if (!poke_trap(&thread))
        _exit(2);
    regs[REG_RIP] = (greg_t)thread.rip;
    regs[REG_RSP] = (greg_t)thread.rsp;
}

static void map_code(size_t size)
{
    assert_int_equal(segue_mapping_create(NULL, size, &code), SEGUE_OK);
    memset(code.memory, 0x90, size);
}

static void close_code(void)
{
    assert_int_equal(mprotect(code.memory, code.size, PROT_READ | PROT_EXEC), 0);
    assert_int_equal(poke_prepare(), SEGUE_OK);
    assert_int_equal(poke_alias_add((uint64_t)(uintptr_t)code.memory, code.size, code.alias), SEGUE_OK);
}

/* What is written there stops. */
static void close_second_page(void)
{
    assert_int_equal(mprotect((char *)code.alias + PAGE, PAGE, PROT_READ), 0);
}

/* mov eax, 1; ret, and at the target mov eax, 2; ret. */
static void make_code(void)
{
    map_code(2 * PAGE);
    site = (uint8_t *)code.memory + PAGE - BEFORE;
    memcpy(site, "\xb8\1\0\0\0\xc3", 6);
    memcpy(site + TARGET, "\xb8\2\0\0\0\xc3", 6);
    close_code();
    close_second_page();
}

static void free_code(void)
{
    assert_int_equal(poke_alias_remove((uint64_t)(uintptr_t)code.memory), SEGUE_OK);
    assert_int_equal(segue_mapping_destroy(&code), SEGUE_OK);
}

/* EAX behind the code, which was 7 before. */
static unsigned run_at(const uint8_t *at)
{
    uint64_t eax = 7;
    __asm__ volatile(CALL("%1") : "+a"(eax) : "r"(at) : "memory", "cc");
    return (unsigned)eax;
}

static unsigned run_site(void)
{
    return run_at(site);
}

struct change {
    const uint8_t *bytes;
    size_t size;
};

static void *make_change(void *of)
{
    const struct change *change = of;
    block_signals();
    return (void *)(uintptr_t)poke((uint64_t)(uintptr_t)site, change->bytes, change->size, POKE_ALIAS);
}

/* Returns when the thread that makes the change has stopped. */
static pthread_t begin(void *(*make)(void *), const void *what)
{
    pthread_t thread;
    stopped = may_go_on = 0;
    assert_int_equal(pthread_create(&thread, NULL, make, (void *)(uintptr_t)what), 0);
    while (!stopped && pthread_tryjoin_np(thread, NULL) != 0)
        sched_yield();
    if (!stopped)
        skip_if("threads cannot be made to serialise");
    return thread;
}

static pthread_t begin_change(const struct change *change)
{
    own_traps = 0;
    return begin(make_change, change);
}

static void end_change(pthread_t thread)
{
    void *status;
    may_go_on = 1;
    pthread_join(thread, &status);
    assert_int_equal((uintptr_t)status, SEGUE_OK);
}

/* ---- with a handler of one's own ------------------------------------------------------------------------------- */

static void take_faults(void)
{
    const struct sigaction fault = {.sa_sigaction = stop, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &fault, NULL);
}

static void begin_test(void)
{
    const struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    sigaction(SIGTRAP, &trap, NULL);
    take_faults();
    make_code();
}

static void end_test(void)
{
    free_code();
    signal(SIGTRAP, SIG_DFL);
    signal(SIGSEGV, SIG_DFL);
}

#define TIMES 1000u

/* Each time by way of the breakpoint, and then without it. */
static void goes_through(const char *bytes, size_t size, unsigned result)
{
    const struct change change = {(const uint8_t *)bytes, size};
    begin_test();
    assert_int_equal(run_site(), 1);
    pthread_t thread = begin_change(&change);
    for (unsigned i = 0; i < TIMES; i++)
        assert_int_equal(run_site(), result);
    assert_int_equal(own_traps, TIMES);
    end_change(thread);
    assert_int_equal(run_site(), result);
    assert_int_equal(own_traps, TIMES);
    end_test();
}

static void other_threads_go_through_a_jump(void **state)
{
    (void)state;
    goes_through("\xe9\x3b\0\0\0", 5, 2);
    goes_through("\xeb\x3e\x90\x90\x90", 5, 2);
}

static void other_threads_go_through_a_call_and_come_back(void **state)
{
    (void)state;
    goes_through("\xe8\x3b\0\0\0", 5, 2);
}

static void other_threads_go_through_a_nop(void **state)
{
    (void)state;
    goes_through("\x0f\x1f\x44\0\0", 5, 7);
}

static volatile unsigned passed;

static void *run_in_thread(void *unused)
{
    unsigned result = run_site();
    passed++;
    return (void *)((uintptr_t)unused + result);
}

static void any_other_instruction_is_waited_for(void **state)
{
    static const struct change change = {(const uint8_t *)"\xb8\3\0\0\0", 5};
    const struct timespec time = {.tv_nsec = 1000000};
    pthread_t runner;
    void *result;
    (void)state;
    begin_test();
    pthread_t thread = begin_change(&change);
    passed = 0;
    assert_int_equal(pthread_create(&runner, NULL, run_in_thread, NULL), 0);
    /* It is trapped again and again. */
    while (own_traps < 5)
        nanosleep(&time, NULL);
    assert_int_equal(passed, 0);
    end_change(thread);
    pthread_join(runner, &result);
    assert_int_equal((uintptr_t)result, 3);
    end_test();
}

/* What of the thread does not allow it. */
static void thread_that_cannot_be_emulated_waits(void **state)
{
    static const struct change change = {(const uint8_t *)"\xe8\x3b\0\0\0", 5};
    struct poke_thread waits[] = {
        {.rsp = 0x1000, .may_be_emulated = false, .store = store_word},
        {.rsp = 0x1000, .may_be_emulated = true, .store = refuse_word},
        {.rsp = 0x1000, .may_be_emulated = true},
    };
    (void)state;
    begin_test();
    pthread_t thread = begin_change(&change);
    for (unsigned i = 0; i < 3; i++) {
        waits[i].rip = (uint64_t)(uintptr_t)site + 1;
        assert_true(poke_trap(&waits[i]));
        assert_int_equal(waits[i].rip, (uint64_t)(uintptr_t)site);
        assert_int_equal(waits[i].rsp, 0x1000);
    }
    end_change(thread);
    /* Late: the instruction itself is there. */
    waits[1] = (struct poke_thread){(uint64_t)(uintptr_t)site + 1, 0x1000, true, store_word};
    assert_true(poke_trap(&waits[1]));
    assert_int_equal(waits[1].rip, (uint64_t)(uintptr_t)site);
    end_test();
}

/* ---- many changes at once ---------------------------------------------------------------------------------------- */

#define JUMPS 100u
#define TARGETS (2 * PAGE)

static uint8_t *jump_of(unsigned i)
{
    return (uint8_t *)code.memory + PAGE - 1 - 23 * (JUMPS - 1 - i);
}

/* Each site, mov eax, 1; ret, becomes a jump to mov eax, 2; ret. Of every third jump only three bytes change, as of a
 * pun: its last two are there before. The last jump ends on the second page. */
static void set_jumps(struct poke_change *changes)
{
    for (unsigned i = 0; i < JUMPS; i++) {
        uint8_t *at = jump_of(i), jump[5] = {0xe9};
        int32_t distance = (int32_t)((uint8_t *)code.memory + TARGETS + 8 * i - (at + 5));
        memcpy(jump + 1, &distance, sizeof distance);
        bool is_pun = i % 3 == 0 && i < JUMPS - 1;
        set_change(&changes[i], at, jump, is_pun ? 3 : 5);
        changes[i].target = is_pun ? (uint64_t)(uintptr_t)(at + 5) + (uint64_t)(int64_t)distance : 0;
        if (is_pun)
            memcpy((uint8_t *)code.alias + (at + 3 - (uint8_t *)code.memory), jump + 3, 2);
    }
}

static void make_jumps(void)
{
    map_code(4 * PAGE);
    for (unsigned i = 0; i < JUMPS; i++) {
        memcpy(jump_of(i), "\xb8\1\0\0\0\xc3", 6);
        memcpy((uint8_t *)code.memory + TARGETS + 8 * i, "\xb8\2\0\0\0\xc3", 6);
    }
    /* One of the program's own, between. */
    jump_of(7)[10] = BREAKPOINT;
    close_code();
}

static void *make_batch(void *changes)
{
    block_signals();
    return (void *)(uintptr_t)poke_batch(changes, JUMPS, POKE_ALIAS);
}

static void other_threads_go_through_all_jumps_of_a_batch(void **state)
{
    static struct poke_change changes[JUMPS];
    (void)state;
    if (!can_serialise())
        skip();
    take_faults();
    make_jumps();
    take_traps();
    set_jumps(changes);
    /* A place that had a breakpoint a moment ago, and has the program's now. */
    uint8_t *before = (uint8_t *)code.memory + 3 * PAGE + 6;
    assert_int_equal(poke((uint64_t)before, (const uint8_t *)moves[0], 5, POKE_ALIAS), SEGUE_OK);
    assert_int_equal(poke_byte((uint64_t)before, BREAKPOINT, POKE_ALIAS), SEGUE_OK);
    close_second_page();
    pthread_t thread = begin(make_batch, changes);
    unsigned expected = 0;
    for (unsigned i = 0; i < JUMPS; i++) {
        bool stands = *jump_of(i) == BREAKPOINT;
        expected += stands;
        assert_int_equal(run_at(jump_of(i)), 2);
    }
    /* All but those that are one store. */
    assert_true(expected > JUMPS / 4);
    assert_int_equal(traps, expected);
    assert_int_equal(emulated, expected);
    assert_false(trap_at(jump_of(7) + 10));
    assert_false(trap_at(before));
    end_change(thread);
    for (unsigned i = 0; i < JUMPS; i++) {
        assert_int_equal(run_at(jump_of(i)), 2);
        assert_true(*jump_of(i) == 0xe9);
    }
    assert_int_equal(traps, expected);
    assert_int_equal(jump_of(7)[10], BREAKPOINT);
    end_test();
}

/* ---- with the library's ---------------------------------------------------------------------------------------- */

static volatile unsigned program_traps;

static void on_program_trap(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    (void)info;
    program_traps++;
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_EFL] &= ~FLAG_TRAP;
}

static void goes_through_by_the_library(const char *bytes, unsigned result)
{
    const struct sigaction trap = {.sa_sigaction = on_program_trap, .sa_flags = SA_SIGINFO};
    const struct segue_options options = {.flags = SEGUE_INSTALL_SIGTRAP};
    const struct change change = {(const uint8_t *)bytes, 5};
    sigaction(SIGTRAP, &trap, NULL);
    take_faults();
    assert_int_equal(segue_install(&options), SEGUE_OK);
    make_code();
    program_traps = 0;
    pthread_t thread = begin_change(&change);
    for (unsigned i = 0; i < TIMES; i++)
        assert_int_equal(run_site(), result);
    end_change(thread);
    assert_int_equal(run_site(), result);
    assert_int_equal(program_traps, 0);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    end_test();
}

static void other_threads_go_through_by_the_librarys_handler(void **state)
{
    (void)state;
    goes_through_by_the_library("\xe9\x3b\0\0\0", 2);
    goes_through_by_the_library("\xe8\x3b\0\0\0", 2);
    goes_through_by_the_library("\x0f\x1f\x44\0\0", 7);
}

/* ---- the segment of a fault ------------------------------------------------------------------------------------ */

/* mov gs:(rdi), rax; its first byte is on the second page. */
static void make_segment_code(void)
{
    const struct segue_segment_options options = {.rewrite = {SEGUE_SEGMENT_GS, SEGUE_SEGMENT_FS}};
    map_code(2 * PAGE);
    site = (uint8_t *)code.memory + PAGE;
    memcpy(site, "\x65\x48\x8b\x07\xc3", 5);
    close_code();
    close_second_page();
    take_faults();
    assert_int_equal(segue_segment_enable(&options), SEGUE_OK);
}

static void free_segment_code(void)
{
    assert_int_equal(segue_segment_disable(), SEGUE_OK);
    end_test();
}

/* What a handler does with the fault of the site, whose GS has no base. */
static void *serve_site(void *unused)
{
    struct segue_insn insn;
    struct segue_regs regs = {.rip = (uint64_t)(uintptr_t)site, .rdi = 0x28, .fs_base = 0x7f0000001000};
    struct segue_fault fault = {.address = 0x28, .address_known = true, .direction = SEGUE_READ, .trap = 14};
    (void)unused;
    block_signals();
    if (segue_decode(SEGUE_MODE_64, site, 5, &insn) != SEGUE_OK)
        return NULL;
    return (void *)(uintptr_t)segue_segment_serve(&insn, &regs, NULL, &fault);
}

static enum segue_segment_verdict end_serving(pthread_t thread)
{
    void *verdict;
    may_go_on = 1;
    pthread_join(thread, &verdict);
    return (enum segue_segment_verdict)(uintptr_t)verdict;
}

static enum segue_status count_rewritten(void *context, const struct segue_patch *patch)
{
    *(unsigned *)context += patch->kind == SEGUE_PATCH_SEGMENT && !patch->undone;
    return SEGUE_OK;
}

static unsigned rewritten(void)
{
    unsigned count = 0;
    assert_int_equal(segue_patches_list((uint64_t)(uintptr_t)site, 5, count_rewritten, &count), SEGUE_OK);
    return count;
}

static void site_that_is_undone_while_it_is_rewritten_can_be_undone_later(void **state)
{
    size_t count;
    (void)state;
    make_segment_code();
    pthread_t thread = begin(serve_site, NULL);
    assert_int_equal(segue_patches_undo((uint64_t)(uintptr_t)site, 5, &count), SEGUE_OK);
    assert_int_equal(count, 0);
    assert_int_equal(end_serving(thread), SEGUE_SEGMENT_RETRY);
    assert_int_equal(*site, 0x64);
    assert_int_equal(rewritten(), 1);
    assert_int_equal(segue_patches_undo((uint64_t)(uintptr_t)site, 5, &count), SEGUE_OK);
    assert_int_equal(count, 1);
    assert_int_equal(*site, 0x65);
    free_segment_code();
}

/* The range stays excluded. */
static void site_that_is_excluded_while_it_is_rewritten_stays_as_it_was(void **state)
{
    (void)state;
    make_segment_code();
    pthread_t thread = begin(serve_site, NULL);
    assert_int_equal(segue_patches_exclude((uint64_t)(uintptr_t)site, 5), SEGUE_OK);
    assert_int_equal(end_serving(thread), SEGUE_SEGMENT_DO);
    assert_int_equal(*site, 0x65);
    assert_int_equal(rewritten(), 0);
    free_segment_code();
}

static void *serve_until_it_is_not_retried(void *unused)
{
    void *verdict = (void *)(uintptr_t)SEGUE_SEGMENT_RETRY;
    for (unsigned i = 0; i < 1000 && (enum segue_segment_verdict)(uintptr_t)verdict == SEGUE_SEGMENT_RETRY; i++)
        verdict = serve_site(unused);
    return verdict;
}

/* A fork keeps the lock while other libraries' handlers run, and one of these may wait for a lock of the faulting
 * thread's. A file that is mapped to be read alone is code that no way changes without the lock. */
static void site_is_emulated_while_the_lock_is_kept(void **state)
{
    const struct segue_segment_options options = {.rewrite = {SEGUE_SEGMENT_GS, SEGUE_SEGMENT_FS}};
    char name[32];
    pthread_t thread;
    (void)state;
    int file = memfd_create("code", MFD_CLOEXEC);
    assert_int_equal(write(file, "\x65\x48\x8b\x07\xc3", 5), 5);
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    int code_file = open(name, O_RDONLY | O_CLOEXEC);
    site = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, code_file, 0);
    assert_ptr_not_equal(site, MAP_FAILED);
    assert_int_equal(segue_segment_enable(&options), SEGUE_OK);
    assert_true(code_lock_try());
    assert_int_equal(pthread_create(&thread, NULL, serve_until_it_is_not_retried, NULL), 0);
    assert_int_equal(end_serving(thread), SEGUE_SEGMENT_DO);
    code_lock_release();
    assert_int_equal(*site, 0x65);
    assert_int_equal(segue_segment_disable(), SEGUE_OK);
    munmap(site, PAGE);
    close(code_file);
    close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_instructions_are_known),
        cmocka_unit_test(other_threads_go_through_a_jump),
        cmocka_unit_test(other_threads_go_through_a_call_and_come_back),
        cmocka_unit_test(other_threads_go_through_a_nop),
        cmocka_unit_test(any_other_instruction_is_waited_for),
        cmocka_unit_test(thread_that_cannot_be_emulated_waits),
        cmocka_unit_test(other_threads_go_through_all_jumps_of_a_batch),
        cmocka_unit_test(other_threads_go_through_by_the_librarys_handler),
        cmocka_unit_test(site_that_is_undone_while_it_is_rewritten_can_be_undone_later),
        cmocka_unit_test(site_that_is_excluded_while_it_is_rewritten_stays_as_it_was),
        cmocka_unit_test(site_is_emulated_while_the_lock_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
