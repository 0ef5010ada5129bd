/* loader.h: maps an ELF file and its interpreter as the kernel would. Not async-signal-safe: runs before the
 * program. */
#ifndef SEGUE_RUN_LOADER_H
#define SEGUE_RUN_LOADER_H

#include <stdbool.h>
#include <stdint.h>

struct image {
    /* Where the program begins: in its interpreter, if it has one. */
    uint64_t start;
    /* The values that /proc/self/stat shows. */
    uint64_t code_start, code_end, data_start, data_end;
    /* The values of the auxiliary vector: the program's own entry and program header, and its interpreter's base (0
     * without one). */
    uint64_t entry, headers, header_count, interpreter;
    bool executable_stack;
};

/* The program: its name, the path of its file, and the open files, both of which loader_map closes. */
struct source {
    const char *name, *path;
    int file, interpreter;
};

/* Maps the program, and notes its paths in the settings. On failure, prints the reason and ends the process. */
void loader_map(const struct source *source, struct image *image);

#endif
