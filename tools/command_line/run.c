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
    .summary = "runs a program with FS taken away: its thread-local storage is found through GS",
    .options =
        (const struct option_words[]){
            {RUN_STATS, "stats", "[=json]", "at the end, counts what was rewritten, trapped and done, on standard error",
             NULL},
            {RUN_TRACE, "trace", NULL, "prints each event on standard error", NULL},
            {RUN_EAGER, "eager", NULL, "rewrites the fs: accesses of a module when its code is mapped", NULL},
            {RUN_LAZY, "lazy", NULL,
             "rewrites each fs: access at its own fault; without either, those of a module that are left are "
             "rewritten when it has had many",
             NULL},
            {RUN_NO_FOLLOW, "no-follow", NULL, "programs that the program runs in its place run on their own", NULL},
            {RUN_SYSCALLS, "syscalls", "=trap|rewrite[:N]",
             "trap: every system call is trapped, which is so without it, too; rewrite: one that is met N times, or "
             "128, is sent past the trap where its code can be changed without a doubt",
             "Calls that are sent past the trap are neither counted nor traced."},
            {0},
        },
    .exclusions =
        (const struct option_pair[]){
            {RUN_EAGER, RUN_LAZY, NULL},
            {0},
        },
    .closing = "The exit status is the program's; 125 if it could not be run here or the command line makes no "
               "sense, 126 if it is not executable, 127 if it was not found.",
    .operand_ends_options = true,
};
