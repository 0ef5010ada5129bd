/* no_further_views.c: platform/memory/executable.h where code is shown at no chosen address, and a child owns none. */
#include <stddef.h>

#include "platform/memory/executable.h"

enum segue_status executable_memory_own(struct executable_memory *memory, uint64_t used)
{
    (void)memory;
    (void)used;
    return SEGUE_UNSUPPORTED;
}

enum segue_status executable_view_create(struct executable_memory *memory, const struct executable_range *range,
                                         uint64_t offset, uint64_t size, uint64_t *address)
{
    (void)memory;
    (void)range;
    (void)offset;
    (void)size;
    (void)address;
    return SEGUE_UNSUPPORTED;
}

enum segue_status executable_view_renew(const struct executable_memory *memory, uint64_t address, uint64_t offset,
                                        uint64_t size)
{
    (void)memory;
    (void)address;
    (void)offset;
    (void)size;
    return SEGUE_UNSUPPORTED;
}

void executable_view_unmap(struct executable_memory *memory, uint64_t address, uint64_t size)
{
    (void)memory;
    (void)address;
    (void)size;
}
