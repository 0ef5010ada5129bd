/* run.c: what `segue run` takes. segue-run reads it. */
#include "command_line.h"

const struct verb_words run_words = {
    .name = "run",
    .forms =
        (const char *const[]){
            "[--stats[=json]] [--trace] [--eager|--lazy] [--no-follow] [--syscalls=trap|rewrite[:N]] PROGRAM "
            "[ARGUMENT...]",
            NULL,
        },
    .summary = "runs a program with the FS base fixed at 0: its thread-local storage is reached through GS",
    .options =
        (const struct option_words[]){
            {RUN_STATS, "stats", "[=json]",
             "at the end, prints counts of faults, rewritten sites and system calls on standard error", NULL},
            {RUN_TRACE, "trace", NULL, "prints each event on standard error", NULL},
            {RUN_EAGER, "eager", NULL, "rewrites the fs: accesses of a module when its code is mapped", NULL},
            {RUN_LAZY, "lazy", NULL,
             "rewrites each fs: access at its own fault; without either option, a module with many faults has its "
             "remaining accesses rewritten at once",
             NULL},
            {RUN_NO_FOLLOW, "no-follow", NULL, "programs that the program executes run natively", NULL},
            {RUN_SYSCALLS, "syscalls", "=trap|rewrite[:N]",
             "trap: traps every system call (the default); rewrite: a call that was trapped N times (128 if not given) "
             "bypasses the trap if its code can be changed safely",
             "Calls that bypass the trap are neither counted nor traced."},
            {0},
        },
    .exclusions =
        (const struct option_pair[]){
            {RUN_EAGER, RUN_LAZY, NULL},
            {0},
        },
    .closing = "The exit status is the program's; 125 if segue run failed or the command line makes no "
               "sense, 126 if it is not executable, 127 if it was not found.",
    .operand_ends_options = true,
};
