/* thread.c: per-thread state and alternate stacks.
 *
 * SOURCES: sigaltstack(2): the kernel accepts a stack that is too small without an error. */

#include "thread.h"

#include <errno.h>
#include <segue/handler.h>

#include "ctx/try/try.h"
#include "platform/abi.h"
#include "platform/frame/entry_layout.h"
#include "platform/frame/frame.h"
#include "platform/lacks.h"
#include "platform/memory/memory.h"
#include "platform/threads/exit.h"
#include "platform/threads/thread.h"
#include "signals/regions/readers.h"
#include "work.h"

__thread struct thread_state thread_self;

segue_thread_id segue_thread_self(void)
{
    return (segue_thread_id)thread_number();
}

int thread_number(void)
{
    return identity_of_self().number;
}

bool thread_is_overwritten(const struct thread_mark *mark)
{
    uint64_t value;
    /* The signal's number, the first word of what the system keeps of a signal. */
    int number;
    if (segue_peek(&value, (uint64_t)(uintptr_t)mark->at, sizeof value) != sizeof value || value != mark->value)
        return true;
    return mark->info && (segue_peek(&number, (uint64_t)(uintptr_t)mark->info, sizeof number) != sizeof number ||
                          number != mark->number);
}

/* A stack grows down: a thread whose stack pointer is above the mark has left the fault. Faults that were served on
 * the alternate stack are over once the thread is on its own stack, since a handler that interrupts them runs on the
 * same stack. The reverse does not hold: a handler that interrupts a fault on the thread's own stack may run on the
 * alternate one. */
bool thread_is_beyond(const struct thread_mark *mark, uint64_t stack_pointer, bool on_alternate)
{
    on_alternate = on_alternate || stack_pointer - mark->stack - 1 < mark->stack_size;
    if (mark->on_alternate != on_alternate)
        return mark->on_alternate;
    return stack_pointer > (uint64_t)(uintptr_t)mark->at;
}

/* A signal may come at any point in here, and its handler may fault: until the mark is complete, that nested fault
 * takes this one for abandoned, and writes its own mark. The nested mark is gone when the nested handler returns; so
 * this one is written until it stays. */
__attribute__((hot)) void thread_put_mark(volatile uint64_t *mark, struct native_frame native)
{
    struct thread_state *thread = &thread_self;
    struct frame_stack alternate = frame_get_alternate_stack(native.context);
    bool on_alternate = frame_is_on_alternate_stack(native.context);
    int number = frame_signal(native.info).number;
    do {
        thread->depth = 1;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        *mark = (uint64_t)(uintptr_t)thread ^ ++thread->marks;
        thread->mark.value = *mark;
        thread->mark.on_alternate = on_alternate;
        thread->mark.stack = alternate.base;
        thread->mark.stack_size = alternate.size;
        thread->mark.info = native.info;
        thread->mark.number = number;
        thread->mark.at = mark;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    } while (thread->depth != 1 || thread->mark.at != mark || thread->mark.value != *mark);
}

void thread_mark_level(struct thread_mark *to, volatile uint64_t *mark, struct native_frame native)
{
    struct thread_state *thread = &thread_self;
    struct frame_stack alternate = frame_get_alternate_stack(native.context);
    *mark = (uint64_t)(uintptr_t)thread ^ ++thread->marks;
    *to = (struct thread_mark){
        .at = mark,
        .value = *mark,
        .on_alternate = frame_is_on_alternate_stack(native.context),
        .stack = alternate.base,
        .stack_size = alternate.size,
    };
}

static bool is_over(const struct thread_mark *mark, uint64_t stack_pointer, bool on_alternate)
{
    return thread_is_beyond(mark, stack_pointer, on_alternate) || thread_is_overwritten(mark);
}

/* A recovery point (segue_try) that an abandoned policy had armed is gone with the policy's stack. */
static void put_back_trial(const struct level *level)
{
    uint64_t present = (uint64_t)(uintptr_t)trial_current(), at = (uint64_t)(uintptr_t)level->mark.at;
    if (present < at && present >= level->mark.stack)
        trial_set_current(level->trial);
}

void thread_put_back_outer(const struct work *work)
{
    struct thread_state *thread = &thread_self;
    thread->serving_address = work->outer.address;
    thread->serving_instruction = work->outer.instruction;
    thread->tells_recovered = work->outer.tells_recovered;
    thread->recovered = work->outer.recovered;
    thread->recovered_exception = work->outer.exception;
}

