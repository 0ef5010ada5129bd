/* two_views.c: memory that is executed and changes: the two views that the replay engine needs. Views at chosen
 * addresses, which hot sites need, are refused. */
#include "platform/memory/executable.h"

#include <errno.h>
#include <stddef.h>

#include "platform/memory/memory.h"

enum segue_status executable_memory_create(const struct executable_range *range, uint64_t size, uint32_t most_views,
                                           struct executable_memory *memory)
{
    struct platform_views views;
    if (range || most_views)
        return SEGUE_UNSUPPORTED;
    long result = platform_views_create(0, size, PLATFORM_READ | PLATFORM_EXECUTE, PLATFORM_BACKING_ANONYMOUS, &views);
    if (result != 0)
        return result == -ENOMEM ? SEGUE_NO_MEMORY : SEGUE_UNSUPPORTED;
    *memory = (struct executable_memory){
        .size = size, .executable = views.first, .writable = views.second, .is_guarded = true};
    return SEGUE_OK;
}

const char *executable_memory_refusal(void)
{
    return "code cannot be shown at a chosen address here";
}

void executable_memory_free(struct executable_memory *memory)
{
    platform_view_unmap(memory->executable, memory->size, memory->is_guarded);
    platform_view_unmap(memory->writable, memory->size, true);
}

void executable_memory_leave(struct executable_memory *memory)
{
    platform_view_unmap(memory->executable, memory->size, memory->is_guarded);
}

bool executable_memory_keep_from_child(const struct executable_memory *memory)
{
    (void)memory;
    return true;
}
