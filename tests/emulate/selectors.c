/* selectors.c: the selectors in struct segue_regs are the thread's, whoever fills it; and instructions that read or
 * load selectors are stepped by them: MOV, PUSH and POP of segment registers, far transfers, IRET. */
#include <segue/posix.h>
#include <segue/segue.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/support/test.h"

#include "tests/support/processor/selectors.h"

#define PAGE 4096

static struct segue_regs seen;
static uint16_t present[8];

/* DS and ES that are not the null selectors, so that they differ from what is not known. */
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
    selectors_read(present);
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
    (void)number;
    struct segue_frame frame;
    assert_int_equal(segue_frame_open(&frame, info, ucontext), SEGUE_NOT_FOUND);
    seen = frame.regs;
}

static void selectors_of_a_frame_are_the_threads(void **state)
{
    (void)state;
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    set_data_segments(0x2b);
    selectors_read(present);
    memset(&seen, 0xa5, sizeof seen);
    raise(SIGUSR1);
    assert_memory_equal(seen.selectors, present, sizeof present);
    set_data_segments(0);
}

static void selectors_of_a_captured_context_are_the_threads(void **state)
{
    (void)state;
    struct segue_mutator context;
    memset(&context, 0xa5, sizeof context);
    set_data_segments(0x2b);
    selectors_read(present);
    assert_int_equal(segue_mutator_capture(&context, NULL, 0), SEGUE_OK);
    assert_memory_equal(context.regs.selectors, present, sizeof present);
    set_data_segments(0);
}

/* Ends the scan at the first range, the registers. */
static int measure(void *closure, const void *base, const void *limit)
{
    *(size_t *)closure = (size_t)((const char *)limit - (const char *)base);
    return 1;
}

static void scan_takes_no_selectors_for_references(void **state)
{
    (void)state;
    struct segue_mutator context;
    size_t size = 0;
    assert_int_equal(segue_mutator_capture(&context, NULL, 0), SEGUE_OK);
    assert_int_equal(segue_mutator_scan(&context, measure, &size), 1);
    assert_int_equal(size, SEGUE_REGISTER_COUNT * sizeof(uint64_t));
}

/* A closed page of a region, and what stands in it. */
static struct segue_mapping page;
static unsigned long steps_before;

static void begin(void)
{
    struct segue_counters counters;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &page), SEGUE_OK);
    struct segue_region region = {.window = {.base = (uint64_t)(uintptr_t)page.memory,
                                             .size = page.size,
                                             .kind = SEGUE_WINDOW_ALIAS,
                                             .alias = page.alias}};
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    memset(page.alias, 0xee, PAGE);
    mprotect(page.memory, page.size, PROT_NONE);
    segue_counters_read(&counters);
    steps_before = counters.stepped;
}

static unsigned long steps(void)
{
    struct segue_counters counters;
    segue_counters_read(&counters);
    return counters.stepped - steps_before;
}

static void end(void)
{
    mprotect(page.memory, page.size, PROT_READ | PROT_WRITE);
    assert_int_equal(segue_region_remove(page.memory), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_destroy(&page), SEGUE_OK);
}

static void mov_of_a_segment_register_stores_two_bytes(void **state)
{
    (void)state;
    uint16_t got[4];
    selectors_read(present);
    begin();
    __asm__ volatile("movw %%cs, (%0); movw %%ss, 4(%0)" : : "r"(page.memory) : "memory");
    memcpy(got, page.alias, sizeof got);
    assert_int_equal(got[0], present[SEGUE_SEGMENT_CS]);
    assert_int_equal(got[1], 0xeeee);
    assert_int_equal(got[2], present[SEGUE_SEGMENT_SS]);
    assert_int_equal(got[3], 0xeeee);
    /* What the thread has can be loaded, too. */
    __asm__ volatile("movw 4(%0), %%ss" : : "r"(page.memory) : "memory");
    assert_int_equal(steps(), 3);
    end();
}

