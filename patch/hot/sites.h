/* sites.h: the table of sites, and the index from an address in a body to its site.
 *
 * Both have a fixed capacity and take memory as they fill. Lookups are lock-free; one caller at a time changes them.
 * Everything but sites_prepare is async-signal-safe. */
#ifndef SEGUE_PATCH_HOT_SITES_H
#define SEGUE_PATCH_HOT_SITES_H

#include <segue/patch.h>

#include "decode/x86/compiler/shared_word.h"
#include "pun.h"

struct chunk;

/* ---- sites ---- */

enum hot_state {
    /* Its faults are counted; its code is unchanged. */
    HOT_COUNTED,
    /* Its code is a jump to its body, or was rewritten. */
    HOT_MADE,
    /* It was hot, and is not: it may become hot again. */
    HOT_UNDONE,
    /* The memory holds other code now. */
    HOT_FORGOTTEN,
    /* It cannot become hot: `refusal`. */
    HOT_REFUSED,
};

/* Its fields are read only. `state` is stored last (release). */
struct hot_site {
    uint64_t address;
    /* When it was last changed (platform_clock). */
    shared_word time;
    /* The caller counts here, atomically. */
    shared_word faults, accesses;
    /* The caller's: the accesses that were counted by bodies which have been freed. */
    shared_word accesses_before;
    /* A constant string, or NULL. */
    const char *refusal;
    /* Of one that was rewritten: the builder's. */
    uint64_t cookie;
    /* `changed` bytes, before and after; and those of the jump that was there while the present one was written. */
    uint8_t old_bytes[SEGUE_INSN_BYTES], new_bytes[SEGUE_INSN_BYTES], replaced_bytes[SEGUE_INSN_BYTES];
    /* The number of its present body, if the state is HOT_MADE and it was not rewritten. */
    uint32_t body;
    /* The next entry, as its number plus 1. */
    uint32_t next;
    /* hot_frees when it was refused. */
    uint32_t frees;
    /* Of the instruction; of the prefixes before E9; of the bytes that change. */
    uint8_t length, prefixes, changed;
    /* enum segue_tactic, enum hot_state. */
    uint8_t tactic, state;
    /* It was made for its predecessor (SEGUE_TACTIC_T2), and never asked for itself. */
    bool for_predecessor;
    /* The last change was another instruction of the same length, in place of a jump. */
    bool is_rewritten;
    /* The number of its work in progress, plus 1. */
    uint16_t work;
};

/* The site of the instruction at the address; NULL if it has no entry. Async-signal-safe, lock-free. */
struct hot_site *hot_site_find(uint64_t address);

/* All sites of [start, start + size), at most SITES_IN bytes, sorted by address. `found` has room for one for each
 * byte. Returns how many there are. Quicker than to find one after the other. Async-signal-safe, lock-free. */
#define SITES_IN 32u
unsigned sites_in(uint64_t start, uint64_t size, struct hot_site **found);

/* Counts a fault, and makes the entry if the site has none. NULL if the table is full, or before hot_prepare.
 * Async-signal-safe, thread-safe; waits for no thread. */
struct hot_site *hot_site_count(uint64_t address);

/* ---- bodies ---- */

struct hot_body {
    uint64_t address;
    /* The instruction that it is the body of. */
    uint64_t site;
    /* The builder's. */
    uint64_t cookie;
    /* 0: free. */
    uint32_t size;
    /* The next body that begins in the same page, or the next free one, as its number plus 1. */
    uint32_t next;
    /* When it was retired (hot_retirement), 0 if it is in use. */
    shared_word retired;
    /* A thread may come back to it (hot_hold). */
    bool is_held;
};

/* The body that holds the address; NULL if no body does. A body that is not in use any more is found until hot_collect
 * frees it. Async-signal-safe, lock-free. */
const struct hot_body *hot_body_find(uint64_t address);

/* The present body of a site; NULL if the site is not hot, or has none. Async-signal-safe, lock-free. */
const struct hot_body *hot_body_of(uint64_t site);

/* As hot_body_of; and NULL if the site's bytes are not the jump to it any more. For a builder. */
const struct hot_body *hot_body_led_to(uint64_t site);

/* What is called, by whoever changes code, when a body has become the present one of its site; and when it will be
 * retired at once. To be set before the first body is made, and once. */
struct hot_follower {
    void (*lives)(const struct hot_body *body);
    void (*retires)(const struct hot_body *body);
};
void hot_follow(const struct hot_follower *follower);

/* Numbers are below 2^32 and used again after hot_collect: for a table of the caller's. */
uint32_t hot_body_number(const struct hot_body *body);

/* The number of the next retirement: bodies that were retired so far have lower ones. Async-signal-safe, lock-free. */
uint64_t hot_retirement(void);

/* How many bodies that were retired have been freed. Async-signal-safe, lock-free. */
uint32_t hot_frees(void);

/* The bytes of the bodies that were retired and not freed. Async-signal-safe, lock-free. */
uint64_t hot_retired_size(void);

/* If the word is an address in a retired body, or that of its struct hot_body: hot_collect does not free it.
 * hot_hold_none takes all of that back. Async-signal-safe, lock-free. */
void hot_hold(uint64_t word);
void hot_hold_none(void);

/* The tables by which hot_body_find finds a body, for readers that are not C code: the expressions of unwinders. From
 * the bucket of an address to its chunk and those behind it, from its page to the first body there and those behind it.
 * Each number in them is plus 1; 0 stands for no entry. */
struct hot_index {
    /* By the bits that CHUNK_HASH mixes (space/chunks.h). */
    const uint32_t *buckets;
    const struct chunk *chunks;
    /* CHUNK_PAGES for each chunk. A body may begin in one of the HOT_PAGES_BEFORE pages before the address. */
    const uint32_t *pages;
    const struct hot_body *bodies;
};
#define HOT_PAGES_BEFORE 2u

/* After hot_prepare: they stay where they are. Async-signal-safe, thread-safe. */
struct hot_index hot_index(void);

/* ---- for the one who changes them ---- */

/* Reserves both, for at most so many sites. SEGUE_OK or SEGUE_NO_MEMORY. Not async-signal-safe. */
enum segue_status sites_prepare(size_t most_sites);

/* From now on sites may be rewritten. */
void sites_will_be_rewritten(void);

/* The lowest address of a site whose change may reach the byte at `address`. */
uint64_t site_lowest_change(uint64_t address);

/* The entry of an address; a new one (HOT_COUNTED) if it has none. NULL if there are as many as there may be. */
struct hot_site *site_claim(uint64_t address);

/* All entries, in the order of their making from the last to the first: the first one, and the one after. */
struct hot_site *site_first(void);
struct hot_site *site_after(const struct hot_site *site);

/* Adds a body, which is built but not executed yet. NULL if the table is full. */
struct hot_body *body_add(uint64_t address, uint32_t size, uint64_t site, uint64_t cookie);

/* The body of that number. */
struct hot_body *body_numbered(uint32_t number);

/* The code leads to the body; it may not be executed any more. */
void body_lives(const struct hot_body *body);
void body_retire(struct hot_body *body);

/* Takes it out of the index, and frees its number. */
void body_remove(struct hot_body *body);

/* The count of numbers that were ever given. */
uint32_t bodies_given(void);

#endif