/* Forgets the innermost fault of several. All that is needed from its work area is read before its ticket is
 * released: from then on another thread may own the area. */
static void forget_level(struct thread_state *thread, const struct work *work)
{
    struct work *outer = work->level.outer;
    uint32_t depth = work->level.depth;
    put_back_trial(&work->level);
    thread_put_back_outer(work);
    if (thread->stepping == work)
        thread->stepping = work->questions.stepping_before;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    readers_forget_since(work->level.ticket);
    thread->work = outer;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    thread->depth = depth - 1;
}

/* In this order: if a handler interrupts this and leaves by siglongjmp, the rest can be done again. */
void thread_settle(uint64_t stack_pointer, bool on_alternate)
{
    struct thread_state *thread = &thread_self;
    while (thread->depth > 1 && thread->work && thread->work->level.depth == thread->depth &&
           is_over(&thread->work->level.mark, stack_pointer, on_alternate))
        forget_level(thread, thread->work);
    if (thread->depth == 0 || !is_over(&thread->mark, stack_pointer, on_alternate))
        return;
    if (thread->work && thread->work->level.depth == 1)
        put_back_trial(&thread->work->level);
    readers_forget();
    thread->stepping = NULL;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    thread->depth = 0;
}

__attribute__((hot)) void thread_settle_inside(const struct work *work)
{
    struct thread_state *thread = &thread_self;
    while (thread->work && thread->work != work && thread->work->level.depth > work->level.depth)
        forget_level(thread, thread->work);
}

void thread_answer(uint64_t stack_pointer, bool on_alternate)
{
    thread_settle(stack_pointer, on_alternate);
    readers_forget_strays();
}

bool thread_is_inside(void)
{
    if (thread_self.depth == 0)
        return false;
    thread_settle((uint64_t)(uintptr_t)__builtin_frame_address(0), platform_is_on_alternate_stack());
    return thread_self.depth != 0;
}

/* A guarded access, or a replayed instruction, may fault inside the handler: that needs room for another frame. */
size_t segue_handler_stack(void)
{
    return 2 * frame_size_most() + THREAD_OWN_STACK + RED_ZONE + ENTRY_ROOM;
}

/* The kernel may require a larger stack than its frame needs. */
size_t thread_stack_need(void)
{
    size_t asked = platform_stack_least(), need = segue_handler_stack();
    size_t outer = frame_size_most() + THREAD_OWN_STACK + RED_ZONE;
    return (THREAD_DEPTH - 1) * outer + (need > asked ? need : asked);
}

/* Runs when the thread ends. */
static void on_exit_of_thread(void)
{
    thread_detach();
}

static bool is_ours(const struct thread_state *thread, const struct alternate_stack *stack)
{
    return thread->stack && stack->lowest == (char *)thread->stack + (thread->stack_size - stack->size);
}

void thread_stack_of_program(const struct alternate_stack *in_force, struct alternate_stack *believed)
{
    *believed = is_ours(&thread_self, in_force) ? thread_self.previous_stack : *in_force;
}

static bool is_large_enough(const struct alternate_stack *stack, size_t need)
{
    return !(stack->flags & STACK_DISABLED) && stack->size >= need;
}

static size_t need_of(const struct thread_state *thread)
{
    return (size_t)thread->stack_need * thread->guard_size;
}

static struct alternate_stack own_stack(const struct thread_state *thread)
{
    return (struct alternate_stack){.lowest = (char *)thread->stack + thread->guard_size,
                                    .size = thread->stack_size - thread->guard_size};
}

void thread_stack_in_force(struct alternate_stack *stack)
{
    const struct thread_state *thread = &thread_self;
    const struct alternate_stack *previous = &thread->previous_stack;
    if (!thread->stack || stack->lowest != previous->lowest || stack->size != previous->size)
        return;
    const struct alternate_stack own = own_stack(thread);
    if (!is_large_enough(previous, need_of(thread)))
        *stack = own;
}

/* The system refuses on a stack that is in force: then it stays. */
void thread_follow_stack(const struct alternate_stack *program)
{
    const struct alternate_stack own = own_stack(&thread_self);
    platform_stack_exchange(is_large_enough(program, need_of(&thread_self)) ? program : &own, NULL);
}

