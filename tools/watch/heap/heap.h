/* heap.h: what libsegue-heap.so, which has the C library's functions for memory, asks libsegue-watch.so.
 *
 * All may be called where malloc may, and preserve errno. */
#ifndef SEGUE_TOOLS_WATCH_HEAP_H
#define SEGUE_TOOLS_WATCH_HEAP_H

#include <stdbool.h>
#include <stddef.h>

struct heap_face {
    /* A block, if one of that size, allocated by the function that this call returns to, is watched; else NULL. Its
     * bytes are zero if they are to be. `alignment` is a power of two. */
    void *(*give)(size_t size, size_t alignment, bool is_zero, const void *caller);
    /* What a block becomes by realloc: another one, with its first bytes; NULL if that is not watched, or is not given
     * out by give. `old_size`: of a block of the C library's. The old block stays. */
    void *(*give_again)(const void *old, size_t old_size, size_t size, const void *caller);
    /* Whether it was given out by these. */
    bool (*has)(const void *block);
    size_t (*size)(const void *block);
    /* Copies a block's first bytes to one of the C library's. */
    void (*copy)(void *to, const void *block, size_t size);
    /* Ends the program, as the C library does, if no such block is in use. */
    void (*take)(void *block);
};

/* The function that libsegue-heap.so exports. Returns whether the program's memory comes from its functions: not if the
 * program has an allocator of its own. */
typedef bool heap_attach(const struct heap_face *face);
#define HEAP_ATTACH "segue_heap_attach"

#endif
