/* excluded.c: see excluded.h. */
#include "excluded.h"

static struct {
    uint64_t start, size;
} excluded[EXCLUDED_MOST];
static unsigned excluded_count;

enum segue_status excluded_add(uint64_t start, uint64_t size)
{
    if (size > UINT64_MAX - start)
        size = UINT64_MAX - start;
    if (excluded_count == EXCLUDED_MOST)
        return SEGUE_NO_MEMORY;
    excluded[excluded_count].start = start;
    excluded[excluded_count].size = size;
    __atomic_store_n(&excluded_count, excluded_count + 1, __ATOMIC_RELEASE);
    return SEGUE_OK;
}

bool code_is_excluded(uint64_t address, uint64_t size)
{
    unsigned count = __atomic_load_n(&excluded_count, __ATOMIC_ACQUIRE);
    for (unsigned i = 0; i < count; i++)
        if (address < excluded[i].start + excluded[i].size && excluded[i].start < address + size)
            return true;
    return false;
}
