/* adopt.c: see adopt.h; and segue_mapping_adopt.
 *
 * All other threads are suspended while the contents are copied. A child made by fork shares the pages until its copy
 * is made, and its parent waits for that: so neither sees what the other writes, unless another thread of the parent
 * writes in between. */
#include "adopt.h"

#include <errno.h>
#include <segue/mapping.h>
#include <stddef.h>

#include "decode/x86/page.h"
#include "emulate/windows/adopted.h"
#include "hold.h"
#include "platform/code.h"
#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"
#include "platform/process/child.h"
#include "platform/process/fork.h"
#include "platform/process/fork_lock.h"
#include "platform/process/once.h"
#include "platform/reason.h"
#include "platform/threads/thread.h"
#include "platform/threads/wait.h"
#include "policy.h"
#include "signals/mutator/suspend.h"
#include "signals/threads/thread.h"
#include "signals/watch/queue/queue.h"

/* The most adoptions. */
#define MOST 65536u
/* A thread that is suspended, or gets a signal, uses so much of its stack below its stack pointer. */
#define STACK_BELOW (UINT64_C(128) << 10)
/* The caller's frames, which change while the pages are copied, need at most this. */
#define OWN_FRAMES (UINT64_C(16) << 10)
/* How long a parent waits for its child's copies, in nanoseconds: it may have been stopped. */
#define LONGEST UINT64_C(5000000000)

/* Of the C library's record of a thread, from the base of FS on: enough, where the library does not say how large it
 * is. Memory of the program's may begin right behind a thread's stack, which ends with the record. */
static uint64_t record_size = 4096;

static struct fork_lock lock = FORK_LOCK_INITIALIZER;
/* The thread that has it. */
static const void *adopter;
/* In progress. */
static unsigned forks;
/* Of no size: free. */
static struct adopted *all;
static unsigned used;
/* Of the library's own memory, which is in two mappings: of a file, and behind it of none. Memory of the program's may
 * be in one mapping with the second. */
static uint64_t in_data = 1;
extern const char __bss_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

static void set_adopter(const void *thread)
{
    __atomic_store_n(&adopter, thread, __ATOMIC_RELAXED);
}

bool adopt_is_locked_here(void)
{
    return __atomic_load_n(&adopter, __ATOMIC_RELAXED) == platform_thread_self();
}

void adopt_lock(void)
{
    fork_lock_take(&lock);
    set_adopter(platform_thread_self());
}

/* Who forks keeps it. */
void adopt_unlock(void)
{
    if (!forks)
        set_adopter(NULL);
    fork_lock_release(&lock);
}

/* A thread that waits for the lock can be suspended by the one that has it. */
uint64_t adopt_begin(void)
{
    for (;;) {
        uint64_t mask = platform_asynchronous_hold();
        if (!(mask & SIGNAL_BIT(suspend_signal())))
            platform_mask_unblock(SIGNAL_BIT(suspend_signal()));
        if (fork_lock_try(&lock)) {
            set_adopter(platform_thread_self());
            return mask;
        }
        platform_signals_release(mask);
        wait_a_moment();
    }
}

void adopt_end(uint64_t mask)
{
    adopt_unlock();
    platform_signals_release(mask);
}

/* ---- fork ---- */

/* Of the forks in progress: a fork handler may fork. Inner ones than these are not waited for. */
#define NESTED 4u
static struct child_wait waits[NESTED];

static void before_fork(void)
{
    fork_lock_before(&lock);
    set_adopter(platform_thread_self());
    if (forks < NESTED)
        child_wait_begin(&waits[forks]);
    forks++;
}

static void in_parent(void)
{
    if (forks && --forks < NESTED)
        child_wait_end(&waits[forks], LONGEST);
    if (!forks)
        set_adopter(NULL);
    fork_lock_after(&lock);
}

static void in_child(void)
{
    for (unsigned i = 0; i < used; i++)
        if (all[i].pages.size)
            platform_adopt_anew(&all[i].pages);
    policy_in_child();
    if (forks && --forks < NESTED)
        child_wait_done(&waits[forks]);
    if (!forks)
        set_adopter(NULL);
    fork_lock_in_child(&lock);
}

