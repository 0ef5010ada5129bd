/* target.h: the file that a program is executed from: found, and looked at as the kernel looks at it before it gives up
 * the process that executes it, so that what fails there fails here, with the same error number. */
#ifndef SEGUE_RUN_TARGET_H
#define SEGUE_RUN_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "script.h"

#define TARGET_PATH 4096

struct target {
    /* The program and its own interpreter, open; -1 for none. */
    int file, interpreter;
    /* The name by which it is executed (AT_EXECFN, the process's name), and the path that leads to the open file. */
    char name[TARGET_PATH];
    const char *path;
    /* How that was opened. */
    int folder;
    const char *opened;
    /* For scripts: what stands before the program's arguments, the last found first; the script's name follows. */
    char words[2 * SCRIPT_DEPTH + 2][SCRIPT_HEAD];
    unsigned word_count;
    bool is_script;
    /* The name is one of a descriptor that is closed on exec: a script cannot be found by it. */
    bool is_closed;
    /* It is an open file of the program's. */
    bool is_shared;
    /* Where it failed: the interpreter that could not be had, or NULL; and why, where the error number does not say it
     * all, or NULL. */
    const char *missing, *why;
    char program_interpreter[TARGET_PATH];
};

/* TARGET_ALONE: the kernel is to be asked: it is no program that could be run here. */
#define TARGET_UNREADABLE "it may be executed and not read, and here it has to be read"

enum { TARGET_FOUND = 0, TARGET_ALONE = 1 };

/* Finds what execveat(folder, path, ..., flags) would execute. Returns TARGET_FOUND, TARGET_ALONE or a negative error
 * number; but for the first, nothing is left open. Async-signal-safe. */
long target_find(struct target *target, int folder, const char *path, int flags);

/* Closes what is open. Async-signal-safe. */
void target_close(struct target *target);

#endif
