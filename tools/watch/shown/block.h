/* block.h: a block of the heap, in words. */
#ifndef SEGUE_TOOLS_WATCH_BLOCK_H
#define SEGUE_TOOLS_WATCH_BLOCK_H

#include "signals/watch/queue/queue_layout.h"
#include "tools/support/json/json_write.h"
#include "tools/watch/text.h"

/* "block 3+8": an address in it. */
void block_name(const struct queue_block *block, uint64_t address, char *name, size_t size);

/* Behind the size of an access: that of the block, and where it was allocated. */
void block_add(struct text *line, const struct queue_block *block, const char *allocator);
void block_write(struct json_writer *json, const struct queue_block *block, const char *allocator);

#endif
