/* values.c: what an access reads and writes, as a step inside a policy, a preview and a plan of one's own report it,
 * and the words that it touches. */
#include "policy_fixture.h"

#include <pthread.h>
#include <string.h>

/* ---- steps inside a policy ------------------------------------------------------------------------------------ */

#define VALUES 8

static struct {
    uint64_t address;
    uint32_t size;
    uint8_t direction;
    uint8_t before[64], after[64];
} told[VALUES];
static unsigned told_count;
static enum segue_status step_status;

static void note_value(void *context, const struct segue_value *value)
{
    (void)context;
    assert_true(told_count < VALUES);
    told[told_count].address = value->address;
    told[told_count].size = value->size;
    told[told_count].direction = value->direction;
    size_t size = value->size < 64 ? value->size : 64;
    memcpy(told[told_count].before, value->before, size);
    memcpy(told[told_count].after, value->after, size);
    told_count++;
}

static enum segue_verdict step_and_tell(void *context, const struct segue_event *event)
{
    (void)context;
    asked++;
    told_count = 0;
    step_status = segue_event_step(event, note_value, NULL);
    return step_status == SEGUE_OK ? SEGUE_DONE : SEGUE_PASS;
}

static void is_told(unsigned number, const void *address, uint32_t size, uint8_t direction, uint64_t before,
                    uint64_t after)
{
    uint64_t value = 0;
    assert_true(number < told_count);
    assert_ptr_equal((void *)(uintptr_t)told[number].address, address);
    assert_int_equal(told[number].size, size);
    assert_int_equal(told[number].direction, direction);
    memcpy(&value, told[number].before, size < 8 ? size : 8);
    assert_int_equal(value, before);
    value = 0;
    memcpy(&value, told[number].after, size < 8 ? size : 8);
    assert_int_equal(value, after);
}

static void step_in_a_policy_tells_what_it_read_and_wrote(void **state)
{
    char *memory = one.memory;
    volatile uint64_t *alias = one.alias;
    uint64_t value = 5, stack = (uint64_t)(uintptr_t)(memory + 512), kept;
    struct segue_counters before, after;
    (void)state;
    close_region(&one, step_and_tell);
    segue_counters_read(&before);
    alias[0] = 0x1122334455667788;
    assert_int_equal(*(volatile uint32_t *)memory, 0x55667788);
    is_told(0, memory, 4, SEGUE_READ, 0x55667788, 0x55667788);
    *(volatile uint16_t *)memory = 0xabcd;
    is_told(0, memory, 2, SEGUE_WRITE, 0x7788, 0xabcd);
    assert_int_equal(alias[0], 0x112233445566abcd);
    __asm__ volatile("lock xaddq %0, (%1)" : "+r"(value) : "r"(memory) : "memory", "cc");
    is_told(0, memory, 8, SEGUE_READ | SEGUE_WRITE, 0x112233445566abcd, 0x112233445566abd2);
    assert_int_equal(value, 0x112233445566abcd);
    value = 9;
    __asm__ volatile("xchgq %0, (%1)" : "+r"(value) : "r"(memory) : "memory");
    is_told(0, memory, 8, SEGUE_READ | SEGUE_WRITE, 0x112233445566abd2, 9);
    __asm__ volatile("addl $3, (%0)" ::"r"(memory) : "memory", "cc");
    is_told(0, memory, 4, SEGUE_READ | SEGUE_WRITE, 9, 12);
    /* A comparison that fails writes back what it has read. */
    __asm__ volatile("movl $1, %%eax; lock cmpxchgl %%ecx, (%0)" ::"r"(memory) : "memory", "cc", "rax");
    is_told(0, memory, 4, SEGUE_READ | SEGUE_WRITE, 12, 12);
    __asm__ volatile("movdqu (%0), %%xmm1; movdqu %%xmm1, 64(%0)" ::"r"(memory) : "memory", "xmm1");
    is_told(0, memory + 64, 16, SEGUE_WRITE, 0, 12);
    alias[64] = 0;
    __asm__ volatile("xchgq %%rsp, %0; pushq %2; xchgq %%rsp, %0; movq %0, %1"
                     : "+&r"(stack), "=&r"(kept)
                     : "r"((uint64_t)77)
                     : "memory");
    is_told(0, memory + 504, 8, SEGUE_WRITE, 0, 77);
    assert_int_equal(kept, (uintptr_t)memory + 504);
    segue_counters_read(&after);
    assert_int_equal(after.done - before.done, 9);
    assert_int_equal(after.faults - before.faults, 9);
    open_region(&one);
}

