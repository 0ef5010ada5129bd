/* wishes.c: what the authors of collectors asked for and the library has, each from their side (docs/mutator.md,
 * docs/signals.md). Each case is a process of its own. */
#include "tests/support/test.h"

#include <pthread.h>
#include <segue/posix.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/cases.h"

#define PAGE 4096u

static struct segue_mapping heap;

static bool begin(uint32_t flags, segue_policy *policy)
{
    const struct segue_options options = {.flags = flags};
    if (segue_install(&options) != SEGUE_OK || segue_mapping_create(NULL, 4 * PAGE, &heap) != SEGUE_OK)
        return false;
    for (uint64_t i = 0; i < heap.size / 8; i++)
        ((uint64_t *)heap.memory)[i] = i;
    const struct segue_region region = {.window = segue_mapping_window(&heap), .policy = policy};
    return segue_region_add(&region) == SEGUE_OK && segue_mapping_protect(&heap, 0, heap.size, 0) == SEGUE_OK;
}

/* ---- a step inside the policy, under the collector's lock ---- */

static bool is_locked, was_locked;
static uint64_t before, after;

static void see(void *context, const struct segue_value *value)
{
    (void)context;
    was_locked = is_locked;
    memcpy(&before, value->before, sizeof before);
    memcpy(&after, value->after, sizeof after);
}

static enum segue_verdict step_under_lock(void *context, const struct segue_event *event)
{
    (void)context;
    is_locked = true;
    enum segue_status status = segue_event_step(event, see, NULL);
    is_locked = false;
    return status == SEGUE_OK ? SEGUE_DONE : SEGUE_PASS;
}

static int policy_steps_under_its_lock_and_sees_what_was_stored(void)
{
    NEED(begin(0, step_under_lock));
    __asm__ volatile("addq $5, 24(%0)" : : "r"(heap.memory) : "cc", "memory");
    NEED(was_locked && before == 3 && after == 8);
    NEED(((uint64_t *)heap.alias)[3] == 8);
    return 0;
}

/* ---- words ---- */

static uint64_t words_seen[16];
static uint8_t directions[16];
static unsigned word_count;
static bool stays_within;

static enum segue_verdict list_words(void *context, const struct segue_event *event)
{
    (void)context;
    struct segue_words words = segue_event_footprint(event);
    for (word_count = 0; word_count < 16 && segue_words_next(&words); word_count++) {
        words_seen[word_count] = (words.address - (uint64_t)(uintptr_t)heap.memory) / 8;
        directions[word_count] = words.direction;
        if ((uint64_t *)words.at != (uint64_t *)heap.alias + words_seen[word_count])
            return SEGUE_PASS;
    }
    stays_within = segue_plan_within(event->plan, (uint64_t)(uintptr_t)heap.memory, heap.size);
    return SEGUE_STEP;
}

/* MPS fixed only the word at the fault's address, and 100 stale references reached its mutator. */
static int every_word_of_the_footprint_is_listed_once(void)
{
    uint64_t elsewhere = 0;
    NEED(begin(0, list_words));
    __asm__ volatile("movdqu 16(%0), %%xmm0" : : "r"(heap.memory) : "xmm0", "memory");
    NEED(word_count == 2 && words_seen[0] == 2 && words_seen[1] == 3 && directions[0] == SEGUE_READ && stays_within);
    /* Unaligned, across two words; and across two pages. */
    __asm__ volatile("movq %1, 36(%0)" : : "r"(heap.memory), "r"(UINT64_C(0)) : "memory");
    NEED(word_count == 2 && words_seen[0] == 4 && words_seen[1] == 5 && directions[1] == SEGUE_WRITE);
    __asm__ volatile("lock addq %1, 4088(%0)" : : "r"(heap.memory), "r"(UINT64_C(0)) : "cc", "memory");
    NEED(word_count == 1 && words_seen[0] == 511 && directions[0] == (SEGUE_READ | SEGUE_WRITE));
    /* A copy out of the heap leaves it. */
    __asm__ volatile("movsq" : : "S"(heap.memory), "D"(&elsewhere) : "memory");
    NEED(word_count == 1 && words_seen[0] == 0 && directions[0] == SEGUE_READ && !stays_within);
    return 0;
}

