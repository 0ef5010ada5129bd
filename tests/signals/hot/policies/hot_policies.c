/* hot_policies.c: which accesses hot policies are asked about, what they are shown, and how they change. */
#include "decode/x86/flags.h"
#include "decode/x86/xsave.h"
#include "policies_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

static int policies_are_asked_about_each_access(void)
{
    make_memory();
    struct segue_region region = region_with_policy(SEGUE_REGION_HOT_GENERAL);
    begin(&region);
    uint64_t wanted = sites_sum(memory.alias, 100);
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(asked + asked_ordinarily, 100 * ROUNDS);
    assert_in_range(asked_ordinarily, 0, 10);
    assert_int_equal(last_address, (uint64_t)(uintptr_t)memory.memory + 99 * 8);
    assert_int_equal(last_size, 8);
    assert_int_equal(last_direction, SEGUE_READ);
    assert_in_range(last_site - (uint64_t)(uintptr_t)sites_sum, 1, 4);
    sites_modify(memory.memory);
    uint64_t before = asked + asked_ordinarily;
    sites_modify(memory.memory);
    assert_int_equal(asked + asked_ordinarily - before, 6);
    /* Another answer: the ordinary policy gets it. */
    wants_ordinary = 1;
    before = asked_ordinarily;
    wanted = sites_sum(memory.alias, 100);
    assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(asked_ordinarily - before, 100);
    return 0;
}

#define SAMPLE 8u

static int sampled_policies_are_asked_about_some_and_count_all(void)
{
    make_memory();
    struct segue_region region = region_with_policy(SEGUE_REGION_HOT_GENERAL), found;
    region.sample = SAMPLE;
    begin(&region);
    assert_int_equal(segue_region_find(memory.memory, &found), SEGUE_OK);
    assert_int_equal(found.sample, SAMPLE);
    uint64_t wanted = sites_sum(memory.alias, 100);
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(sites_sum(memory.memory, 100), wanted);
    uint64_t sampled = counted();
    assert_int_equal(sampled + asked_ordinarily, 100 * ROUNDS);
    assert_int_equal(asked, sampled / SAMPLE);
    assert_in_range(asked_ordinarily, 0, 10);
    /* Another answer: the ordinary policy gets the access, which is not counted here. */
    wants_ordinary = 1;
    uint64_t ordinary = asked_ordinarily;
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(counted() + asked_ordinarily, 200 * ROUNDS);
    assert_in_range(asked_ordinarily - ordinary, 100 * ROUNDS / SAMPLE, 100 * ROUNDS / SAMPLE + 1);
    /* Each access, again. */
    wants_ordinary = 0;
    region.sample = 1;
    assert_int_equal(segue_region_update(&region), SEGUE_OK);
    sites_sum(memory.memory, 100);
    uint64_t before = asked + asked_ordinarily;
    sites_sum(memory.memory, 100);
    assert_int_equal(asked + asked_ordinarily - before, 100);
    return 0;
}

static int samples_are_powers_of_two_and_of_hot_policies(void)
{
    make_memory();
    struct segue_region region = region_with_policy(SEGUE_REGION_HOT_GENERAL);
    region.sample = 12;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    assert_string_equal(segue_reason(), "region.sample is not a power of two");
    region = region_with(SEGUE_REGION_COUNT);
    region.sample = 8;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region.flags = 0;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = region_with_policy(SEGUE_REGION_HOT_GENERAL);
    region.sample = UINT32_C(1) << 31;
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    return 0;
}

static SEGUE_HOT_POLICY enum segue_verdict count_hot(void *context, const struct segue_hot_event *event)
{
    (void)event;
    __atomic_fetch_add((uint64_t *)context, 1, __ATOMIC_RELAXED);
    return SEGUE_STEP;
}

static enum segue_verdict count_ordinary(void *context, const struct segue_event *event)
{
    (void)event;
    __atomic_fetch_add((uint64_t *)context + 1, 1, __ATOMIC_RELAXED);
    return SEGUE_STEP;
}

static void *sum_often(void *wanted)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        if (sites_sum(memory.memory, 100) != *(const uint64_t *)wanted)
            return wanted;
    return NULL;
}

