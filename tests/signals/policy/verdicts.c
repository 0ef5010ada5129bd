/* verdicts.c: what a verdict is good for, and as long as when: beside suspensions and other policies, and what a policy
 * leaves in the registers. values.c has the values of the accesses. */
#include "policy_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LONG UINT64_C(20000000000)

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
    /* At least until one was suspended in a fault, which on a busy machine may take longer. */
    for (uint64_t i = 0; i < mutator->wanted || !__atomic_load_n(&flips_in_fault, __ATOMIC_RELAXED); i++) {
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
    __atomic_fetch_add(&flips_in_fault, in_fault, __ATOMIC_RELAXED);
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

/* ---- several policies ----------------------------------------------------------------------------------------- */

static enum segue_status step_status;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(collector_that_flips_finds_no_stale_word),
        TEST(collector_that_flips_under_its_lock_finds_no_stale_word),
        TEST(verdict_before_a_suspension_is_asked_for_again),
        TEST(other_policies_are_asked_before_a_step_and_once),
        TEST(changes_of_registers_count_with_done_alone),
        TEST(selectors_and_bases_stay_the_threads_own),
        TEST(done_without_doing_anything_runs_the_instruction_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
