/* busy.c: see busy.h. */
#include "busy.h"

#include <stddef.h>

#include "emulate/windows/guard.h"
#include "platform/calls/calls.h"
#include "platform/threads/identity.h"
#include "platform/threads/thread.h"
#include "signals/threads/knock.h"

#define MOST 1024u
/* Nanoseconds between two looks at a call that a remover waits for; and looks before it is interrupted. */
#define PATIENCE 1000000u
#define LOOKS 2u

/* The address of the record is 0 if the entry is free. */
static struct busy {
    _Alignas(64) shared_word record;
    uint64_t base;
    shared_word end;
    /* The call's, which its record names; NULL: none. */
    void *memory;
    /* As the system says: a child made by vfork has its parent's thread pointer, and its calls end with it. */
    struct identity thread;
} calls[MOST];

/* Whether the thread has left the call whose record that is: stacks grow down. */
static bool is_left(uint64_t record, uint64_t stack_pointer)
{
    return stack_pointer > record;
}

/* The call's record is not there any more: something else has used the stack since the thread has left the call. A
 * record that is still there may belong to a call that goes on, on another stack of the thread's. */
static bool is_overwritten(const struct busy *call, uint64_t present)
{
    struct call_record record;
    return guard_copy(&record, (const void *)(uintptr_t)present, sizeof record) != 0 ||
           record.busy != (uint64_t)(uintptr_t)&call->record || record.finish != (uint64_t)(uintptr_t)call->memory;
}

/* Whether the calling thread has left that call of its own; `record`: where its next one will be. */
static bool forget_left(struct busy *call, uint64_t present, uint64_t record, void (*give)(void *memory))
{
    if (present != record && !is_left(present, record))
        return false;
    if (call->memory && (present == record || is_overwritten(call, present)))
        give(call->memory);
    call->memory = NULL;
    __atomic_store_n(&call->record, 0, __ATOMIC_RELAXED);
    return true;
}

shared_word *busy_take(uint64_t record, uint64_t base, uint64_t end, void *memory, void (*give)(void *memory))
{
    const struct identity thread = {platform_thread_id(), identity_is_own_process() ? IDENTITY_OWN : IDENTITY_SHARES};
    for (unsigned i = 0; i < MOST; i++) {
        struct busy *call = &calls[i];
        uint64_t present = __atomic_load_n(&call->record, __ATOMIC_RELAXED);
        if (present && call->thread.number == thread.number && forget_left(call, present, record, give))
            present = 0;
        if (present ||
            !__atomic_compare_exchange_n(&call->record, &present, record, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            continue;
        call->thread = thread;
        call->memory = memory;
        call->base = base;
        __atomic_store_n(&call->end, end, __ATOMIC_RELEASE);
        return &call->record;
    }
    return NULL;
}

static bool is_used(const struct busy *call, uint64_t base, uint64_t size)
{
    return __atomic_load_n(&call->record, __ATOMIC_ACQUIRE) && call->base < base + size && base < call->end;
}

/* Whether the call has ended without a word: its thread removes a region now, which no handler may that interrupts a
 * call; or its process has ended, or executes another program. */
static bool is_over(const struct busy *call)
{
    return call->thread.number == platform_thread_id() || identity_is_gone(call->thread);
}

void busy_wait(uint64_t base, uint64_t size)
{
    for (unsigned i = 0; i < MOST; i++)
        for (unsigned looks = 0; is_used(&calls[i], base, size); looks++) {
            if (looks >= LOOKS && is_over(&calls[i]))
                __atomic_store_n(&calls[i].record, 0, __ATOMIC_RELEASE);
            else if (looks >= LOOKS)
                knock_send(calls[i].thread.number);
            platform_sleep(PATIENCE);
        }
}

void busy_answer(uint64_t stack_pointer)
{
    int thread = platform_thread_id();
    for (unsigned i = 0; i < MOST; i++) {
        uint64_t record = __atomic_load_n(&calls[i].record, __ATOMIC_RELAXED);
        if (record && calls[i].thread.number == thread && is_left(record, stack_pointer))
            __atomic_store_n(&calls[i].record, 0, __ATOMIC_RELEASE);
    }
}

/* The parent's other threads are not here. */
void busy_in_child(void)
{
    int thread = platform_thread_id();
    for (unsigned i = 0; i < MOST; i++)
        if (calls[i].record && calls[i].thread.number != thread)
            calls[i].record = 0;
}