/* Without signals each number is taken once, by whichever thread. */
static int samples_of_threads_are_exact(void)
{
    static uint64_t questions[2];
    pthread_t threads[4];
    void *wrong;
    make_memory();
    uint64_t wanted = sites_sum(memory.alias, 100);
    struct segue_region region = region_with_policy(SEGUE_REGION_HOT_GENERAL);
    region.hot_policy = count_hot;
    region.policy = count_ordinary;
    region.context = questions;
    region.sample = SAMPLE;
    begin(&region);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sum_often, &wanted), 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    uint64_t sampled = counted();
    assert_int_equal(sampled + questions[1], 400 * ROUNDS);
    /* A thread's first question finds no place for the thread, and comes by a fault. */
    assert_in_range(questions[0], sampled / SAMPLE - 8, sampled / SAMPLE);
    return 0;
}

static int policies_are_shown_what_a_mask_selects(void)
{
    if (!has_masks())
        return CASE_SKIPPED;
    make_memory();
    struct segue_region region = region_with_policy(SEGUE_REGION_HOT_GENERAL);
    begin(&region);
    sites_load_masked(memory.memory, 1);
    char *at = (char *)memory.memory + 8;
    for (unsigned i = 0; i < MASKS; i++) {
        uint64_t mask = masks[i] & 0xffffffff, before = asked, ordinary = asked_ordinarily;
        assert_int_equal(sites_load_masked(at, masks[i]), sites_load_masked((char *)memory.alias + 8, masks[i]));
        /* One question for each row of ones. */
        uint64_t rows = 0;
        for (uint64_t left = mask, last = 0; left; last = left & 1, left >>= 1)
            rows += (left & 1) && !last;
        assert_int_equal(asked - before, rows);
        assert_int_equal(asked_ordinarily, ordinary);
        if (!mask)
            continue;
        /* The last one is the highest. */
        unsigned end = 64 - (unsigned)__builtin_clzll(mask), first = end;
        while (first && mask >> (first - 1) & 1)
            first--;
        assert_int_equal(last_address, (uint64_t)(uintptr_t)at + first);
        assert_int_equal(last_size, end - first);
    }
    return 0;
}

static __attribute__((target("sse2"))) enum segue_verdict vector_policy(void *context,
                                                                        const struct segue_hot_event *event)
{
    volatile double ruin = (double)event->address;
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\tpcmpeqd %%xmm15, %%xmm15\n\tfninit" ::: "xmm0", "xmm15");
    ruin *= 2;
    (void)ruin;
    *(volatile uint64_t *)context += 1;
    return event->regs && event->regs->rdi == event->address && event->regs->rip == event->site ? SEGUE_STEP
                                                                                                : SEGUE_RETRY;
}

static int vectors_and_registers_are_kept_for_a_policy(void)
{
    static char plain[PAGE] __attribute__((aligned(PAGE)));
    make_memory();
    struct segue_region region = region_with_policy(SEGUE_REGION_HOT_REGS);
    region.hot_policy = vector_policy;
    begin(&region);
    memcpy(plain, memory.alias, PAGE);
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(sites_vectors(memory.memory), sites_vectors(plain));
    uint64_t wanted = sites_sum(memory.alias, 8), before = asked;
    asked_ordinarily = 0;
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(sites_sum(memory.memory, 8), wanted);
    assert_int_equal(asked - before + asked_ordinarily, 8 * ROUNDS);
    /* Without XSAVEC no body can call it, and the ordinary policy is asked. */
    if (xsave_can_compact())
        assert_in_range(asked_ordinarily, 0, 20);
    else
        assert_int_equal(asked_ordinarily, 8 * ROUNDS);
    return 0;
}

static volatile int nesting, changed_events;

static void ask_inside(int number)
{
    (void)number;
    sites_load_three((char *)memory.memory + 64);
}

/* In the first question a handler comes that asks as well. */
static enum segue_verdict nesting_policy(void *context, const struct segue_hot_event *event)
{
    const struct segue_hot_event before = *event;
    *(volatile uint64_t *)context += 1;
    if (nesting++ == 0)
        raise(SIGUSR2);
    nesting--;
    changed_events += memcmp(&before, event, sizeof before) != 0 || before.region->hot_policy != nesting_policy;
    return SEGUE_STEP;
}

