/* policy_order.c: an instruction that accesses protected memory more than once asks a policy for each access, in the
 * order in which it makes them, and does nothing if one of them passes. */
#include "tests/support/test.h"

#include <segue/segue.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u
#define PAGES 2
#define QUESTIONS 8

static struct segue_mapping memory;

/* What the policies were asked, in order, and what they answer. */
static struct {
    unsigned count;
    struct {
        uint64_t region, address, size;
        uint32_t access, question;
        uint8_t direction;
    } asked[QUESTIONS];
    /* The question that is answered with `verdict`; all others with SEGUE_STEP. */
    unsigned exception;
    enum segue_verdict verdict;
} record;

static char *page_of(size_t page)
{
    return (char *)memory.memory + page * PAGE;
}

static char *view_of(size_t page)
{
    return (char *)memory.alias + page * PAGE;
}

static enum segue_verdict note(void *context, const struct segue_event *event)
{
    unsigned number = record.count++;
    if (number < QUESTIONS) {
        record.asked[number].region = (uint64_t)(uintptr_t)context;
        record.asked[number].address = event->address;
        record.asked[number].size = event->size;
        record.asked[number].direction = event->direction;
        record.asked[number].access = event->access;
        record.asked[number].question = event->question;
    }
    return number == record.exception ? record.verdict : SEGUE_STEP;
}

static void expect_question(unsigned number, size_t page, const void *address, uint64_t size, unsigned direction)
{
    assert_true(number < record.count);
    assert_int_equal(record.asked[number].region, page);
    assert_int_equal(record.asked[number].address, (uint64_t)(uintptr_t)address);
    assert_int_equal(record.asked[number].size, size);
    assert_int_equal(record.asked[number].direction, direction);
    assert_int_equal(record.asked[number].question, number);
}

static void begin(void)
{
    memset(&record, 0, sizeof record);
    record.exception = QUESTIONS;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    for (size_t page = 0; page < PAGES; page++) {
        struct segue_region region = {
            .window = {.base = (uint64_t)(uintptr_t)page_of(page),
                       .size = PAGE,
                       .kind = SEGUE_WINDOW_ALIAS,
                       .alias = view_of(page)},
            .policy = note,
            .context = (void *)(uintptr_t)page,
        };
        assert_int_equal(segue_region_add(&region), SEGUE_OK);
    }
    assert_int_equal(mprotect(memory.memory, memory.size, PROT_NONE), 0);
}

