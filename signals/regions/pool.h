/* pool.h: fixed-size blocks straight from the kernel. The program's own heap may be the protected memory, so nothing
 * that the handler reads may come from it. The pool keeps freed memory for later use. Not thread-safe. */
#ifndef SEGUE_SIGNALS_POOL_H
#define SEGUE_SIGNALS_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct pool {
    /* The block size in bytes: a multiple of 64. */
    size_t size;
    char *chunk;
    size_t left;
};

/* Returns a zeroed block aligned to 64 bytes; NULL if the kernel has no memory. `huge`: if the pool must grow, ask
 * the kernel for huge pages. They save a handler that reads many blocks one address translation per block, and waste
 * memory if few blocks are used. */
void *pool_take(struct pool *pool, bool huge);

#endif
