/* block.c: see block.h. */
#include "block.h"

#include <inttypes.h>
#include <stdio.h>

void block_name(const struct queue_block *block, uint64_t address, char *name, size_t size)
{
    int length = snprintf(name, size, "%sblock %" PRIu64, block->is_freed ? "freed " : "", block->serial);
    if (address != block->start)
        snprintf(name + length, size - (size_t)length, "+%" PRIu64, address - block->start);
}

void block_add(struct text *line, const struct queue_block *block, const char *allocator)
{
    text_add(line, " of ");
    text_add_decimal(line, block->size);
    text_add(line, ", allocated by ");
    text_add(line, allocator);
}

void block_write(struct json_writer *json, const struct queue_block *block, const char *allocator)
{
    json_number(json, "block", (int64_t)block->serial);
    json_number(json, "block_address", (int64_t)block->start);
    json_number(json, "block_size", (int64_t)block->size);
    json_text(json, "allocated_by", allocator);
    json_text(json, "block_state", block->is_freed ? "freed" : "live");
}