static void end(void)
{
    mprotect(memory.memory, memory.size, PROT_READ | PROT_WRITE);
    for (size_t page = 0; page < PAGES; page++)
        assert_int_equal(segue_region_remove(page_of(page)), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

static void move_string(const void **from, void **to)
{
    __asm__ volatile("movsq" : "+S"(*from), "+D"(*to) : : "memory");
}

static void string_from_region_to_region_asks_source_then_destination(void **state)
{
    (void)state;
    const void *from = page_of(1) + 8;
    void *to = page_of(0) + 24;
    begin();
    *(uint64_t *)(void *)(view_of(1) + 8) = 42;
    move_string(&from, &to);
    assert_int_equal(*(uint64_t *)(void *)(view_of(0) + 24), 42);
    assert_ptr_equal(from, page_of(1) + 16);
    assert_int_equal(record.count, 2);
    expect_question(0, 1, page_of(1) + 8, 8, SEGUE_READ);
    expect_question(1, 0, page_of(0) + 24, 8, SEGUE_WRITE);
    end();
}

static void string_within_one_region_asks_for_both_accesses(void **state)
{
    (void)state;
    const void *from = page_of(0) + 64;
    void *to = page_of(0) + 128;
    begin();
    move_string(&from, &to);
    assert_int_equal(record.count, 2);
    expect_question(0, 0, page_of(0) + 64, 8, SEGUE_READ);
    expect_question(1, 0, page_of(0) + 128, 8, SEGUE_WRITE);
    end();
}

/* Pushes the word at `from` while the stack pointer is `stack`; returns the stack pointer after. */
static uint64_t push_from(const void *from, const void *stack)
{
    uint64_t after, kept;
    __asm__ volatile("mov %%rsp, %1\n mov %3, %%rsp\n push (%2)\n mov %%rsp, %0\n mov %1, %%rsp"
                     : "=&r"(after), "=&r"(kept)
                     : "r"(from), "r"(stack)
                     : "memory");
    return after;
}

static void push_from_memory_on_a_protected_stack_asks_source_then_stack(void **state)
{
    (void)state;
    begin();
    *(uint64_t *)(void *)view_of(0) = 77;
    uint64_t after = push_from(page_of(0), page_of(1) + 512);
    assert_int_equal(after, (uint64_t)(uintptr_t)page_of(1) + 504);
    assert_int_equal(*(uint64_t *)(void *)(view_of(1) + 504), 77);
    assert_int_equal(record.count, 2);
    expect_question(0, 0, page_of(0), 8, SEGUE_READ);
    expect_question(1, 1, page_of(1) + 504, 8, SEGUE_WRITE);
    end();
}

static void one_access_over_two_regions_asks_each_about_its_part(void **state)
{
    (void)state;
    begin();
    __asm__ volatile("lock addq $1, (%0)" : : "r"(page_of(1) - 3) : "memory", "cc");
    assert_int_equal(record.count, 2);
    expect_question(0, 0, page_of(1) - 3, 3, SEGUE_READ | SEGUE_WRITE);
    expect_question(1, 1, page_of(1), 5, SEGUE_READ | SEGUE_WRITE);
    assert_int_equal(record.asked[0].access, record.asked[1].access);
    end();
}

static void first_answer_that_is_not_step_is_the_last_question(void **state)
{
    (void)state;
    const void *from = page_of(1);
    void *to = page_of(0);
    begin();
    record.exception = 0;
    record.verdict = SEGUE_RETRY;
    move_string(&from, &to);
    /* Once more from the start. */
    assert_int_equal(record.count, 3);
    expect_question(0, 1, page_of(1), 8, SEGUE_READ);
    assert_int_equal(record.asked[1].region, 1);
    assert_int_equal(record.asked[1].question, 0);
    assert_int_equal(record.asked[2].region, 0);
    assert_int_equal(record.asked[2].question, 1);
    end();
}

static sigjmp_buf escape;

static void leave(int number)
{
    (void)number;
    siglongjmp(escape, 1);
}

static void nothing_is_done_if_the_second_access_passes(void **state)
{
    (void)state;
    static char before[2 * PAGE];
    const void *volatile from = page_of(1) + 8;
    void *volatile to = page_of(0) + 24;
    /* The handler gets the stack that it would get without us: not the closed page that the push has it on. */
    static _Alignas(16) char stack_of_handler[65536];
    stack_t stack = {.ss_sp = stack_of_handler, .ss_size = sizeof stack_of_handler}, none = {.ss_flags = SS_DISABLE};
    struct sigaction action = {.sa_handler = leave, .sa_flags = SA_ONSTACK}, kept;
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, &kept);
    begin();
    memset(view_of(1), 5, PAGE);
    memcpy(before, memory.alias, sizeof before);
    record.exception = 1;
    record.verdict = SEGUE_PASS;
    for (unsigned way = 0; way < 2; way++) {
        record.count = 0;
        if (!sigsetjmp(escape, 1)) {
            const void *source = from;
            void *destination = to;
            if (way == 0)
                move_string(&source, &destination);
            else
                push_from(page_of(1), page_of(0) + 512);
            fail_msg("it was done although the second access's policy passed");
        }
        assert_int_equal(record.count, 2);
        assert_memory_equal(before, memory.alias, sizeof before);
    }
    end();
    sigaction(SIGSEGV, &kept, NULL);
    sigaltstack(&none, NULL);
}

static int setup(void **state)
{
    (void)state;
    return segue_mapping_create(NULL, PAGES * PAGE, &memory) == SEGUE_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return segue_mapping_destroy(&memory) == SEGUE_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(string_from_region_to_region_asks_source_then_destination),
        cmocka_unit_test(string_within_one_region_asks_for_both_accesses),
        cmocka_unit_test(push_from_memory_on_a_protected_stack_asks_source_then_stack),
        cmocka_unit_test(one_access_over_two_regions_asks_each_about_its_part),
        cmocka_unit_test(first_answer_that_is_not_step_is_the_last_question),
        cmocka_unit_test(nothing_is_done_if_the_second_access_passes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
