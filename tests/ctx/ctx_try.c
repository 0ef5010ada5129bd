/* ctx_try.c: blocks that may fault, with a handler of the program's own and with segue_install. */
#include <fenv.h>
#include <pthread.h>
#include <segue/posix.h>
#include <segue/segue.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE 4096

static char *closed, *readable;

static void catch_fault(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    if (segue_frame_open(&frame, info, ucontext) == SEGUE_HANDLED)
        return;
    if (segue_try_catch(&frame) != SEGUE_OK)
        signal(number, SIG_DFL);
}

/* Each test begins with it: cmocka has handlers of its own for the time of a test. */
static void handle_faults(void)
{
    static char alternate[65536];
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    struct sigaction action = {.sa_sigaction = catch_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, NULL);
}

/* Returns what ended the block; all zero if nothing did. */
__attribute__((noinline)) static struct segue_fault try_store(char *address)
{
    struct segue_trial trial;
    if (segue_try(&trial))
        return trial.fault;
    *(volatile char *)address = 1;
    assert_int_equal(segue_try_end(&trial), SEGUE_OK);
    return (struct segue_fault){.signal = 0};
}

__attribute__((noinline)) static struct segue_fault try_load(const char *address)
{
    struct segue_trial trial;
    if (segue_try(&trial))
        return trial.fault;
    (void)*(const volatile char *)address;
    assert_int_equal(segue_try_end(&trial), SEGUE_OK);
    return (struct segue_fault){.signal = 0};
}

static void block_without_fault_ends(void **state)
{
    (void)state;
    handle_faults();
    char byte = 0;
    assert_int_equal(try_store(&byte).signal, 0);
    assert_int_equal(byte, 1);
}

static void fault_comes_back_as_a_value(void **state)
{
    (void)state;
    handle_faults();
    for (int i = 0; i < 1000; i++) {
        struct segue_fault store = try_store(readable + i), load = try_load(closed + i);
        assert_int_equal(store.signal, SIGSEGV);
        assert_int_equal(store.code, SEGV_ACCERR);
        assert_int_equal(store.address, (uint64_t)(uintptr_t)readable + (uint64_t)i);
        assert_int_equal(store.direction, SEGUE_WRITE);
        assert_in_range(store.instruction, (uint64_t)(uintptr_t)try_store, (uint64_t)(uintptr_t)try_store + 4096);
        assert_true(store.address_known && load.address_known);
        assert_int_equal(store.trap, 14);
        assert_int_equal(store.error_code & 2, 2);
        assert_int_equal(load.address, (uint64_t)(uintptr_t)closed + (uint64_t)i);
        assert_int_equal(load.direction, SEGUE_READ);
        assert_int_equal(try_load(readable).signal, 0);
    }
}

static void jump_to_nowhere_is_a_fetch(void **state)
{
    (void)state;
    handle_faults();
    struct segue_trial trial;
    if (segue_try(&trial) == 0) {
        ((void (*)(void))closed)();
        fail();
    }
    assert_int_equal(trial.fault.direction, SEGUE_FETCH);
    assert_int_equal(trial.fault.instruction, (uint64_t)(uintptr_t)closed);
}

static void no_canonical_address_has_no_direction(void **state)
{
    (void)state;
    /* Each address of 32 bits is canonical. */
    if (sizeof(void *) < 8)
        skip();
    handle_faults();
    struct segue_fault fault = try_load((const char *)(uintptr_t)UINT64_C(0x1234567812345678));
    assert_int_equal(fault.signal, SIGSEGV);
    assert_int_equal(fault.code, SI_KERNEL);
    assert_int_equal(fault.direction, 0);
    assert_false(fault.address_known);
    assert_int_equal(fault.trap, 13);
    assert_int_equal(fault.address, 0);
}

__attribute__((noinline)) static struct segue_fault fault_at_depth(unsigned depth)
{
    if (depth)
        return fault_at_depth(depth - 1);
    *(volatile char *)closed = 1;
    return (struct segue_fault){.signal = 0};
}

static void blocks_nest_and_the_innermost_ends(void **state)
{
    (void)state;
    handle_faults();
    struct segue_trial outer, inner;
    volatile int caught = 0;
    if (segue_try(&outer) == 0) {
        if (segue_try(&inner) == 0)
            fault_at_depth(100);
        else
            caught = 1;
        assert_int_equal(caught, 1);
        assert_int_equal(segue_try_end(&inner), SEGUE_NOT_FOUND);
        fault_at_depth(5);
        fail();
    }
    assert_int_equal(caught, 1);
    assert_int_equal(segue_try_end(&outer), SEGUE_NOT_FOUND);
    assert_int_equal(segue_try_end(NULL), SEGUE_NOT_FOUND);
}

static void state_is_as_at_the_beginning(void **state)
{
    (void)state;
    handle_faults();
    struct segue_trial trial;
    sigset_t before, after;
    sigprocmask(SIG_SETMASK, NULL, &before);
    fesetround(FE_DOWNWARD);
    if (segue_try(&trial) == 0) {
        fesetround(FE_UPWARD);
        __asm__ volatile("fld1\nfld1\nstd\nmovb $0, (%0)" ::"r"(closed) : "memory");
    }
    unsigned long flags;
    uint16_t environment[14];
    __asm__ volatile("pushf\npop %0" : "=r"(flags));
    __asm__ volatile("fnstenv %0\nfldenv %0" : "+m"(environment));
    assert_false(flags & 0x400);
    assert_int_equal(environment[4], 0xffff);
    assert_int_equal(fegetround(), FE_DOWNWARD);
    fesetround(FE_TONEAREST);
    sigprocmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&after, SIGSEGV), 0);
    assert_int_equal(sigismember(&before, SIGSEGV), 0);
}