static void locked_sixteen_bytes_are_told(void **state)
{
    volatile uint64_t *alias = one.alias;
    uint64_t low = 1, high = 2;
    uint8_t equal;
    (void)state;
    if (!__builtin_cpu_supports("sse3"))
        skip();
    close_region(&one, step_and_tell);
    alias[0] = 1;
    alias[1] = 2;
    __asm__ volatile("lock cmpxchg16b (%3); sete %0"
                     : "=q"(equal), "+a"(low), "+d"(high)
                     : "r"(one.memory), "b"((uint64_t)3), "c"((uint64_t)4)
                     : "memory", "cc");
    assert_int_equal(equal, 1);
    assert_int_equal(alias[0], 3);
    assert_int_equal(alias[1], 4);
    assert_int_equal(told_count, 1);
    assert_int_equal(told[0].size, 16);
    assert_int_equal(told[0].before[8], 2);
    assert_int_equal(told[0].after[8], 4);
    open_region(&one);
}

/* Lanes in two regions and outside, one of them twice. */
static void gather_is_told_lane_by_lane(void **state)
{
    static uint32_t ordinary = 33;
    uint64_t base = (uint64_t)(uintptr_t)one.memory;
    int64_t indices[4] = {0, (int64_t)((uintptr_t)two.memory - base), 8, (int64_t)((uintptr_t)&ordinary - base)};
    uint32_t result[4] = {0};
    (void)state;
    if (!__builtin_cpu_supports("avx2"))
        skip();
    close_region(&one, step_and_tell);
    close_region(&two, step_and_tell);
    ((volatile uint32_t *)one.alias)[0] = 11;
    ((volatile uint32_t *)one.alias)[2] = 12;
    ((volatile uint32_t *)two.alias)[0] = 22;
    __asm__ volatile("vmovdqu (%1), %%ymm1; vpcmpeqd %%xmm2, %%xmm2, %%xmm2; vpgatherqd %%xmm2, (%2,%%ymm1), %%xmm0;"
                     "vmovdqu %%xmm0, (%0); vzeroupper"
                     :
                     : "r"(result), "r"(indices), "r"(base)
                     : "memory", "xmm0", "xmm1", "xmm2");
    assert_int_equal(result[0], 11);
    assert_int_equal(result[1], 22);
    assert_int_equal(result[2], 12);
    assert_int_equal(result[3], 33);
    assert_int_equal(told_count, 4);
    is_told(1, two.memory, 4, SEGUE_READ, 22, 22);
    is_told(3, &ordinary, 4, SEGUE_READ, 33, 33);
    open_region(&one);
    open_region(&two);
}

static uint64_t bytes_read, bytes_written;

static void count_bytes(void *context, const struct segue_value *value)
{
    (void)context;
    assert_true(value->size <= PAGE);
    if (value->direction & SEGUE_READ)
        bytes_read += value->size;
    if (value->direction & SEGUE_WRITE) {
        bytes_written += value->size;
        for (uint32_t i = 0; i < value->size; i++)
            assert_int_equal(((const uint8_t *)value->after)[i], 0x5a);
    }
}

static enum segue_verdict step_and_count(void *context, const struct segue_event *event)
{
    (void)context;
    asked++;
    return segue_event_step(event, count_bytes, NULL) == SEGUE_OK ? SEGUE_DONE : SEGUE_PASS;
}

