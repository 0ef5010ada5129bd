/* stepping.h: at each instruction of a body that runs with the trap flag: whether the place is translated to a boundary
 * of the subject's code, with the registers and the memory that are natively there. */
#ifndef SEGUE_TESTS_STEPPING_H
#define SEGUE_TESTS_STEPPING_H

#include "subject.h"

extern struct stepping {
    /* The native registers at each boundary, by its offset. */
    bool is_native, is_boundary[BLOCK_ROOM];
    struct oracle_registers boundaries[BLOCK_ROOM];
    bool led;
    enum variant variant;
    const char *wrong;
    uint64_t wrong_at;
} stepping;

/* Handles SIGTRAP. */
void stepping_take_traps(void);

#endif