__attribute__((noinline)) static uint64_t recurse(uint64_t depth)
{
    volatile char bytes[4096];
    bytes[0] = (char)depth;
    return depth == UINT64_MAX ? 0 : recurse(depth + 1) + (uint64_t)bytes[0];
}

static void *overflow_own_stack(void *result)
{
    struct segue_trial trial;
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536}, off = {.ss_flags = SS_DISABLE};
    sigaltstack(&stack, NULL);
    if (segue_try(&trial) == 0)
        recurse(0);
    else
        *(int *)result = trial.fault.signal;
    sigaltstack(&off, NULL);
    free(stack.ss_sp);
    return NULL;
}

static void stack_overflow_is_a_fault_like_any(void **state)
{
    (void)state;
    handle_faults();
    pthread_t thread;
    int result = 0;
    assert_int_equal(pthread_create(&thread, NULL, overflow_own_stack, &result), 0);
    pthread_join(thread, NULL);
    assert_int_equal(result, SIGSEGV);
}

static void *try_often(void *result)
{
    *(unsigned *)result = 0;
    for (int i = 0; i < 20000; i++)
        *(unsigned *)result += try_store(closed).signal == SIGSEGV && try_load(readable).signal == 0;
    return NULL;
}

static void threads_have_each_their_own_blocks(void **state)
{
    (void)state;
    handle_faults();
    pthread_t threads[4];
    unsigned results[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, try_often, &results[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(results[i], 20000);
    }
}

static void sent_signal_is_no_fault(void **state)
{
    (void)state;
    handle_faults();
    pid_t process = fork();
    if (process == 0) {
        struct segue_trial trial;
        if (segue_try(&trial) == 0)
            raise(SIGSEGV), raise(SIGSEGV);
        _exit(1);
    }
    int status;
    waitpid(process, &status, 0);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

static void blocks_set_aside_are_not_found(void **state)
{
    (void)state;
    handle_faults();
    struct segue_trial trial;
    assert_int_equal(segue_try(&trial), 0);
    struct segue_trial *aside = segue_try_set_aside();
    assert_ptr_equal(aside, &trial);
    assert_int_equal(segue_try_end(&trial), SEGUE_NOT_FOUND);
    segue_try_put_back(aside);
    assert_int_equal(segue_try_end(&trial), SEGUE_OK);
    assert_int_equal(segue_try_catch(NULL), SEGUE_INVALID);
}

/* ---- with segue_install: what no region serves comes back, what one serves does not ---- */

static struct segue_mapping mapping;
static volatile unsigned policies, faults_in_policy;

static enum segue_verdict policy_with_a_block(void *context, const struct segue_event *event)
{
    (void)context, (void)event;
    policies++;
    faults_in_policy += try_load(closed).signal == SIGSEGV;
    return SEGUE_STEP;
}

static void installed_handler_steps_regions_and_catches_the_rest(void **state)
{
    (void)state;
    struct segue_fault fault;
    signal(SIGSEGV, SIG_DFL);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    struct segue_region region = {
        .window = {.base = (uint64_t)(uintptr_t)mapping.memory,
                   .size = PAGE,
                   .kind = SEGUE_WINDOW_ALIAS,
                   .alias = mapping.alias},
        .policy = policy_with_a_block,
    };
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(mprotect(mapping.memory, PAGE, PROT_NONE), 0);
    for (unsigned i = 1; i <= 1000; i++) {
        assert_int_equal(try_load(mapping.memory).signal, 0);
        assert_int_equal(policies, i);
        assert_int_equal(faults_in_policy, i);
        fault = try_store(closed);
        assert_int_equal(fault.signal, SIGSEGV);
        assert_int_equal(fault.address, (uint64_t)(uintptr_t)closed);
    }
    assert_int_equal(segue_region_remove(mapping.memory), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    segue_mapping_destroy(&mapping);
}

static enum segue_verdict policy_that_faults(void *context, const struct segue_event *event)
{
    (void)context, (void)event;
    *(volatile char *)closed = 1;
    return SEGUE_STEP;
}

static void fault_in_a_policy_is_not_the_interrupted_blocks(void **state)
{
    (void)state;
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    pid_t process = fork();
    if (process == 0) {
        close(STDERR_FILENO);
        if (segue_install(NULL) != SEGUE_OK || segue_mapping_create(NULL, PAGE, &mapping) != SEGUE_OK)
            _exit(2);
        struct segue_region region = {
            .window = {.base = (uint64_t)(uintptr_t)mapping.memory,
                       .size = PAGE,
                       .kind = SEGUE_WINDOW_ALIAS,
                       .alias = mapping.alias},
            .policy = policy_that_faults,
        };
        if (segue_region_add(&region) != SEGUE_OK || mprotect(mapping.memory, PAGE, PROT_NONE) != 0)
            _exit(3);
        try_load(mapping.memory);
        _exit(1);
    }
    int status;
    waitpid(process, &status, 0);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_without_fault_ends),
        cmocka_unit_test(fault_comes_back_as_a_value),
        cmocka_unit_test(jump_to_nowhere_is_a_fetch),
        cmocka_unit_test(no_canonical_address_has_no_direction),
        cmocka_unit_test(blocks_nest_and_the_innermost_ends),
        cmocka_unit_test(state_is_as_at_the_beginning),
        cmocka_unit_test(stack_overflow_is_a_fault_like_any),
        cmocka_unit_test(threads_have_each_their_own_blocks),
        cmocka_unit_test(sent_signal_is_no_fault),
        cmocka_unit_test(blocks_set_aside_are_not_found),
        cmocka_unit_test(installed_handler_steps_regions_and_catches_the_rest),
        cmocka_unit_test(fault_in_a_policy_is_not_the_interrupted_blocks),
    };
    closed = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    readable = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
