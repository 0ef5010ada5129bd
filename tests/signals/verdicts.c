/* verdicts.c: what a verdict is good for, and as long as when; steps inside a policy; values. */
#include "tests/support/test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define LONG UINT64_C(20000000000)

static struct segue_mapping one, two;
static unsigned asked;

static struct segue_region region_of(const struct segue_mapping *mapping, segue_policy *policy)
{
    return (struct segue_region){.window = {.base = (uint64_t)(uintptr_t)mapping->memory,
                                            .size = mapping->size,
                                            .kind = SEGUE_WINDOW_ALIAS,
                                            .alias = mapping->alias},
                                 .policy = policy,
                                 .context = mapping->alias};
}

static void close_region(const struct segue_mapping *mapping, segue_policy *policy)
{
    struct segue_region region = region_of(mapping, policy);
    memset(mapping->alias, 0, mapping->size);
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(mprotect(mapping->memory, mapping->size, PROT_NONE), 0);
}

static void open_region(const struct segue_mapping *mapping)
{
    assert_int_equal(mprotect(mapping->memory, mapping->size, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(segue_region_remove(mapping->memory), SEGUE_OK);
}

static int begin(void)
{
    asked = 0;
    alarm(getenv("SEGUE_TEST_LOADS") ? 3000 : 200);
    return segue_suspend_install(NULL) || segue_install(NULL) || segue_mapping_create(NULL, 16 * PAGE, &one) ||
           segue_mapping_create(NULL, 16 * PAGE, &two);
}

static int end(void)
{
    segue_mapping_destroy(&one);
    segue_mapping_destroy(&two);
    return segue_uninstall(NULL) || segue_suspend_uninstall();
}

/* ---- the word that was loaded is one that was settled -------------------------------------------------------- */

#define MUTATORS 8

struct mutator {
    pthread_t thread;
    segue_thread_id number;
    uint64_t loads, wanted, stale;
    /* The collector has found a word in its register since it was last asked. */
    uint64_t rescued;
};

static struct mutator mutators[MUTATORS];
static uint64_t colour;
static int lock_of_heap, flip_wanted, running;
static uint64_t flips, flips_in_fault, asked_again;

static void heap_lock(void)
{
    while (__atomic_exchange_n(&lock_of_heap, 1, __ATOMIC_ACQUIRE))
        sched_yield();
}

static void heap_unlock(void)
{
    __atomic_store_n(&lock_of_heap, 0, __ATOMIC_RELEASE);
}

/* As the guide shows it: each word that will be loaded gets the colour of now. */
static enum segue_verdict settle(void *alias, const struct segue_event *event)
{
    uint64_t *word = (uint64_t *)((char *)alias + (event->address - (uint64_t)(uintptr_t)one.memory));
    if (event->question)
        __atomic_fetch_add(&asked_again, 1, __ATOMIC_RELAXED);
    __atomic_store_n(word, __atomic_load_n(&colour, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
    /* The flip may come here. */
    if (event->address / 8 % 64 == 0)
        sched_yield();
    return SEGUE_STEP;
}

static enum segue_verdict settle_and_step(void *alias, const struct segue_event *event)
{
    /* The collector has its turn. */
    while (__atomic_load_n(&flip_wanted, __ATOMIC_ACQUIRE))
        sched_yield();
    heap_lock();
    settle(alias, event);
    enum segue_status status = segue_event_step(event, NULL, NULL);
    heap_unlock();
    return status == SEGUE_OK ? SEGUE_DONE : SEGUE_PASS;
}

/* Loads words, each of a thread's own. A word that has not the colour of now is stale, unless the collector has found
 * it in the register. */
static void *mutate(void *argument)
{
    struct mutator *mutator = argument;
    uint64_t *words = (uint64_t *)one.memory + (mutator - mutators) * 512;
    __atomic_store_n(&mutator->number, segue_thread_self(), __ATOMIC_RELEASE);
    for (uint64_t i = 0; i < mutator->wanted; i++) {
        uint64_t now, loaded;
        __atomic_store_n(&mutator->rescued, 0, __ATOMIC_SEQ_CST);
        __asm__ volatile("xorl %%r12d, %%r12d\n\t"
                         "movq (%2), %%r12\n\t"
                         "movq %3, %0\n\t"
                         "movq %%r12, %1\n\t"
                         "xorl %%r12d, %%r12d"
                         : "=&r"(now), "=&r"(loaded)
                         : "r"(&words[i % 512]), "m"(colour)
                         : "r12", "memory");
        mutator->loads++;
        mutator->stale += loaded != now && !__atomic_load_n(&mutator->rescued, __ATOMIC_SEQ_CST);
    }
    __atomic_sub_fetch(&running, 1, __ATOMIC_ACQ_REL);
    return NULL;
}

static void flip(bool locks)
{
    static struct segue_suspension list[MUTATORS];
    bool in_fault = false;
    __atomic_store_n(&flip_wanted, locks, __ATOMIC_RELEASE);
    if (locks)
        heap_lock();
    for (unsigned i = 0; i < MUTATORS; i++)
        list[i].thread = mutators[i].number;
    assert_int_equal(segue_threads_suspend(list, MUTATORS, LONG), SEGUE_OK);
    colour++;
    for (unsigned i = 0; i < MUTATORS; i++) {
        if (list[i].status != SEGUE_OK)
            continue;
        in_fault = in_fault || list[i].context.in_fault;
        if (list[i].context.regs.r12)
            __atomic_store_n(&mutators[i].rescued, 1, __ATOMIC_SEQ_CST);
    }
    flips++;
    flips_in_fault += in_fault;
    assert_int_equal(segue_threads_resume(list, MUTATORS), SEGUE_OK);
    __atomic_store_n(&flip_wanted, 0, __ATOMIC_RELEASE);
    if (locks)
        heap_unlock();
}

/* SEGUE_TEST_LOADS: how many loads in all, for the long run. */
static uint64_t loads_wanted(void)
{
    const char *text = getenv("SEGUE_TEST_LOADS");
    return text ? strtoull(text, NULL, 0) : 60000;
}

static void race(segue_policy *policy, bool locks)
{
    uint64_t stale = 0, loads = 0;
    colour = 1;
    flips = flips_in_fault = asked_again = 0;
    running = MUTATORS;
    close_region(&one, policy);
    for (unsigned i = 0; i < MUTATORS; i++) {
        mutators[i] = (struct mutator){.wanted = loads_wanted() / MUTATORS};
        assert_int_equal(pthread_create(&mutators[i].thread, NULL, mutate, &mutators[i]), 0);
        while (!__atomic_load_n(&mutators[i].number, __ATOMIC_ACQUIRE))
            sched_yield();
    }
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE)) {
        flip(locks);
        sched_yield();
    }
    for (unsigned i = 0; i < MUTATORS; i++) {
        pthread_join(mutators[i].thread, NULL);
        stale += mutators[i].stale;
        loads += mutators[i].loads;
    }
    open_region(&one);
    print_message("%lu loads, %lu flips, %lu of them with a thread in a fault, %lu questions asked again, %lu stale\n",
                  loads, flips, flips_in_fault, asked_again, stale);
    assert_int_equal(stale, 0);
    assert_true(flips_in_fault > 0);
}

static void collector_that_flips_finds_no_stale_word(void **state)
{
    (void)state;
    race(settle, false);
}

static void collector_that_flips_under_its_lock_finds_no_stale_word(void **state)
{
    (void)state;
    race(settle_and_step, true);
}

/* ---- asked again ---------------------------------------------------------------------------------------------- */

static int waiting;
static segue_thread_id number_of_thread;
static uint32_t questions_seen;

static enum segue_verdict wait_to_be_suspended(void *context, const struct segue_event *event)
{
    (void)context;
    questions_seen = event->question;
    number_of_thread = event->thread;
    if (event->question == 0) {
        __atomic_store_n(&waiting, 1, __ATOMIC_RELEASE);
        while (__atomic_load_n(&waiting, __ATOMIC_ACQUIRE))
            sched_yield();
    }
    return SEGUE_STEP;
}

static void *touch_one(void *unused)
{
    (void)unused;
    *(volatile int *)one.memory = 7;
    return NULL;
}

static void verdict_before_a_suspension_is_asked_for_again(void **state)
{
    struct segue_suspension suspension;
    pthread_t thread;
    (void)state;
    close_region(&one, wait_to_be_suspended);
    pthread_create(&thread, NULL, touch_one, NULL);
    while (!__atomic_load_n(&waiting, __ATOMIC_ACQUIRE))
        sched_yield();
    suspension.thread = number_of_thread;
    assert_int_equal(segue_thread_suspend(&suspension, LONG), SEGUE_OK);
    assert_true(suspension.context.in_fault);
    __atomic_store_n(&waiting, 0, __ATOMIC_RELEASE);
    assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    pthread_join(thread, NULL);
    assert_int_equal(questions_seen, 1);
    assert_int_equal(*(volatile int *)one.alias, 7);
    open_region(&one);
}

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

/* ---- several policies ----------------------------------------------------------------------------------------- */

static unsigned asked_other;
static enum segue_verdict verdict_of_other;
static enum segue_status status_of_other;

static enum segue_verdict other_policy(void *context, const struct segue_event *event)
{
    (void)context;
    asked_other++;
    assert_ptr_equal((void *)(uintptr_t)event->region->window.base, two.memory);
    status_of_other = segue_event_step(event, NULL, NULL);
    return verdict_of_other;
}

static enum segue_verdict step_or_let_step(void *context, const struct segue_event *event)
{
    (void)context;
    asked++;
    assert_ptr_equal((void *)(uintptr_t)event->region->window.base, one.memory);
    step_status = segue_event_step(event, NULL, NULL);
    assert_int_equal(segue_event_step(event, NULL, NULL), step_status == SEGUE_OK ? SEGUE_INVALID : SEGUE_BUSY);
    return step_status == SEGUE_OK ? SEGUE_DONE : SEGUE_STEP;
}

static void move_between_regions(void)
{
    void *to = two.memory, *from = one.memory;
    __asm__ volatile("movsq" : "+D"(to), "+S"(from)::"memory");
}

static void other_policies_are_asked_before_a_step_and_once(void **state)
{
    struct segue_counters before, after;
    (void)state;
    close_region(&one, step_or_let_step);
    close_region(&two, other_policy);
    *(volatile uint64_t *)one.alias = 11;
    verdict_of_other = SEGUE_STEP;
    asked_other = 0;
    move_between_regions();
    assert_int_equal(step_status, SEGUE_OK);
    assert_int_equal(status_of_other, SEGUE_BUSY);
    assert_int_equal(asked, 1);
    assert_int_equal(asked_other, 1);
    assert_int_equal(*(volatile uint64_t *)two.alias, 11);
    /* One that does not say STEP: nothing happens, and its answer counts. */
    verdict_of_other = SEGUE_RETRY;
    *(volatile uint64_t *)one.alias = 12;
    segue_counters_read(&before);
    mprotect(two.memory, PAGE, PROT_READ | PROT_WRITE);
    asked = asked_other = 0;
    mprotect(two.memory, PAGE, PROT_NONE);
    verdict_of_other = (enum segue_verdict)99;
    struct segue_trial trial;
    if (segue_try(&trial) == 0) {
        move_between_regions();
        segue_try_end(&trial);
        fail();
    }
    assert_int_equal(step_status, SEGUE_BUSY);
    assert_int_equal(asked, 1);
    assert_int_equal(asked_other, 1);
    assert_int_equal(*(volatile uint64_t *)two.alias, 11);
    segue_counters_read(&after);
    assert_int_equal(after.refused - before.refused, 1);
    open_region(&one);
    open_region(&two);
}

/* ---- what a policy leaves ------------------------------------------------------------------------------------- */

static enum segue_verdict next_verdict;

static enum segue_verdict change_and_say(void *context, const struct segue_event *event)
{
    uint64_t xmm = 0x4242424242424242;
    (void)context;
    asked++;
    if (next_verdict == SEGUE_DONE && asked > 1)
        return SEGUE_STEP;
    event->regs->rdx = 1234;
    memcpy((char *)event->xstate->area + 160 + 16 * 5, &xmm, 8);
    if (next_verdict == SEGUE_DONE)
        event->regs->rip += event->plan->insn.length;
    return next_verdict;
}

static void load_and_look(uint64_t *rdx, uint64_t *rax, uint64_t *xmm)
{
    __asm__ volatile("movl $5, %%edx; movl $6, %%eax; pxor %%xmm5, %%xmm5; movq (%3), %%rax; movq %%xmm5, %2"
                     : "=&d"(*rdx), "=&a"(*rax), "=&r"(*xmm)
                     : "r"(one.memory)
                     : "xmm5", "memory");
}

static void changes_of_registers_count_with_done_alone(void **state)
{
    uint64_t rdx, rax, xmm;
    (void)state;
    close_region(&one, change_and_say);
    *(volatile uint64_t *)one.alias = 77;
    next_verdict = SEGUE_STEP;
    load_and_look(&rdx, &rax, &xmm);
    assert_int_equal(rdx, 5);
    assert_int_equal(rax, 77);
    assert_int_equal(xmm, 0);
    next_verdict = SEGUE_DONE;
    asked = 0;
    load_and_look(&rdx, &rax, &xmm);
    assert_int_equal(asked, 1);
    assert_int_equal(rdx, 1234);
    assert_int_equal(rax, 6);
    assert_int_equal(xmm, 0x4242424242424242);
    open_region(&one);
}

/* An emulator that builds its registers anew has no selectors and no segment bases in them. */
static enum segue_verdict build_registers(void *context, const struct segue_event *event)
{
    struct segue_regs built = *event->regs;
    (void)context;
    asked++;
    built.rdx = 4321;
    built.rip += event->plan->insn.length;
    built.fs_base = built.gs_base = 1;
    memset(built.selectors, 0, sizeof built.selectors);
    *event->regs = built;
    return SEGUE_DONE;
}

static void selectors_and_bases_stay_the_threads_own(void **state)
{
    uint64_t rdx, rax, xmm;
    uint16_t code, stack;
    (void)state;
    close_region(&one, build_registers);
    errno = 7;
    load_and_look(&rdx, &rax, &xmm);
    __asm__ volatile("movw %%cs, %0; movw %%ss, %1" : "=r"(code), "=r"(stack));
    assert_int_equal(asked, 1);
    assert_int_equal(rdx, 4321);
    assert_int_equal(errno, 7);
    assert_int_not_equal(code, 0);
    assert_int_not_equal(stack, 0);
    open_region(&one);
}

static enum segue_verdict done_at_first(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    return asked++ ? SEGUE_STEP : SEGUE_DONE;
}

static void done_without_doing_anything_runs_the_instruction_again(void **state)
{
    struct segue_counters before, after;
    (void)state;
    close_region(&one, done_at_first);
    segue_counters_read(&before);
    *(volatile int *)one.memory = 3;
    segue_counters_read(&after);
    assert_int_equal(asked, 2);
    assert_int_equal(after.retried - before.retried, 1);
    assert_int_equal(after.stepped - before.stepped, 1);
    assert_int_equal(after.done, before.done);
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

struct inside {
    void (*run)(void **state);
};

/* cmocka puts its own handlers in force for each test. */
static void run_inside(void **state)
{
    const struct inside *test = *state;
    assert_int_equal(begin(), 0);
    test->run(NULL);
    assert_int_equal(end(), 0);
}

#define TEST(name)                                                                                                     \
    {                                                                                                                  \
#name, run_inside, NULL, NULL, &(struct inside)                                                                \
        {                                                                                                              \
            name                                                                                                       \
        }                                                                                                              \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(collector_that_flips_finds_no_stale_word),
        TEST(collector_that_flips_under_its_lock_finds_no_stale_word),
        TEST(verdict_before_a_suspension_is_asked_for_again),
        TEST(step_in_a_policy_tells_what_it_read_and_wrote),
        TEST(locked_sixteen_bytes_are_told),
        TEST(gather_is_told_lane_by_lane),
        TEST(string_is_told_in_parts_of_a_page),
        TEST(locked_values_are_those_of_the_operation),
        TEST(other_policies_are_asked_before_a_step_and_once),
        TEST(changes_of_registers_count_with_done_alone),
        TEST(selectors_and_bases_stay_the_threads_own),
        TEST(done_without_doing_anything_runs_the_instruction_again),
        TEST(preview_changes_nothing),
        TEST(words_of_the_footprint_are_told_once),
        TEST(words_of_a_plan_keep_to_the_range),
        TEST(step_values_and_preview_need_no_handler_of_ours),
        TEST(step_values_do_not_count_on_what_is_on_the_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
