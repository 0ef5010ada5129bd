/* embedder.c: a program's own handler of signals, by <segue/posix.h>: without the library's handler, and in front of
 * it. Except on Linux the system keeps the frame's extended state in parts, which the handler gathers. */
#include "posix.h"

#include <segue/handler.h>
#include <segue/mutator.h>
#include <segue/posix.h>
#include <segue/try.h>
#include <sys/mman.h>

static struct segue_window window;
static _Alignas(64) unsigned char area[4096];
/* What the handler has met. */
static volatile unsigned calls, handled, stepped, left;
static volatile enum segue_status opened, ended, chained;
static struct segue_fault fault;
static bool gathers;
/* Called instead of a step. */
static void (*volatile instead)(struct segue_frame *frame);

static const int numbers[] = {SIGSEGV, SIGBUS, SIGUSR1};
#define NUMBERS (sizeof numbers / sizeof *numbers)
static struct sigaction before[NUMBERS], previous[NUMBERS];

static void leave(struct segue_frame *frame, int number)
{
    left++;
    for (unsigned i = 0; i < NUMBERS; i++)
        if (numbers[i] == number)
            chained = segue_chain(frame, &previous[i]);
}

static void on_signal(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    struct segue_plan plan;
    calls++;
    opened = ended = segue_frame_open(&frame, info, ucontext);
    if (opened == SEGUE_HANDLED) {
        handled++;
        return;
    }
    fault = frame.fault;
    if (gathers)
        assert_int_equal(segue_frame_gather(&frame, area, sizeof area), SEGUE_OK);
    if (opened == SEGUE_OK && instead) {
        instead(&frame);
        return;
    }
    if (opened == SEGUE_OK)
        ended = segue_frame_plan(&frame, &window, 1, &plan);
    if (ended == SEGUE_OK)
        ended = segue_frame_step(&frame, &plan);
    if (ended == SEGUE_OK)
        stepped++;
    else
        leave(&frame, number);
}

/* The handlers before: they go on after an instruction of so many bytes. */
static unsigned length;
static volatile int told, told_code;
static volatile uintptr_t told_address;
static volatile unsigned skipped;

static void skip_it(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    told = number;
    told_code = info->si_code;
    told_address = (uintptr_t)info->si_addr;
    skipped++;
    if (segue_frame_open(&frame, info, ucontext) != SEGUE_OK)
        return;
    frame.regs.rip += length;
    assert_int_equal(segue_frame_write(&frame), SEGUE_OK);
}

static void set(struct sigaction *previous_actions)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};
    for (unsigned i = 0; i < NUMBERS; i++)
        sigaction(numbers[i], &action, &previous_actions[i]);
}

static volatile uint8_t *begin_own(unsigned of_length)
{
    struct sigaction action = {.sa_sigaction = skip_it, .sa_flags = SA_SIGINFO};
    calls = handled = stepped = left = skipped = 0;
    gathers = true;
    instead = NULL;
    length = of_length;
    assert_int_equal(segue_replay_prepare(), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    window = segue_mapping_window(&mapping);
    for (unsigned i = 0; i < PAGE; i++)
        alias()[i] = (uint8_t)i;
    assert_int_equal(segue_mapping_protect(&mapping, 0, PAGE, 0), SEGUE_OK);
    for (unsigned i = 0; i < NUMBERS; i++)
        sigaction(numbers[i], &action, &before[i]);
    set(previous);
    return mapping.memory;
}

static void end_own(void)
{
    for (unsigned i = 0; i < NUMBERS; i++)
        sigaction(numbers[i], &before[i], NULL);
    segue_mapping_destroy(&mapping);
}

/* Two bytes, in 64-bit code and in 32-bit code. */
static uintptr_t load(const volatile void *from)
{
    uintptr_t value = 0;
    __asm__ volatile(".byte 0x8b, 0x03" /* movl (%rbx), %eax */ : "+a"(value) : "b"(from) : "memory");
    return value;
}

static void frame_is_stepped_by_each_engine(void **state)
{
    volatile uint8_t *page = begin_own(0);
    uint32_t sum[4] = {1, 2, 3, 4};
    uintptr_t pushed;
    (void)state;
    assert_int_equal(load(page + 8), 0x0b0a0908);
    assert_int_equal(fault.address, (uintptr_t)page + 8);
    assert_int_equal(fault.direction, SEGUE_READ);
    assert_int_equal(fault.signal, closed_signal());
    __atomic_fetch_add((volatile uint32_t *)(uintptr_t)(page + 16), 1, __ATOMIC_SEQ_CST);
    assert_int_equal(alias()[16], 17);
    __asm__ volatile("movdqu (%0), %%xmm3\n\tpaddd 64(%1), %%xmm3\n\tmovdqu %%xmm3, (%0)"
                     :
                     : "r"(sum), "r"(page)
                     : "memory", "xmm3");
    assert_int_equal(sum[3], 0x4f4e4d4c + 4);
#if defined(__x86_64__)
    /* Not over the red zone. */
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\tpushq 32(%1)\n\tpopq %0\n\tleaq 128(%%rsp), %%rsp"
                     : "=&r"(pushed)
                     : "r"(page)
                     : "memory");
#else
    __asm__ volatile("pushl 32(%1)\n\tpopl %0" : "=&r"(pushed) : "r"(page) : "memory");
#endif
    assert_int_equal((uint32_t)pushed, 0x23222120);
    assert_int_equal(stepped, 4);
    assert_int_equal(left, 0);
    end_own();
}

