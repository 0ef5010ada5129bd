/* verbs.h: the subcommands of `segue corpus`. Each gets its own name as arguments[0] and returns an enum exit_code. */
#ifndef SEGUE_TOOLS_CORPUS_VERBS_H
#define SEGUE_TOOLS_CORPUS_VERBS_H

int corpus_verb_build(int argument_count, char **arguments);
int corpus_verb_check(int argument_count, char **arguments);
int corpus_verb_report(int argument_count, char **arguments);
int corpus_verb_stat(int argument_count, char **arguments);
int corpus_verb_diff(int argument_count, char **arguments);
int corpus_verb_merge(int argument_count, char **arguments);

#endif
