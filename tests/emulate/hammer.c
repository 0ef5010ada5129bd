/* hammer.c: what is indivisible stays so. Two threads work on the same memory, one stepped through a closed page, one
 * directly: no update of a locked operation is lost, and no aligned access is seen half done.
 *
 * SEGUE_HAMMER_OPERATIONS: how many operations each of the tests makes in all, instead of 200,000. */
#include "tests/support/test.h"

#include <pthread.h>
#include <segue/segue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE 4096u
#define OPERATIONS 200000u
/* Where the system, the hypervisor or the processor makes each operation slow on purpose, by milliseconds: so much
 * time, but so many operations of each thread at least. */
#define PATIENCE_SECONDS 3
#define OPERATIONS_IF_SLOW 20u
/* Eight bytes of which the middle is at the end of a line of the cache, or of a page. */
#define ACROSS_LINES 60u
#define ACROSS_PAGES (PAGE - 4u)

static struct segue_mapping mapping;
static uint64_t operations = OPERATIONS;
static bool is_slowed;

static int setup(void **state)
{
    (void)state;
    return segue_mapping_create(NULL, 2 * PAGE, &mapping) == SEGUE_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return segue_mapping_destroy(&mapping) == SEGUE_OK ? 0 : -1;
}

/* cmocka has handlers of its own in force around a test's body, so the library comes in within it. */
static void begin(void)
{
    struct segue_region region = {
        .window = {.base = (uint64_t)(uintptr_t)mapping.memory,
                   .size = mapping.size,
                   .kind = SEGUE_WINDOW_ALIAS,
                   .alias = mapping.alias},
    };
    memset(mapping.alias, 0, mapping.size);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(mprotect(mapping.memory, mapping.size, PROT_NONE), 0);
}