static void state_must_be_gathered_before_a_step(void **state)
{
    (void)state;
#if defined(__linux__)
    skip_if("a frame has its state in one place");
#endif
    volatile uint8_t *page = begin_own(2);
    gathers = false;
    load(page);
    assert_int_equal(opened, SEGUE_OK);
    assert_int_equal(ended, SEGUE_UNSUPPORTED);
    assert_int_equal(chained, SEGUE_OK);
    assert_int_equal(skipped, 1);
    end_own();
}

static void handler_before_gets_what_it_leaves(void **state)
{
    begin_own(2);
    volatile char *closed = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0);
    (void)state;
    for (unsigned round = 1; round <= 3; round++) {
        load(closed + 24);
        assert_int_not_equal(ended, SEGUE_OK);
        assert_int_equal(fault.address, (uintptr_t)closed + 24);
        assert_int_equal(skipped, round);
        assert_int_equal(told, closed_signal());
        assert_int_equal(told_address, (uintptr_t)closed + 24);
    }
    /* A signal that a program sends is no fault; the handler before gets it, too. */
    raise(SIGUSR1);
    assert_int_equal(opened, SEGUE_NOT_FOUND);
    assert_int_equal(fault.signal, SIGUSR1);
    assert_int_equal(told, SIGUSR1);
    assert_int_equal(skipped, 4);
    munmap((void *)(uintptr_t)closed, PAGE);
    end_own();
}

/* The step meets a fault of its own, which the handler takes back first. */
static void fault_of_a_step_comes_to_it(void **state)
{
    volatile uint8_t *page = begin_own(1);
    char *closed = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0);
    const volatile void *from = page;
    void *to = closed;
    (void)state;
    __asm__ volatile(".byte 0xa4" /* movsb */ : "+S"(from), "+D"(to) : : "memory");
    assert_int_equal(ended, SEGUE_FAULT);
    assert_true(handled > 0);
    assert_int_equal(left, 1);
    assert_ptr_equal(from, page);
    munmap(closed, PAGE);
    end_own();
}

/* ---- deaths ---- */

static volatile uint8_t *target;

static void die_by_default(void)
{
    for (unsigned i = 0; i < NUMBERS; i++)
        previous[i] = (struct sigaction){.sa_handler = SIG_DFL};
    load(target);
}

static void die_by_ignored_fault(void)
{
    for (unsigned i = 0; i < NUMBERS; i++)
        previous[i] = (struct sigaction){.sa_handler = SIG_IGN};
    raise(SIGUSR1);
    load(target);
}

static void die_by_the_second_signal(void)
{
    for (unsigned i = 0; i < NUMBERS; i++)
        previous[i].sa_flags |= (int)SA_RESETHAND;
    load(target);
    if (skipped == 1)
        load(target);
}

static void signal_without_a_handler_ends_the_process(void **state)
{
    static void (*const ways[])(void) = {die_by_default, die_by_ignored_fault, die_by_the_second_signal};
    target = begin_own(2);
    (void)state;
    /* No access is in it. */
    window = (struct segue_window){.size = 0};
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++)
        assert_int_equal(ends_by(ways[i]), closed_signal());
    end_own();
}

/* ---- checks ---- */

static void handlers_are_checked(void **state)
{
    struct sigaction action = {.sa_sigaction = skip_it, .sa_flags = SA_SIGINFO};
    struct segue_frame frame;
    ucontext_t context;
    begin_own(0);
    (void)state;
    assert_int_equal(segue_handler_check(SIGSEGV), SEGUE_OK);
    assert_int_equal(segue_handler_check(-1), SEGUE_INVALID);
    sigaction(SIGUSR1, &action, NULL);
    assert_int_equal(segue_handler_check(SIGUSR1), SEGUE_UNSUPPORTED);
    assert_non_null(strstr(segue_reason(), "SA_NODEFER"));
    assert_int_equal(segue_restore_choose(&action), SEGUE_RESTORE_RETURN);
    assert_int_equal(segue_restore_choose(NULL), SEGUE_RESTORE_RETURN);
    assert_int_equal(segue_frame_open(NULL, NULL, &context), SEGUE_INVALID);
    assert_int_equal(segue_frame_open(&frame, NULL, NULL), SEGUE_INVALID);
    assert_int_equal(segue_chain(NULL, &action), SEGUE_INVALID);
    end_own();
}

