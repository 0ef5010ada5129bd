/* predicates.h: rules on rows that the terms of corpus/data/disagreements.txt cannot express. */
#ifndef SEGUE_CORPUS_PREDICATES_H
#define SEGUE_CORPUS_PREDICATES_H

#include "rules.h"

struct corpus_predicate {
    const char *name;
    /* Thread-safe. */
    bool (*holds)(const struct corpus_case *row, const struct corpus_shape *shape);
};

/* The last has no name. */
extern const struct corpus_predicate corpus_predicates[];

#endif