/* What runs with the stack pointer in the closed page, and the stack pointer after it. */
#define ON_CLOSED_STACK(offset, code, after)                                                                           \
    __asm__ volatile("movq %%rsp, %%r12\n\t"                                                                           \
                     "movq %[stack], %%rsp\n\t" code "\n\t"                                                            \
                     "movq %%rsp, %[result]\n\t"                                                                       \
                     "movq %%r12, %%rsp"                                                                               \
                     : [result] "=&r"(after)                                                                           \
                     : [stack] "r"((char *)page.memory + (offset)), [alias] "r"((char *)page.alias + (offset))         \
                     : "memory", "cc", "r12", "rax")

static void push_and_pop_of_a_segment_register_use_a_whole_word(void **state)
{
    (void)state;
    uint64_t after, word;
    selectors_read(present);
    begin();
    ON_CLOSED_STACK(64, "pushq %%fs; pushq %%gs; popq %%gs", after);
    assert_int_equal(after, (uint64_t)(uintptr_t)page.memory + 56);
    memcpy(&word, (char *)page.alias + 56, sizeof word);
    assert_int_equal(word, present[SEGUE_SEGMENT_FS]);
    memcpy(&word, (char *)page.alias + 48, sizeof word);
    assert_int_equal(word, present[SEGUE_SEGMENT_GS]);
    assert_int_equal(steps(), 3);
    end();
}

static void interrupt_return_loads_flags_and_stack_pointer(void **state)
{
    (void)state;
    uint64_t after, flags = 0;
    begin();
    __asm__ volatile("movq %%rsp, %%r12\n\t"
                     "movq %[stack], %%rsp\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "movq %%rax, (%[alias])\n\t"
                     "movl %%cs, %%eax\n\t"
                     "movq %%rax, 8(%[alias])\n\t"
                     "movq $0xad7, 16(%[alias])\n\t"
                     "movq %%r12, 24(%[alias])\n\t"
                     "movl %%ss, %%eax\n\t"
                     "movq %%rax, 32(%[alias])\n\t"
                     "iretq\n\t"
                     "ud2\n"
                     "1:\tmovq %%rsp, %[after]\n\t"
                     "pushfq\n\t"
                     "popq %[flags]\n\t"
                     "subq %%r12, %[after]\n\t"
                     "cld"
                     : [after] "=&r"(after), [flags] "=&r"(flags)
                     : [stack] "r"((char *)page.memory + 128), [alias] "r"((char *)page.alias + 128)
                     : "memory", "cc", "r12", "rax");
    assert_int_equal(after, 0);
    assert_int_equal(flags & 0xcd5, 0x8d5 & 0xad7);
    assert_int_equal(steps(), 1);
    end();
}

static void far_return_releases_its_words(void **state)
{
    (void)state;
    uint64_t after;
    begin();
    ON_CLOSED_STACK(256,
                    "leaq 1f(%%rip), %%rax\n\t"
                    "movq %%rax, (%[alias])\n\t"
                    "movl %%cs, %%eax\n\t"
                    "movq %%rax, 8(%[alias])\n\t"
                    "lretq $24\n\t"
                    "ud2\n"
                    "1:",
                    after);
    assert_int_equal(after, (uint64_t)(uintptr_t)page.memory + 256 + 16 + 24);
    assert_int_equal(steps(), 1);
    end();
}

/* A plan for bytes whose only memory is at the closed page's beginning, and its step. */
static enum segue_status step_with(const char *bytes, size_t size, struct segue_regs *regs, struct segue_plan *plan)
{
    struct segue_insn insn;
    struct segue_window window = {
        .base = (uint64_t)(uintptr_t)page.memory, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = page.alias};
    assert_int_equal(segue_decode(SEGUE_MODE_64, bytes, size, &insn), SEGUE_OK);
    enum segue_status status = segue_plan(&insn, regs, NULL, NULL, &window, 1, plan);
    return status == SEGUE_OK ? segue_step(plan, regs, NULL, NULL) : status;
}

