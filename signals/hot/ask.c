/* ask.c: see ask.h.
 *
 * Who is in a policy: each thread that calls one has an asker, and writes there which slot's policy it is in. A remover
 * closes the slot, makes all threads serialise, and reads the askers. Either it sees the thread's, or the thread, which
 * looks at the slot again after it has written there, sees that the slot is closed.
 *
 * An asker may be stale: a signal handler has interrupted the policy and left by siglongjmp, or ended the thread. The
 * asker has a mark on the stack, as a fault has one (readers.c), which shows that once it is overwritten. A thread that
 * runs, and leaves the mark as it is, is asked.
 *
 * What a body calls is compiled without vector registers. So a thread takes its asker not here, but in the handler of
 * its first fault; until then it gets the answer SEGUE_RETRY, and faults. */
#include "ask.h"

#include <stddef.h>
#include <string.h>

#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"
#include "platform/threads/identity.h"
#include "platform/threads/look.h"
#include "platform/threads/thread.h"
#include "signals/regions/readers.h"
#include "signals/threads/thread.h"

/* The most threads that are in hot policies, or have been and are alive. */
#define ASKERS 4096u
/* Nanoseconds between two looks at a thread that stays in a policy. */
#define PAUSE 200000u
/* Looks after which it is asked. */
#define ROUNDS_RUNNING 100u

struct asker {
    /* The TID of the thread that has it; 0 if none. */
    _Alignas(64) uint32_t owner;
    /* The slot whose policy the thread is in; NULL if in none. */
    const struct hot_slot *slot;
    struct thread_mark mark;
    /* What the policy is shown; but a thread that was in a policy already makes another. */
    struct segue_hot_event event;
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
            asker->mark.value = (uint64_t)(uintptr_t)asker;
            memset(&asker->event, 0, sizeof asker->event);
            return asker;
        }
    }
    return NULL;
}

static struct asker *asker_of_self(void)
{
    return thread_self.asker;
}

void ask_attach(void)
{
    struct asker *asker = asker_of_self();
    if (!asker && (asker = take_asker()) == NULL)
        return;
    asker->owner = (uint32_t)thread_number();
    asker->event.thread = asker->owner;
    thread_self.asker = asker;
}

/* Asks about a part of the access; with an event of the caller's, whose other members are 0. */
static SEGUE_HOT_POLICY enum segue_verdict ask_about(const struct body_call *call, const struct hot_slot *slot,
                                                     struct segue_hot_event *event, uint32_t offset, uint32_t size)
{
    const struct body_record *record = call->record;
    event->address = call->address + offset;
    event->at = (void *)(uintptr_t)(event->address + (uint64_t)slot->distance);
    event->size = size;
    event->direction = record->direction;
    event->site = record->site;
    event->region = &slot->region;
    event->regs = call->regs;
    return slot->region.hot_policy(slot->region.context, event);
}

/* The elements that a mask selects, one bit each. */
static SEGUE_HOT_POLICY uint64_t selected_elements(const struct body_record *record, uint64_t mask)
{
    uint32_t elements = record->size / record->element;
    uint64_t selected = 0, each = elements < 64 ? (UINT64_C(1) << elements) - 1 : ~UINT64_C(0);
    mask &= record->lanes < 64 ? (UINT64_C(1) << record->lanes) - 1 : ~UINT64_C(0);
    for (uint32_t lane = 0; lane < record->lanes; lane += elements)
        selected |= mask >> lane & each;
    return selected;
}

/* As the handler asks: once for each row of selected elements, until an answer is not SEGUE_STEP. */
static SEGUE_HOT_POLICY enum segue_verdict ask_about_selected(const struct body_call *call, const struct hot_slot *slot,
                                                              struct segue_hot_event *event)
{
    const struct body_record *record = call->record;
    uint64_t left = selected_elements(record, call->mask);
    enum segue_verdict verdict = SEGUE_STEP;
    while (left && verdict == SEGUE_STEP) {
        uint32_t first = (uint32_t)__builtin_ctzll(left);
        uint64_t row = left >> first;
        uint32_t count = ~row ? (uint32_t)__builtin_ctzll(~row) : 64;
        verdict = ask_about(call, slot, event, first * record->element, count * record->element);
        /* Without the row: the carry of its lowest bit takes it away. */
        left &= left + (UINT64_C(1) << first);
    }
    return verdict;
}

static inline SEGUE_HOT_POLICY void enter(struct asker *self, const struct hot_slot *slot)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&self->slot, slot, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline SEGUE_HOT_POLICY bool is_open(const struct hot_slot *slot)
{
    return __builtin_expect(__atomic_load_n(&slot->is_open, __ATOMIC_RELAXED), 1);
}

/* Any question: also in a handler that has interrupted a policy, or after one that has left it for good. Slot and mark
 * are then as they were. The mark's value is another each time, and never ask_policy's: so one that was left shows. */
