/* embedder.c: a program's own vectored handler, by <segue/windows.h>: with the library's handler and without it. */
#if !defined(_WIN32)
#error "tests/platform/windows/embedder.c is specific to Windows"
#endif

#include "fixture.h"

#include <segue/windows.h>

/* One word of the stack. */
#if defined(__x86_64__)
#define PUSH "pushq"
#else
#define PUSH "pushl"
#endif

static struct segue_window window;
static _Alignas(64) unsigned char area[4096];
/* What the handler has met. */
static volatile unsigned calls, handled, stepped, left;
static volatile enum segue_status opened, ended;
static struct segue_fault fault;
static bool gathers;

static bool ends_block;

static LONG CALLBACK on_exception(EXCEPTION_POINTERS *exception)
{
    struct segue_frame frame;
    struct segue_plan plan;
    calls++;
    enum segue_status status = segue_frame_open(&frame, exception);
    if (status == SEGUE_HANDLED) {
        handled++;
        return EXCEPTION_CONTINUE_EXECUTION;
    }
    opened = ended = status;
    if (status == SEGUE_OK && ends_block)
        return segue_try_catch(&frame) == SEGUE_OK ? EXCEPTION_CONTINUE_EXECUTION : EXCEPTION_CONTINUE_SEARCH;
    if (status == SEGUE_OK) {
        fault = frame.fault;
        if (gathers && segue_frame_gather(&frame, area, sizeof area) != SEGUE_OK)
            return EXCEPTION_CONTINUE_SEARCH;
        ended = segue_frame_plan(&frame, &window, 1, &plan);
        if (ended == SEGUE_OK)
            ended = segue_frame_step(&frame, &plan);
        if (ended == SEGUE_OK) {
            stepped++;
            return EXCEPTION_CONTINUE_EXECUTION;
        }
    }
    left++;
    return EXCEPTION_CONTINUE_SEARCH;
}

/* Behind it: goes on after an instruction of so many bytes. */
static unsigned length;

static LONG CALLBACK skip_it(EXCEPTION_POINTERS *exception)
{
    exception->ContextRecord->INSTRUCTION_POINTER += length;
    return EXCEPTION_CONTINUE_EXECUTION;
}

static void *own, *behind;

