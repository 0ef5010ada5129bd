/* mapped.h: targets that are files: map:PATH, map:PATH+OFFSET:SIZE. */
#ifndef SEGUE_TOOLS_WATCH_MAPPED_H
#define SEGUE_TOOLS_WATCH_MAPPED_H

#include "target.h"
#include "tools/watch/agent/shared.h"

bool mapped_is(const char *name);

/* Finds the file, or the folder in which it may be made. Says on standard error why not. */
bool mapped_find(const char *name, struct target *target);

/* Puts the target, of that number, among those of the program's side: SHARED_FILES at most. */
void mapped_give(struct shared *shared, const struct target *target, uint32_t number);

/* Says at the end, on standard error, what was not watched. */
void mapped_say(const struct shared *shared, const struct target *targets);

#endif
