/* pool.c: fixed-size blocks straight from the kernel. */
#include "pool.h"

#include <stdint.h>
#include <sys/mman.h>

/* A huge page. */
#define CHUNK_SIZE ((size_t)1 << 21)

/* A chunk on a boundary of its own size. */
static char *map_chunk(void)
{
    char *memory =
        mmap(NULL, 2 * CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    size_t before = (CHUNK_SIZE - (uintptr_t)memory % CHUNK_SIZE) % CHUNK_SIZE;
    if (before)
        munmap(memory, before);
    munmap(memory + before + CHUNK_SIZE, CHUNK_SIZE - before);
    return memory + before;
}

void *pool_take(struct pool *pool, bool huge)
{
    if (pool->left < pool->size) {
        char *chunk = map_chunk();
        if (!chunk)
            return NULL;
        madvise(chunk, CHUNK_SIZE, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
        pool->chunk = chunk;
        pool->left = CHUNK_SIZE;
    }
    void *block = pool->chunk;
    pool->chunk += pool->size;
    pool->left -= pool->size;
    return block;
}
