/* previous.c: see previous.h. Each signal has a few entries. One word names the entry in force and counts its
 * changes. A writer fills an unused entry and then updates the word. A reader copies the entry and checks that the
 * word is unchanged; it begins again only if a writer has completed a change. So both are lock-free. */
#include "previous.h"

#include <signal.h>

#include "action.h"
#include "platform/threads/thread.h"
#include "platform/threads/wait.h"

/* One entry per thread that may change one signal's action at the same moment, and two more. A power of two, at most
 * 31. */
#define ENTRIES 8u
/* The initial entry, all zero bytes: the default action. It is not reused. */
#define FIRST 1u

static struct {
    struct platform_action entries[ENTRIES];
    /* The entry in force, and the number of changes before it. */
    uint64_t current;
    /* A bit for each entry that is in force or being written. */
    uint32_t used;
} signals[_NSIG];

/* Of the signals that the library sends. */
static uint64_t always_restarted;

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void entry_read(const struct platform_action *entry, struct platform_action *action)
{
    *action = (struct platform_action){
        .handler = load(&entry->handler),
        .flags = load(&entry->flags),
        .restorer = load(&entry->restorer),
        .mask = load(&entry->mask),
    };
}

static void entry_write(struct platform_action *entry, const struct platform_action *action)
{
    __atomic_store_n(&entry->handler, action->handler, __ATOMIC_RELAXED);
    __atomic_store_n(&entry->flags, action->flags, __ATOMIC_RELAXED);
    __atomic_store_n(&entry->restorer, action->restorer, __ATOMIC_RELAXED);
    __atomic_store_n(&entry->mask, action->mask, __ATOMIC_RELAXED);
}

/* Reads the action in force; returns the word that named it. */
static uint64_t read_current(int number, struct platform_action *action)
{
    uint64_t word = __atomic_load_n(&signals[number].current, __ATOMIC_ACQUIRE);
    for (;;) {
        entry_read(&signals[number].entries[word % ENTRIES], action);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        uint64_t after = __atomic_load_n(&signals[number].current, __ATOMIC_ACQUIRE);
        if (after == word)
            return word;
        word = after;
    }
}

/* Takes an unused entry. All are used only while that many threads are between this call and entry_give. */
static uint32_t entry_take(int number)
{
    for (;;) {
        uint32_t used = __atomic_load_n(&signals[number].used, __ATOMIC_RELAXED) | FIRST;
        uint32_t index = (uint32_t)__builtin_ctz(~used);
        if (index >= ENTRIES)
            wait_a_moment();
        else if (!(__atomic_fetch_or(&signals[number].used, 1u << index, __ATOMIC_ACQUIRE) & (1u << index)))
            return index;
    }
}

static void entry_give(int number, uint32_t index)
{
    __atomic_fetch_and(&signals[number].used, ~(1u << index), __ATOMIC_RELEASE);
}

/* Replaces the action that `word` names by `*wanted`; false if another one is in force by now. Signals are blocked
 * meanwhile: a handler that left by siglongjmp would leave an entry taken indefinitely. Not SIGTRAP: a debugger's
 * single step raises it, and the kernel resets its handler if it is blocked. */
static bool replace(int number, uint64_t word, const struct platform_action *wanted)
{
    uint64_t kept = platform_mask_block(~SIGNAL_BIT(SIGTRAP));
    uint32_t index = entry_take(number);
    entry_write(&signals[number].entries[index], wanted);
    uint64_t next = (word / ENTRIES + 1) * ENTRIES + index;
    bool done =
        __atomic_compare_exchange_n(&signals[number].current, &word, next, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    entry_give(number, done ? (uint32_t)(word % ENTRIES) : index);
    platform_signals_release(kept);
    return done;
}

void previous_read(int number, struct platform_action *action)
{
    read_current(number, action);
}

void previous_exchange(int number, const struct platform_action *wanted, struct platform_action *before)
{
    struct platform_action present;
    uint64_t word;
    do
        word = read_current(number, &present);
    while (wanted && !replace(number, word, wanted));
    if (before)
        *before = present;
}

void previous_take(int number, struct platform_action *action)
{
    struct platform_action spent;
    uint64_t word;
    do {
        word = read_current(number, action);
        if (!(action->flags & SA_RESETHAND) || !action_is_handler(action))
            return;
        spent = *action;
        spent.handler = ACTION_DEFAULT;
    } while (!replace(number, word, &spent));
}

uint64_t previous_restarts(int number, const struct platform_action *action)
{
    const bool is_always = __atomic_load_n(&always_restarted, __ATOMIC_RELAXED) & SIGNAL_BIT(number);
    return is_always || action->handler == ACTION_IGNORE ? SA_RESTART : action->flags & SA_RESTART;
}

void previous_always_restart(uint64_t set)
{
    __atomic_store_n(&always_restarted, set, __ATOMIC_RELAXED);
}

void previous_follow(int number, const struct platform_action *action)
{
    struct platform_action ours;
    if (!action_exchange(number, NULL, &ours) || !action_is_ours(&ours))
        return;
    uint64_t flags = (ours.flags & ~(uint64_t)SA_RESTART) | previous_restarts(number, action);
    if (flags == ours.flags)
        return;
    ours.flags = flags;
    action_exchange(number, &ours, NULL);
}
