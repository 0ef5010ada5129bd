/* ask.c: see ask.h.
 *
 * Who is in a policy: each thread that calls one has an asker, and writes there which slot's policy it is in. A remover
 * closes the slot, makes all threads serialise, and reads the askers. Either it sees the thread's, or the thread, which
 * looks at the slot again after it has written there, sees that the slot is closed.
 *
 * An asker may be stale: a signal handler has interrupted the policy and left by siglongjmp, or ended the thread. The
 * asker has a mark on the stack, as a fault has one (readers.c), which shows that.
 *
 * What a body calls is compiled without vector registers. So a thread takes its asker not here, but in the handler of
 * its first fault; until then it gets the answer SEGUE_RETRY, and faults. */
#include "ask.h"

#include <stddef.h>

#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"
#include "platform/threads/identity.h"
#include "platform/threads/look.h"
#include "platform/threads/thread.h"
#include "signals/threads/thread.h"

/* The most threads that are in hot policies, or have been and are alive. */
#define ASKERS 4096u
/* Nanoseconds between two looks at a thread that stays in a policy. */
#define PAUSE 200000u

struct asker {
    /* The TID of the thread that has it; 0 if none. */
    _Alignas(64) uint32_t owner;
    /* The slot whose policy the thread is in; NULL if in none. */
    const struct hot_slot *slot;
    struct thread_mark mark;
};

static struct asker *askers;

/* One that is free, or whose thread has ended. */
static struct asker *take_asker(void)
{
    int self = thread_number();
    for (size_t i = 0; i < ASKERS; i++) {
        struct asker *asker = &askers[i];
        uint32_t owner = __atomic_load_n(&asker->owner, __ATOMIC_ACQUIRE);
        if (owner && !identity_is_gone((struct identity){(int)owner, IDENTITY_OWN}))
            continue;
        if (__atomic_compare_exchange_n(&asker->owner, &owner, (uint32_t)self, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
            asker->slot = NULL;
            return asker;
        }
    }
    return NULL;
}

static SEGUE_HOT_POLICY struct asker *asker_of_self(void)
{
    return thread_self.asker ? &askers[thread_self.asker - 1] : NULL;
}

void ask_attach(void)
{
    struct asker *asker = asker_of_self();
    if (!asker && (asker = take_asker()) != NULL)
        thread_self.asker = (uint16_t)(asker - askers + 1);
    else if (asker)
        asker->owner = (uint32_t)thread_number();
}

/* What a mask selects of an access: `size` bytes at `offset`. False if they are in several parts. */
static SEGUE_HOT_POLICY bool find_selected(const struct body_record *record, uint64_t mask, uint32_t *offset,
                                           uint32_t *size)
{
    uint32_t elements = record->size / record->element;
    uint64_t selected = 0, each = elements < 64 ? (UINT64_C(1) << elements) - 1 : ~UINT64_C(0);
    mask &= record->lanes < 64 ? (UINT64_C(1) << record->lanes) - 1 : ~UINT64_C(0);
    for (uint32_t lane = 0; lane < record->lanes; lane += elements)
        selected |= mask >> lane & each;
    *offset = *size = 0;
    if (!selected)
        return true;
    uint32_t first = (uint32_t)__builtin_ctzll(selected), end = 64 - (uint32_t)__builtin_clzll(selected);
    *offset = first * record->element;
    *size = (end - first) * record->element;
    /* One more than a row of ones has no bit in common with it. */
    selected >>= first;
    return !(selected & (selected + 1));
}

/* Without an access there is no question; a mask that selects several parts needs several, which its fault asks. */
static SEGUE_HOT_POLICY enum segue_verdict ask(const struct body_call *call, const struct hot_slot *slot)
{
    const struct body_record *record = call->record;
    uint32_t offset = 0, size = record->size;
    if (record->lanes && !find_selected(record, call->mask, &offset, &size))
        return SEGUE_RETRY;
    if (!size)
        return SEGUE_STEP;
    if (call->regs)
        call->regs->rip = record->site;
    const struct segue_hot_event event = {
        .address = call->address + offset,
        .at = (void *)(uintptr_t)(call->address + offset + (uint64_t)slot->distance),
        .size = size,
        .direction = record->direction,
        .site = record->site,
        .thread = (segue_thread_id)asker_of_self()->owner,
        .region = &slot->region,
        .regs = call->regs,
    };
    return slot->region.hot_policy(slot->region.context, &event);
}

/* The thunk asks again if the thread was suspended since `watched` was read. */
static SEGUE_HOT_POLICY int BODY_ASK_ABI ask_policy(struct body_call *call)
{
    const struct hot_slot *slot = call->record->slot;
    struct asker *self = asker_of_self();
    call->watch = &thread_self.suspensions;
    call->watched = thread_self.suspensions;
    if (!self)
        return SEGUE_RETRY;
    const struct hot_slot *outer = self->slot;
    const volatile uint64_t *outer_at = self->mark.at;
    uint64_t outer_value = self->mark.value;
    volatile uint64_t mark = (uint64_t)(uintptr_t)self ^ ++thread_self.marks;
    self->mark.value = mark;
    self->mark.at = &mark;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&self->slot, slot, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    enum segue_verdict verdict = __atomic_load_n(&slot->is_open, __ATOMIC_RELAXED) ? ask(call, slot) : SEGUE_RETRY;
    __atomic_store_n(&self->slot, outer, __ATOMIC_RELEASE);
    self->mark.at = outer_at;
    self->mark.value = outer_value;
    return verdict;
}

enum segue_status ask_prepare(void)
{
    if (!askers)
        askers = platform_map_apart(ASKERS * sizeof *askers);
    if (!askers)
        return SEGUE_NO_MEMORY;
    body_ask = ask_policy;
    return SEGUE_OK;
}

static bool in_one_mapping(uint64_t one, uint64_t other)
{
    struct mapping mapping;
    return mappings_find(one, &mapping) && other - mapping.start < mapping.end - mapping.start;
}

/* The thread has left the policy without a return. */
static bool is_abandoned(const struct asker *asker)
{
    const struct thread_mark mark = asker->mark;
    uint64_t stack_pointer, at = (uint64_t)(uintptr_t)mark.at;
    int owner = (int)asker->owner;
    if (identity_is_gone((struct identity){owner, IDENTITY_OWN}) || thread_is_overwritten(&mark))
        return true;
    return look_at_thread(owner, &stack_pointer) == LOOK_WAITS && stack_pointer > at &&
           in_one_mapping(at, stack_pointer);
}

static void wait_for(struct asker *asker, const struct hot_slot *slot)
{
    while (__atomic_load_n(&asker->slot, __ATOMIC_ACQUIRE) == slot && asker != asker_of_self()) {
        platform_sleep(PAUSE);
        if (__atomic_load_n(&asker->slot, __ATOMIC_ACQUIRE) == slot && is_abandoned(asker))
            return;
    }
}

void ask_wait(const struct hot_slot *slot)
{
    for (size_t i = 0; askers && i < ASKERS; i++)
        if (__atomic_load_n(&askers[i].owner, __ATOMIC_ACQUIRE))
            wait_for(&askers[i], slot);
}

void ask_in_child(void)
{
    for (size_t i = 0; askers && i < ASKERS; i++)
        if (&askers[i] != asker_of_self())
            askers[i].owner = 0;
    if (askers && asker_of_self())
        asker_of_self()->owner = (uint32_t)thread_number();
}
