/* completions.h: what shells complete command lines by, made of the tables of the verbs. */
#ifndef SEGUE_TOOLS_COMPLETIONS_H
#define SEGUE_TOOLS_COMPLETIONS_H

#include "command_line.h"

/* To standard output. `verbs` ends with NULL. */
void print_bash(const struct verb_words *const *verbs);
void print_zsh(const struct verb_words *const *verbs);

#endif
