/* poke.c: changes code.
 *
 * ASSUMPTIONS: a processor fetches a byte that is stored as it was before or as it is after (both manuals). The same
 * holds for an aligned word stored at once (AMD's manual; no processor that does otherwise is known, docs/patch.md).
 * The kernel copies bytes in an unspecified order and width, so through the kernel a word is never published at
 * once. */
#include "poke.h"

#include <string.h>

#include "decode/x86/page.h"
#include "emulated.h"
#include "platform/code.h"
#include "platform/memory/forced.h"
#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"
#include "platform/process/fork.h"
#include "platform/process/fork_lock.h"
#include "platform/process/once.h"
#include "platform/threads/thread.h"

#define BREAKPOINT 0xcc
/* Recently removed breakpoints: a thread may have hit one without its SIGTRAP handler having run yet. */
#define RECENT 1024u
#define ALIASES 64u
/* How often a handler polls the lock, and how long it sleeps between polls: the holder makes three system calls, and
 * may have been preempted by this very thread. */
#define PATIENCE 20000u
#define SLEEP_NS 1000000u

/* Each a sequence lock on which no thread waits: its version is odd while it changes. A reader that finds it odd, or
 * changed during the read, skips it: no thread pokes through an alias that is being added or removed. */
static struct alias {
    uint64_t version;
    uint64_t base;
    /* 0 if the place is free. */
    uint64_t size;
    char *view;
} aliases[ALIASES];
static struct fork_lock aliases_changing = FORK_LOCK_INITIALIZER;

/* Held while a page is writable or a breakpoint is in place; its holder has all asynchronous signals blocked. It is in
 * a page of its own, which the kernel wipes in a child made by fork: the holder does not exist there. */
static uint32_t *lock;
#define LOCK_FREE 0u
#define LOCK_HELD 1u
/* A thread may be sleeping until it is free. */
#define LOCK_AWAITED 2u
/* The thread that holds the lock for a fork, 0 if no thread does. Its own faults, in other libraries' fork handlers,
 * still change code. */
static const void *forking;
static unsigned forks_in_progress;

static uint64_t recent[RECENT];
/* Twice the number of breakpoints that have been set; odd while one is in place. */
static uint64_t breakpoints;
/* The change that the breakpoint in place belongs to. It is written only while no breakpoint is in place, so a reader
 * that finds the same odd count before and after has read one change. */
static struct {
    uint64_t site, target, behind;
    uint32_t kind;
} standing;
static bool can_serialise;

/* --- The lock. --- */

static bool is_held_for_our_fork(void)
{
    return __atomic_load_n(&forks_in_progress, __ATOMIC_ACQUIRE) &&
           __atomic_load_n(&forking, __ATOMIC_RELAXED) == platform_thread_self();
}

static bool take_awaited(void)
{
    return __atomic_exchange_n(lock, LOCK_AWAITED, __ATOMIC_ACQUIRE) == LOCK_FREE;
}

/* A thread that cannot proceed without the lock retries after this has slept, so no thread busy-waits. */
static bool lock_try_sleeping(void)
{
    if (take_awaited())
        return true;
    platform_wait(lock, LOCK_AWAITED, SLEEP_NS);
    return take_awaited();
}

