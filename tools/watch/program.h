/* program.h: the program that is watched: a child of the command, or a process that ran already. */
#ifndef SEGUE_TOOLS_WATCH_PROGRAM_H
#define SEGUE_TOOLS_WATCH_PROGRAM_H

#include <stdbool.h>
#include <sys/types.h>

#include "tools/watch/agent/shared.h"
#include "tools/watch/names/code.h"

struct program {
    const char *name;
    pid_t process;
    struct shared *shared;
    /* A descriptor of that. */
    int memory;
    /* As waitpid has it, once it has ended. */
    bool has_ended;
    int status;
    /* It ran already: a descriptor of the process; else 0. */
    int attached;
    const struct code *code;
};

/* Starts it, up to where its own code would begin; `has_heap`: its blocks of memory are to be seen. False, with a
 * message, if it cannot be run or watched; `*code` is then what the command exits with. */
bool program_begin(struct program *program, char **arguments, bool has_heap, int *code);

/* The same for a process that runs: it is ready to watch. False, with a message, if it cannot be watched. */
bool program_check(pid_t process);
bool program_attach(struct program *program, struct code *code);

/* Asks it to watch no more, once; whether all is given back, and the thread that was its side has ended. Records are to
 * be taken meanwhile. */
bool program_detach(struct program *program);
/* What is not as before, once it has been detached; NULL if all is. */
const char *program_left(const struct program *program);

/* Lets it watch its shared->ranges and run. False, with a message, if it refuses: it has been ended, if it was
 * started. */
bool program_go(struct program *program);

/* Whether it has ended by now. */
bool program_has_ended(struct program *program);

/* Once it has ended, and all else is done: whether children that it has made by fork go on. It has no shared memory
 * afterwards. */
bool program_has_children(struct program *program);

/* Ends it before its own code has begun. */
void program_stop(struct program *program);

/* Exits as it did: with its status, or by its signal. */
int program_leave(const struct program *program);

#endif
