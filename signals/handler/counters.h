/* counters.h: what the handler counts. Each thread writes its own part, so that threads do not wait for each other's
 * cache lines. */
#ifndef SEGUE_SIGNALS_COUNTERS_H
#define SEGUE_SIGNALS_COUNTERS_H


/* How a fault ended. */
enum outcome {
    OUTCOME_STEPPED,
    OUTCOME_RETRIED,
    OUTCOME_DONE,
    OUTCOME_REFUSED,
    OUTCOME_PASSED,
    OUTCOME_COUNT,
    /* It was no fault, and is not counted. */
    OUTCOME_SENT,
};

/* Async-signal-safe. */
void counters_add(enum outcome outcome);
void counters_add_refusal(unsigned mnemonic);

#endif
