/* counters.h: the handler's counters. Each thread writes its own part, so that threads do not contend for cache
 * lines. */
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
    /* The signal was not a fault, and is not counted. */
    OUTCOME_SENT,
};

/* Async-signal-safe. */
void counters_add(enum outcome outcome);
void counters_add_refusal(unsigned mnemonic);

#endif
