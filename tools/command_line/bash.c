/* bash.c: what bash completes command lines by. */
#include <string.h>

#include "completions.h"

/* A case for each verb and each part of one, with its options. */
static void print_case(const struct verb_words *words)
{
    printf("    '%s') options='", words->name);
    for (const struct option_words *option = words->options; option && option->value; option++)
        printf("--%s%s", option->name, option[1].value ? " " : "");
    puts("' ;;");
    for (const struct verb_words *const *part = words->parts; part && *part; part++)
        print_case(*part);
}

void print_bash(const struct verb_words *const *verbs)
{
    puts("# Completions of segue(1) for bash, made from the command's own tables.\n_segue()\n{\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} options='' parts='' i");
    fputs("  local verbs='help", stdout);
    for (size_t i = 0; verbs[i]; i++)
        printf(" %s", verbs[i]->name);
    puts("'\n  COMPREPLY=()");
    for (size_t i = 0; verbs[i]; i++) {
        if (!verbs[i]->parts)
            continue;
        printf("  [[ $verb == %s ]] && parts='", verbs[i]->name);
        for (const struct verb_words *const *part = verbs[i]->parts; *part; part++)
            printf("%s%s", (*part)->name + strlen(verbs[i]->name) + 1, part[1] ? " " : "");
        puts("'");
    }
    puts("  if ((COMP_CWORD == 1)); then\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$verbs --help --version\" -- \"$word\")\n    return\n  fi\n"
         "  if ((COMP_CWORD == 2)) && [[ $verb == help ]]; then\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$verbs\" -- \"$word\")\n    return\n  fi\n"
         "  if ((COMP_CWORD == 2)) && [[ $parts ]]; then\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$parts\" -- \"$word\")\n    return\n  fi\n"
         "  [[ $word == -* ]] || return\n  [[ $parts ]] && verb=\"$verb ${COMP_WORDS[2]}\"\n  case $verb in");
    for (size_t i = 0; verbs[i]; i++)
        print_case(verbs[i]);
    puts("  esac\n"
         "  # What follows the program belongs to it.\n"
         "  if [[ $verb == run ]]; then\n"
         "    for ((i = 2; i < COMP_CWORD; i++)); do\n"
         "      [[ ${COMP_WORDS[i]} == -* || ${COMP_WORDS[i]} == = || ${COMP_WORDS[i - 1]} == = ]] || return\n"
         "    done\n"
         "  fi\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$options --help\" -- \"$word\")\n}\n"
         "complete -o default -o bashdefault -F _segue segue");
}