static void end(void)
{
    mprotect(mapping.memory, mapping.size, PROT_READ | PROT_WRITE);
    assert_int_equal(segue_region_remove(mapping.memory), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

/* ---- no update is lost ------------------------------------------------------------------------------------------ */

typedef void update_function(char *place);

static void increment(char *place)
{
    __asm__ volatile("lock incq (%0)" : : "r"(place) : "memory", "cc");
}

static void exchange_and_add(char *place)
{
    uint64_t one = 1;
    __asm__ volatile("lock xaddq %0, (%1)" : "+r"(one) : "r"(place) : "memory", "cc");
}

static void compare_and_exchange_16(char *place)
{
    uint64_t old = 0, high = 0;
    uint8_t done;
    do {
        uint64_t next = old + 1, next_high = high + (next == 0);
        __asm__ volatile("lock cmpxchg16b (%3); sete %0"
                         : "=q"(done), "+a"(old), "+d"(high)
                         : "r"(place), "b"(next), "c"(next_high)
                         : "memory", "cc");
    } while (!done);
}

/* Eight bytes behind the counter is a lock; the counter itself is updated by plain operations. */
static void exchange(char *place)
{
    uint64_t taken = 1;
    do
        __asm__ volatile("xchgq %0, 8(%1)" : "+r"(taken) : "r"(place) : "memory");
    while (taken);
    __asm__ volatile("addq $1, (%0)\n movq $0, 8(%0)" : : "r"(place) : "memory", "cc");
}

static time_t seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

struct hammer {
    update_function *update;
    char *place;
    uint64_t done;
    /* Goes on at least until this is set. */
    const bool *stop;
};

static void *hammer(void *argument)
{
    struct hammer *work = argument;
    uint64_t least = operations / 2;
    time_t end = seconds() + PATIENCE_SECONDS;
    while (work->done < least || !__atomic_load_n(work->stop, __ATOMIC_ACQUIRE)) {
        work->update(work->place);
        work->done++;
        if (is_slowed && work->done >= OPERATIONS_IF_SLOW && seconds() > end)
            least = work->done;
    }
    return NULL;
}

/* Both threads update the word at that offset: the other one, by the open view, as long as this one is at it. */
static void no_update_is_lost(update_function *update, size_t offset)
{
    bool stop = false, at_once = true;
    uint64_t count;
    struct hammer stepped = {update, (char *)mapping.memory + offset, 0, &at_once};
    struct hammer direct = {update, (char *)mapping.alias + offset, 0, &stop};
    struct segue_counters before, after;
    pthread_t thread;
    begin();
    segue_counters_read(&before);
    assert_int_equal(pthread_create(&thread, NULL, hammer, &direct), 0);
    hammer(&stepped);
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    segue_counters_read(&after);
    memcpy(&count, direct.place, sizeof count);
    assert_int_equal(count, stepped.done + direct.done);
    assert_true(after.stepped - before.stepped >= stepped.done);
    assert_int_equal(after.stepped - before.stepped, after.faults - before.faults);
    print_message("%llu stepped, %llu direct\n", (unsigned long long)stepped.done, (unsigned long long)direct.done);
    end();
}

static void locked_increments_lose_no_update(void **state)
{
    (void)state;
    no_update_is_lost(increment, 64);
}

static void locked_exchange_and_add_loses_no_update(void **state)
{
    (void)state;
    no_update_is_lost(exchange_and_add, 64);
}

static void locked_compare_and_exchange_of_16_bytes_loses_no_update(void **state)
{
    (void)state;
    no_update_is_lost(compare_and_exchange_16, 64);
}

static void exchanges_keep_a_lock(void **state)
{
    (void)state;
    no_update_is_lost(exchange, 64);
}

/* Some systems and machines make each of these slow on purpose (docs/facts.md), so they are fewer. */
static void locked_operations_across_lines_and_pages_lose_no_update(void **state)
{
    uint64_t kept = operations;
    (void)state;
    operations /= 10;
    is_slowed = true;
    no_update_is_lost(increment, ACROSS_LINES);
    no_update_is_lost(exchange_and_add, ACROSS_LINES);
    no_update_is_lost(increment, ACROSS_PAGES);
    operations = kept;
    is_slowed = false;
}

/* ---- no access is seen half done -------------------------------------------------------------------------------- */

/* Stores the pattern in all bytes of an operand, or loads the operand. */
typedef void store_function(char *place, uint64_t pattern);
typedef void load_function(const char *place, uint64_t words[2]);

static void store_8(char *place, uint64_t pattern)
{
    __asm__ volatile("movq %1, (%0)" : : "r"(place), "r"(pattern) : "memory");
}

/* Its halves, each as a whole. */
static void load_8(const char *place, uint64_t words[2])
{
    uint64_t value;
    __asm__ volatile("movq (%1), %0" : "=r"(value) : "r"(place) : "memory");
    words[0] = (uint32_t)value;
    words[1] = value >> 32;
}

static void store_sse(char *place, uint64_t pattern)
{
    __asm__ volatile("movq %1, %%xmm0\n punpcklqdq %%xmm0, %%xmm0\n movaps %%xmm0, (%0)"
                     :
                     : "r"(place), "r"(pattern)
                     : "xmm0", "memory");
}

static void load_sse(const char *place, uint64_t words[2])
{
    __asm__ volatile("movaps (%0), %%xmm0\n movups %%xmm0, (%1)" : : "r"(place), "r"(words) : "xmm0", "memory");
}

__attribute__((target("avx"))) static void store_avx(char *place, uint64_t pattern)
{
    __asm__ volatile("vmovq %1, %%xmm0\n vpunpcklqdq %%xmm0, %%xmm0, %%xmm0\n vmovdqa %%xmm0, (%0)"
                     :
                     : "r"(place), "r"(pattern)
                     : "xmm0", "memory");
}

__attribute__((target("avx"))) static void load_avx(const char *place, uint64_t words[2])
{
    __asm__ volatile("vmovdqa (%0), %%xmm0\n vmovdqu %%xmm0, (%1)" : : "r"(place), "r"(words) : "xmm0", "memory");
}

struct writer {
    store_function *store;
    char *place;
    const bool *stop;
};

static void *write_patterns(void *argument)
{
    const struct writer *writer = argument;
    for (uint64_t i = 0; !__atomic_load_n(writer->stop, __ATOMIC_ACQUIRE); i++)
        writer->store(writer->place, i & 1 ? UINT64_MAX : 0);
    return NULL;
}

static void nothing_is_torn(store_function *store, char *written, load_function *load, const char *read)
{
    bool stop = false;
    struct writer writer = {store, written, &stop};
    uint64_t seen[2] = {0, 0};
    pthread_t thread;
    begin();
    assert_int_equal(pthread_create(&thread, NULL, write_patterns, &writer), 0);
    uint64_t torn = 0, least = operations / 4;
    /* Until the other thread has been seen at work, too. */
    for (uint64_t i = 0; i < least || !seen[0] || !seen[1]; i++) {
        uint64_t words[2];
        load(read, words);
        torn += words[0] != words[1];
        seen[words[0] != 0]++;
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    end();
    assert_int_equal(torn, 0);
}

static void nothing_is_torn_either_way(store_function *store, load_function *load)
{
    char *closed = (char *)mapping.memory + 128, *open = (char *)mapping.alias + 128;
    nothing_is_torn(store, open, load, closed);
    nothing_is_torn(store, closed, load, open);
}

static void aligned_moves_of_8_bytes_are_not_torn(void **state)
{
    (void)state;
    nothing_is_torn_either_way(store_8, load_8);
}

/* Processors with AVX promise it (SDM volume 3, 9.1.1; AMD APM volume 2, 7.3.2). */
static void aligned_vectors_of_16_bytes_are_not_torn(void **state)
{
    (void)state;
    if (!__builtin_cpu_supports("avx"))
        skip();
    nothing_is_torn_either_way(store_sse, load_sse);
    nothing_is_torn_either_way(store_avx, load_avx);
}

/* ---- what cannot be indivisible is refused ---------------------------------------------------------------------- */

static enum segue_status read_nothing(void *context, uint64_t address, void *bytes, size_t size)
{
    (void)context, (void)address, (void)bytes, (void)size;
    return SEGUE_OK;
}

static enum segue_status write_nothing(void *context, uint64_t address, const void *bytes, size_t size)
{
    (void)context, (void)address, (void)bytes, (void)size;
    return SEGUE_OK;
}

struct encoding {
    uint8_t length;
    uint8_t bytes[8];
};

static enum segue_status plan_through(const struct encoding *encoding, enum segue_window_kind kind,
                                      struct segue_plan *plan)
{
    struct segue_window window = {
        .base = PAGE, .size = PAGE, .kind = kind, .read = read_nothing, .write = write_nothing};
    struct segue_regs regs = {.rbx = PAGE, .rflags = 0x202};
    struct segue_insn insn;
    static _Alignas(64) char area[4096];
    struct segue_xstate xstate = {.area = area, .size = sizeof area, .features = 0xe7};
    assert_int_equal(segue_decode(SEGUE_MODE_64, encoding->bytes, encoding->length, &insn), SEGUE_OK);
    return segue_plan(&insn, &regs, &xstate, NULL, &window, 1, plan);
}

static void locked_operations_are_refused_by_windows_that_cannot_do_them(void **state)
{
    static const struct encoding locked[] = {
        {4, {0xf0, 0x48, 0xff, 0x03}},             /* lock inc [rbx] */
        {5, {0xf0, 0x48, 0x0f, 0xc1, 0x03}},       /* lock xadd [rbx], rax */
        {5, {0xf0, 0x48, 0x0f, 0xc7, 0x0b}},       /* lock cmpxchg16b [rbx] */
        {3, {0x48, 0x87, 0x03}},                   /* xchg [rbx], rax */
        {5, {0xf0, 0x48, 0x0f, 0xb1, 0x03}},       /* lock cmpxchg [rbx], rax */
        {6, {0xf0, 0x48, 0x0f, 0xba, 0x2b, 0x05}}, /* lock bts [rbx], 5 */
    };
    static const enum segue_window_kind kinds[] = {SEGUE_WINDOW_CALLBACK, SEGUE_WINDOW_FORCED};
    static struct segue_plan plan;
    (void)state;
    if (segue_forced_prepare() != SEGUE_OK)
        skip();
    begin();
    for (size_t i = 0; i < sizeof locked / sizeof *locked; i++)
        for (size_t k = 0; k < 2; k++) {
            assert_int_equal(plan_through(&locked[i], kinds[k], &plan), SEGUE_UNSUPPORTED);
            assert_string_equal(plan.refusal, "it is one atomic operation, which this window cannot do");
            assert_int_equal(plan.engine, SEGUE_ENGINE_NONE);
        }
    end();
}

static void plans_of_plain_accesses_say_what_is_not_atomic(void **state)
{
    static const struct encoding plain[] = {
        {3, {0x48, 0x8b, 0x03}},       /* mov rax, [rbx] */
        {3, {0x0f, 0x28, 0x03}},       /* movaps xmm0, [rbx] */
        {4, {0xc5, 0xf9, 0x6f, 0x03}}, /* vmovdqa xmm0, [rbx] */
    };
    static struct segue_plan plan;
    (void)state;
    if (segue_forced_prepare() != SEGUE_OK)
        skip();
    begin();
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        assert_int_equal(plan_through(&plain[i], SEGUE_WINDOW_FORCED, &plan), SEGUE_OK);
        assert_true(plan.flags & SEGUE_PLAN_NOT_ATOMIC);
        assert_int_equal(plan_through(&plain[i], SEGUE_WINDOW_EXPOSED, &plan), SEGUE_OK);
        assert_false(plan.flags & SEGUE_PLAN_NOT_ATOMIC);
    }
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locked_increments_lose_no_update),
        cmocka_unit_test(locked_exchange_and_add_loses_no_update),
        cmocka_unit_test(locked_compare_and_exchange_of_16_bytes_loses_no_update),
        cmocka_unit_test(exchanges_keep_a_lock),
        cmocka_unit_test(locked_operations_across_lines_and_pages_lose_no_update),
        cmocka_unit_test(aligned_moves_of_8_bytes_are_not_torn),
        cmocka_unit_test(aligned_vectors_of_16_bytes_are_not_torn),
        cmocka_unit_test(locked_operations_are_refused_by_windows_that_cannot_do_them),
        cmocka_unit_test(plans_of_plain_accesses_say_what_is_not_atomic),
    };
    const char *wanted = getenv("SEGUE_HAMMER_OPERATIONS");
    if (wanted)
        operations = strtoull(wanted, NULL, 10);
    return cmocka_run_group_tests(tests, setup, teardown);
}
