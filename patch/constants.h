/* constants.h: what a system call is asked for, where straight-line code tells. */
#ifndef SEGUE_PATCH_CONSTANTS_H
#define SEGUE_PATCH_CONSTANTS_H

#include <stddef.h>
#include <stdint.h>

/* RAX and RDI as the instructions from `bytes` on leave them `size` bytes on: constants, or -1 if that is not known. */
struct constants {
    int64_t rax, rdi;
};

struct constants constants_before(const uint8_t *bytes, size_t size);

#endif