static int policies_may_be_asked_inside_one(void)
{
    make_memory();
    struct segue_region region = region_with_policy(0);
    region.hot_policy = nesting_policy;
    begin(&region);
    signal(SIGUSR2, ask_inside);
    sites_load_three(memory.memory);
    uint64_t wanted = sites_sum(memory.alias, 100);
    for (unsigned i = 0; i < 10; i++)
        sites_sum(memory.memory, 100);
    uint64_t before = asked, ordinary = asked_ordinarily;
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(asked - before, 2 * 100 * ROUNDS);
    assert_int_equal(asked_ordinarily, ordinary);
    assert_int_equal(changed_events, 0);
    /* No thread is in a policy now: this ends. */
    assert_int_equal(segue_region_remove(memory.memory), SEGUE_OK);
    return 0;
}

/* More threads than have an asker (signals/hot/ask/ask.c): the others ask the ordinary policy. */
#define THREADS 4200u
#define ASKERS 4096u
static pthread_barrier_t all_have_asked;

static void *ask_and_wait(void *unused)
{
    for (unsigned i = 0; i < 3; i++)
        if (sites_load_three(memory.memory) != *(volatile uint64_t *)memory.alias)
            return &all_have_asked;
    pthread_barrier_wait(&all_have_asked);
    return unused;
}

static SEGUE_HOT_POLICY enum segue_verdict counting_policy(void *context, const struct segue_hot_event *event)
{
    (void)event;
    __atomic_fetch_add((volatile uint64_t *)context, 1, __ATOMIC_RELAXED);
    return SEGUE_STEP;
}

static enum segue_verdict ordinary_counting_policy(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    __atomic_fetch_add(&asked_ordinarily, 1, __ATOMIC_RELAXED);
    return SEGUE_STEP;
}

static int threads_without_a_place_ask_the_ordinary_policy(void)
{
    static pthread_t threads[THREADS];
    pthread_attr_t small;
    make_memory();
    struct segue_region region = region_with_policy(SEGUE_REGION_HOT_GENERAL);
    region.policy = ordinary_counting_policy;
    region.hot_policy = counting_policy;
    begin(&region);
    /* While a thread makes the site hot, all others ask the ordinary policy: so this is done before. */
    for (unsigned i = 0; i < 100 && !asked; i++)
        sites_load_three(memory.memory);
    assert_true(asked);
    asked = asked_ordinarily = 0;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    pthread_barrier_init(&all_have_asked, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], &small, ask_and_wait, NULL) != 0)
            return CASE_SKIPPED;
    for (unsigned i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_int_equal(asked + asked_ordinarily, 3 * THREADS);
    /* This thread has an asker, too. Of the others with one the first access alone. */
    assert_int_equal(asked_ordinarily, ASKERS - 1 + 3 * (THREADS - (ASKERS - 1)));
    return 0;
}

/* What a compiler may do where it knows of no alignment. */
static SEGUE_HOT_POLICY enum segue_verdict careless_policy(void *context, const struct segue_hot_event *event)
{
    static struct __attribute__((packed)) {
        uint8_t byte;
        volatile uint64_t word;
    } unaligned;
    unaligned.word++;
    return hot_policy(context, event);
}

static int alignment_checks_are_not_the_policys(uint32_t flags)
{
    const struct segue_options options = {.flags = flags};
    make_memory_with(&options);
    struct segue_region region = region_with_policy(SEGUE_REGION_HOT_GENERAL);
    region.hot_policy = careless_policy;
    begin(&region);
    for (unsigned i = 0; i < 20; i++)
        assert_true(sites_load_aligned(memory.memory) & FLAG_ALIGNMENT);
    assert_int_equal(asked + asked_ordinarily, 40);
    assert_in_range(asked_ordinarily, 0, 4);
    return 0;
}

static int alignment_checks_of_the_program_are_not_the_policys(void)
{
    return alignment_checks_are_not_the_policys(0);
}

/* Then the library does not see the trap, and the policy is called without the flag. */
static int alignment_checks_are_not_the_policys_without_sigbus(void)
{
    return alignment_checks_are_not_the_policys(SEGUE_INSTALL_NO_SIGBUS);
}

