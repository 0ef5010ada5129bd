/* standing.c: see standing.h.
 *
 * SOURCES: Linux arch/x86/kernel/alternative.c (poke_int3_handler: a binary search in the sorted vector of a batch). */
#include "standing.h"

#include "decode/x86/compiler/shared_word.h"
#include "patch/poke/lock.h"
#include "platform/memory/forced.h"

#define BREAKPOINT 0xcc

/* The announced breakpoints. A sequence lock: the version is odd while they may be in place. They are written only
 * while it is even, so a reader that finds the same odd version before and after has read what was announced. */
static struct {
    shared_word site, target, behind;
    uint32_t kind;
} table[STANDING_MOST];
static uint32_t table_count;
static shared_word version;

/* Sites that have had a breakpoint: a thread may have hit one without its SIGTRAP handler having run yet. A hash table
 * of buckets; the first place of a bucket is the newest. A site is forgotten after at least four other sites of its
 * bucket, never because of how many changes there have been elsewhere. */
#define BUCKETS 2048u
#define PLACES 8u
static shared_word recent[BUCKETS][PLACES];

static shared_word *bucket_of(uint64_t site)
{
    return recent[site * UINT64_C(0x9e3779b97f4a7c15) >> 53];
}
_Static_assert(BUCKETS == 1u << (64 - 53), "the hash has as many bits as there are buckets");

/* Among the first `places` of its bucket. A site moves only towards the end of its bucket, and is copied before its
 * place is overwritten: so a reader that goes the same way does not miss it. */
static bool is_among(uint64_t site, unsigned places)
{
    const shared_word *bucket = bucket_of(site);
    for (unsigned i = 0; i < places; i++)
        if (__atomic_load_n(&bucket[i], __ATOMIC_ACQUIRE) == site)
            return true;
    return false;
}

static void remember(uint64_t site)
{
    shared_word *bucket = bucket_of(site);
    if (is_among(site, PLACES / 2))
        return;
    for (unsigned i = PLACES - 1; i > 0; i--)
        __atomic_store_n(&bucket[i], __atomic_load_n(&bucket[i - 1], __ATOMIC_RELAXED), __ATOMIC_RELEASE);
    __atomic_store_n(&bucket[0], site, __ATOMIC_RELEASE);
}

void standing_announce(const struct standing *standing, size_t count)
{
    /* A thread that reads one of these and then the version finds that the version has changed since the last change.
     */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    for (size_t i = 0; i < count; i++) {
        remember(standing[i].site);
        __atomic_store_n(&table[i].site, standing[i].site, __ATOMIC_RELAXED);
        __atomic_store_n(&table[i].target, standing[i].emulated.target, __ATOMIC_RELAXED);
        __atomic_store_n(&table[i].behind, standing[i].emulated.behind, __ATOMIC_RELAXED);
        __atomic_store_n(&table[i].kind, (uint32_t)standing[i].emulated.kind, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&table_count, (uint32_t)count, __ATOMIC_RELAXED);
    /* It is odd already in a child made by a bare system call while another thread of the parent changed code. */
    __atomic_store_n(&version, (version + 1) | 1, __ATOMIC_SEQ_CST);
}

void standing_withdraw(void)
{
    __atomic_fetch_add(&version, 1, __ATOMIC_SEQ_CST);
}

/* The place of the lowest site that is not below `site`; the number of sites if all are. */
static uint32_t place_of(uint64_t site)
{
    uint32_t first = 0, end = __atomic_load_n(&table_count, __ATOMIC_RELAXED);
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        if (__atomic_load_n(&table[middle].site, __ATOMIC_RELAXED) < site)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

/* False if no breakpoint is in place there, or others are by now: then the thread returns to the site, and executes
 * what it finds. */
static bool read_standing(uint64_t site, struct emulated *emulated)
{
    uint64_t before = __atomic_load_n(&version, __ATOMIC_SEQ_CST);
    if (before % 2 == 0)
        return false;
    uint32_t place = place_of(site);
    if (place == STANDING_MOST)
        return false;
    bool is_there = place < __atomic_load_n(&table_count, __ATOMIC_RELAXED) &&
                    __atomic_load_n(&table[place].site, __ATOMIC_RELAXED) == site;
    emulated->target = __atomic_load_n(&table[place].target, __ATOMIC_RELAXED);
    emulated->behind = __atomic_load_n(&table[place].behind, __ATOMIC_RELAXED);
    emulated->kind = (enum emulated_kind)__atomic_load_n(&table[place].kind, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return is_there && __atomic_load_n(&version, __ATOMIC_RELAXED) == before;
}

/* An INT3 that is there while no breakpoint of a change is in place there belongs to the program. */
static bool is_of_the_program(uint64_t site)
{
    struct emulated emulated;
    uint8_t byte;
    uint64_t before = __atomic_load_n(&version, __ATOMIC_SEQ_CST);
    return !read_standing(site, &emulated) && forced_read(site, &byte, 1) && byte == BREAKPOINT &&
           __atomic_load_n(&version, __ATOMIC_SEQ_CST) == before;
}

/* If the thread returned to the site while the breakpoint is in place, it would be trapped again, and a real-time
 * thread indefinitely: the thread that changes the code holds the lock, and may be the one that it has preempted. */
static void await_change(void)
{
    uint64_t before = __atomic_load_n(&version, __ATOMIC_RELAXED);
    if (before % 2 == 0)
        return;
    for (unsigned i = 0; i < CODE_LOCK_PATIENCE; i++) {
        if (__atomic_load_n(&version, __ATOMIC_RELAXED) != before)
            return;
        __builtin_ia32_pause();
    }
    code_lock_await();
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

uint64_t standing_site_of(uint64_t rip)
{
    uint64_t site = rip - 1;
    /* A free place of a bucket is 0. */
    return site == 0 || !is_among(site, PLACES) || is_of_the_program(site) ? rip : site;
}

bool standing_trap(struct poke_thread *thread)
{
    uint64_t site = standing_site_of(thread->rip);
    if (site == thread->rip)
        return false;
    if (emulate(thread, site))
        return true;
    await_change();
    thread->rip = site;
    return true;
}