/* A string between two regions with one policy: it answers for both, and is asked once a part. */
static void string_is_told_in_parts_of_a_page(void **state)
{
    void *to = one.memory, *from = two.memory;
    size_t count = 10 * PAGE;
    (void)state;
    close_region(&one, step_and_count);
    close_region(&two, step_and_count);
    memset(two.alias, 0x5a, count);
    bytes_read = bytes_written = 0;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count)::"memory");
    assert_int_equal(count, 0);
    assert_int_equal(bytes_read, 10 * PAGE);
    assert_int_equal(bytes_written, 10 * PAGE);
    assert_int_equal(asked, 10);
    assert_memory_equal(one.alias, two.alias, 10 * PAGE);
    /* Overlapping, so that what is stored is loaded again; backwards; and until something is found. */
    memset(two.alias, 0x5a, 1);
    memset((char *)two.alias + 1, 0, 99);
    from = two.memory;
    to = (char *)two.memory + 1;
    count = 99;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count)::"memory");
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(((uint8_t *)two.alias)[i], 0x5a);
    memset(one.alias, 0, 200);
    from = (char *)two.memory + 99;
    to = (char *)one.memory + 99;
    count = 100;
    __asm__ volatile("std; rep movsb; cld" : "+D"(to), "+S"(from), "+c"(count)::"memory");
    assert_memory_equal(one.alias, two.alias, 100);
    memset(one.alias, 1, 50);
    to = one.memory;
    count = 1000;
    bytes_read = 0;
    __asm__ volatile("repe scasb" : "+D"(to), "+c"(count) : "a"(1) : "memory", "cc");
    assert_int_equal(count, 1000 - 51);
    open_region(&one);
    open_region(&two);
}

/* A lost update, or a value that was no value of the word, would show. */
#define ADDERS 4
#define ADDITIONS 5000

static uint8_t seen_before[ADDERS * ADDITIONS + 1];

static void note_addition(void *context, const struct segue_value *value)
{
    uint64_t before, after;
    (void)context;
    memcpy(&before, value->before, 8);
    memcpy(&after, value->after, 8);
    if (after == before + 1 && before < sizeof seen_before)
        __atomic_fetch_add(&seen_before[before], 1, __ATOMIC_RELAXED);
}

static enum segue_verdict step_and_note_addition(void *context, const struct segue_event *event)
{
    (void)context;
    return segue_event_step(event, note_addition, NULL) == SEGUE_OK ? SEGUE_DONE : SEGUE_PASS;
}

static void *add_often(void *unused)
{
    for (unsigned i = 0; i < ADDITIONS; i++)
        __asm__ volatile("lock incq (%0)" ::"r"(one.memory) : "memory", "cc");
    return unused;
}

