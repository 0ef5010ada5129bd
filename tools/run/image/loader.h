/* loader.h: an ELF file and its interpreter, mapped as the kernel would. Not async-signal-safe: before the program. */
#ifndef SEGUE_RUN_LOADER_H
#define SEGUE_RUN_LOADER_H

#include <stdbool.h>
#include <stdint.h>

struct image {
    /* Where the program begins: in its interpreter, if it has one. */
    uint64_t start;
    /* As /proc/self/stat tells them. */
    uint64_t code_start, code_end, data_start, data_end;
    /* What the auxiliary vector tells: the program's own entry and program header, where its interpreter stands (0
     * without one). */
    uint64_t entry, headers, header_count, interpreter;
    bool executable_stack;
};

/* The program: its name, the path of its file, and the open files; both are closed. */
struct source {
    const char *name, *path;
    int file, interpreter;
};

/* Maps the program, and notes its paths in the settings. Ends the process with a message if that cannot be done. */
void loader_map(const struct source *source, struct image *image);

#endif