/* glibc exports it for debuggers (docs/facts.md). */
static void learn_record_size(void)
{
    const uint32_t *size = platform_symbol_find("_thread_db_sizeof_pthread");
    if (size && *size)
        record_size = *size;
}

static bool prepare(void)
{
    static const struct fork_hooks hooks = {before_fork, in_parent, in_child};
    learn_record_size();
    all = platform_map(MOST * sizeof *all);
    return all && fork_register(FORK_ADOPTED, &hooks);
}

/* ---- what cannot be adopted ---- */

static bool overlap(const struct adoption *pages, uint64_t start, uint64_t end)
{
    return pages->at < end && start < pages->at + pages->size;
}

/* The mapping of a variable. */
static bool has_mapping_of(const struct adoption *pages, const void *variable)
{
    struct mapping mapping;
    uint64_t at = (uint64_t)(uintptr_t)variable;
    return mappings_find(at, &mapping) && overlap(pages, mapping.start, mapping.end);
}

static uint64_t whole_page(uint64_t address)
{
    return address & -(uint64_t)PAGE;
}

/* A stack, or a thread's record, goes on in it. */
static bool is_alike(const struct mapping *one, const struct mapping *other)
{
    return other->file == one->file && other->is_shared == one->is_shared && other->protection != PLATFORM_NONE;
}

/* How much around an address is used at most is known, and not how much: what belongs to other memory is not. */
static bool overlap_around(const struct adoption *pages, uint64_t address, uint64_t start, uint64_t end)
{
    struct mapping own, next;
    if (!overlap(pages, start, end))
        return false;
    if (!mappings_find(address, &own))
        return true;
    uint64_t lowest = own.start, highest = own.end;
    while (lowest > start && mappings_find(lowest - 1, &next) && is_alike(&own, &next))
        lowest = next.start;
    while (highest < end && mappings_find(highest, &next) && is_alike(&own, &next))
        highest = next.end;
    return overlap(pages, lowest > start ? lowest : start, highest < end ? highest : end);
}

/* The thread's record, and what the library keeps for each thread, at the same distance below it. */
static bool has_thread_of(const struct adoption *pages, uint64_t base)
{
    uint64_t own = (uint64_t)(uintptr_t)platform_thread_self(), state = (uint64_t)(uintptr_t)&thread_self;
    return overlap_around(pages, base, whole_page(base - (own - state)), whole_page(base + record_size - 1) + PAGE);
}

/* Second views, and what is kept elsewhere. */
static bool has_views(const struct adoption *pages)
{
    for (unsigned i = 0; i < used; i++)
        if (all[i].pages.size && (overlap(pages, all[i].reserved, all[i].reserved + all[i].reserved_size) ||
                                  overlap(pages, all[i].kept, all[i].kept + all[i].kept_size)))
            return true;
    return false;
}

static const char *refusal_of_pages(const struct adoption *pages)
{
    if (has_views(pages) || (queue_memory() && has_mapping_of(pages, queue_memory())))
        return "the pages are the library's own";
    if (has_mapping_of(pages, &in_data) ||
        overlap(pages, whole_page((uint64_t)(uintptr_t)__bss_start), (uint64_t)(uintptr_t)_end))
        return "the pages are beside the library's own data: link the program with the shared library";
    if (has_thread_of(pages, (uint64_t)(uintptr_t)platform_thread_self()))
        return "the pages hold a thread's static thread-local storage";
    return platform_adopt_refusal(pages->at, pages->size);
}

static bool has_stack_of(const struct adoption *pages, uint64_t stack_pointer, uint64_t above)
{
    return overlap_around(pages, stack_pointer, stack_pointer - STACK_BELOW, whole_page(stack_pointer + above) + PAGE);
}

/* No stack goes on where the thread's record begins. */
static uint64_t own_frames(uint64_t stack_pointer)
{
    const uint64_t to_record = (uint64_t)(uintptr_t)platform_thread_self() - stack_pointer;
    return to_record < OWN_FRAMES ? to_record : OWN_FRAMES;
}

