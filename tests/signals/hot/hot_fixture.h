/* hot_fixture.h: memory with hot regions, and functions whose instructions become hot sites in it. Each case runs in a
 * child of its own, since the sites of a process stay hot. */
#ifndef SEGUE_TESTS_HOT_FIXTURE_H
#define SEGUE_TESTS_HOT_FIXTURE_H

#include "tests/support/test.h"

#include <segue/segue.h>
#include <stdbool.h>

#include "decode/x86/page.h"
#include "tests/support/cases.h"

#define PAGES 16u
#define SIZE (PAGES * PAGE)
#define ROUNDS 1000u

/* hot_sites_x86_64.S. */
uint64_t sites_load_two(void *at), sites_load_three(void *at), sites_load_four(void *at), sites_load_seven(void *at);
uint64_t sites_sum(void *at, uint64_t count), sites_sum_with_carry(void *at, uint64_t count);
uint64_t sites_in_turns(void *at, uint64_t count);
extern const char sites_in_turns_first[], sites_in_turns_second[], sites_in_turns_end[];
uint64_t sites_load_aligned(void *at), sites_many(void *at), sites_modify(void *at), sites_vectors(void *at),
    sites_to_nowhere(void *at);
uint64_t sites_copy(void *at, uint64_t size, void *to), sites_call(void *at), sites_stack(void *at);
#define SITES_PAIRS 120u
#define PAIR_BYTES 16u
#define PAIR_SECOND 2u
extern const char sites_pairs_first[];
uint64_t sites_x87(void *at), sites_three_lines(void *at);
uint64_t sites_load_masked(void *at, uint64_t mask), sites_masked(void *at, uint64_t mask, void *to);

extern struct segue_mapping memory;

/* Bits in one row, in several, none; those above bit 31 select nothing. */
#define MASKS 10u
extern const uint64_t masks[MASKS];

/* The processor has the masked instructions of the sites. */
bool has_masks(void);

/* Faults whose access was stepped; all faults; the accesses that sites have counted. */
uint64_t steps(void), faults(void), counted(void);

/* SIZE bytes that differ from word to word. */
void fill(char *at);

/* `memory`, filled and accessible, and the handler. */
void make_memory(void);
void make_memory_with(const struct segue_options *options);

/* A hot region of `memory`, with these flags. */
struct segue_region region_with(uint32_t flags);

/* Adds the region, and makes the pages of `memory` inaccessible. */
void begin(const struct segue_region *region);
void begin_with(uint32_t flags);

/* Begins `count` regions, each in a mapping of its own; the last one becomes `memory`. */
void begin_many(struct segue_mapping *mappings, unsigned count, struct segue_region (*region_of)(uint32_t),
                uint32_t flags);

#endif