static void far_jump_and_call_stay_in_the_code_segment(void **state)
{
    (void)state;
    struct segue_plan plan;
    begin();
    struct segue_regs regs = {.rip = 0x400000, .rsp = (uint64_t)(uintptr_t)page.memory + 512, .rflags = 0x202};
    regs.rbx = (uint64_t)(uintptr_t)page.memory;
    regs.selectors[SEGUE_SEGMENT_CS] = 0x33;
    memcpy(page.alias, "\x78\x56\x34\x12\x33\x00", 6);
    struct segue_regs before = regs;
    assert_int_equal(step_with("\xff\x2b", 2, &regs, &plan), SEGUE_OK);
    assert_int_equal(regs.rip, 0x12345678);
    assert_int_equal(regs.rsp, before.rsp);
    regs = before;
    if (step_with("\xff\x1b", 2, &regs, &plan) == SEGUE_OK) {
        static const uint8_t pushed[8] = {2, 0, 0x40, 0, 0x33, 0, 0, 0};
        assert_int_equal(regs.rip, 0x12345678);
        assert_int_equal(regs.rsp, before.rsp - 8);
        assert_memory_equal((char *)page.alias + 504, pushed, sizeof pushed);
    } else {
        assert_string_equal(plan.refusal, "processors disagree about what they push above a selector");
    }
    /* Another code segment: nothing is done. */
    memcpy((char *)page.alias + 4, "\x23\x00", 2);
    regs = before;
    assert_int_equal(step_with("\xff\x2b", 2, &regs, &plan), SEGUE_UNSUPPORTED);
    assert_memory_equal(&regs, &before, sizeof regs);
    end();
}

static void unknown_selectors_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } all[] = {{"\x8c\x1b", 2}, {"\x8e\x1b", 2}, {"\x0f\xa0", 2}, {"\x0f\xa9", 2},
               {"\xff\x1b", 2}, {"\xff\x2b", 2}, {"\x48\xcb", 2}, {"\x48\xcf", 2}};
    struct segue_plan plan;
    begin();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct segue_regs regs = {
            .rbx = (uint64_t)(uintptr_t)page.memory, .rsp = (uint64_t)(uintptr_t)page.memory + 512, .rflags = 0x202};
        assert_int_equal(step_with(all[i].bytes, all[i].size, &regs, &plan), SEGUE_UNSUPPORTED);
        assert_string_equal(plan.refusal, "it needs the thread's selectors, and the registers hold none");
    }
    end();
}

static void load_of_another_selector_changes_nothing(void **state)
{
    (void)state;
    struct segue_plan plan;
    begin();
    memcpy(page.alias, "\x2b\x00", 2);
    struct segue_regs regs = {.rbx = (uint64_t)(uintptr_t)page.memory, .rflags = 0x202}, before;
    regs.selectors[SEGUE_SEGMENT_CS] = 0x33;
    before = regs;
    assert_int_equal(step_with("\x8e\x1b", 2, &regs, &plan), SEGUE_UNSUPPORTED);
    assert_memory_equal(&regs, &before, sizeof regs);
    before.selectors[SEGUE_SEGMENT_DS] = regs.selectors[SEGUE_SEGMENT_DS] = 0x2b;
    assert_int_equal(step_with("\x8e\x1b", 2, &regs, &plan), SEGUE_OK);
    assert_int_equal(regs.rip, 2);
    /* FS has a base, which the load would change. */
    regs = before;
    regs.fs_base = 0x1000;
    assert_int_equal(step_with("\x8e\x23", 2, &regs, &plan), SEGUE_UNSUPPORTED);
    assert_string_equal(plan.refusal, "it also loads the segment's base");
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selectors_of_a_fault_are_the_threads),
        cmocka_unit_test(selectors_of_a_frame_are_the_threads),
        cmocka_unit_test(selectors_of_a_captured_context_are_the_threads),
        cmocka_unit_test(scan_takes_no_selectors_for_references),
        cmocka_unit_test(mov_of_a_segment_register_stores_two_bytes),
        cmocka_unit_test(push_and_pop_of_a_segment_register_use_a_whole_word),
        cmocka_unit_test(interrupt_return_loads_flags_and_stack_pointer),
        cmocka_unit_test(far_return_releases_its_words),
        cmocka_unit_test(far_jump_and_call_stay_in_the_code_segment),
        cmocka_unit_test(unknown_selectors_are_refused),
        cmocka_unit_test(load_of_another_selector_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