/* With all other threads suspended. */
static enum segue_status examine_threads(const struct adoption *pages, const struct held *held)
{
    const uint64_t here = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    bool has_stack = has_stack_of(pages, here, own_frames(here));
    for (unsigned i = 0; i < held->count; i++) {
        const struct segue_regs *regs = &held->threads[i].context.regs;
        has_stack = has_stack || has_stack_of(pages, regs->rsp, 0);
        if (has_thread_of(pages, regs->fs_base))
            return reason_give(SEGUE_UNSUPPORTED, "the pages hold a thread's static thread-local storage");
    }
    return has_stack ? reason_give(SEGUE_BUSY, "the pages are under a running thread's stack pointer") : SEGUE_OK;
}

static enum segue_status status_of(long result)
{
    errno = (int)-result;
    return reason_give(result == -ENOMEM ? SEGUE_NO_MEMORY : SEGUE_SYSTEM, "a system call failed; errno says why");
}

/* ---- adopting ---- */

static uint64_t room_of(uint64_t size)
{
    return size + PLATFORM_VIEW_GUARD;
}

static enum segue_status reserve(struct adopted *adopted, bool has_room)
{
    struct adoption *pages = &adopted->pages;
    const uint64_t size = pages->size;
    const char *refusal = refusal_of_pages(pages);
    if (refusal)
        return reason_give(SEGUE_UNSUPPORTED, refusal);
    adopted->reserved_size = room_of(size) * (has_room ? 2 : 1) + PLATFORM_VIEW_GUARD;
    adopted->reserved = platform_reserve_near(pages->at, size, adopted->reserved_size);
    if (!adopted->reserved)
        return reason_give(SEGUE_UNSUPPORTED, "there are no free addresses within 2 GiB of the pages");
    pages->kept = adopted->kept = (uint64_t)(uintptr_t)platform_reserve(size);
    adopted->kept_size = size;
    if (!pages->kept)
        return reason_give(SEGUE_NO_MEMORY, NULL);
    pages->alias = adopted->reserved + PLATFORM_VIEW_GUARD;
    adopted->room = has_room ? pages->alias + room_of(size) : 0;
    return SEGUE_OK;
}

static void unreserve(const struct adopted *adopted)
{
    if (adopted->reserved)
        platform_unreserve_near(adopted->reserved, adopted->reserved_size);
    if (adopted->kept)
        platform_unmap((void *)(uintptr_t)adopted->kept, adopted->kept_size);
}

/* With all other threads suspended. */
static enum segue_status adopt_held(const struct adopted *adopted, unsigned count, const struct held *held)
{
    for (unsigned i = 0; i < count; i++) {
        enum segue_status status = examine_threads(&adopted[i].pages, held);
        if (status != SEGUE_OK)
            return status;
    }
    for (unsigned i = 0; i < count; i++) {
        long result = platform_adopt(&adopted[i].pages);
        if (result == 0)
            continue;
        while (i-- > 0)
            platform_release(&adopted[i].pages);
        return status_of(result);
    }
    return SEGUE_OK;
}

static bool has_places(unsigned count)
{
    unsigned places = MOST - used;
    for (unsigned i = 0; i < used && places < count; i++)
        places += all[i].pages.size == 0;
    return places >= count;
}

static void note(const struct adopted *adopted)
{
    unsigned at = 0;
    while (at < used && all[at].pages.size)
        at++;
    all[at] = *adopted;
    used += at == used;
}

/* Whether that was the last of what was adopted with it. */
static bool forget(const struct adopted *adopted)
{
    bool is_last = true;
    for (unsigned i = 0; i < used; i++)
        if (all[i].pages.size && all[i].reserved == adopted->reserved) {
            if (all[i].pages.alias == adopted->pages.alias)
                all[i].pages.size = 0;
            else
                is_last = false;
        }
    return is_last;
}

enum segue_status adopt_all(struct adopted *adopted, unsigned count, bool has_room)
{
    static struct once prepared;
    struct held held;
    unsigned reserved = 0;
    if (!once(&prepared, prepare) || !has_places(count))
        return reason_give(SEGUE_NO_MEMORY, NULL);
    enum segue_status status = SEGUE_OK;
    for (; reserved < count && status == SEGUE_OK; reserved++)
        status = reserve(&adopted[reserved], has_room);
    const bool holds = !adopted[0].is_pool;
    held.count = 0;
    if (status == SEGUE_OK && holds)
        status = hold_all(&held);
    if (status == SEGUE_OK) {
        status = adopt_held(adopted, count, &held);
        if (holds)
            hold_end(&held);
    }
    for (unsigned i = 0; i < reserved; i++)
        if (status == SEGUE_OK)
            note(&adopted[i]);
        else
            unreserve(&adopted[i]);
    return status;
}

