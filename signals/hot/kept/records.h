/* records.h: the records of bodies' checked accesses; they lie near the bodies. */
#ifndef SEGUE_SIGNALS_HOT_RECORDS_H
#define SEGUE_SIGNALS_HOT_RECORDS_H

#include "emulate/body/body.h"

/* Reserves the list of records. False if the system has no memory. Not async-signal-safe. */
bool records_prepare(void);

/* Room for BODY_INSTRUCTIONS records within reach of a body at `at`, unused so far; NULL if there is no room left. One
 * at a time, by the thread that makes sites hot. Async-signal-safe. */
struct body_record *records_take(uint64_t at);

/* The number of the first record that records_take has returned last, for counters.h. As records_take. */
uint32_t records_number(void);

/* So many of the records that records_take has returned last are used. As records_take. */
void records_use(uint32_t count);

/* For records that records_use has used, and that no body counts in any more; `number` is the first one's. Adds what
 * they have counted to their sites: not async-signal-safe. Makes them unused: the caller is that of records_take. */
void records_add_up(struct body_record *records, uint32_t number, uint32_t count);
void records_give_back(struct body_record *records, uint32_t count);

/* Stores in each hot site how many accesses its records have counted. One at a time; not async-signal-safe. */
void records_count(void);

#endif