bool thread_is_on_own_stack(uint64_t address)
{
    const struct alternate_stack own = own_stack(&thread_self);
    return thread_self.stack && address - (uint64_t)(uintptr_t)own.lowest - 1 < own.size;
}

__attribute__((hot)) bool thread_takes_stack_back(void *ucontext)
{
    struct thread_state *thread = &thread_self;
    struct alternate_stack stack = frame_stack_in_force(ucontext);
    if (!thread->stack_is_lent || frame_was_on_alternate_stack(ucontext))
        return false;
    thread->stack_is_lent = false;
    thread_stack_in_force(&stack);
    if (!is_ours(thread, &stack))
        return false;
    frame_set_alternate_stack(ucontext, &stack);
    return true;
}

/* By the system call: the C library's sigaltstack may be that of libsegue-sigchain, which answers with what the program
 * believes. */
static long change_stack(const struct alternate_stack *wanted, struct alternate_stack *before)
{
    long result = platform_stack_exchange(wanted, before);
    if (result != 0)
        errno = (int)-result;
    return result;
}

/* The stack's bounds, as the C library reports them. They do not distinguish guard pages and parts that the kernel
 * has not grown yet: so a caller checks before it writes. */
static void note_own_stack(struct thread_state *thread)
{
    if (!platform_own_stack(&thread->own_stack, &thread->own_stack_end))
        thread->own_stack = thread->own_stack_end = 0;
}

static size_t room_for_handlers;

void thread_keep_room(size_t size)
{
    room_for_handlers = size;
}

enum segue_status thread_attach(size_t policy_stack_size, bool by_install)
{
    struct thread_state *thread = &thread_self;
    size_t page = platform_page_size();
    size_t usable = (thread_stack_need() + policy_stack_size + page - 1) / page * page;
    const size_t size = usable + (room_for_handlers + page - 1) / page * page;
    struct alternate_stack present;
    if (thread_is_inside())
        return SEGUE_BUSY;
    if (thread->attached)
        return SEGUE_EXISTS;
    if (!PLATFORM_HAS_ALTERNATE_STACKS) {
        thread->attached = true;
        thread->attached_by_install = by_install;
        return SEGUE_OK;
    }
    if (!thread_exit_prepare(on_exit_of_thread))
        return SEGUE_NO_MEMORY;
    if (change_stack(NULL, &present) != 0)
        return SEGUE_SYSTEM;
    if (present.flags & STACK_IN_USE)
        return SEGUE_BUSY;
    note_own_stack(thread);
    if (!is_large_enough(&present, usable)) {
        void *mapping = platform_map_stack(size + page, page);
        if (!mapping)
            return SEGUE_NO_MEMORY;
        struct alternate_stack ours = {.lowest = (char *)mapping + page, .size = size};
        if (change_stack(&ours, NULL) != 0) {
            platform_unmap(mapping, size + page);
            return SEGUE_SYSTEM;
        }
        thread->stack = mapping;
        thread->stack_size = size + page;
        thread->guard_size = (uint32_t)page;
        thread->stack_need = (uint32_t)(usable / page);
        thread->previous_stack = present;
    }
    /* If this fails, only the release at the thread's end is lost: the stack is in force. */
    thread_exit_wants(true);
    thread->attached = true;
    thread->attached_by_install = by_install;
    return SEGUE_OK;
}

enum segue_status thread_detach(void)
{
    struct thread_state *thread = &thread_self;
    struct alternate_stack present;
    if (thread_is_inside())
        return SEGUE_BUSY;
    if (!thread->attached)
        return SEGUE_NOT_FOUND;
    if (thread->stack) {
        if (change_stack(NULL, &present) != 0)
            return SEGUE_SYSTEM;
        if (present.flags & STACK_IN_USE)
            return SEGUE_BUSY;
        /* The program may have set another stack over the library's; that one stays. */
        if (is_ours(thread, &present) && change_stack(&thread->previous_stack, NULL) != 0)
            return SEGUE_SYSTEM;
        platform_unmap(thread->stack, thread->stack_size);
        thread->stack = NULL;
    }
    if (PLATFORM_HAS_ALTERNATE_STACKS)
        thread_exit_wants(false);
    thread->attached = thread->attached_by_install = false;
    return SEGUE_OK;
}
