/* pointers.c: see pointers.h. */
#include "pointers.h"

#include <string.h>

#include "emulate/windows/guard.h"
#include "platform/process/fork.h"
#include "platform/threads/thread.h"
#include "signals/regions/readers.h"
#include "signals/syscalls/change/change.h"
#include "signals/syscalls/space.h"

static struct block_layout layout;
static bool is_used, has_pointer;

void pointers_use(const struct block_layout *of)
{
    layout = *of;
    is_used = true;
}

static bool peek(void *to, uint64_t address, size_t size)
{
    return guard_copy(to, (const void *)(uintptr_t)address, size) == 0;
}

static bool has_mark(uint64_t pointer)
{
    unsigned char mark[POINTERS_MARK_SIZE];
    return peek(mark, pointer - layout.size, sizeof mark) && memcmp(mark, layout.mark, sizeof mark) == 0;
}

static void *at(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

/* The first pointer is set when all is relocated, and before the program reads its thread-local variables. */
static void renew_values(uint64_t pointer)
{
    if (__atomic_exchange_n(&has_pointer, true, __ATOMIC_RELAXED))
        return;
    memcpy(layout.to, layout.from, layout.count);
    memcpy(at(pointer - layout.values), layout.from, layout.count);
}

/* No handler runs between the copy and the change. */
static long set_pointer(const struct system_call *call)
{
    const uint64_t pointer = call->arguments[1], before = (uint64_t)(uintptr_t)platform_thread_self();
    if (pointer == before)
        return calls_make_here(call);
    const uint64_t mask = platform_asynchronous_hold();
    renew_values(pointer);
    memcpy(at(pointer - layout.high), at(before - layout.high), (size_t)(layout.high - layout.low));
    const long result = calls_make_here(call);
    platform_signals_release(mask);
    return result;
}

static long fork_here(const struct system_call *call)
{
    fork_run_before();
    const long result = calls_make_here(call);
    if (result == 0) {
        calls_arm();
        fork_run_in_child();
    } else {
        fork_run_in_parent();
    }
    return result;
}

static void run(const struct system_call *call, calls_function *function)
{
    if (!change_runs(call, function))
        calls_return(call, CALLS_NO_MEMORY);
}

/* The kernel writes there without a call; nothing is watched any more only when the process ends. */
static bool lead_word(const struct system_call *call, uint64_t word)
{
    const struct region *region;
    const uint32_t place = readers_enter(NULL);
    const bool is_whole = word && space_part(word, sizeof(uint32_t), &region) >= sizeof(uint32_t);
    const uint64_t alias = is_whole && region && region->kind == SEGUE_WINDOW_ALIAS
                               ? (uint64_t)(uintptr_t)region->place + (word - region->base)
                               : 0;
    readers_leave(place);
    return alias && calls_lead_word(call, alias, peek, space_poke);
}

bool pointers_take(const struct system_call *call)
{
    static const char no_mark[] = "segue: this program's threads have thread-local memory that its program header does "
                                  "not describe: it cannot be watched\n";
    struct thread_change change;
    if (!is_used || !calls_changes_threads(call, peek, &change))
        return false;
    switch (change.kind) {
    case PROCESS_FORKS:
        run(call, fork_here);
        return true;
    case THREAD_WORD_SET:
        return lead_word(call, change.word);
    default:
        break;
    }
    if (!has_mark(change.pointer))
        calls_end(no_mark, sizeof no_mark - 1);
    if (change.kind == THREAD_BEGINS)
        return lead_word(call, change.word);
    run(call, set_pointer);
    return true;
}
