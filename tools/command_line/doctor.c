/* doctor.c: what `segue doctor` takes. */
#include <signal.h>

#include "command_line.h"

const struct verb_words doctor_words = {
    .name = "doctor",
    .forms = (const char *const[]){"[--json | --pid PID]", NULL},
    .summary = "says what this machine and kernel offer, and how Segue uses it",
    .options =
        (const struct option_words[]){
            {DOCTOR_JSON, "json", NULL, "a JSON object, one member for each line",
             "Each member is an object with available (true, false, or null where there is no yes or no), value (a "
             "number, or null), detail and use."},
            {DOCTOR_PID, "pid", "PID", "what can be seen of Segue in a running process, from outside",
             "That is: whether libsegue.so and libsegue-sigchain.so are mapped, whether SIGSEGV, SIGBUS and SIGFPE "
             "are caught, and which threads block them. Whose handler it is cannot be seen; segue_install_check "
             "says so, inside the process."},
            {0},
        },
    .exclusions =
        (const struct option_pair[]){
            {DOCTOR_JSON, DOCTOR_PID, "a process is described in lines only"},
            {0},
        },
    .closing = "Every line was found out by trying. The second line of each says what of Segue rests on it, or "
               "what happens without it.",
};
