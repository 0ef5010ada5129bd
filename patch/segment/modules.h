/* modules.h: the code of the program's modules, and the functions in it. */
#ifndef SEGUE_PATCH_MODULES_H
#define SEGUE_PATCH_MODULES_H

#include <segue/status.h>

#include "service.h"

/* Whether code can be searched for sites: 32-bit code cannot. */
static inline bool modules_can_be_searched(void)
{
    return sizeof(void *) == 8;
}

/* Lists the loaded modules for modules_rewrite. Returns SEGUE_OK or SEGUE_NO_MEMORY. Not async-signal-safe. */
enum segue_status modules_read(void);
void modules_free(void);

/* The stack that a scan needs, with the decoder and its callers (tests/patch/segment/segment_stack.c measures it). */
#define MODULES_SCAN_STACK 16384u

/* Rewrites all trusted sites of the module that holds `address`, if the module is listed and this has not been done
 * before. Async-signal-safe; signals must be blocked. */
void modules_rewrite(struct segment_service *service, uint64_t address);

/* The start and the size of the module that holds `address`, code and data. False if no module holds it. Not
 * async-signal-safe. */
bool modules_range(uint64_t address, uint64_t *start, uint64_t *size);

#endif
