/* target.h: finds the file that executing a program would use, and checks it as the kernel does before it gives up the
 * old program, so that what would fail there fails here, with the same error number. */
#ifndef SEGUE_RUN_TARGET_H
#define SEGUE_RUN_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "script.h"

#define TARGET_PATH 4096

struct target {
    /* The program and its own interpreter, open; -1 without one. */
    int file, interpreter;
    /* The name under which it is executed (AT_EXECFN, the process's name), and the path of the open file. */
    char name[TARGET_PATH];
    const char *path;
    /* How that was opened. */
    int folder;
    const char *opened;
    /* For scripts: the words before the program's arguments, the last found first; the script's name follows. */
    char words[2 * SCRIPT_DEPTH + 2][SCRIPT_HEAD];
    unsigned word_count;
    bool is_script;
    /* The name is /dev/fd/N of a descriptor that is closed on exec: an interpreter cannot open the script by it. */
    bool is_closed;
    /* The program has the same open file. */
    bool is_shared;
    /* After a failure: the interpreter that is missing, or NULL; and the reason, if the error number does not say
     * enough, or NULL. */
    const char *missing, *why;
    char program_interpreter[TARGET_PATH];
};

/* TARGET_ALONE: not a program that can run here; the kernel must execute it, or refuse it. */
#define TARGET_UNREADABLE "it is not readable, and segue run must read the file to load it"

enum { TARGET_FOUND = 0, TARGET_ALONE = 1 };

/* Finds what execveat(folder, path, ..., flags) would execute. Returns TARGET_FOUND, TARGET_ALONE or a negative error
 * number; except after TARGET_FOUND, no file is left open. Async-signal-safe. */
long target_find(struct target *target, int folder, const char *path, int flags);

/* Closes what is open. Async-signal-safe. */
void target_close(struct target *target);

#endif