static void locked_values_are_those_of_the_operation(void **state)
{
    pthread_t threads[ADDERS];
    (void)state;
    memset(seen_before, 0, sizeof seen_before);
    close_region(&one, step_and_note_addition);
    for (unsigned i = 0; i < ADDERS; i++)
        pthread_create(&threads[i], NULL, add_often, NULL);
    for (unsigned i = 0; i < ADDERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(*(volatile uint64_t *)one.alias, ADDERS * ADDITIONS);
    for (unsigned i = 0; i < ADDERS * ADDITIONS; i++)
        assert_int_equal(seen_before[i], 1);
    open_region(&one);
}

static const struct segue_event *kept_event;

static enum segue_verdict preview_and_step(void *context, const struct segue_event *event)
{
    (void)context;
    kept_event = event;
    told_count = 0;
    assert_int_equal(segue_event_preview(event, note_value, NULL), SEGUE_OK);
    assert_int_equal(segue_event_preview(event, NULL, NULL), SEGUE_INVALID);
    assert_int_equal(*(volatile uint64_t *)one.alias, 40);
    return SEGUE_STEP;
}

static void preview_changes_nothing(void **state)
{
    (void)state;
    close_region(&one, preview_and_step);
    *(volatile uint64_t *)one.alias = 40;
    __asm__ volatile("lock addq $2, (%0)" ::"r"(one.memory) : "memory", "cc");
    is_told(0, one.memory, 8, SEGUE_READ | SEGUE_WRITE, 40, 42);
    assert_int_equal(*(volatile uint64_t *)one.alias, 42);
    assert_int_equal(segue_event_step(kept_event, NULL, NULL), SEGUE_INVALID);
    assert_int_equal(segue_event_step(NULL, NULL, NULL), SEGUE_INVALID);
    assert_int_equal(segue_event_preview(kept_event, note_value, NULL), SEGUE_INVALID);
    open_region(&one);
}

/* ---- words ---------------------------------------------------------------------------------------------------- */

static struct segue_words words_told[8];
static unsigned words_count, words_of_access;

static enum segue_verdict note_words(void *context, const struct segue_event *event)
{
    (void)context;
    if (asked++)
        return SEGUE_STEP;
    struct segue_words words = segue_event_footprint(event);
    while (segue_words_next(&words)) {
        assert_true(words_count < 8);
        words_told[words_count++] = words;
    }
    words = segue_event_words(event);
    while (segue_words_next(&words))
        words_of_access++;
    kept_event = event;
    return SEGUE_STEP;
}

static void is_word(unsigned number, const struct segue_mapping *mapping, size_t offset, uint8_t direction)
{
    assert_ptr_equal((void *)(uintptr_t)words_told[number].address, (char *)mapping->memory + offset);
    assert_ptr_equal(words_told[number].at, (char *)mapping->alias + offset);
    assert_int_equal(words_told[number].direction, direction);
}

/* A string from one region to another, not aligned in either, and with bytes outside: each word once, lowest first. */
static void words_of_the_footprint_are_told_once(void **state)
{
    const struct segue_mapping *low = one.memory < two.memory ? &one : &two, *high = low == &one ? &two : &one;
    void *to = (char *)high->memory + 5, *from = (char *)low->memory + 14;
    size_t count = 12;
    struct segue_words none;
    (void)state;
    close_region(&one, note_words);
    close_region(&two, note_words);
    words_count = words_of_access = 0;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count)::"memory");
    assert_int_equal(words_count, 6);
    is_word(0, low, 8, SEGUE_READ);
    is_word(1, low, 16, SEGUE_READ);
    is_word(2, low, 24, SEGUE_READ);
    is_word(3, high, 0, SEGUE_WRITE);
    is_word(4, high, 8, SEGUE_WRITE);
    is_word(5, high, 16, SEGUE_WRITE);
    assert_int_equal(words_of_access, 3);
    none = segue_event_footprint(kept_event);
    assert_false(segue_words_next(&none));
    /* Both operands in one word, and one access that is partly elsewhere. */
    asked = words_count = 0;
    to = (char *)low->memory + 1;
    from = (char *)low->memory + 4;
    __asm__ volatile("movsw" : "+D"(to), "+S"(from)::"memory");
    assert_int_equal(words_count, 1);
    is_word(0, low, 0, SEGUE_READ | SEGUE_WRITE);
    open_region(&one);
    open_region(&two);
}

static void words_of_a_plan_keep_to_the_range(void **state)
{
    static const unsigned char code[] = {0x0f, 0x10, 0x03}; /* movups xmm0, [rbx] */
    static _Alignas(64) uint64_t memory[8];
    struct segue_insn insn;
    struct segue_plan plan;
    _Alignas(64) static unsigned char area[1024];
    struct segue_xstate xstate = {.area = area, .size = sizeof area, .features = 3};
    struct segue_regs regs = {.rbx = (uint64_t)(uintptr_t)memory + 4, .rflags = 2};
    uint64_t base = (uint64_t)(uintptr_t)memory;
    unsigned count = 0;
    (void)state;
    assert_int_equal(segue_decode(SEGUE_MODE_64, code, sizeof code, &insn), SEGUE_OK);
    assert_int_equal(segue_plan(&insn, &regs, &xstate, NULL, NULL, 0, &plan), SEGUE_OK);
    assert_true(segue_plan_within(&plan, base, 64));
    assert_true(segue_plan_within(&plan, base + 4, 16));
    assert_false(segue_plan_within(&plan, base + 4, 15));
    assert_false(segue_plan_within(&plan, base + 5, 64));
    assert_false(segue_plan_within(NULL, 0, UINT64_MAX));
    struct segue_words words = segue_plan_words(&plan, base, 64);
    for (; segue_words_next(&words); count++) {
        assert_int_equal(words.address, base + 8 * count);
        assert_ptr_equal(words.at, &memory[count]);
    }
    assert_int_equal(count, 3);
    words = segue_plan_words(&plan, base + 8, 8);
    assert_true(segue_words_next(&words));
    assert_int_equal(words.address, base + 8);
    assert_false(segue_words_next(&words));
    assert_false(segue_words_next(&words));
    words = segue_plan_words(&plan, base + 32, 64);
    assert_false(segue_words_next(&words));
    words = segue_plan_words(NULL, base, 64);
    assert_false(segue_words_next(&words));
    words = segue_plan_words(&plan, base, 0);
    assert_false(segue_words_next(&words));
}