static int updates_take_effect(void)
{
    make_memory();
    struct segue_region region = region_with_policy(SEGUE_REGION_HOT_GENERAL);
    begin(&region);
    uint64_t wanted = sites_sum(memory.alias, 100);
    for (unsigned i = 0; i < 10; i++)
        sites_sum(memory.memory, 100);
    static uint64_t other;
    region.context = &other;
    assert_int_equal(segue_region_update(&region), SEGUE_OK);
    uint64_t before = asked;
    assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(asked, before);
    assert_int_equal(other, 100);
    /* Idle: no policy is called, and nothing faults. */
    uint64_t first = faults();
    assert_int_equal(segue_mapping_protect(&memory, 0, memory.size, SEGUE_READ | SEGUE_WRITE), SEGUE_OK);
    region.flags |= SEGUE_REGION_IDLE;
    assert_int_equal(segue_region_update(&region), SEGUE_OK);
    assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(other, 100);
    assert_int_equal(faults(), first);
    region.flags &= ~(uint32_t)SEGUE_REGION_IDLE;
    assert_int_equal(segue_region_update(&region), SEGUE_OK);
    assert_int_equal(segue_mapping_protect(&memory, 0, memory.size, 0), SEGUE_OK);
    assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(other, 200);
    assert_int_equal(faults(), first);
    /* Another way of bodies: without a policy. */
    region.policy = NULL;
    region.hot_policy = NULL;
    region.flags = SEGUE_REGION_HOT;
    assert_int_equal(segue_region_update(&region), SEGUE_OK);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(other, 200);
    assert_in_range(faults() - first, 1, 10);
    region.window.size -= PAGE;
    assert_int_equal(segue_region_update(&region), SEGUE_NOT_FOUND);
    return 0;
}

static int policies_of_many_regions_are_asked(void)
{
    struct segue_mapping mappings[8];
    begin_many(mappings, 8, region_with_policy, SEGUE_REGION_HOT_GENERAL);
    uint64_t wanted = sites_sum(mappings[0].alias, 100);
    for (unsigned i = 0; i < 8 * 20; i++)
        assert_int_equal(sites_sum(mappings[i % 8].memory, 100), wanted);
    assert_int_equal(asked + asked_ordinarily, 8 * 20 * 100);
    uint64_t before = faults();
    for (unsigned i = 0; i < 8 * 20; i++) {
        assert_int_equal(sites_sum(mappings[i % 8].memory, 100), wanted);
        assert_int_equal(last_address, (uint64_t)(uintptr_t)mappings[i % 8].memory + 99 * 8);
    }
    assert_int_equal(asked + asked_ordinarily, 2 * 8 * 20 * 100);
    assert_int_equal(faults(), before);
    return 0;
}

/* A body has at most HOT_BODY_BYTES. */
static int many_accesses_in_a_row_are_asked_about(void)
{
    struct segue_mapping mappings[2];
    begin_many(mappings, 2, region_with_policy, 0);
    uint64_t wanted = sites_many(mappings[0].alias);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(sites_many(mappings[i % 2].memory), wanted);
    assert_int_equal(asked + asked_ordinarily, 20 * 100);
    assert_in_range(asked_ordinarily, 0, 10);
    return 0;
}

static int what_is_wrong_is_named(void)
{
    make_memory();
    struct segue_region region = region_with(0);
    region.policy = policy;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    assert_string_equal(segue_reason(), "region.hot_policy of a hot region with a policy is NULL");
    region = region_with_policy(SEGUE_REGION_COUNT);
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = region_with(0);
    region.window.alias = (char *)memory.memory + (UINT64_C(1) << 33);
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = region_with(0);
    region.flags = SEGUE_REGION_COUNT;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = region_with(0);
    region.window = segue_window_exposed(memory.memory, memory.size);
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    return 0;
}

#define EACH_CASE(X)                                                                                                   \
    X(policies_are_asked_about_each_access)                                                                            \
    X(sampled_policies_are_asked_about_some_and_count_all)                                                             \
    X(samples_are_powers_of_two_and_of_hot_policies)                                                                   \
    X(samples_of_threads_are_exact)                                                                                    \
    X(policies_are_shown_what_a_mask_selects)                                                                          \
    X(vectors_and_registers_are_kept_for_a_policy)                                                                     \
    X(policies_may_be_asked_inside_one)                                                                                \
    X(alignment_checks_of_the_program_are_not_the_policys)                                                             \
    X(alignment_checks_are_not_the_policys_without_sigbus)                                                             \
    X(threads_without_a_place_ask_the_ordinary_policy)                                                                 \
    X(updates_take_effect)                                                                                             \
    X(policies_of_many_regions_are_asked)                                                                              \
    X(many_accesses_in_a_row_are_asked_about)                                                                          \
    X(what_is_wrong_is_named)

CASES_MAIN(EACH_CASE)
