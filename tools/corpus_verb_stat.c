#include "corpus_verbs.h"
#include "message.h"
int corpus_verb_stat(int argument_count, char **arguments)
{
    (void)argument_count;
    (void)arguments;
    return misuse("corpus", "not yet");
}