static struct adopted part_of(const struct adopted *adopted, uint64_t from, uint64_t end)
{
    const uint64_t offset = from - adopted->pages.at;
    struct adopted part = *adopted;
    part.pages = (struct adoption){
        .at = from, .size = end - from, .alias = adopted->pages.alias + offset, .kept = adopted->pages.kept + offset};
    part.room = adopted->room ? adopted->room + offset : 0;
    return part;
}

enum segue_status adopt_cut(const struct adopted *adopted, uint64_t from, uint64_t end,
                            struct adopted parts[ADOPT_PARTS], unsigned *count)
{
    const struct adopted ends = part_of(adopted, from, end);
    const uint64_t last = adopted->pages.at + adopted->pages.size;
    struct held held;
    *count = 0;
    if (from > adopted->pages.at)
        parts[(*count)++] = part_of(adopted, adopted->pages.at, from);
    if (end < last)
        parts[(*count)++] = part_of(adopted, end, last);
    if (!has_places(ADOPT_PARTS))
        return reason_give(SEGUE_NO_MEMORY, NULL);
    enum segue_status status = hold_all(&held);
    if (status == SEGUE_OK) {
        long result = platform_release(&ends.pages);
        hold_end(&held);
        status = result == 0 ? SEGUE_OK : status_of(result);
    }
    bool is_last = forget(adopted);
    for (unsigned i = 0; i < *count; i++)
        note(&parts[i]);
    if (status != SEGUE_OK)
        note(&ends);
    else if (*count == 0 && is_last)
        unreserve(adopted);
    else if (ends.room)
        platform_protect(ends.room, ends.pages.size, PLATFORM_NONE);
    return status;
}

enum segue_status adopt_release(const struct adopted *adopted)
{
    struct adopted parts[ADOPT_PARTS];
    unsigned count;
    return adopt_cut(adopted, adopted->pages.at, adopted->pages.at + adopted->pages.size, parts, &count);
}

/* ---- the public functions ---- */

enum segue_status segue_mapping_adopt(void *memory, size_t size, struct segue_mapping *mapping)
{
    struct adopted adopted = {.pages = {.at = (uint64_t)(uintptr_t)memory, .size = size}};
    if (!mapping || !memory || !size)
        return reason_give(SEGUE_INVALID, "mapping or memory is NULL, or size is 0");
    if ((adopted.pages.at | size) % PAGE || adopted.pages.at + size < size)
        return reason_give(SEGUE_INVALID, "memory or size is not a multiple of the page size, or too large");
    if (thread_is_inside())
        return reason_give(SEGUE_BUSY, "the caller is inside a fault");
    adopt_lock();
    enum segue_status status = adopt_all(&adopted, 1, false);
    adopt_unlock();
    if (status == SEGUE_OK)
        *mapping = (struct segue_mapping){
            .memory = memory,
            .alias = (void *)(uintptr_t)adopted.pages.alias,
            .size = size,
            .private_ = MAPPING_ADOPTED,
        };
    return status;
}

static struct adopted *find(const struct segue_mapping *mapping)
{
    for (unsigned i = 0; i < used; i++)
        if (all[i].pages.size == mapping->size && all[i].pages.at == (uint64_t)(uintptr_t)mapping->memory)
            return &all[i];
    return NULL;
}

enum segue_status segue_mapping_release(struct segue_mapping *mapping)
{
    if (!mapping || !(mapping->private_ & MAPPING_ADOPTED))
        return reason_give(SEGUE_INVALID, "mapping is NULL, or was not adopted");
    if (thread_is_inside())
        return reason_give(SEGUE_BUSY, "the caller is inside a fault");
    adopt_lock();
    const struct adopted *found = find(mapping);
    const struct adopted adopted = found ? *found : (struct adopted){.reserved = 0};
    enum segue_status status = found ? adopt_release(&adopted) : SEGUE_NOT_FOUND;
    adopt_unlock();
    if (status == SEGUE_OK)
        *mapping = (struct segue_mapping){0};
    return status;
}
