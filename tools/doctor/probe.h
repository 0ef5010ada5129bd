/* probe.h: questions to the machine and the kernel, each answered by trying. */
#ifndef SEGUE_TOOLS_PROBE_H
#define SEGUE_TOOLS_PROBE_H

#include <stddef.h>
#include <stdint.h>

enum answer {
    ANSWER_NO,
    ANSWER_YES,
    /* Neither: a figure or a name. */
    ANSWER_FACT,
    /* It could not be found out. */
    ANSWER_UNKNOWN,
};

struct finding {
    enum answer answer;
    /* What goes with the answer, for a person. */
    char detail[160];
    /* A figure; -1: no figure. */
    int64_t value;
};

struct probe {
    /* For JSON, and for the first column. */
    const char *key;
    /* `finding` comes with ANSWER_NO, no detail and no figure. Leaves the process as it was. */
    void (*look)(struct finding *finding);
    /* What of Segue rests on it, and what happens where it is missing. For a fact, the first alone. */
    const char *with;
    const char *without;
};

/* The probes of one file. */
struct probes {
    const struct probe *list;
    size_t count;
};

extern const struct probes processor_probes, kernel_probes;

/* Writes the finding's detail. */
__attribute__((format(printf, 2, 3))) void finding_detail(struct finding *finding, const char *format, ...);

#endif