static volatile uintptr_t *begin_own(unsigned of_length)
{
    calls = handled = stepped = left = 0;
    gathers = true;
    length = of_length;
    assert_int_equal(segue_replay_prepare(), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    assert_int_equal(segue_mapping_protect(&mapping, 0, PAGE, 0), SEGUE_OK);
    window = segue_mapping_window(&mapping);
    own = AddVectoredExceptionHandler(1, on_exception);
    behind = AddVectoredExceptionHandler(0, skip_it);
    assert_non_null(own);
    assert_non_null(behind);
    return mapping.memory;
}

static void end_own(void)
{
    RemoveVectoredExceptionHandler(own);
    RemoveVectoredExceptionHandler(behind);
    segue_mapping_destroy(&mapping);
}

static void frame_is_stepped_by_each_engine(void **state)
{
    volatile uintptr_t *cell = begin_own(0);
    uint64_t pattern[4] = {1, 2, 3, 4}, after[4], sum[4];
    uintptr_t pushed;
    (void)state;
    cell[0] = 41;
    __atomic_fetch_add(&cell[0], 1, __ATOMIC_SEQ_CST);
    assert_int_equal(cell[0], 42);
    __asm__ volatile(PUSH " (%1)\n\tpop %0" : "=r"(pushed) : "r"(cell) : "memory");
    assert_int_equal(pushed, 42);
    assert_int_equal(stepped, 4);
    assert_int_equal(left, 0);
    assert_int_equal(fault.address, (uintptr_t)cell);
    assert_int_equal(fault.direction, SEGUE_READ);
    if (GetEnabledXStateFeatures() & 4) {
        /* Also what pushes where the system has put the upper halves. */
        __asm__ volatile("vmovdqu %[pattern], %%ymm7\n\t" PUSH
                         " (%[cell])\n\tpop " R("ax") "\n\t"
                                                      "vpaddq (%[cell]), %%ymm7, %%ymm6\n\t"
                                                      "vmovdqu %%ymm7, %[after]\n\tvmovdqu %%ymm6, %[sum]\n\tvzeroupper"
                         : [after] "=m"(after), [sum] "=m"(sum)
                         : [pattern] "m"(pattern), [cell] "r"(cell)
                         : CHANGED("ax"), "xmm6", "xmm7", "memory");
        assert_memory_equal(after, pattern, sizeof pattern);
        assert_int_equal(sum[0], 43);
        assert_int_equal(sum[3], 4);
    }
    end_own();
}

static void state_must_be_gathered_before_a_step(void **state)
{
    volatile uintptr_t *cell = begin_own(2);
    (void)state;
    gathers = false;
    __asm__ volatile(".byte 0x8b, 0x03" /* movl (%rbx), %eax */ : : "b"(cell) : CHANGED("ax"), "memory");
    assert_int_equal(opened, SEGUE_OK);
    assert_int_equal(ended, SEGUE_UNSUPPORTED);
    assert_int_equal(left, 1);
    end_own();
}

static void other_exceptions_are_not_its_own(void **state)
{
    volatile char *page = closed_page();
    struct segue_frame frame;
    (void)state;
    begin_own(0);
    RaiseException(0xe0000001, 0, 0, NULL);
    assert_int_equal(opened, SEGUE_NOT_FOUND);
    /* A fault elsewhere: its window does not hold the access. */
    length = 3;
    __asm__ volatile(".byte 0x88, 0x4b, 0x07" /* movb %cl, 7(%rbx) */ : : "b"(page) : "memory");
    assert_int_equal(opened, SEGUE_OK);
    assert_int_equal(fault.address, (uintptr_t)page + 7);
    assert_int_equal(fault.direction, SEGUE_WRITE);
    assert_int_not_equal(ended, SEGUE_OK);
    assert_int_equal(left, 2);
    assert_int_equal(segue_frame_open(NULL, NULL), SEGUE_INVALID);
    assert_int_equal(segue_frame_open(&frame, NULL), SEGUE_INVALID);
    end_own();
}

/* The step meets a fault of its own, which the handler takes back first. */
static void fault_of_a_step_comes_to_it(void **state)
{
    volatile uintptr_t *cell = begin_own(1);
    volatile char *page = closed_page();
    uintptr_t to = (uintptr_t)page, from = (uintptr_t)cell;
    (void)state;
    __asm__ volatile("movsl" : "+D"(to), "+S"(from) : : "memory");
    assert_int_equal(ended, SEGUE_FAULT);
    assert_true(handled > 0);
    assert_int_equal(left, 1);
    assert_int_equal(from, (uintptr_t)cell);
    end_own();
}

/* With the x87 stack full: the computation is abandoned. */
static void blocks_end_in_it(void **state)
{
    volatile uintptr_t *cell = begin_own(0);
    struct segue_trial trial;
    double one = 0;
    (void)state;
    ends_block = true;
    for (volatile unsigned round = 0; round < 10; round++) {
        if (segue_try(&trial) == 0) {
            __asm__ volatile("fld1\n\tfld1\n\tfld1\n\tfld1\n\tfld1\n\tfld1\n\tfld1\n\tfld1" : : : "memory");
            (void)cell[1];
            fail();
        }
        assert_int_equal(trial.fault.address, (uintptr_t)&cell[1]);
        __asm__ volatile("fld1\n\tfstpl %0" : "=m"(one));
        assert_true(one == 1.0);
    }
    ends_block = false;
    end_own();
}

/* Whichever handler is in front sees a fault first; what it leaves goes on to the other. */
static void it_stands_before_or_behind_the_library(void **state)
{
    volatile uintptr_t *cell = begin_own(3);
    (void)state;
    /* The library is in front now: a region's fault is its own, and another is the program's. */
    asked = 0;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    struct segue_mapping second;
    assert_int_equal(segue_mapping_create(NULL, PAGE, &second), SEGUE_OK);
    page_region = (struct segue_region){.window = segue_mapping_window(&second), .policy = note};
    assert_int_equal(segue_region_add(&page_region), SEGUE_OK);
    assert_int_equal(segue_mapping_protect(&second, 0, PAGE, 0), SEGUE_OK);
    *(volatile uintptr_t *)second.memory = 7;
    assert_int_equal(asked, 1);
    assert_int_equal(calls, 0);
    *cell = 8;
    assert_int_equal(stepped, 1);
    /* The program's is in front. */
    RemoveVectoredExceptionHandler(own);
    own = AddVectoredExceptionHandler(1, on_exception);
    calls = handled = stepped = left = 0;
    *(volatile uintptr_t *)second.memory = 9;
    /* It also sees the guarded accesses of the library's handler. */
    assert_int_equal(calls - handled, 1);
    assert_int_equal(left, 1);
    assert_int_equal(asked, 2);
    assert_int_equal(*(uintptr_t *)second.alias, 9);
    segue_region_remove(second.memory);
    segue_mapping_destroy(&second);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    end_own();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frame_is_stepped_by_each_engine),
        cmocka_unit_test(state_must_be_gathered_before_a_step),
        cmocka_unit_test(other_exceptions_are_not_its_own),
        cmocka_unit_test(fault_of_a_step_comes_to_it),
        cmocka_unit_test(blocks_end_in_it),
        cmocka_unit_test(it_stands_before_or_behind_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
