/* counters.h: what each thread has counted in bodies by itself (body_counters): a block of counters for each thread,
 * one counter for each record, by the record's number.
 *
 * A block belongs to its thread until that has ended; then another thread goes on counting in it. So what was counted
 * stays where it is, and a record has counted what it and all blocks say, modulo 2^64. */
#ifndef SEGUE_SIGNALS_HOT_COUNTERS_H
#define SEGUE_SIGNALS_HOT_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

/* False if the system has no memory. Not async-signal-safe. */
bool counters_prepare(void);

/* Where a thread finds body_counters, from the base of FS; 0 if threads do not count by themselves. Async-signal-safe.
 */
int32_t counters_at(void);

/* From now on threads do not count by themselves in bodies that are built. */
void counters_stop(void);

/* Gives the calling thread a block, unless it has one. False if it cannot have one: no memory, or too many threads.
 * Async-signal-safe. */
bool counters_attach(void);

/* The calling thread has counted in body_counters what it has not done: once less. Async-signal-safe. */
void counters_take_back(uint32_t record);

/* What all threads have counted; from now on, 0 again. The latter only while no thread counts. Async-signal-safe. */
uint64_t counters_sum(uint32_t record);
void counters_clear(uint32_t record);

/* In a child made by fork: no other thread counts. */
void counters_in_child(void);

#endif
