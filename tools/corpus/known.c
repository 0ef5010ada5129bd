/* known.c: the decoders that `segue corpus report` asks, of those that are there. */
#include "known.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

const struct corpus_known corpus_known[] = {
    {"distorm3", NULL, "distorm3-decoder.py"},
    {"iced", NULL, "iced-decoder.mjs"},
    {"libopcodes", "objdump", "libopcodes-decoder"},
    {"llvm", NULL, "llvm-mc-decoder.sh"},
    {"llvm-22", "llvm", "LLVM_MC=llvm-mc-22 llvm-mc-decoder.sh"},
    {"ndisasm", NULL, "ndisasm-decoder.py"},
};
const size_t corpus_known_count = sizeof corpus_known / sizeof *corpus_known;

bool corpus_known_version(const struct corpus_known *known, char *text, size_t size)
{
    char *command;
    if (asprintf(&command, "%s --version 2>&1 </dev/null", known->command) < 0)
        abort();
    FILE *answer = popen(command, "r");
    free(command);
    snprintf(text, size, "cannot be run");
    if (!answer)
        return false;
    char line[256] = "";
    if (fgets(line, sizeof line, answer) && line[strcspn(line, "\n")] == '\n')
        snprintf(text, size, "%.*s", (int)strcspn(line, "\n"), line);
    /* Whatever else it says; it must not die of a closed pipe. */
    while (fgets(line, sizeof line, answer))
        ;
    int status = pclose(answer);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        snprintf(text, size, "%s is not there", known->command);
    return status == 0;
}
