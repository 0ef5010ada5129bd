/* constants.h: what a system call is asked for, where straight-line code says so. */
#ifndef SEGUE_PATCH_CONSTANTS_H
#define SEGUE_PATCH_CONSTANTS_H

#include <stddef.h>
#include <stdint.h>

/* What RAX and RDI hold: constants, or -1 if that is not known. */
struct constants {
    int64_t rax, rdi;
};

#define CONSTANTS_UNKNOWN ((struct constants){-1, -1})

/* Follows the instructions in the `size` bytes at `bytes`. */
void constants_follow(struct constants *constants, const uint8_t *bytes, size_t size);

#endif
