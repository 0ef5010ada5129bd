/* batch.h: a batch of test cases, run twice from the same state at the same addresses: with the pages open by the
 * processor alone, then with the pages protected by way of the library's signal handler; and compared.
 *
 * Memory evolves through a batch, in the same way in both runs; at its end all of it is compared. */
#ifndef SEGUE_TESTS_BATCH_H
#define SEGUE_TESTS_BATCH_H

#include "areas.h"
#include "encodings.h"
#include "generate.h"

#define BATCH_CASES 512
/* The slots that there are: hot_body has its code in the place of most of them. */
#define BATCH_SLOTS 1040
/* Where the code slots are mapped: below 2 GiB, as the low areas are, so that RIP-relative operands reach them. */
#define BATCH_CODE_ADDRESS 0x0f000000u

/* What is spoiled on purpose, in the stepped run of one case, to see that it is noticed. */
enum injection {
    INJECT_NOTHING,
    INJECT_REGISTER_UPPER_HALF,
    INJECT_REGISTER_HIGH_BYTE,
    INJECT_FLAG,
    INJECT_MEMORY_NEAR,
    INJECT_MEMORY_FAR,
    INJECT_X87,
    INJECT_XMM,
    INJECT_LAST_XSAVE_BYTE,
    INJECT_GS_BASE,
    INJECT_NO_FAULT,
    INJECT_SIGNAL_ADDRESS,
    INJECT_PLAN,
    INJECTIONS,
};
const char *injection_name(enum injection injection);

struct batch_options {
    uint64_t seed;
    /* Which set of areas; AREA_SETS: the batch's own choice. */
    enum area_set set;
    enum injection injection;
    /* Instructions of every kind in place of the MOV family; the corpus' rows (rows.h) in place of random ones. */
    bool all_encodings, rows;
    /* The command line that repeats a batch, without its number. */
    const char *command;
    /* Called with the full report of each difference. */
    void (*report)(const char *text);
    /* The outcome of each stepped case with this mnemonic is spoilt; 0: none is. */
    unsigned plant;
    /* Where the batch stands, for a report of where it died. */
    volatile uint64_t *case_at_hand;
};

struct batch_totals {
    uint64_t cases[AREA_SETS];
    /* Cases that were stepped, that needed no step, that fault natively too. */
    uint64_t stepped, untouched, faulted;
    uint64_t differences;
    /* Places that no case was found for. */
    uint64_t idle;
    /* Not among the differences: with all encodings, faults that were reported at another of several places. */
    uint64_t other_addresses;
    /* How long earlier runs took that this one goes on from. */
    uint64_t milliseconds;
    /* Batches run again, since what an XSAVE had stored differed, which an interrupt may be the cause of. */
    uint64_t repeated;
};

/* Installs the library, makes areas and slots. NULL, or why it cannot. */
const char *batch_prepare(void);

/* Runs cases number * BATCH_CASES up to the next batch's first; adds to `totals`. */
void batch_run(const struct batch_options *options, uint64_t number, struct batch_totals *totals);

/* Runs one case, whose instruction was made for slot 0: natively in a child, which it may take down, then stepped.
 * `image` is the XSAVE area it begins with. Returns NULL if all is equal, or the child did not live to report; else
 * what is wrong, with the parts that differ in `details`. */
const char *batch_run_one(const struct test_case *test, const void *image, enum area_set set, struct random *random,
                          char *details, size_t size);

/* Runs encodings beside the family that are to raise #UD. NULL, or which of them runs natively or is decoded. */
const char *batch_check_undefined(void);

#endif
