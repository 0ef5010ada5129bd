/* program.h: the program that is watched, as a child of the command. */
#ifndef SEGUE_TOOLS_WATCH_PROGRAM_H
#define SEGUE_TOOLS_WATCH_PROGRAM_H

#include <stdbool.h>
#include <sys/types.h>

#include "tools/watch/agent/shared.h"

struct program {
    const char *name;
    pid_t process;
    struct shared *shared;
    /* As waitpid has it, once it has ended. */
    bool has_ended;
    int status;
};

/* Starts it, up to where its own code would begin. False, with a message, if it cannot be run or watched; `*code` is
 * then what the command exits with. */
bool program_begin(struct program *program, char **arguments, int *code);

/* Lets it watch its shared->ranges and run. False, with a message, if it refuses: it has been ended. */
bool program_go(struct program *program);

/* Whether it has ended by now. */
bool program_has_ended(struct program *program);

/* Ends it before its own code has begun. */
void program_stop(struct program *program);

/* Exits as it did: with its status, or by its signal. */
int program_leave(const struct program *program);

#endif
