/* writer.h: writes bytes of several changes at once: through their aliases, through the kernel, or to pages that it
 * makes writable; with as few system calls as possible.
 *
 * With the lock of code held (lock.h), which also guards the state here. Async-signal-safe. */
#ifndef SEGUE_PATCH_WRITER_H
#define SEGUE_PATCH_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "patch/poke/change.h"

/* The memory of a change. */
struct writer_site {
    uint64_t address;
    /* Where its bytes can be stored; NULL: only through the kernel. */
    char *view;
    /* What the memory holds, or will hold when what was added has been written. */
    uint8_t bytes[POKE_BYTES];
    uint8_t size;
};

/* Begins to write that many sites in these ways (enum poke_ways). `alone`: no other thread runs until writer_end.
 * `peek` may be NULL. */
void writer_begin(size_t count, unsigned ways, bool alone, poke_peek *peek);

/* Finds where the bytes can be stored, and reads them. False if they cannot be reached in any of the ways. Sites in
 * ascending order take fewer system calls. */
bool writer_find(struct writer_site *site);

/* Adds bytes to what is to be written: `size` bytes at offset `from`. Sites are added in ascending order, each once. */
void writer_add(struct writer_site *site, size_t from, const uint8_t *bytes, size_t size);

/* Writes all that was added, and calls `failed` for each site whose bytes could not be written. */
void writer_flush(void (*failed)(struct writer_site *site));

/* Stores all bytes of the site at once, which lie in one aligned word: to its view, or else to its page, made writable
 * if the ways allow that. False if neither is possible. */
bool writer_store_word(struct writer_site *site, const uint8_t *bytes);
bool writer_is_in_word(const struct writer_site *site);

/* Writes one byte in whatever way there is. */
bool writer_force(struct writer_site *site, uint8_t byte);

/* Ends it, and gives pages their protection again. */
void writer_end(void);

/* Changes when, and is odd while, bytes between sites are read and written again (POKE_SPANS). Whoever writes a byte
 * without the lock must write it again with the lock, if this was odd before or has changed. */
uint64_t writer_spans(void);
void writer_span_begin(void);
void writer_span_end(void);

#endif
