/* service.h: the options in force, the patch table, and changing one site: common to handling faults and to rewriting
 * whole modules. */
#ifndef SEGUE_PATCH_SERVICE_H
#define SEGUE_PATCH_SERVICE_H

#include <segue/segment.h>

#include "ledger.h"

/* The state in force from segue_segment_enable to segue_segment_disable. */
struct segment_service {
    struct segue_segment_options options;
    struct ledger ledger;
};

/* Puts it in force, with its patch table; NULL ends that. */
void segment_put_in_force(struct segment_service *service);

/* NULL if segment faults are not handled. Async-signal-safe. */
struct segment_service *segment_in_force(void);

/* Rewrites one site, and records it. Returns as poke_byte; SEGUE_NO_MEMORY if the table is full, and then nothing was
 * changed. Async-signal-safe; signals must be blocked. */
enum segue_status segment_change(struct segment_service *service, const struct segue_site *site, unsigned faults);

/* The lock of whoever begins or ends the service, or lists or undoes patches of any kind: meanwhile the patch table
 * stays. Handlers rewrite sites without it. Not async-signal-safe. */
void segment_lock(void);
void segment_unlock(void);

/* Prepares forks for the lock, before the first fork that may need it. False if the system has no memory. Not
 * async-signal-safe; thread-safe. */
bool segment_lock_prepare(void);

#endif
