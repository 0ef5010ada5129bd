/* table.h: the patch table of the service in force, for the list of all patches. For a caller that holds segment_lock.
 */
#ifndef SEGUE_PATCH_TABLE_H
#define SEGUE_PATCH_TABLE_H

#include <segue/patch.h>
#include <stdbool.h>

/* Calls `visit` for each site of the range that is rewritten, or was. */
void segment_table_visit(uint64_t start, uint64_t size, void (*visit)(void *context, const struct segue_patch *patch),
                         void *context);

/* Undoes the rewritten sites of the range, and adds their number to `count`. False if one could not be written.
 * Asynchronous signals must be blocked. */
bool segment_table_undo(uint64_t start, uint64_t size, size_t *count);

/* Forgets the sites of the range, and writes no code. */
void segment_table_forget(uint64_t start, uint64_t size);

#endif
