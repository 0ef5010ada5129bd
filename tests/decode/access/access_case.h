/* access_case.h: one instruction's access list held against the processor.
 *
 * The instruction is run natively, again and again, with pages of its operands closed, or closed for writing. The list
 * says which of those runs fault, where, and whether as a read or as a write; each operand is put at the very edge of a
 * page, so that one byte more or less in the list is a fault more or less. With all pages open, only listed bytes may
 * have changed.
 *
 * It cannot see: accesses that touch no byte of the arenas; reads of bytes in the same page as others that are read;
 * whether an access is atomic; more than the order of the first bytes of two accesses. */
#ifndef SEGUE_TESTS_ACCESS_CASE_H
#define SEGUE_TESTS_ACCESS_CASE_H

#include <segue/decode.h>

#include "tests/support/random.h"

enum access_result {
    /* The list is what the processor does. */
    ACCESS_SAME,
    /* It is not; `text` says how. */
    ACCESS_DIFFERENT,
    /* The processor does not have the instruction; it cannot be run here; its operands cannot be put into the arenas;
     * its accesses are refused. */
    ACCESS_UNKNOWN,
    ACCESS_NOT_RUN,
    ACCESS_NOT_PLACED,
    ACCESS_REFUSED,
    /* It accesses no memory, and indeed no closed page stopped it. */
    ACCESS_NONE,
    ACCESS_RESULTS,
};

struct access_report {
    char text[512];
    /* Native runs so far. */
    uint64_t runs;
};

/* Maps the arenas, for instructions of this mode. NULL, or why it cannot be done. */
const char *access_prepare(enum segue_mode mode);

/* Checks the instruction in `insn`, with registers and vector state out of `random`, in some placements. */
enum access_result access_check(const struct segue_insn *insn, struct random *random, struct access_report *report);

#endif
