/* known.h: the decoders that `segue corpus report` asks, of those that are there. */
#ifndef SEGUE_TOOLS_CORPUS_KNOWN_H
#define SEGUE_TOOLS_CORPUS_KNOWN_H

#include <stdbool.h>
#include <stddef.h>

struct corpus_known {
    const char *name;
    /* The decoder whose known disagreements hold of this one, too, or NULL. */
    const char *like;
    /* The command of --decoder; with --version it prints the version, or on standard error what is missing. */
    const char *command;
};

extern const struct corpus_known corpus_known[];
extern const size_t corpus_known_count;

/* Whether the decoder can be asked: then `text` is its version, else the reason. */
bool corpus_known_version(const struct corpus_known *known, char *text, size_t size);

#endif