static bool lock_try(void)
{
    if (is_held_for_our_fork())
        return true;
    for (unsigned i = 0; i < PATIENCE; i++) {
        uint32_t expected = LOCK_FREE;
        if (__atomic_load_n(lock, __ATOMIC_RELAXED) == LOCK_FREE &&
            __atomic_compare_exchange_n(lock, &expected, LOCK_HELD, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
        __builtin_ia32_pause();
    }
    return lock_try_sleeping();
}

static void lock_release(void)
{
    if (is_held_for_our_fork())
        return;
    if (__atomic_exchange_n(lock, LOCK_FREE, __ATOMIC_RELEASE) == LOCK_AWAITED)
        platform_wake(lock, 1);
}

/* For fork: no child begins with a writable code page, or with a breakpoint in its code. Other libraries' fork handlers
 * run meanwhile, and the C library's own code. */
static uint64_t mask_before_fork;

static void lock_for_fork(void)
{
    fork_lock_before(&aliases_changing);
    uint64_t before = platform_asynchronous_hold();
    while (!lock_try())
        continue;
    if (!forks_in_progress)
        mask_before_fork = before;
    __atomic_store_n(&forking, platform_thread_self(), __ATOMIC_RELAXED);
    __atomic_fetch_add(&forks_in_progress, 1, __ATOMIC_RELEASE);
}

static void unlock_after_fork(void)
{
    if (!forks_in_progress || __atomic_sub_fetch(&forks_in_progress, 1, __ATOMIC_RELEASE))
        return;
    uint64_t before = mask_before_fork;
    lock_release();
    platform_signals_release(before);
}

static void after_fork_in_parent(void)
{
    unlock_after_fork();
    fork_lock_after(&aliases_changing);
}

static void after_fork_in_child(void)
{
    unlock_after_fork();
    fork_lock_in_child(&aliases_changing);
}

/* --- Preparation. --- */

static bool map_lock(void)
{
    uint32_t *page = platform_map(PAGE);
    if (!page)
        return false;
    platform_wipe_on_fork(page, PAGE);
    can_serialise = platform_serialise_prepare();
    __atomic_store_n(&lock, page, __ATOMIC_RELEASE);
    return true;
}

/* From here on signals are delivered again, and their handlers may fault. */
_Static_assert(FORK_HANDLER < FORK_CODE, "the child's fault handler is ready before");

static const struct fork_hooks hooks = {
    .before = lock_for_fork, .in_parent = after_fork_in_parent, .in_child = after_fork_in_child};

enum segue_status poke_prepare(void)
{
    static struct once mapped;
    if (!once(&mapped, map_lock) || !fork_register(FORK_CODE, &hooks))
        return SEGUE_NO_MEMORY;
    /* If the kernel does not let the library write past a page's protection, that way fails when it is tried. */
    forced_prepare();
    return SEGUE_OK;
}

/* --- Aliases. --- */

static void alias_store(struct alias *alias, uint64_t base, uint64_t size, char *view)
{
    __atomic_fetch_add(&alias->version, 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n(&alias->base, base, __ATOMIC_RELAXED);
    __atomic_store_n(&alias->size, size, __ATOMIC_RELAXED);
    __atomic_store_n(&alias->view, view, __ATOMIC_RELAXED);
    __atomic_fetch_add(&alias->version, 1, __ATOMIC_RELEASE);
}

static enum segue_status alias_add(uint64_t base, uint64_t size, char *view)
{
    unsigned place = ALIASES;
    for (unsigned i = 0; i < ALIASES; i++) {
        if (!aliases[i].size)
            place = i;
        else if (base < aliases[i].base + aliases[i].size && aliases[i].base < base + size)
            return SEGUE_OVERLAP;
    }
    if (place == ALIASES)
        return SEGUE_NO_MEMORY;
    alias_store(&aliases[place], base, size, view);
    return SEGUE_OK;
}

enum segue_status poke_alias_add(uint64_t base, uint64_t size, void *alias)
{
    fork_lock_take(&aliases_changing);
    enum segue_status status = alias_add(base, size, alias);
    fork_lock_release(&aliases_changing);
    return status;
}

enum segue_status poke_alias_remove(uint64_t base)
{
    enum segue_status status = SEGUE_NOT_FOUND;
    fork_lock_take(&aliases_changing);
    for (unsigned i = 0; i < ALIASES; i++) {
        if (aliases[i].size && aliases[i].base == base) {
            alias_store(&aliases[i], 0, 0, NULL);
            status = SEGUE_OK;
        }
    }
    fork_lock_release(&aliases_changing);
    return status;
}

/* False if it is free, or changed meanwhile. */
static bool alias_read(const struct alias *from, struct alias *alias)
{
    alias->version = __atomic_load_n(&from->version, __ATOMIC_ACQUIRE);
    alias->base = __atomic_load_n(&from->base, __ATOMIC_RELAXED);
    alias->size = __atomic_load_n(&from->size, __ATOMIC_RELAXED);
    alias->view = __atomic_load_n(&from->view, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return alias->size && alias->version % 2 == 0 &&
           __atomic_load_n(&from->version, __ATOMIC_RELAXED) == alias->version;
}

/* Where all of the bytes can be stored; NULL if there is no such alias. */
static char *alias_of(uint64_t address, size_t size)
{
    for (unsigned i = 0; i < ALIASES; i++) {
        struct alias alias;
        if (!alias_read(&aliases[i], &alias))
            continue;
        uint64_t offset = address - alias.base;
        if (offset < alias.size && size <= alias.size - offset)
            return alias.view + offset;
    }
    return NULL;
}

/* --- Pages that are made writable. --- */

/* The one or two pages that contain the bytes, and their previous protection. */
struct opened {
    uint64_t page[2];
    int protection[2];
    unsigned count;
};

static void pages_close(const struct opened *opened)
{
    for (unsigned i = 0; i < opened->count; i++)
        platform_protect(opened->page[i], PAGE, opened->protection[i]);
}

static bool page_open(struct opened *opened, uint64_t page)
{
    struct mapping mapping;
    if (!mappings_find(page, &mapping) || platform_protect(page, PAGE, mapping.protection | PLATFORM_WRITE) != 0)
        return false;
    opened->page[opened->count] = page;
    opened->protection[opened->count++] = mapping.protection;
    return true;
}

static bool pages_open(struct opened *opened, uint64_t address, size_t size)
{
    uint64_t first = address & -(uint64_t)PAGE, last = (address + size - 1) & -(uint64_t)PAGE;
    opened->count = 0;
    if (page_open(opened, first) && (last == first || page_open(opened, last)))
        return true;
    pages_close(opened);
    return false;
}

/* --- One byte. --- */

static void store_byte(char *at, uint8_t byte)
{
    __atomic_store_n(at, (char)byte, __ATOMIC_RELEASE);
}

enum segue_status poke_byte(uint64_t address, uint8_t byte, unsigned ways)
{
    struct opened opened;
    if (!__atomic_load_n(&lock, __ATOMIC_ACQUIRE))
        return SEGUE_UNSUPPORTED;
    char *alias = (ways & POKE_ALIAS) ? alias_of(address, 1) : NULL;
    if (alias) {
        store_byte(alias, byte);
        return SEGUE_OK;
    }
    if ((ways & POKE_KERNEL) && forced_write(address, &byte, 1))
        return SEGUE_OK;
    if (!(ways & POKE_PROTECT))
        return SEGUE_UNSUPPORTED;
    if (!lock_try())
        return SEGUE_BUSY;
    bool open = pages_open(&opened, address, 1);
    if (open) {
        store_byte((char *)(uintptr_t)address, byte);
        pages_close(&opened);
    }
    lock_release();
    return open ? SEGUE_OK : SEGUE_UNSUPPORTED;
}

/* --- More than one. --- */

static bool in_one_word(uint64_t address, size_t size)
{
    return address / 8 == (address + size - 1) / 8;
}

/* The other bytes of the word stay unchanged, even if another thread changes them meanwhile. */
static void store_in_word(char *at, const uint8_t *bytes, size_t size)
{
    uintptr_t shift = (uintptr_t)at % 8;
    uint64_t *word = (uint64_t *)(void *)(at - shift);
    uint64_t before = __atomic_load_n(word, __ATOMIC_RELAXED), after;
    do {
        after = before;
        __builtin_memcpy((char *)&after + shift, bytes, size);
    } while (!__atomic_compare_exchange_n(word, &before, after, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

/* Where the bytes are stored: an alias of them, or through the kernel if there is no alias. */
struct target {
    char *view;
    uint64_t address;
};

static bool put(const struct target *target, size_t offset, const uint8_t *bytes, size_t size)
{
    if (!target->view)
        return forced_write(target->address + offset, bytes, size);
    for (size_t i = 0; i < size; i++)
        store_byte(target->view + offset + i, bytes[i]);
    return true;
}

static bool get(const struct target *target, uint8_t *bytes, size_t size)
{
    if (!target->view)
        return forced_read(target->address, bytes, size);
    memcpy(bytes, target->view, size);
    return true;
}

/* Once a thread has executed the new instruction, the change cannot be undone. So steps that may fail are tried first:
 * that threads can be serialised, which a seccomp filter of the program may refuse by now; and, for writes through the
 * kernel, that it can write to the second page too, by storing the same bytes there. */
static bool can_publish(const struct target *target, const uint8_t *old, size_t size)
{
    bool in_one_page = target->address / PAGE == (target->address + size - 1) / PAGE;
    return platform_serialise() && (target->view || in_one_page || put(target, 1, old + 1, size - 1));
}

/* A breakpoint that stayed would trap every thread that reaches it, indefinitely. */
static void put_head(const struct target *target, uint8_t head)
{
    struct opened opened;
    if (put(target, 0, &head, 1) || !pages_open(&opened, target->address, 1))
        return;
    store_byte((char *)(uintptr_t)target->address, head);
    pages_close(&opened);
}

/* Called with the breakpoint in place. False if the tail could not be written: then the old instruction is in place
 * again. */
static bool replace_tail_and_head(const struct target *target, const uint8_t *old, const uint8_t *bytes, size_t size)
{
    bool done = platform_serialise() && put(target, 1, bytes + 1, size - 1);
    if (!done)
        put(target, 1, old + 1, size - 1);
    platform_serialise();
    put_head(target, done ? *bytes : *old);
    platform_serialise();
    return done;
}

static void announce(uint64_t site, const uint8_t *bytes, size_t size)
{
    const struct emulated emulated = emulated_find(site, bytes, size);
    uint64_t number = __atomic_load_n(&breakpoints, __ATOMIC_RELAXED) / 2;
    __atomic_store_n(&recent[number % RECENT], site, __ATOMIC_RELAXED);
    /* A thread that reads one of these and then the count finds that the count has changed since the last change. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n(&standing.site, site, __ATOMIC_RELAXED);
    __atomic_store_n(&standing.target, emulated.target, __ATOMIC_RELAXED);
    __atomic_store_n(&standing.behind, emulated.behind, __ATOMIC_RELAXED);
    __atomic_store_n(&standing.kind, (uint32_t)emulated.kind, __ATOMIC_RELAXED);
    __atomic_fetch_add(&breakpoints, 1, __ATOMIC_SEQ_CST);
}

/* Announce, breakpoint, serialise, tail, serialise, head, serialise: Linux's text_poke_bp_batch. A thread that arrives
 * meanwhile is trapped and calls poke_trap. Why a thread may execute the new instruction as soon as the breakpoint is
 * in place, while others still execute the old one:
 *
 * - The description of the change is written before the breakpoint, so that a trapped thread finds it.
 *
 * - A change is allowed at any time, so either instruction is right at any time until poke returns. A mixture of both
 * would be wrong, and a trapped thread executes none of the bytes.
 *
 * - Serialising guarantees that no thread executes the old instruction after poke returns, as without emulation: a
 * thread that has fetched the old head executes it before it serialises.
 *
 * - A thread may execute the new instruction after a later change of the same site. A trapped thread counts as one that
 * has fetched the instruction and has yet to execute it, until its handler ends. (Linux waits for the threads that have
 * taken the description, poke_int3_handler's reference count. A handler here may have been preempted, and emulation
 * exists to avoid waiting for it.) */
static bool publish_behind_breakpoint(const struct target *target, const uint8_t *bytes, size_t size)
{
    static const uint8_t breakpoint = BREAKPOINT;
    uint8_t old[POKE_BYTES];
    if (!get(target, old, size) || !can_publish(target, old, size))
        return false;
    announce(target->address, bytes, size);
    bool done = put(target, 0, &breakpoint, 1) && replace_tail_and_head(target, old, bytes, size);
    __atomic_fetch_add(&breakpoints, 1, __ATOMIC_SEQ_CST);
    return done;
}

/* Through one alias or way; with the lock held. */
static bool publish(const struct target *target, const uint8_t *bytes, size_t size)
{
    if (target->view && in_one_word(target->address, size)) {
        store_in_word(target->view, bytes, size);
        return true;
    }
    return can_serialise && publish_behind_breakpoint(target, bytes, size);
}

/* With the lock held. Bytes that cannot be reached make it fail before anything is changed: pages do not vanish
 * meanwhile unless their owner unmaps them under running code. */
static bool poke_in_some_way(uint64_t address, const uint8_t *bytes, size_t size, unsigned ways)
{
    struct opened opened;
    struct target target = {.address = address};
    target.view = (ways & POKE_ALIAS) ? alias_of(address, size) : NULL;
    if (target.view)
        return publish(&target, bytes, size);
    if ((ways & POKE_KERNEL) && publish(&target, bytes, size))
        return true;
    if (!(ways & POKE_PROTECT) || !pages_open(&opened, address, size))
        return false;
    target.view = (char *)(uintptr_t)address;
    bool done = publish(&target, bytes, size);
    pages_close(&opened);
    return done;
}

enum segue_status poke(uint64_t address, const uint8_t *bytes, size_t size, unsigned ways)
{
    if (size == 0 || size > POKE_BYTES || bytes[0] == BREAKPOINT)
        return SEGUE_INVALID;
    if (size == 1)
        return poke_byte(address, *bytes, ways);
    if (!__atomic_load_n(&lock, __ATOMIC_ACQUIRE))
        return SEGUE_UNSUPPORTED;
    if (!lock_try())
        return SEGUE_BUSY;
    bool done = poke_in_some_way(address, bytes, size, ways);
    lock_release();
    return done ? SEGUE_OK : SEGUE_UNSUPPORTED;
}

static bool is_recent(uint64_t site, uint64_t count)
{
    uint64_t held = count < RECENT ? count : RECENT;
    for (uint64_t i = 0; i < held; i++)
        if (__atomic_load_n(&recent[(count - 1 - i) % RECENT], __ATOMIC_RELAXED) == site)
            return true;
    return false;
}

/* An INT3 that is there while no breakpoint of a change is in place belongs to the program. */
static bool is_of_the_program(uint64_t site)
{
    uint8_t byte;
    uint64_t before = __atomic_load_n(&breakpoints, __ATOMIC_SEQ_CST);
    return before % 2 == 0 && forced_read(site, &byte, 1) && byte == BREAKPOINT &&
           __atomic_load_n(&breakpoints, __ATOMIC_SEQ_CST) == before;
}

/* If the thread returned to the site while the breakpoint is in place, it would be trapped again, and a real-time
 * thread indefinitely: the thread that changes the code holds the lock, and may be the one that it has preempted. */
static void await_change(void)
{
    uint32_t held = LOCK_HELD;
    for (unsigned i = 0; i < PATIENCE; i++) {
        if (__atomic_load_n(&breakpoints, __ATOMIC_RELAXED) % 2 == 0)
            return;
        __builtin_ia32_pause();
    }
    if (__atomic_compare_exchange_n(lock, &held, LOCK_AWAITED, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
        held == LOCK_AWAITED)
        platform_wait(lock, LOCK_AWAITED, SLEEP_NS);
}

/* False if no breakpoint is in place there, or another one is by now: then the thread returns to the site, and executes
 * what it finds. */
static bool read_standing(uint64_t site, struct emulated *emulated)
{
    uint64_t count = __atomic_load_n(&breakpoints, __ATOMIC_ACQUIRE);
    bool is_there = __atomic_load_n(&standing.site, __ATOMIC_RELAXED) == site;
    emulated->target = __atomic_load_n(&standing.target, __ATOMIC_RELAXED);
    emulated->behind = __atomic_load_n(&standing.behind, __ATOMIC_RELAXED);
    emulated->kind = (enum emulated_kind)__atomic_load_n(&standing.kind, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return is_there && count % 2 == 1 && __atomic_load_n(&breakpoints, __ATOMIC_RELAXED) == count;
}

/* Emulates the new instruction for the thread, if it is simple enough. */
static bool emulate(struct poke_thread *thread, uint64_t site)
{
    struct emulated emulated;
    if (!thread->may_be_emulated || !read_standing(site, &emulated) || emulated.kind == EMULATED_NONE)
        return false;
    if (emulated.kind == EMULATED_CALL) {
        uint64_t top = thread->rsp - sizeof emulated.behind;
        if (!thread->store || !thread->store(top, emulated.behind))
            return false;
        thread->rsp = top;
    }
    thread->rip = emulated.target;
    return true;
}

bool poke_trap(struct poke_thread *thread)
{
    uint64_t site = thread->rip - 1, count = (__atomic_load_n(&breakpoints, __ATOMIC_SEQ_CST) + 1) / 2;
    if (!is_recent(site, count) || is_of_the_program(site))
        return false;
    if (emulate(thread, site))
        return true;
    await_change();
    thread->rip = site;
    return true;
}
