/* table.h: what is known of each system call: its name, what its pointers lead to, which argument is a path, and which
 * one leads to a mask of signals. Of use to whoever catches calls: the library's service, and segue run.
 *
 * All functions are async-signal-safe and thread-safe; those that say so are compiled for general registers only. */
#ifndef SEGUE_LINUX_CALLS_TABLE_H
#define SEGUE_LINUX_CALLS_TABLE_H

#if !defined(__linux__) || !defined(__x86_64__)
#error "table.h is specific to Linux on x86-64"
#endif

#include <stdint.h>

#include "newer.h"

/* Above all of the system's. */
#define TABLE_NUMBERS 512u
#define TABLE_SHAPES 5
/* Of a mask that the kernel takes. */
#define MASK_SIZE 8u

/* How long that is to which a pointer leads (shapes.inc). */
enum length {
    LENGTH_NONE,
    LENGTH_BYTES,
    LENGTH_TIMES,
    LENGTH_AT,
    LENGTH_BITS,
    LENGTH_PAGES,
    LENGTH_TEXT,
    LENGTH_CODED,
    LENGTH_MASK,
    LENGTH_PAIR,
    LENGTH_VECTOR,
    LENGTH_MESSAGE,
    LENGTH_TEXTS,
};

/* One pointer. A place that is not used has no direction (enum segue_direction). */
struct shape {
    uint8_t argument, direction, length, by, unit;
    uint16_t size;
};

/* One form of a call: where the argument `selector`, masked, is `value`; without a mask, by enum row_kind. */
struct row {
    uint16_t number;
    uint8_t selector;
    uint32_t mask, value;
    struct shape shapes[TABLE_SHAPES];
};

enum row_kind { ROW_ALWAYS, ROW_OWN, ROW_MEMORY };

/* What leads to a mask. */
enum mask_form {
    MASK_NONE,
    /* The argument; the next one is its size. */
    MASK_PLAIN,
    /* The argument, to a pair: the mask's address and size. */
    MASK_PAIR,
    /* The argument: as one of the two, or to more than a pair; io_uring_enter's flags say which. */
    MASK_RING,
    /* The argument, to an action, which has the mask in it. */
    MASK_ACTION,
};

struct mask_place {
    uint8_t argument, form;
};

/* Before the functions below. May be called again. */
void table_prepare(void);

/* The first row of the call; the others follow it, up to one with another number. NULL if it has none. General
 * registers only. */
const struct row *table_rows(uint64_t number);

/* The argument that is the call's first path; -1 without one. */
int table_path(uint64_t number);

/* The mask that the call puts in force while it waits, or that an action has. General registers only. */
struct mask_place table_mask(uint64_t number);

#endif
