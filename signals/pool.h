/* pool.h: fixed-size blocks straight from the kernel. The program's own heap may be what is protected, so nothing that
 * the handler reads may come from it. Memory is kept for later use, never given back. Not thread-safe. */
#ifndef SEGUE_SIGNALS_POOL_H
#define SEGUE_SIGNALS_POOL_H

#include <stddef.h>

struct pool {
    /* Bytes of a block: a multiple of 64. */
    size_t size;
    void *free;
    char *chunk;
    size_t left;
};

/* A zeroed block aligned to 64 bytes, or NULL when the system has no memory. */
void *pool_take(struct pool *pool);
void pool_give(struct pool *pool, void *block);

#endif
