/* later.h: code that the program has mapped since it is watched, by its files: it may be gone by now. */
#ifndef SEGUE_TOOLS_WATCH_LATER_H
#define SEGUE_TOOLS_WATCH_LATER_H

#include "code.h"

/* Which of it the address was in when the record was queued, from 1 on; 0: in none. */
uint64_t later_of(const struct code *code, uint64_t address);

/* Its module; NULL if its file is not there any more, and is not mapped there, either. `which`: not 0. */
Dwfl_Module *later_module(const struct code *code, uint64_t which, uint64_t address);

void later_end(struct code *code);

/* Says where names may be those of other code. `sums`: accesses of different times were added up. */
void later_say(const struct code *code, const char *program, bool sums);

#endif
