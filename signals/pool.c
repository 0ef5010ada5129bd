/* pool.c: fixed-size blocks straight from the kernel. */
#include "pool.h"

#include <string.h>
#include <sys/mman.h>

#define CHUNK_SIZE ((size_t)1 << 20)

void *pool_take(struct pool *pool)
{
    void *block = pool->free;
    if (block) {
        memcpy(&pool->free, block, sizeof pool->free);
        memset(block, 0, pool->size);
        return block;
    }
    if (pool->left < pool->size) {
        char *chunk = mmap(NULL, CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (chunk == MAP_FAILED)
            return NULL;
        pool->chunk = chunk;
        pool->left = CHUNK_SIZE;
    }
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
