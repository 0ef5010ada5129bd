/* ask.c: see ask.h.
 *
 * Who is in a policy: each thread that calls one has an asker, in which it writes where on its stack is what shows
 * whose policy it is in: a link, or the return address of a quick question in a body, which is some slot's. A remover
 * closes the slot, makes all threads serialise, and reads the askers. Either it sees the thread's, or the thread, which
 * looks at the slot again after it has written there, sees that the slot is closed.
 *
 * An asker may be stale: a signal handler has interrupted the policy and left by siglongjmp, or ended the thread. The
 * word on the stack shows that once it is overwritten. A thread that runs, and leaves the word as it is, is asked.
 *
 * What a body calls is compiled without vector registers. So a thread takes its asker not here, but in the handler of
 * its first fault; until then it gets the answer SEGUE_RETRY, and faults. */
#include "ask.h"

#include <segue/emulate.h>
#include <string.h>

#include "asker.h"
#include "decode/x86/flags.h"
#include "decode/x86/traps.h"
#include "emulate/body/body.h"
#include "emulate/windows/guard.h"
#include "patch/hot/sites.h"
#include "platform/frame/frame.h"
#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"
#include "platform/threads/identity.h"
#include "platform/threads/look.h"
#include "platform/threads/thread.h"
#include "quick_layout.h"
#include "signals/hot/kept/kept.h"
#include "signals/regions/readers.h"
#include "signals/threads/thread.h"

/* The most threads that are in hot policies, or have been and are alive. */
#define ASKERS 4096u
/* How many of them are looked at for one whose thread has ended. */
#define LOOKS 64u
/* Nanoseconds between two looks at a thread that stays in a policy. */
#define PAUSE 200000u
/* Looks after which it is asked. */
#define ROUNDS_RUNNING 100u
/* The most policies inside one another that are looked at. */
#define LINKS_MOST 64u

static struct asker *askers;

static bool take_from(struct asker *asker, uint32_t owner)
{
    if (!__atomic_compare_exchange_n(&asker->owner, &owner, (uint32_t)thread_number(), false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED))
        return false;
    asker->at = 0;
    asker->attention = 0;
    memset(&asker->event, 0, sizeof asker->event);
    return true;
}

/* One that is free; else one whose thread has ended. The latter takes a system call for each, so each time others are
 * looked at. */
static struct asker *take_asker(void)
{
    static uint32_t turn;
    for (uint32_t i = 0; i < ASKERS; i++)
        if (__atomic_load_n(&askers[i].owner, __ATOMIC_ACQUIRE) == 0 && take_from(&askers[i], 0))
            return &askers[i];
    for (uint32_t look = 0; look < LOOKS; look++) {
        struct asker *asker = &askers[__atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) % ASKERS];
        uint32_t owner = __atomic_load_n(&asker->owner, __ATOMIC_ACQUIRE);
        if (identity_is_gone((struct identity){(int)owner, IDENTITY_OWN}) && take_from(asker, owner))
            return asker;
    }
    return NULL;
}

static struct asker *asker_of_self(void)
{
    return thread_self.asker;
}

static bool takes_alignment;

void ask_follow_install(bool alignment)
{
    __atomic_store_n(&takes_alignment, alignment, __ATOMIC_RELAXED);
}

