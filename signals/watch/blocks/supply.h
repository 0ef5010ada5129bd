/* supply.h: blocks, and the pools that they need. */
#ifndef SEGUE_SIGNALS_SUPPLY_H
#define SEGUE_SIGNALS_SUPPLY_H

#include "blocks.h"

/* Before the first block, once: in a process of one thread. False if there is no memory. */
bool supply_begin(void);

/* As blocks_give; makes another pool where that is needed. NULL if there is no memory, or the calling thread is in a
 * fault. Preserves errno. */
void *supply_block(const struct block_order *order);

/* Copies bytes, such as the code that asks for a block. False if some cannot be read. */
bool supply_peek(void *to, uint64_t address, size_t size);

#endif
