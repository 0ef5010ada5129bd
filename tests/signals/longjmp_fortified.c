/* longjmp_fortified.c: a program that is built with _FORTIFY_SOURCE, as distributions build, leaves its own SIGSEGV
 * handler by siglongjmp. glibc's __longjmp_chk ends it where the jump goes down on what is not the alternate stack that
 * is in force. Each arrangement of a thread's stack and its alternate one, with and without a stack of the library's.
 *
 * The cases run in a child: EVERY one of ABOVE (the alternate stack lies above the thread's own) and ATTACHED. */
#include "tests/support/test.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <segue/segue.h>

#include "tests/support/child.h"

#if !defined(__USE_FORTIFY_LEVEL) || __USE_FORTIFY_LEVEL < 2
#error "this tests nothing without _FORTIFY_SOURCE"
#endif

#define PAGE 4096u
#define STACK_SIZE 131072u
#define ALTERNATE_SIZE 32768u
#define JUMPS 20

static sigjmp_buf back;
static volatile uintptr_t nothing = 8;
static struct segue_mapping mapping;
static bool above, attached;

static void leave(int number)
{
    (void)number;
    siglongjmp(back, 1);
}

/* More stack than the program's alternate one has: a thread that attached was promised it. */
static enum segue_verdict use_stack(void *context, const struct segue_event *event)
{
    volatile char much[2 * ALTERNATE_SIZE];
    (void)context;
    (void)event;
    if (attached)
        memset((char *)(uintptr_t)much, 1, sizeof much);
    return SEGUE_STEP;
}

static bool has_stack(void *wanted, size_t size)
{
    stack_t present;
    return sigaltstack(NULL, &present) == 0 && present.ss_sp == wanted && present.ss_size == size;
}

static void *run(void *alternate)
{
    stack_t stack = {.ss_sp = alternate, .ss_size = ALTERNATE_SIZE};
    volatile unsigned jumps = 0;
    if (sigaltstack(&stack, NULL) != 0 || (attached && segue_thread_attach() != SEGUE_OK))
        return (void *)1;
    for (volatile int i = 0; i < JUMPS; i++) {
        if (!sigsetjmp(back, 1))
            *(volatile int *)nothing = 1;
        else
            jumps++;
        if (i % 3 == 0 && *(volatile uint64_t *)mapping.memory != 0)
            return (void *)2;
    }
    if (jumps != JUMPS)
        return (void *)3;
    /* What was there before is there again. */
    if (attached && segue_thread_detach() != SEGUE_OK)
        return (void *)4;
    return has_stack(alternate, ALTERNATE_SIZE) ? NULL : (void *)5;
}

static int case_leave(void)
{
    struct sigaction action = {.sa_handler = leave, .sa_flags = SA_ONSTACK};
    pthread_attr_t attributes;
    pthread_t thread;
    void *result;
    above = *getenv("ABOVE") == '1';
    attached = *getenv("ATTACHED") == '1';
    char *memory = mmap(NULL, 2 * STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaction(SIGSEGV, &action, NULL);
    if (segue_install(NULL) != SEGUE_OK || segue_mapping_create(NULL, PAGE, &mapping) != SEGUE_OK)
        return 10;
    struct segue_region region = {.window = {.base = (uint64_t)(uintptr_t)mapping.memory,
                                             .size = PAGE,
                                             .kind = SEGUE_WINDOW_ALIAS,
                                             .alias = mapping.alias},
                                  .policy = use_stack};
    if (segue_region_add(&region) != SEGUE_OK || mprotect(mapping.memory, PAGE, PROT_NONE) != 0)
        return 11;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, memory + (above ? 0 : STACK_SIZE), STACK_SIZE);
    if (pthread_create(&thread, &attributes, run, memory + (above ? STACK_SIZE : 0)) != 0)
        return 12;
    pthread_join(thread, &result);
    return (int)(uintptr_t)result;
}

static void leaves(const char *is_above, const char *is_attached)
{
    setenv("ABOVE", is_above, 1);
    setenv("ATTACHED", is_attached, 1);
    struct child_result result = child_run("leave");
    if (result.signal || result.status)
        print_error("signal %d, status %d: %s\n", result.signal, result.status, result.output);
    assert_int_equal(result.signal, 0);
    assert_int_equal(result.status, 0);
}

static void handler_is_left_from_a_stack_above(void **state)
{
    (void)state;
    leaves("1", "0");
}

static void handler_is_left_from_a_stack_below(void **state)
{
    (void)state;
    leaves("0", "0");
}

static void handler_of_an_attached_thread_is_left_from_a_stack_above(void **state)
{
    (void)state;
    leaves("1", "1");
}

static void handler_of_an_attached_thread_is_left_from_a_stack_below(void **state)
{
    (void)state;
    leaves("0", "1");
}

int main(int argc, char **argv)
{
    static const struct child_case cases[] = {{"leave", case_leave}};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handler_is_left_from_a_stack_above),
        cmocka_unit_test(handler_is_left_from_a_stack_below),
        cmocka_unit_test(handler_of_an_attached_thread_is_left_from_a_stack_above),
        cmocka_unit_test(handler_of_an_attached_thread_is_left_from_a_stack_below),
    };
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
