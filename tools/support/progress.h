/* progress.h: a bar on standard error for work that takes more than two seconds, where that is a terminal. */
#ifndef SEGUE_TOOLS_PROGRESS_H
#define SEGUE_TOOLS_PROGRESS_H

#include <stdint.h>

/* Begins work of `total` steps, of whatever sort. `doing` says what is done; it must outlive the work. */
void progress_begin(const char *doing, uint64_t total);
/* What is done next, as part of the same work. */
void progress_turn_to(const char *doing);
/* Thread-safe; of no effect when no work was begun. */
void progress_advance(uint64_t steps);
/* Wipes the bar. */
void progress_end(void);

#endif
