/* queue.c: see queue.h. */
#include "queue.h"

#include "decode/x86/page.h"
#include "platform/clock.h"
#include "platform/memory/memory.h"
#include "platform/memory/readable.h"
#include "platform/reason.h"
#include "platform/threads/look.h"
#include "platform/threads/thread.h"

#define PLACES (UINT32_C(1) << 16)
/* How long a thread waits for a place before it looks again, and a reader for a record, in nanoseconds. */
#define PAUSE 20000u

static struct watch_queue *own;
static struct queue_stack *own_stacks;

void queue_use(struct watch_queue *queue, uint32_t places)
{
    for (uint64_t i = 0; i < places; i++)
        queue->place[i].turn = i;
    queue->places = places;
    __atomic_store_n(&own, queue, __ATOMIC_RELEASE);
}

void queue_use_stacks(struct queue_stack *stacks)
{
    own_stacks = stacks;
}

bool queue_prepare(void)
{
    const size_t page = platform_page_size();
    struct platform_views views;
    if (own)
        return true;
    /* Shared, so that a child made by fork reports to its parent's reader. */
    if (platform_views_create(0, (queue_size(PLACES) + page - 1) & ~(page - 1), PLATFORM_READ | PLATFORM_WRITE,
                              PLATFORM_BACKING_ANONYMOUS, &views) != 0)
        return false;
    queue_use((struct watch_queue *)(uintptr_t)views.second, PLACES);
    return true;
}

const void *queue_memory(void)
{
    return __atomic_load_n(&own, __ATOMIC_ACQUIRE);
}

uint64_t queue_number(void)
{
    return __atomic_load_n(&own->puts, __ATOMIC_ACQUIRE);
}

/* Up to the first page that cannot be read. Without a fault, for whose frame a small stack may have no room:
 * thread-local memory may end such a stack, with nothing mapped behind it. */
static void keep_stack(struct queue_stack *stack, const struct segue_regs *regs)
{
    const uint64_t registers[QUEUE_REGISTERS] = {regs->rax, regs->rbx, regs->rcx, regs->rdx, regs->rsi, regs->rdi,
                                                 regs->rbp, regs->rsp, regs->r8,  regs->r9,  regs->r10, regs->r11,
                                                 regs->r12, regs->r13, regs->r14, regs->r15, regs->rip};
    uint64_t size = 0;
    while (size < sizeof stack->bytes) {
        const uint64_t at = regs->rsp + size, to_page_end = PAGE - at % PAGE, room = sizeof stack->bytes - size;
        const uint64_t part = to_page_end < room ? to_page_end : room;
        if (!readable_copy(at, stack->bytes + size, part))
            break;
        size += part;
    }
    memcpy(stack->registers, registers, sizeof registers);
    stack->size = size;
}

static bool try_put(struct watch_queue *queue, const struct segue_watch_record *record, const struct queue_block *block,
                    const struct segue_regs *regs)
{
    uint64_t at = __atomic_load_n(&queue->puts, __ATOMIC_RELAXED);
    for (;;) {
        struct queue_place *place = &queue->place[at & (queue->places - 1)];
        int64_t ahead = (int64_t)(__atomic_load_n(&place->turn, __ATOMIC_ACQUIRE) - at);
        if (ahead < 0)
            return false;
        if (ahead > 0) {
            at = __atomic_load_n(&queue->puts, __ATOMIC_RELAXED);
        } else if (__atomic_compare_exchange_n(&queue->puts, &at, at + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            __atomic_store_n(&place->writer, record->thread, __ATOMIC_RELAXED);
            place->record = *record;
            place->block = block ? *block : (struct queue_block){.start = 0};
            if (own_stacks && regs)
                keep_stack(&own_stacks[at & (queue->places - 1)], regs);
            __atomic_store_n(&place->turn, at + 1, __ATOMIC_RELEASE);
            return true;
        }
    }
}

/* No place will become free. */
static bool has_no_reader(const struct watch_queue *queue)
{
    uint32_t reader = __atomic_load_n(&queue->reader, __ATOMIC_RELAXED);
    return reader && platform_process_is_gone((int)reader);
}

void queue_put(const struct segue_watch_record *record, const struct queue_block *block, const struct segue_regs *regs,
               bool waits)
{
    while (!__atomic_load_n(&own->is_closed, __ATOMIC_RELAXED) && !try_put(own, record, block, regs)) {
        if (!waits || has_no_reader(own)) {
            __atomic_fetch_add(&own->lost, 1, __ATOMIC_RELAXED);
            return;
        }
        platform_sleep(PAUSE);
    }
}

/* How long a thread may take that has only begun to put a record, and has not said which it is, in nanoseconds. */
#define LONGEST UINT64_C(2000000000)

/* A record whose thread has been killed, in a child made by fork, never comes: the next one is looked at. */
static bool pass_over_killed(void)
{
    /* What was begun so when somebody looked first, and when that was. */
    static uint64_t stuck, since;
    uint64_t number, writer;
    if (!queue_is_begun(own, &number, &writer))
        return false;
    if (writer && !look_has_ended((int)writer))
        return false;
    if (!writer && __atomic_load_n(&stuck, __ATOMIC_RELAXED) != number + 1) {
        __atomic_store_n(&since, platform_clock(), __ATOMIC_RELAXED);
        __atomic_store_n(&stuck, number + 1, __ATOMIC_RELAXED);
    }
    if (!writer && platform_clock() - __atomic_load_n(&since, __ATOMIC_RELAXED) < LONGEST)
        return false;
    queue_pass(own, number);
    return true;
}

/* No lock: a child made by fork reads, too, whatever the parent's other threads were doing. */
static size_t take(struct segue_watch_record *records, size_t capacity, uint64_t *lost)
{
    size_t taken = 0;
    while (taken < capacity)
        if (queue_take(own, &records[taken]))
            taken++;
        else if (taken || !pass_over_killed())
            break;
    if (lost)
        *lost += __atomic_exchange_n(&own->lost, 0, __ATOMIC_RELAXED);
    return taken;
}

enum segue_status segue_watch_read(struct segue_watch_record *records, size_t capacity, uint64_t timeout, size_t *count,
                                   uint64_t *lost)
{
    if (!records || !capacity || !count)
        return reason_give(SEGUE_INVALID, "records or count is NULL, or capacity is 0");
    *count = 0;
    if (lost)
        *lost = 0;
    if (!__atomic_load_n(&own, __ATOMIC_ACQUIRE))
        return reason_give(SEGUE_NOT_FOUND, "nothing has been watched yet");
    const uint64_t start = platform_clock();
    while ((*count = take(records, capacity, lost)) == 0) {
        uint64_t waited = platform_clock() - start;
        if (waited >= timeout)
            return SEGUE_TIMEOUT;
        platform_sleep(timeout - waited < PAUSE ? timeout - waited : PAUSE);
    }
    return SEGUE_OK;
}
