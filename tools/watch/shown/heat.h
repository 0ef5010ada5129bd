/* heat.h: a map of accesses, address by time, which gnuplot draws. */
#ifndef SEGUE_TOOLS_WATCH_HEAT_H
#define SEGUE_TOOLS_WATCH_HEAT_H

#include <stdbool.h>
#include <stddef.h>

#include "tools/watch/names/target.h"

struct heat;

/* Opens the file, which is put in place by heat_draw. NULL, with a message, if it cannot be written, or there is no
 * gnuplot. */
struct heat *heat_begin(const char *path);

/* An access to a part of a target, at a time in nanoseconds. `number`: the target's. */
void heat_note(struct heat *heat, const struct target *targets, size_t count, size_t number, uint64_t offset,
               uint64_t size, int64_t time);

/* False, with a message, if the map could not be drawn. */
bool heat_draw(struct heat *heat, const struct target *targets, size_t count);

/* The file stays as it was. */
void heat_abandon(struct heat *heat);

void heat_end(struct heat *heat);

#endif
