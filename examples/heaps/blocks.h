/* blocks.h: an allocator on memory that the program cannot access. Nothing of the allocator's lies in that memory. */
#ifndef SEGUE_EXAMPLES_HEAPS_BLOCKS_H
#define SEGUE_EXAMPLES_HEAPS_BLOCKS_H

#include <segue/mapping.h>

/* Starts with an empty heap on the whole mapping. There can be one at a time. */
void blocks_begin(const struct segue_mapping *mapping);

/* Frees what the allocator itself used. */
void blocks_end(void);

/* A lua_Alloc, whose first argument is not used. A block that moves is copied by way of the alias. */
void *blocks_allocate(void *unused, void *block, size_t old_size, size_t new_size);

#endif
