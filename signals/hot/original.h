/* original.h: reads original code, with the changes of hot sites taken out, a piece at a time. */
#ifndef SEGUE_SIGNALS_HOT_ORIGINAL_H
#define SEGUE_SIGNALS_HOT_ORIGINAL_H

#include <stddef.h>
#include <stdint.h>

#define ORIGINAL_BYTES 192u

/* The piece that was read last. All zero bytes: none. */
struct original {
    uint64_t start;
    size_t size;
    uint8_t bytes[ORIGINAL_BYTES];
};

/* Up to `wanted` bytes (at most 64) from `address` on; `*size` is how many could be read. They stay valid until the
 * next call. Async-signal-safe. */
const uint8_t *original_read(struct original *original, uint64_t address, size_t wanted, size_t *size);

#endif
