/* loader.h: an ELF file and its interpreter, mapped as the kernel would. Not async-signal-safe: before the program. */
#ifndef SEGUE_RUN_LOADER_H
#define SEGUE_RUN_LOADER_H

#include <stdbool.h>
#include <stdint.h>

struct image {
    /* Where the program begins: in its interpreter, if it has one. */
    uint64_t start;
    /* What the auxiliary vector tells: the program's own entry and program header, where its interpreter stands (0
     * without one). */
    uint64_t entry, headers, header_count, interpreter;
    bool executable_stack;
};

/* Maps the program. Ends the process with a message if that cannot be done. */
void loader_map(const char *path, struct image *image);

#endif
