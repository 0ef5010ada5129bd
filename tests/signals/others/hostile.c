/* hostile.c: faults under what a process may do to itself: code that is replaced under the same address, vfork, a
 * signal every tenth of a millisecond, single steps by a tracer, no memory and no mappings left. Each in a process of
 * its own. */
#include "tests/support/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/signals/handler/handler_fixture.h"
#include "tests/support/child.h"

#define DONE 5
#define CODE 0x26000000u

static void begin(void)
{
    if (fixture_setup(NULL) != 0 || segue_install(NULL) != SEGUE_OK || add(0, 1, NULL, NULL) != SEGUE_OK)
        _exit(90);
}

/* ---- code ------------------------------------------------------------------------------------------------------ */

/* movq offset(%rdi), %rax; ret */
static uint64_t run_code(uint8_t offset)
{
    const uint8_t bytes[] = {0x48, 0x8b, 0x47, offset, 0xc3};
    void *code =
        mmap((void *)CODE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    memcpy(code, bytes, sizeof bytes);
    mprotect(code, PAGE, PROT_READ | PROT_EXEC);
    uint64_t value = ((uint64_t(*)(const void *))(uintptr_t)code)(page_of(0));
    munmap(code, PAGE);
    return value;
}

/* As when a library is unmapped and another is mapped in its place: what is known of the old code must not be used. */
static int code_that_is_replaced(void)
{
    begin();
    for (unsigned turn = 0; turn < 1000; turn++)
        if (run_code((uint8_t)(turn % 16 * 8)) != turn % 16 * 8)
            return 1;
    return DONE;
}

/* ---- processes ------------------------------------------------------------------------------------------------- */

static int vfork_child_faults(void)
{
    volatile uint64_t seen = 0;
    int status;
    begin();
    for (unsigned turn = 0; turn < 50; turn++) {
        pid_t child = vfork();
        if (child == 0) {
            seen = load(page_of(0) + 24);
            store(page_of(0) + 32, turn);
            _exit(0);
        }
        waitpid(child, &status, 0);
        if (status != 0 || seen != 24 || load(page_of(0) + 32) != turn)
            return 1;
    }
    return DONE;
}

static int fault_under_a_tracer(void)
{
    begin();
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        return 2;
    raise(SIGSTOP);
    uint64_t value = load(page_of(0) + 40);
    store(page_of(0) + 48, value + 1);
    return load(page_of(0) + 48) == 41 ? DONE : 1;
}

/* Every instruction of it is a stop, those of the handler too. */
static int single_steps_through_a_fault(void)
{
    int status;
    unsigned steps = 0, faults = 0;
    pid_t child = fork();
    if (child == 0)
        _exit(fault_under_a_tracer());
    waitpid(child, &status, 0);
    for (int number = 0; WIFSTOPPED(status); steps++) {
        number = WSTOPSIG(status);
        faults += number == SIGSEGV;
        ptrace(PTRACE_SINGLESTEP, child, NULL, number == SIGSEGV ? number : 0);
        waitpid(child, &status, 0);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == DONE && steps > 300 && faults == 3 ? DONE : 1;
}

/* ---- signals --------------------------------------------------------------------------------------------------- */

static volatile uint64_t ticks, wrong;

static void tick(int number)
{
    (void)number;
    __atomic_fetch_add(&ticks, 1, __ATOMIC_RELAXED);
    if (load(page_of(0) + 56) != 56)
        wrong = 1;
}

static void *step_under_timer(void *argument)
{
    size_t cell = (size_t)(uintptr_t)argument;
    struct itimerspec often = {.it_interval = {.tv_nsec = 100000}, .it_value = {.tv_nsec = 100000}};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    timer_t timer;
    event._sigev_un._tid = (int)syscall(SYS_gettid);
    if (segue_thread_attach() > SEGUE_EXISTS || timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
        timer_settime(timer, 0, &often, NULL) != 0)
        _exit(91);
    for (uint64_t i = 0; i < 30000; i++) {
        store(page_of(0) + 512 + cell * 64, i);
        if (load(page_of(0) + 512 + cell * 64) != i)
            wrong = 1;
    }
    timer_delete(timer);
    return NULL;
}

static int storm_of_signals(void)
{
    struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
    pthread_t threads[3];
    begin();
    sigaction(SIGUSR1, &action, NULL);
    for (uintptr_t i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, step_under_timer, (void *)i);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    return wrong || ticks < 20 ? 1 : DONE;
}

/* ---- nothing left ---------------------------------------------------------------------------------------------- */

static void *attach_without_memory(void *status)
{
    *(enum segue_status *)status = segue_thread_attach();
    if (load(page_of(0) + 8) != 8)
        _exit(92);
    return NULL;
}

/* Whoever gets no stack is served all the same. */
static int no_memory_for_a_stack(void)
{
    enum segue_status status = SEGUE_OK;
    struct rlimit limit;
    pthread_t thread;
    pthread_attr_t attributes;
    begin();
    static _Alignas(4096) char stack[262144];
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, sizeof stack);
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = 1 << 20;
    setrlimit(RLIMIT_AS, &limit);
    if (pthread_create(&thread, &attributes, attach_without_memory, &status) != 0)
        return 2;
    pthread_join(thread, NULL);
    return status == SEGUE_NO_MEMORY ? DONE : 1;
}

static int install_without_memory(void)
{
    struct rlimit limit;
    struct sigaction before, after;
    sigaction(SIGSEGV, NULL, &before);
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = 1 << 20;
    setrlimit(RLIMIT_AS, &limit);
    if (segue_install(NULL) != SEGUE_NO_MEMORY)
        return 1;
    sigaction(SIGSEGV, NULL, &after);
    return before.sa_handler == after.sa_handler && segue_install_check(NULL) == SEGUE_NOT_FOUND ? DONE : 2;
}

/* Until the kernel gives no more: every other page is of another kind, so that none are joined. */
static size_t use_up_mappings(void)
{
    size_t count = 0;
    while (mmap(NULL, PAGE, count % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        count++;
    return count;
}

static void *attach_without_mappings(void *status)
{
    *(enum segue_status *)status = segue_thread_attach();
    return NULL;
}

static int no_mappings_left(void)
{
    enum segue_status status = SEGUE_OK;
    struct segue_mapping mapping;
    pthread_t thread;
    pthread_attr_t attributes;
    static _Alignas(4096) char stack[262144];
    begin();
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, sizeof stack);
    if (use_up_mappings() < 1000)
        return 3;
    if (pthread_create(&thread, &attributes, attach_without_mappings, &status) != 0)
        return 2;
    pthread_join(thread, NULL);
    store(page_of(0) + 8, 9);
    bool served = load(page_of(0) + 8) == 9;
    return served && status == SEGUE_NO_MEMORY && segue_mapping_create(NULL, PAGE, &mapping) != SEGUE_OK ? DONE : 1;
}

static const struct child_case cases[] = {
    {"code_that_is_replaced", code_that_is_replaced},
    {"vfork_child_faults", vfork_child_faults},
    {"single_steps_through_a_fault", single_steps_through_a_fault},
    {"storm_of_signals", storm_of_signals},
    {"no_memory_for_a_stack", no_memory_for_a_stack},
    {"install_without_memory", install_without_memory},
    {"no_mappings_left", no_mappings_left},
};

static void is_done(const char *name)
{
    struct child_result result = child_run(name);
    if (result.status != DONE)
        print_message("%s: status %d, signal %d, %s\n", name, result.status, result.signal, result.output);
    assert_int_equal(result.status, DONE);
}

static void replaced_code_is_not_taken_for_the_old(void **state)
{
    (void)state;
    is_done("code_that_is_replaced");
}

static void child_of_vfork_is_served(void **state)
{
    (void)state;
    is_done("vfork_child_faults");
}

static void tracer_steps_through(void **state)
{
    (void)state;
    is_done("single_steps_through_a_fault");
}

static void storm_loses_nothing(void **state)
{
    (void)state;
    is_done("storm_of_signals");
}

static void exhaustion_is_an_error(void **state)
{
    (void)state;
    is_done("no_memory_for_a_stack");
    is_done("install_without_memory");
    is_done("no_mappings_left");
}

int main(int argc, char **argv)
{
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaced_code_is_not_taken_for_the_old),
        cmocka_unit_test(child_of_vfork_is_served),
        cmocka_unit_test(tracer_steps_through),
        cmocka_unit_test(storm_loses_nothing),
        cmocka_unit_test(exhaustion_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
