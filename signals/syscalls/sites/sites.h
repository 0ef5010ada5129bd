/* sites.h: where the system cannot catch calls, the SYSCALL instructions of the modules that are loaded are replaced by
 * an instruction that faults (platform/calls/calls.h). Their calls are served as those that the system catches.
 *
 * A site is what patch/scan/calls.h knows to be one. Missed: sites elsewhere, among them those in code that is made or
 * loaded later, or excluded from changes. */
#ifndef SEGUE_SIGNALS_SITES_H
#define SEGUE_SIGNALS_SITES_H

#include <stdbool.h>

/* Why it is not possible; NULL if it is, or is done. Not async-signal-safe. */
const char *call_sites_obstacle(void);

/* Finds the sites; false if no site is found, or there is no memory for what is found or for code. And, the first time,
 * makes them trap from then on; false if one cannot be changed, or code is being changed by another thread: then none
 * is. Not async-signal-safe. */
bool call_sites_prepare(void);
bool call_sites_replace(void);

#endif
