/* port_stacks.c: see port_stacks.h. The alternate stack that sigaltstack has set would not do: the system keeps no
 * record that a thread is on it unless it has put it there, and would write the frame of the next signal over it.
 *
 * SOURCES: XNU bsd/dev/i386/unix_signal.c (sendsig begins at the alternate stack's end unless a flag of the thread's
 * says that it is in use). */
#if !defined(__APPLE__)
#error "platform/darwin/handlers/port_stacks.c is specific to macOS"
#endif

#include "port_stacks.h"

#include "platform/memory/memory.h"
#include "platform/threads/thread.h"

#define STACKS 32u
#define GUARD 4096u
#define ALIGNMENT 64u

/* Their memory stays; a free one has no thread. */
static struct port_stack {
    mach_port_t thread;
    char *lowest;
    size_t size;
} stacks[STACKS];
static size_t wanted_size;

void port_stacks_set_size(size_t size)
{
    wanted_size = (size + GUARD - 1) / GUARD * GUARD;
}

static bool is_ready(struct port_stack *stack)
{
    if (stack->lowest && stack->size >= wanted_size)
        return true;
    char *mapped = platform_map_stack(wanted_size + GUARD, GUARD);
    if (!mapped)
        return false;
    if (stack->lowest)
        platform_unmap(stack->lowest - GUARD, stack->size + GUARD);
    __atomic_store_n(&stack->size, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&stack->lowest, mapped + GUARD, __ATOMIC_RELEASE);
    __atomic_store_n(&stack->size, wanted_size, __ATOMIC_RELEASE);
    return true;
}

static struct port_stack *find(mach_port_t thread)
{
    for (unsigned i = 0; i < STACKS; i++)
        if (stacks[i].thread == thread)
            return &stacks[i];
    return NULL;
}

static struct port_stack *find_abandoned(void)
{
    for (unsigned i = 0; i < STACKS; i++)
        if (platform_thread_is_gone((int)stacks[i].thread))
            return &stacks[i];
    return NULL;
}

static struct alternate_stack describe(const struct port_stack *stack)
{
    return (struct alternate_stack){.lowest = stack->lowest, .size = stack->size};
}

bool port_stack_take(thread_act_t thread, struct alternate_stack *stack)
{
    struct port_stack *taken = find(thread);
    if (!taken)
        taken = find(MACH_PORT_NULL);
    if (!taken)
        taken = find_abandoned();
    if (!taken || !is_ready(taken))
        return false;
    taken->thread = thread;
    *stack = describe(taken);
    return true;
}

uint64_t port_stack_place(const struct alternate_stack *stack, size_t frame_size)
{
    return ((uint64_t)(uintptr_t)stack->lowest + stack->size - frame_size) & ~(uint64_t)(ALIGNMENT - 1);
}

void port_stack_give_back(uint64_t frame, size_t frame_size)
{
    for (unsigned i = 0; i < STACKS; i++) {
        const struct alternate_stack stack = describe(&stacks[i]);
        if (stack.size && port_stack_place(&stack, frame_size) == frame)
            stacks[i].thread = MACH_PORT_NULL;
    }
}

bool port_stack_find(uint64_t address, struct alternate_stack *stack)
{
    for (unsigned i = 0; i < STACKS; i++) {
        size_t size = __atomic_load_n(&stacks[i].size, __ATOMIC_ACQUIRE);
        char *lowest = __atomic_load_n(&stacks[i].lowest, __ATOMIC_ACQUIRE);
        if (size && address - (uint64_t)(uintptr_t)lowest - 1 < size) {
            *stack = (struct alternate_stack){.lowest = lowest, .size = size};
            return true;
        }
    }
    return false;
}

/* The caller may be on one of them; its port has another name than in the parent. */
void port_stacks_in_child(void)
{
    const uint64_t here = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    for (unsigned i = 0; i < STACKS; i++) {
        bool is_on = stacks[i].size && here - (uint64_t)(uintptr_t)stacks[i].lowest < stacks[i].size;
        stacks[i].thread = is_on ? (mach_port_t)platform_thread_id() : MACH_PORT_NULL;
    }
}