/* ---- a plan that is honest, in a handler of one's own ---- */

static char *page;
static volatile enum segue_status planned, done;

static void own_handler(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    struct segue_plan plan;
    (void)number;
    if (segue_frame_open(&frame, info, ucontext) == SEGUE_HANDLED)
        return;
    const struct segue_window window = segue_window_forced(page, PAGE);
    planned = segue_frame_plan(&frame, &window, 1, &plan);
    done = planned == SEGUE_OK ? segue_frame_step(&frame, &plan) : planned;
    if (done != SEGUE_OK)
        mprotect(page, PAGE, PROT_READ | PROT_WRITE);
}

static void load_from_page(void)
{
    mprotect(page, PAGE, PROT_NONE);
    (void)*(volatile char *)page;
}

static int forced_plan_is_refused_until_it_can_be_carried_out(void)
{
    struct sigaction action = {.sa_sigaction = own_handler, .sa_flags = SA_SIGINFO | SA_NODEFER};
    NEED(sigaction(SIGSEGV, &action, NULL) == 0 && segue_handler_check(SIGSEGV) == SEGUE_OK);
    page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    load_from_page();
    NEED(planned == SEGUE_UNSUPPORTED);
    if (segue_forced_prepare() != SEGUE_OK)
        return CASE_SKIPPED;
    load_from_page();
    NEED(planned == SEGUE_OK && done == SEGUE_OK);
    return 0;
}

/* ---- suspensions ---- */

static void foreign_handler(int number)
{
    (void)number;
}

static void *wait_for_ever(void *unused)
{
    *(volatile segue_thread_id *)unused = segue_thread_self();
    for (;;)
        pause();
    return NULL;
}

static int foreign_handler_of_the_suspending_signal_is_named(void)
{
    volatile segue_thread_id thread = 0;
    struct segue_owner owner;
    pthread_t waiting;
    NEED(segue_suspend_check(NULL) == SEGUE_NOT_FOUND);
    NEED(segue_suspend_install(NULL) == SEGUE_OK && segue_suspend_check(&owner) == SEGUE_OK);
    pthread_create(&waiting, NULL, wait_for_ever, (void *)(uintptr_t)&thread);
    while (!thread)
        sched_yield();
    signal(SIGXCPU, foreign_handler);
    NEED(segue_suspend_check(&owner) == SEGUE_NOT_LAST);
    NEED(owner.signal == SIGXCPU && owner.handler == (void *)(uintptr_t)foreign_handler);
    struct segue_suspension suspension = {.thread = thread};
    NEED(segue_thread_suspend(&suspension, UINT64_MAX) == SEGUE_NOT_LAST);
    return 0;
}

/* ---- the preset for collectors ---- */

static char *lowest, *highest;
static volatile bool is_on_own_stack;

static enum segue_verdict note_stack(void *context, const struct segue_event *event)
{
    char here;
    (void)context;
    (void)event;
    is_on_own_stack = &here >= lowest && &here < highest;
    return SEGUE_STEP;
}

static int collectors_preset_serves_on_the_threads_own_stack(void)
{
    pthread_attr_t attributes;
    void *stack;
    size_t size;
    stack_t alternate;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &stack, &size);
    lowest = stack;
    highest = lowest + size;
    NEED(begin(SEGUE_INSTALL_COLLECTOR, note_stack));
    NEED(sigaltstack(NULL, &alternate) == 0 && (alternate.ss_flags & SS_DISABLE));
    (void)*(volatile char *)heap.memory;
    NEED(is_on_own_stack);
    return 0;
}

#define EACH_CASE(X)                                                                                                   \
    X(policy_steps_under_its_lock_and_sees_what_was_stored)                                                            \
    X(every_word_of_the_footprint_is_listed_once)                                                                      \
    X(forced_plan_is_refused_until_it_can_be_carried_out)                                                              \
    X(foreign_handler_of_the_suspending_signal_is_named)                                                               \
    X(collectors_preset_serves_on_the_threads_own_stack)

CASES_MAIN(EACH_CASE)
