/* module.h: the fs: accesses of a whole module, rewritten at once. */
#ifndef SEGUE_RUN_MODULE_H
#define SEGUE_RUN_MODULE_H

#include <stdbool.h>
#include <stdint.h>

/* Rewrites all trusted sites of the ELF file whose code is mapped around `address`, unless that was done before. What
 * is no such file is left to the faults of each site. Async-signal-safe; signals must be blocked. */
void module_rewrite(uint64_t address);

/* The same for all that are mapped. */
void module_rewrite_all(void);

/* Before the program is loaded: notes what is the host's. */
void module_prepare(void);

/* Notes a fault of the module's. Returns whether it has had so many that rewriting all of it is the cheaper way on. */
bool module_has_many_faults(uint64_t address);

#endif
