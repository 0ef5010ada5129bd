/* pool.h: fixed-size blocks straight from the kernel. The program's own heap may be what is protected, so nothing that
 * the handler reads may come from it. Memory is kept for later use, never given back. Not thread-safe. */
#ifndef SEGUE_SIGNALS_POOL_H
#define SEGUE_SIGNALS_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct pool {
    /* Bytes of a block: a multiple of 64. */
    size_t size;
    char *chunk;
    size_t left;
};

/* A block aligned to 64 bytes, of zeroes; NULL when the system has no memory. `huge`: if the kernel has to be asked for
 * more, ask for huge pages. They spare the reader of many blocks an address translation for each, and take memory for
 * blocks that are hardly written to. */
void *pool_take(struct pool *pool, bool huge);

#endif
