/* original.h: reads original code, instruction by instruction: with the changes of hot sites taken out. */
#ifndef SEGUE_SIGNALS_HOT_ORIGINAL_H
#define SEGUE_SIGNALS_HOT_ORIGINAL_H

#include <stddef.h>
#include <stdint.h>

#define ORIGINAL_BYTES 192u

/* The piece of code that was read last, as it is. All zero bytes: none. */
struct original {
    uint64_t start;
    size_t size;
    uint8_t bytes[ORIGINAL_BYTES];
};

/* Copies up to `size` bytes (at most 64) of the instruction at `address`; returns how many could be read. Bytes behind
 * the instruction are as they are in memory. Async-signal-safe. */
size_t original_read(struct original *original, uint64_t address, uint8_t *bytes, size_t size);

#endif
