/* script.h: the first line of a script. */
#ifndef SEGUE_RUN_SCRIPT_H
#define SEGUE_RUN_SCRIPT_H

#include <stdbool.h>

/* How many bytes of a file the kernel reads, and how many interpreters may themselves be scripts. */
#define SCRIPT_HEAD 256
#define SCRIPT_DEPTH 5

/* Splits `head`, the file's first SCRIPT_HEAD bytes (zeroes after the end of a shorter file), in place: "#!", blanks,
 * the interpreter's path, blanks, and one argument, which may contain blanks; NULL without one. False where the kernel
 * returns ENOEXEC: the file is not a script, it names no interpreter, or the interpreter's path does not end within the
 * bytes. Async-signal-safe. SOURCES: Linux fs/binfmt_script.c. */
bool script_split(char *head, char **interpreter, char **argument);

#endif
