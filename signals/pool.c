/* pool.c: fixed-size blocks straight from the kernel. */
#include "pool.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

/* The first chunk is small, since most programs need no more. The others are huge pages where the system has them: the
 * handler reads a block here and there among many, and each would cost an address translation. */
#define FIRST_CHUNK_SIZE ((size_t)1 << 18)
#define CHUNK_SIZE ((size_t)1 << 21)

static char *map(size_t size)
{
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* A chunk on a boundary of its own size. */
static char *map_huge(void)
{
    char *memory = map(2 * CHUNK_SIZE);
    if (!memory)
        return NULL;
    size_t before = (CHUNK_SIZE - (uintptr_t)memory % CHUNK_SIZE) % CHUNK_SIZE;
    if (before)
        munmap(memory, before);
    munmap(memory + before + CHUNK_SIZE, CHUNK_SIZE - before);
    madvise(memory + before, CHUNK_SIZE, MADV_HUGEPAGE);
    return memory + before;
}

static bool add_chunk(struct pool *pool)
{
    bool is_first = pool->chunk == NULL;
    char *chunk = is_first ? map(FIRST_CHUNK_SIZE) : map_huge();
    if (!chunk)
        return false;
    pool->chunk = chunk;
    pool->left = is_first ? FIRST_CHUNK_SIZE : CHUNK_SIZE;
    return true;
}

void *pool_take(struct pool *pool)
{
    void *block = pool->free;
    if (block) {
        memcpy(&pool->free, block, sizeof pool->free);
        memset(block, 0, pool->size);
        return block;
    }
    if (pool->left < pool->size && !add_chunk(pool))
        return NULL;
    block = pool->chunk;
    pool->chunk += pool->size;
    pool->left -= pool->size;
    return block;
}

void pool_give(struct pool *pool, void *block)
{
    memcpy(block, &pool->free, sizeof pool->free);
    pool->free = block;
}
