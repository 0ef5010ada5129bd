/* demo.c: what `segue demo` takes. */
#include "command_line.h"

const struct verb_words demo_words = {
    .name = "demo",
    .forms = (const char *const[]){"[NAME [ARGUMENT...]]", NULL},
    .summary = "runs a demonstration; without a name, lists them",
    .operands =
        (const struct operand_words[]){
            {"NAME", "weak-table, lua, sqlite or python", NULL},
            {"ARGUMENT...", "for the demonstration's own program", NULL},
            {0},
        },
    .operand_ends_options = true,
};
