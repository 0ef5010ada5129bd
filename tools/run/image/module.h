/* module.h: the code of the program's modules, and the rewriting of all fs: accesses of a module at once. */
#ifndef SEGUE_RUN_MODULE_H
#define SEGUE_RUN_MODULE_H

#include <segue/segment.h>

/* Rewrites all trusted sites of the ELF file whose code is mapped around `address`, unless that was done before. Sites
 * outside such a file are rewritten at their own faults. Async-signal-safe; signals must be blocked. */
void module_rewrite(uint64_t address);

/* The same for all mapped modules. */
void module_rewrite_all(void);

/* The code of an ELF file that is mapped around `address`, with its functions; to be given back. False if the address
 * is in no such file, or the file has no table of functions. Async-signal-safe; with the lock held, signals blocked. */
struct module_code {
    struct segue_extent *functions;
    size_t size;
};
bool module_take_code(uint64_t address, struct segue_segment_code *code, struct module_code *kept);
void module_give_code(const struct module_code *kept);

/* Called before the program is loaded: notes the host's own mappings. */
void module_prepare(void);

/* Counts a fault in the module. Returns whether it has had so many that rewriting the whole module is cheaper. */
bool module_has_many_faults(uint64_t address);

#endif
