/* pool.c: fixed-size blocks straight from the kernel. */
#include "pool.h"

#include <stdint.h>

#include "platform/memory/memory.h"

/* The size of a huge page. */
#define CHUNK_SIZE ((size_t)1 << 21)

/* Maps a chunk that is aligned to its own size. */
static char *map_chunk(void)
{
    char *memory = platform_map(2 * CHUNK_SIZE);
    if (!memory)
        return NULL;
    size_t before = (CHUNK_SIZE - (uintptr_t)memory % CHUNK_SIZE) % CHUNK_SIZE;
    if (before)
        platform_unmap(memory, before);
    platform_unmap(memory + before + CHUNK_SIZE, CHUNK_SIZE - before);
    return memory + before;
}

void *pool_take(struct pool *pool, bool huge)
{
    if (pool->left < pool->size) {
        char *chunk = map_chunk();
        if (!chunk)
            return NULL;
        platform_prefer_huge_pages(chunk, CHUNK_SIZE, huge);
        pool->chunk = chunk;
        pool->left = CHUNK_SIZE;
    }
    void *block = pool->chunk;
    pool->chunk += pool->size;
    pool->left -= pool->size;
    return block;
}