/* ---- a collector ---- */

#define OLD ((uintptr_t)0x5e60e001)
#define NEW ((uintptr_t)0x5e60e002)
static volatile unsigned found;

static int move(void *closure, uint64_t *base, uint64_t *limit)
{
    (void)closure;
    for (; base < limit; base++)
        if (*base == OLD) {
            *base = NEW;
            found++;
        }
    return 0;
}

static void move_references(struct segue_frame *frame)
{
    struct segue_mutator context;
    assert_int_equal(segue_mutator_from_frame(&context, frame), SEGUE_OK);
    assert_true(segue_mutator_check(&context) == SEGUE_OK);
    assert_int_equal(segue_mutator_sp(&context), frame->regs.rsp);
    frame->regs.rip += length;
    context.regs.rip += length;
    assert_int_equal(segue_mutator_update(&context, move, NULL), 0);
}

/* In a general register, and in a vector. */
static void references_in_the_frame_are_updated(void **state)
{
    volatile uint8_t *page = begin_own(2);
    uint64_t vector[2] = {0, OLD};
    uintptr_t value = OLD, loaded = 0;
    (void)state;
    found = 0;
    instead = move_references;
    __asm__ volatile("movdqu (%[vector]), %%xmm5\n\t.byte 0x8b, 0x03\n\tmovdqu %%xmm5, (%[vector])"
                     : "+a"(loaded), "+c"(value)
                     : "b"(page), [vector] "S"(vector)
                     : "memory", "xmm5");
    assert_int_equal(value, NEW);
    assert_int_equal(vector[1], NEW);
    assert_true(found >= 2);
    end_own();
}

/* ---- blocks that may fault ---- */

static void end_block(struct segue_frame *frame)
{
    assert_int_equal(segue_try_catch(frame), SEGUE_OK);
}

/* With the x87 stack full: the computation is abandoned. */
static void blocks_end_in_it(void **state)
{
    volatile uint8_t *page = begin_own(0);
    struct segue_trial trial;
    double one = 0;
    (void)state;
    instead = end_block;
    for (volatile unsigned round = 0; round < 10; round++) {
        gathers = round % 2;
        if (segue_try(&trial) == 0) {
            __asm__ volatile("fld1\n\tfld1\n\tfld1\n\tfld1\n\tfld1\n\tfld1\n\tfld1\n\tfld1" : : : "memory");
            load(page + 12);
            fail();
        }
        assert_int_equal(trial.fault.address, (uintptr_t)page + 12);
        __asm__ volatile("fld1\n\tfstpl %0" : "=m"(one));
        assert_true(one == 1.0);
    }
    end_own();
}

/* What it does not step, it leaves to the library's handler, which steps it. */
static void it_stands_in_front_of_the_library(void **state)
{
    struct sigaction own[NUMBERS];
    volatile uint8_t *page = begin_own(0);
    (void)state;
    page_region = (struct segue_region){.window = window, .policy = note};
    asked = 0;
    assert_int_equal(install(), SEGUE_OK);
    assert_int_equal(segue_region_add(&page_region), SEGUE_OK);
    set(previous);
#if !defined(__linux__)
    gathers = false;
    assert_int_equal(load(page + 4), 0x07060504);
    assert_int_equal(asked, 1);
    assert_int_equal(stepped, 0);
#endif
    gathers = true;
    asked = 1;
    assert_int_equal(load(page + 8), 0x0b0a0908);
    assert_int_equal(asked, 1);
    assert_int_equal(stepped, 1);
    for (unsigned i = 0; i < NUMBERS; i++)
        sigaction(numbers[i], &previous[i], &own[i]);
    assert_int_equal(segue_region_remove(mapping.memory), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    end_own();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frame_is_stepped_by_each_engine),
        cmocka_unit_test(state_must_be_gathered_before_a_step),
        cmocka_unit_test(handler_before_gets_what_it_leaves),
        cmocka_unit_test(fault_of_a_step_comes_to_it),
        cmocka_unit_test(signal_without_a_handler_ends_the_process),
        cmocka_unit_test(handlers_are_checked),
        cmocka_unit_test(references_in_the_frame_are_updated),
        cmocka_unit_test(blocks_end_in_it),
        cmocka_unit_test(it_stands_in_front_of_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