bool ask_may_be_quick(void)
{
    return __atomic_load_n(&takes_alignment, __ATOMIC_RELAXED);
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

void ask_was_suspended(void)
{
    struct asker *self = asker_of_self();
    if (self && self->at)
        self->attention |= ATTENTION_SUSPENDED;
}

/* Policies that are not asked quickly are called without the flag. */
bool ask_take_alignment(void *context)
{
    struct asker *self = asker_of_self();
    struct frame_exception exception;
    struct segue_regs regs;
    if (!self || !self->at)
        return false;
    frame_get_exception(context, &exception);
    frame_get_general(context, &regs);
    if (exception.trap != TRAP_ALIGNMENT || !(regs.rflags & FLAG_ALIGNMENT))
        return false;
    self->attention |= ATTENTION_ALIGNMENT;
    regs.rflags &= ~(uint64_t)FLAG_ALIGNMENT;
    frame_set_registers(context, &regs);
    return true;
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

static inline SEGUE_HOT_POLICY uint64_t place_of(uint64_t at)
{
    return at & ~(uint64_t)ASKER_IS_LINK;
}

/* The innermost policy that the thread is in while its next link is at `place`. What is noted there now, and what is
 * inside of that, has been left without a return: otherwise the stack would not be free there. */
static SEGUE_HOT_POLICY uint64_t outer_of(const struct asker *self, const struct asker_link *place)
{
    uint64_t at = self->at, outer;
    for (unsigned links = 0; (at & ASKER_IS_LINK) && links < LINKS_MOST; links++, at = outer) {
        const struct asker_link *link = (const struct asker_link *)(uintptr_t)place_of(at);
        if (guard_load_8(&link->outer, &outer) != 0)
            break;
        if (link == place)
            return outer;
    }
    return self->at;
}

/* Any question: also in a handler that has interrupted a policy, or after one that has left it for good. What the asker
 * says is then as it was. */
static __attribute__((noinline)) SEGUE_HOT_POLICY enum segue_verdict
ask_fully(const struct body_call *call, const struct hot_slot *slot, struct asker *self)
{
    struct asker_link link;
    link.outer = outer_of(self, &link);
    link.slot = slot;
    struct segue_hot_event event = {.thread = self->event.thread};
    enum segue_verdict verdict = SEGUE_RETRY;
    __atomic_store_n(&self->at, (uint64_t)(uintptr_t)&link | ASKER_IS_LINK, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (call->regs)
        call->regs->rip = call->record->site;
    if (__atomic_load_n(&slot->is_open, __ATOMIC_RELAXED))
        verdict = call->record->lanes ? ask_about_selected(call, slot, &event)
                                      : ask_about(call, slot, &event, 0, call->record->size);
    __atomic_store_n(&self->at, link.outer, __ATOMIC_RELEASE);
    __atomic_fetch_add(&self->changes, 1, __ATOMIC_RELEASE);
    /* The thunk knows of suspensions by itself. */
    if (!link.outer)
        self->attention = 0;
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

/* The question that is not asked quickly. */
static SEGUE_HOT_POLICY int BODY_ASK_ABI ask_policy(struct body_call *call)
{
    const struct body_record *record = call->record;
    struct asker *self = thread_self.asker;
    /* The thunk asks again if the thread was suspended since `watched` was read. */
    call->watch = &thread_self.suspensions;
    call->watched = thread_self.suspensions;
    if (__builtin_expect(!self, 0))
        return SEGUE_RETRY;
    return (int)(call->missed ? ask_elsewhere(call, self) : ask_fully(call, record->slot, self));
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

/* False if the stack is not mapped there any more. */
static bool read_link(uint64_t at, struct asker_link *link)
{
    if (at & ASKER_IS_LINK)
        return segue_peek(link, place_of(at), sizeof *link) == sizeof *link;
    uint64_t in_body;
    *link = (struct asker_link){.slot = NULL};
    if (segue_peek(&in_body, at, sizeof in_body) != sizeof in_body)
        return false;
    const struct hot_body *body = hot_body_find(in_body);
    link->slot = body ? ((const struct kept *)(uintptr_t)body->cookie)->slot : NULL;
    return true;
}

void ask_answer(uint64_t stack_pointer, bool on_alternate)
{
    struct asker *self = asker_of_self();
    if (!self || on_alternate)
        return;
    uint64_t at = self->at;
    for (unsigned links = 0; at && stack_pointer > place_of(at); links++) {
        struct asker_link link;
        bool is_whole = links < LINKS_MOST && read_link(at, &link) && hot_slot_is_one(link.slot);
        at = is_whole ? link.outer : 0;
    }
    if (at == self->at)
        return;
    __atomic_store_n(&self->at, at, __ATOMIC_RELEASE);
    __atomic_fetch_add(&self->changes, 1, __ATOMIC_RELEASE);
    if (!at)
        self->attention = 0;
}

/* Where on its stack the thread notes that it is in a policy of the slot; 0 if it is in none. */
static uint64_t find_policy(const struct asker *asker, const struct hot_slot *slot)
{
    uint64_t changes, found;
    do {
        changes = __atomic_load_n(&asker->changes, __ATOMIC_ACQUIRE);
        const uint64_t innermost = __atomic_load_n(&asker->at, __ATOMIC_ACQUIRE);
        struct asker_link link = {.outer = innermost};
        unsigned links = 0;
        for (found = 0; link.outer && !found && links < LINKS_MOST; links++) {
            uint64_t at = link.outer;
            /* One that is overwritten may lead anywhere. */
            if (!read_link(at, &link) || !hot_slot_is_one(link.slot))
                break;
            found = link.slot == slot ? at : 0;
        }
        /* So many, or links that were left lead in a circle: that shows once the thread is asked. */
        if (!found && links == LINKS_MOST)
            found = innermost;
    } while (__atomic_load_n(&asker->changes, __ATOMIC_ACQUIRE) != changes);
    return found;
}

/* The thread has left the policy without a return. */
static bool is_abandoned(const struct asker *asker, uint64_t at)
{
    uint64_t stack_pointer;
    int owner = (int)asker->owner;
    return identity_is_gone((struct identity){owner, IDENTITY_OWN}) ||
           (look_at_thread(owner, &stack_pointer) == LOOK_WAITS && stack_pointer > at &&
            in_one_mapping(at, stack_pointer));
}

static void wait_for(const struct asker *asker, const struct hot_slot *slot)
{
    unsigned rounds = 0;
    uint64_t at;
    while (asker != asker_of_self() && (at = place_of(find_policy(asker, slot))) != 0) {
        platform_sleep(PAUSE);
        if (is_abandoned(asker, at))
            return;
        /* A thread that waits in a system call is not disturbed, and is known by its stack pointer. */
        if (++rounds % ROUNDS_RUNNING == 0 && !look_is_in_call((int)asker->owner)) {
            const struct thread_mark mark = {.at = (const volatile uint64_t *)(uintptr_t)at};
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
