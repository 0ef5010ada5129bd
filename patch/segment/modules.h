/* modules.h: the code of the program's modules, and the functions in it. */
#ifndef SEGUE_PATCH_MODULES_H
#define SEGUE_PATCH_MODULES_H

#include <segue/status.h>

#include "service.h"

/* Reads the modules that are loaded, for modules_rewrite. Returns SEGUE_OK or SEGUE_NO_MEMORY. Not
 * async-signal-safe. */
enum segue_status modules_read(void);
void modules_free(void);

/* What a scan takes of the stack, with the decoder and all around it (measured by tests/patch/segment_stack.c). */
#define MODULES_SCAN_STACK 16384u

/* Rewrites all trusted sites of the module that holds `address`, if it was read and this was not done before.
 * Async-signal-safe; signals must be blocked. */
void modules_rewrite(struct segment_service *service, uint64_t address);

/* The first and the last address of the module that holds `address`, code and all. False if there is none. Not
 * async-signal-safe. */
bool modules_range(uint64_t address, uint64_t *start, uint64_t *size);

#endif
