/* selectors.c: the selectors in struct segue_regs are the thread's, whoever fills it. */
#include <segue/segue.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "test.h"

#define PAGE 4096

static struct segue_regs seen;
static uint16_t present[8];

static void read_present(void)
{
    memset(present, 0, sizeof present);
    __asm__("movw %%es, %0" : "=m"(present[SEGUE_SEGMENT_ES]));
    __asm__("movw %%cs, %0" : "=m"(present[SEGUE_SEGMENT_CS]));
    __asm__("movw %%ss, %0" : "=m"(present[SEGUE_SEGMENT_SS]));
    __asm__("movw %%ds, %0" : "=m"(present[SEGUE_SEGMENT_DS]));
    __asm__("movw %%fs, %0" : "=m"(present[SEGUE_SEGMENT_FS]));
    __asm__("movw %%gs, %0" : "=m"(present[SEGUE_SEGMENT_GS]));
}

/* DS and ES that are not the null selectors, so that they can be told from what is not known. */
static void set_data_segments(uint16_t selector)
{
    __asm__ volatile("movw %0, %%ds; movw %0, %%es" : : "r"(selector));
}

static enum segue_verdict watch(void *context, const struct segue_event *event)
{
    (void)context;
    seen = *event->regs;
    return SEGUE_STEP;
}

static void selectors_of_a_fault_are_the_threads(void **state)
{
    (void)state;
    struct segue_mapping mapping;
    /* Here and not in a set-up: cmocka has handlers of its own around each. */
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    struct segue_region region = {.window = {.base = (uint64_t)(uintptr_t)mapping.memory,
                                             .size = mapping.size,
                                             .kind = SEGUE_WINDOW_ALIAS,
                                             .alias = mapping.alias},
                                  .policy = watch};
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    mprotect(mapping.memory, mapping.size, PROT_NONE);
    set_data_segments(0x2b);
    read_present();
    *(volatile char *)mapping.memory = 1;
    assert_memory_equal(seen.selectors, present, sizeof present);
    assert_int_equal(present[SEGUE_SEGMENT_CS], 0x33);
    assert_int_equal(present[SEGUE_SEGMENT_DS], 0x2b);
    set_data_segments(0);
    assert_int_equal(segue_region_remove(mapping.memory), SEGUE_OK);
    assert_int_equal(segue_mapping_destroy(&mapping), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

static void on_signal(int number, siginfo_t *info, void *ucontext)
{
    (void)number, (void)info;
    assert_int_equal(segue_frame_read(ucontext, &seen, NULL), SEGUE_OK);
}

static void selectors_of_a_frame_are_the_threads(void **state)
{
    (void)state;
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    set_data_segments(0x2b);
    read_present();
    memset(&seen, 0xa5, sizeof seen);
    raise(SIGUSR1);
    assert_memory_equal(seen.selectors, present, sizeof present);
    set_data_segments(0);
}

static void selectors_of_a_captured_context_are_the_threads(void **state)
{
    (void)state;
    struct segue_thread_context context;
    memset(&context, 0xa5, sizeof context);
    set_data_segments(0x2b);
    read_present();
    assert_int_equal(segue_context_capture(&context, NULL, 0), SEGUE_OK);
    assert_memory_equal(context.regs.selectors, present, sizeof present);
    set_data_segments(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selectors_of_a_fault_are_the_threads),
        cmocka_unit_test(selectors_of_a_frame_are_the_threads),
        cmocka_unit_test(selectors_of_a_captured_context_are_the_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
