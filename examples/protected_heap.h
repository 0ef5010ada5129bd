/* protected_heap.h: an allocator whose memory is closed to the program that uses it. What can be stepped is stepped;
 * for anything else the pages that it touches are opened, and closed again some faults later. */
#ifndef SEGUE_EXAMPLES_PROTECTED_HEAP_H
#define SEGUE_EXAMPLES_PROTECTED_HEAP_H

#include <segue/segue.h>

/* The longest that a page may stay open, in faults. */
#define HEAP_PATIENCE_MAX 1000u

/* What happened so far. Written in the handler; may be read from any thread. */
struct heap_tally {
    /* Every fault is either stepped or opens pages. */
    uint64_t faults, stepped, opened;
    uint64_t pages_opened, pages_closed;
    /* The sum, over all faults, of how many pages were open when the program went on. */
    uint64_t pages_open_sum;
};

/* Makes an empty heap of `size` bytes, all of it closed. There can be one at a time. A page that had to be opened is
 * closed at the latest `patience` faults after, 1 to HEAP_PATIENCE_MAX. Needs segue_install. Returns SEGUE_OK or the
 * status of what failed. */
enum segue_status heap_create(size_t size, unsigned patience);

/* Opens and unmaps it. */
void heap_destroy(void);

/* A lua_Alloc. The memory is closed, and what a block held before is carried along by way of the alias. */
void *heap_allocate(void *unused, void *block, size_t old_size, size_t new_size);

/* What happened since heap_create. */
struct heap_tally heap_read_tally(void);

/* How many pages blocks have ever stood on. */
size_t heap_pages_used(void);

#endif
