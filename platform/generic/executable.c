/* executable.c: for systems on which Segue knows no way to map a memory twice: every request is refused, and nothing is
 * ever mapped, so the others have nothing to do. */
#include "platform/memory/executable.h"

enum segue_status executable_memory_create(const struct executable_range *range, uint64_t size, uint32_t most_views,
                                           struct executable_memory *memory)
{
    (void)range;
    (void)size;
    (void)most_views;
    (void)memory;
    return SEGUE_UNSUPPORTED;
}

const char *executable_memory_refusal(void)
{
    return "Segue knows no way to map a memory twice on this system";
}

void executable_memory_leave(struct executable_memory *memory)
{
    (void)memory;
}

void executable_memory_free(struct executable_memory *memory)
{
    (void)memory;
}

bool executable_memory_keep_from_child(const struct executable_memory *memory)
{
    (void)memory;
    return false;
}
