/* constants.h: the arguments of a system call, if straight-line code loads them as constants. */
#ifndef SEGUE_PATCH_CONSTANTS_H
#define SEGUE_PATCH_CONSTANTS_H

#include <stddef.h>
#include <stdint.h>

/* The values of RAX and RDI: constants, or -1 if unknown. */
struct constants {
    int64_t rax, rdi;
};

#define CONSTANTS_UNKNOWN ((struct constants){-1, -1})

/* Tracks the instructions in the `size` bytes at `bytes`. */
void constants_follow(struct constants *constants, const uint8_t *bytes, size_t size);

#endif
