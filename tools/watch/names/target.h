/* target.h: what the command line names, found in the program: addresses, sizes, types. */
#ifndef SEGUE_TOOLS_WATCH_TARGET_H
#define SEGUE_TOOLS_WATCH_TARGET_H

#include "functions.h"

/* How a value is shown. */
enum value_kind {
    /* Bytes; for 1, 2, 4 and 8 of them a hexadecimal number. */
    VALUE_BYTES,
    VALUE_SIGNED,
    VALUE_UNSIGNED,
    VALUE_FLOAT,
    VALUE_BOOLEAN,
    VALUE_CHARACTER,
};

struct target {
    /* As it was typed. */
    const char *name;
    uint64_t address, size;
    /* Of all of it; of an array, of an element. */
    enum value_kind kind;
    uint64_t element;
    /* Of a file, whose mappings are watched: its path as it was typed, and the absolute one, else NULL; and the part of
     * it that is wanted, of size 0: all. */
    char *shown, *path;
    uint64_t offset, part;
    /* Blocks of the heap: from that size to that one, or allocated by these functions. */
    bool is_heap;
    uint64_t least, most;
    struct functions functions;
};

/* Whether it is heap:SIZE or heap@FUNCTION. */
bool target_is_heap(const char *name);

/* Finds it in a process that has been loaded and whose code has not begun. Says on standard error why not. */
bool target_find(const struct code *code, const char *name, struct target *target);

#endif
