/* chunks.h: executable memory near code, in large sparse pieces: the ground that rooms are taken from.
 *
 * A chunk is mapped where the address space is free: up to 256 MiB at once, so that few mappings serve many windows. It
 * takes memory only for pages that are touched. Its executable view is never writable; a second view is.
 *
 * A child made by fork has the executable views, shared with its parent, and not the writable ones. Before it writes to
 * such a chunk it makes the chunk its own: pages of its own with the same content, at the same addresses.
 *
 * chunk_find and chunk_page_number are lock-free; the rest has one caller at a time. Everything is async-signal-safe,
 * except chunks_prepare. */
#ifndef SEGUE_PATCH_HOT_CHUNKS_H
#define SEGUE_PATCH_HOT_CHUNKS_H

#include <segue/status.h>

#include "decode/x86/compiler/shared_word.h"
#include "decode/x86/page.h"
#include "platform/memory/executable.h"

/* The most bytes of a chunk, whose addresses agree above these bits; the most chunks. */
#define CHUNK_BITS 28
#define CHUNK_PAGES (UINT32_C(1) << (CHUNK_BITS - PAGE_BITS))
#define CHUNKS 256u

/* The bucket of a chunk: the bits of its addresses above CHUNK_BITS, times the one, shifted by the other. */
#define CHUNK_HASH UINT64_C(0x9e3779b97f4a7c15)
#define CHUNK_HASH_SHIFT 54

struct chunk {
    uint64_t start, size;
    struct executable_memory memory;
    /* The process that made it (chunks_generation). */
    uint32_t generation;
    /* A child may execute what is in it. */
    bool is_lent;
    /* The next chunk in the same bucket, as its number plus 1. */
    uint32_t next;
    /* One bit for each page that was touched. */
    shared_word *touched;
    /* Addresses behind the chunk that are reserved for data, 0 if none are; chunks would else fill all that is within
     * reach. */
    uint64_t data, data_taken;
};

/* The bytes that are reserved there. */
#define CHUNK_DATA (UINT64_C(256) << 10)

/* Reserves the table. SEGUE_OK or SEGUE_NO_MEMORY. Not async-signal-safe; thread-safe. */
enum segue_status chunks_prepare(void);

/* Sets the limits, in bytes of touched pages and in mappings. */
void chunks_limit(uint64_t most_memory, uint64_t most_mappings);

struct chunks_used {
    uint64_t memory, mappings, chunks;
};
struct chunks_used chunks_used(void);

/* Whether this process is a child since the last call; from then on it owns no chunk. */
bool chunks_are_inherited(void);
/* Before space is freed: children, also of bare system calls, may execute what is in the chunks. */
void chunks_lend(void);

/* The chunk that holds the address; NULL if no chunk does. */
const struct chunk *chunk_find(uint64_t address);

/* A number below CHUNKS * CHUNK_PAGES of the page that holds the address, which is in the chunk. */
uint32_t chunk_page_number(const struct chunk *chunk, uint64_t address);

/* The numbers of the chunks are 0 to chunks_used().chunks - 1. */
struct chunk *chunk_numbered(uint32_t number);

/* For each bucket the number of its first chunk, plus 1; 0: none. */
const uint32_t *chunk_buckets(void);

/* Maps a chunk with a free page in [first, last], as close to `near` as possible. SEGUE_OK; SEGUE_NO_MEMORY with a
 * reason in `refusal`. */
enum segue_status chunk_create(uint64_t first, uint64_t last, uint64_t near, struct chunk **chunk,
                               const char **refusal);

/* Whether a page was touched. The address is in the chunk. */
bool chunk_is_touched(const struct chunk *chunk, uint64_t page);
/* Accounts for the page. False if the limit of memory is reached. */
bool chunk_touch(struct chunk *chunk, uint64_t page);
/* The reverse, for pages that were touched, and that no process executes: frees their memory. */
void chunk_untouch(struct chunk *chunk, uint64_t first, uint64_t size);

/* Makes sure that no child executes what this process writes there: gives a chunk that is lent other pages. False if
 * the system has no memory. */
bool chunk_take_back(struct chunk *chunk);

/* Makes sure that the chunk can be written, and that no other process sees what is written. False if the system has no
 * memory. */
bool chunk_own(struct chunk *chunk);

#endif
