/* turn.h: one thread at a time suspends others, until it has resumed all that it has suspended. */
#ifndef SEGUE_SIGNALS_TURN_H
#define SEGUE_SIGNALS_TURN_H

#include <stdbool.h>
#include <stdint.h>

/* That many nanoseconds from now on. */
uint64_t turn_deadline(uint64_t timeout);

/* Waits until no other thread has suspended threads, and counts that many more as the caller's. False at the deadline.
 * A thread that has ended has none. Async-signal-safe, as all here. */
bool turn_take(uint32_t count, uint64_t deadline);

/* That many of the caller's are resumed, or could not be suspended. */
void turn_end(uint32_t count);

/* For one that suspends none, but lets no other thread do so: counts one if nothing is suspended, the caller's
 * included. Else false. */
bool turn_take_free(void);

/* In a child made by fork: no thread is suspended. */
void turn_in_child(void);

#endif
