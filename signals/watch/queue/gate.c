/* gate.c: see gate.h. One thread at a time asks. */
#include "gate.h"

#include <signal.h>

#include "platform/threads/thread.h"

/* How long a thread waits before it looks again, in nanoseconds. */
#define PAUSE 20000u

static struct gate *own;
static const struct watch_queue *own_queue;

void gate_use(struct gate *gate, const struct watch_queue *queue)
{
    own = gate;
    own_queue = queue;
}

static bool has_no_answer(void)
{
    return __atomic_load_n(&own_queue->is_closed, __ATOMIC_RELAXED) || platform_process_is_gone((int)own_queue->reader);
}

void gate_begin(void)
{
    uint32_t none = 0;
    if (!own)
        return;
    const uint32_t self = (uint32_t)platform_thread_id();
    while (!__atomic_compare_exchange_n(&own->asks, &none, self, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        if (has_no_answer())
            return;
        platform_sleep(PAUSE);
        none = 0;
    }
    __atomic_store_n(&own->answer, GATE_ASKED, __ATOMIC_RELEASE);
}

/* SIGTRAP waits until the handler returns: so the thread gets it in its own code, behind the access. */
void gate_end(void)
{
    uint32_t answer;
    if (!own)
        return;
    uint32_t self = (uint32_t)platform_thread_id();
    while ((answer = __atomic_load_n(&own->answer, __ATOMIC_ACQUIRE)) == GATE_ASKED && !has_no_answer())
        platform_sleep(PAUSE);
    if (answer == GATE_TRAP) {
        platform_mask_block(SIGNAL_BIT(SIGTRAP));
        platform_thread_signal(platform_thread_id(), SIGTRAP);
    }
    __atomic_compare_exchange_n(&own->asks, &self, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}