static __attribute__((noinline)) SEGUE_HOT_POLICY enum segue_verdict
ask_fully(const struct body_call *call, const struct hot_slot *slot, struct asker *self)
{
    const struct hot_slot *outer = self->slot;
    const volatile uint64_t *outer_at = self->mark.at;
    uint64_t outer_value = self->mark.value, value = (uint64_t)(uintptr_t)self ^ ++thread_self.marks;
    volatile uint64_t mark = value;
    struct segue_hot_event event = {.thread = self->event.thread};
    enum segue_verdict verdict = SEGUE_RETRY;
    self->mark.value = value;
    self->mark.at = &mark;
    enter(self, slot);
    if (call->regs)
        call->regs->rip = call->record->site;
    if (is_open(slot))
        verdict = call->record->lanes ? ask_about_selected(call, slot, &event)
                                      : ask_about(call, slot, &event, 0, call->record->size);
    __atomic_store_n(&self->slot, outer, __ATOMIC_RELEASE);
    self->mark.at = outer_at;
    self->mark.value = outer_value;
    return verdict;
}

/* The access is outside the body's region: it may lie in another one, for which the body would do the same. */
static __attribute__((noinline)) SEGUE_HOT_POLICY enum segue_verdict ask_elsewhere(struct body_call *call,
                                                                                   struct asker *self)
{
    const struct body_record *record = call->record;
    const struct hot_slot *slot = hot_slot_find(call->address, record->size);
    if (!slot || !hot_slot_is_like(slot, record->slot))
        return SEGUE_RETRY;
    call->alias = call->address + (uint64_t)slot->distance;
    return ask_fully(call, slot, self);
}

_Static_assert(offsetof(struct body_record, direction) - offsetof(struct body_record, size) ==
                   offsetof(struct segue_hot_event, direction) - offsetof(struct segue_hot_event, size),
               "one copy for size and direction");
#define EXTENT_SIZE 8

/* Size and direction, and the reserved bytes behind them: for what no mask selects they are 0 in both. */
static inline SEGUE_HOT_POLICY void copy_extent(struct segue_hot_event *event, const struct body_record *record)
{
    __builtin_memcpy((char *)event + offsetof(struct segue_hot_event, size),
                     (const char *)record + offsetof(struct body_record, size), EXTENT_SIZE);
}

/* The usual question: as short as can be, since it comes with each access. The event's other members are never anything
 * else. A handler that asks between the mark and the slot leaves its own mark and event: then ours are written again,
 * before it is known whether the slot is open. */
static SEGUE_HOT_POLICY int BODY_ASK_ABI ask_policy(struct body_call *call)
{
    const struct body_record *record = call->record;
    const struct hot_slot *slot = record->slot;
    struct asker *self = thread_self.asker;
    /* The thunk asks again if the thread was suspended since `watched` was read. */
    call->watch = &thread_self.suspensions;
    call->watched = thread_self.suspensions;
    if (__builtin_expect(!self, 0))
        return SEGUE_RETRY;
    if (__builtin_expect(self->slot != NULL || record->lanes || call->regs || record->looks_up, 0))
        return (int)(record->looks_up && call->missed ? ask_elsewhere(call, self) : ask_fully(call, slot, self));
    volatile uint64_t mark = (uint64_t)(uintptr_t)self;
    do {
        self->mark.at = &mark;
        self->event.address = call->address;
        self->event.at = (void *)(uintptr_t)(call->address + (uint64_t)slot->distance);
        copy_extent(&self->event, record);
        self->event.site = record->site;
        self->event.region = &slot->region;
        enter(self, slot);
    } while (__builtin_expect(__atomic_load_n(&self->mark.at, __ATOMIC_RELAXED) != &mark, 0));
    enum segue_verdict verdict =
        is_open(slot) ? slot->region.hot_policy(slot->region.context, &self->event) : SEGUE_RETRY;
    __atomic_store_n(&self->slot, NULL, __ATOMIC_RELEASE);
    return (int)verdict;
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

void ask_answer(uint64_t stack_pointer, bool on_alternate)
{
    struct asker *self = asker_of_self();
    if (self && self->slot && !on_alternate && stack_pointer > (uint64_t)(uintptr_t)self->mark.at)
        __atomic_store_n(&self->slot, NULL, __ATOMIC_RELEASE);
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
    unsigned rounds = 0;
    while (__atomic_load_n(&asker->slot, __ATOMIC_ACQUIRE) == slot && asker != asker_of_self()) {
        platform_sleep(PAUSE);
        if (__atomic_load_n(&asker->slot, __ATOMIC_ACQUIRE) != slot || is_abandoned(asker))
            return;
        /* A thread that waits in a system call is not disturbed, and is known by its stack pointer. */
        if (++rounds % ROUNDS_RUNNING == 0 && !look_is_in_call((int)asker->owner)) {
            const struct thread_mark mark = asker->mark;
            readers_ask((int)asker->owner, &mark);
        }
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
        ask_attach();
}