/* With a plan of one's own. */
static void step_values_and_preview_need_no_handler_of_ours(void **state)
{
    static const unsigned char code[] = {0xf0, 0x48, 0x0f, 0xc1, 0x03};
    uint64_t word = 10;
    struct segue_insn insn;
    struct segue_plan plan;
    struct segue_regs regs = {.rbx = (uint64_t)(uintptr_t)&word, .rax = 4, .rflags = 2};
    (void)state;
    assert_int_equal(segue_decode(SEGUE_MODE_64, code, sizeof code, &insn), SEGUE_OK);
    assert_int_equal(segue_plan(&insn, &regs, NULL, NULL, NULL, 0, &plan), SEGUE_OK);
    told_count = 0;
    assert_int_equal(segue_step_preview(&plan, &regs, NULL, note_value, NULL), SEGUE_OK);
    is_told(0, &word, 8, SEGUE_READ | SEGUE_WRITE, 10, 14);
    assert_int_equal(word, 10);
    assert_int_equal(regs.rax, 4);
    told_count = 0;
    assert_int_equal(segue_step_values(&plan, &regs, NULL, NULL, note_value, NULL), SEGUE_OK);
    is_told(0, &word, 8, SEGUE_READ | SEGUE_WRITE, 10, 14);
    assert_int_equal(word, 14);
    assert_int_equal(regs.rax, 10);
    assert_int_equal(segue_step_values(NULL, &regs, NULL, NULL, note_value, NULL), SEGUE_INVALID);
    assert_int_equal(segue_step_preview(&plan, &regs, NULL, NULL, NULL), SEGUE_INVALID);
}

/* What calls before have left on the stack, which a step that begins with it would take for its own. */
static __attribute__((noinline)) void fill_stack(int byte)
{
    volatile unsigned char below[1 << 16];
    for (size_t i = 0; i < sizeof below; i++)
        below[i] = (unsigned char)byte;
}

static void step_values_do_not_count_on_what_is_on_the_stack(void **state)
{
    static const unsigned char code[] = {0x48, 0x01, 0x03}; /* add [rbx], rax */
    static const int bytes[] = {0, 0x01, 0x41, 0x7f, 0xff};
    uint64_t word = 10, sum = 10;
    struct segue_insn insn;
    struct segue_plan plan;
    (void)state;
    assert_int_equal(segue_decode(SEGUE_MODE_64, code, sizeof code, &insn), SEGUE_OK);
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        struct segue_regs regs = {.rbx = (uint64_t)(uintptr_t)&word, .rax = 4, .rflags = 2};
        assert_int_equal(segue_plan(&insn, &regs, NULL, NULL, NULL, 0, &plan), SEGUE_OK);
        assert_int_equal(plan.engine, SEGUE_ENGINE_REPLAY);
        told_count = 0;
        fill_stack(bytes[i]);
        assert_int_equal(segue_step_preview(&plan, &regs, NULL, note_value, NULL), SEGUE_OK);
        is_told(0, &word, 8, SEGUE_READ | SEGUE_WRITE, sum, sum + 4);
        assert_int_equal(word, sum);
        told_count = 0;
        fill_stack(bytes[i]);
        assert_int_equal(segue_step_values(&plan, &regs, NULL, NULL, note_value, NULL), SEGUE_OK);
        is_told(0, &word, 8, SEGUE_READ | SEGUE_WRITE, sum, sum + 4);
        sum += 4;
        assert_int_equal(word, sum);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(step_in_a_policy_tells_what_it_read_and_wrote),
        TEST(locked_sixteen_bytes_are_told),
        TEST(gather_is_told_lane_by_lane),
        TEST(string_is_told_in_parts_of_a_page),
        TEST(locked_values_are_those_of_the_operation),
        TEST(preview_changes_nothing),
        TEST(words_of_the_footprint_are_told_once),
        TEST(words_of_a_plan_keep_to_the_range),
        TEST(step_values_and_preview_need_no_handler_of_ours),
        TEST(step_values_do_not_count_on_what_is_on_the_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
