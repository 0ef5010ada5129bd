/* others_sigsegv.c: GNU libsigsegv, which takes SIGSEGV for page faults and for stacks that run out, over us and under
 * us. Each order in a process of its own. */
#include "tests/support/test.h"

#include <segue/segue.h>
#include <signal.h>
#include <sigsegv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/child.h"

#define PAGE 4096u
#define REGION 0x21000000u
#define CLOSED 0x20000000u
#define DONE 5

static volatile unsigned opened, overflows;
static sigjmp_buf jump;

static int open_page(void *address, int serious)
{
    (void)serious;
    if ((uintptr_t)address / PAGE != CLOSED / PAGE)
        return 0;
    opened++;
    return mprotect((void *)(uintptr_t)CLOSED, PAGE, PROT_READ | PROT_WRITE) == 0;
}

static void leave_for_good(void *unused, void *unused_too, void *unused_three)
{
    (void)unused;
    (void)unused_too;
    (void)unused_three;
    siglongjmp(jump, 1);
}

static void stop_overflow(int emergency, stackoverflow_context_t context)
{
    (void)emergency;
    (void)context;
    overflows++;
    sigsegv_leave_handler(leave_for_good, NULL, NULL, NULL);
}

__attribute__((noinline)) static int recurse(volatile char *below)
{
    volatile char space[4096];
    space[0] = below ? below[0] : 1;
    if (space[0] == 2)
        return 0;
    return recurse(space) + space[0];
}

static void install_theirs(void)
{
    static _Alignas(16) char stack[65536];
    mmap((void *)CLOSED, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (sigsegv_install_handler(open_page) != 0 ||
        stackoverflow_install_handler(stop_overflow, stack, sizeof stack) != 0)
        _exit(90);
}

static void install_ours(void)
{
    struct segue_mapping mapping;
    if (segue_install(NULL) != SEGUE_OK || segue_mapping_create((void *)REGION, PAGE, &mapping) != SEGUE_OK)
        _exit(91);
    struct segue_region region = {
        .window = {.base = REGION, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = mapping.alias}};
    if (segue_region_add(&region) != SEGUE_OK || mprotect(mapping.memory, PAGE, PROT_NONE) != 0)
        _exit(92);
}

/* In turns: theirs, ours, a stack that runs out. */
static int use_both(void)
{
    volatile uint64_t *closed = (void *)CLOSED, *region = (void *)REGION;
    for (volatile unsigned turn = 1; turn <= 20; turn++) {
        mprotect((void *)CLOSED, PAGE, PROT_NONE);
        closed[1] += turn;
        region[1] += turn;
        if (opened != turn || closed[1] != turn * (turn + 1) / 2 || region[1] != closed[1])
            return 1;
        if (!sigsetjmp(jump, 1))
            recurse(NULL);
        if (overflows != turn)
            return 2;
    }
    return DONE;
}

static int under(void)
{
    install_theirs();
    install_ours();
    return use_both();
}

/* A handler over Segue's that passes nothing on: reported, and put right. */
static int over(void)
{
    struct segue_owner owner = {0};
    install_ours();
    install_theirs();
    return segue_install_check(&owner) == SEGUE_NOT_LAST && owner.signal == SIGSEGV && owner.object &&
                   strstr(owner.object, "sigsegv")
               ? DONE
               : 1;
}

static const struct child_case cases[] = {{"under", under}, {"over", over}};

static void libsigsegv_under_us_gets_its_own(void **state)
{
    (void)state;
    assert_int_equal(child_run("under").status, DONE);
}

static void libsigsegv_over_us_is_named(void **state)
{
    (void)state;
    assert_int_equal(child_run("over").status, DONE);
}

int main(int argc, char **argv)
{
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libsigsegv_under_us_gets_its_own),
        cmocka_unit_test(libsigsegv_over_us_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
