/* hot.c: hot sites as a program sees them: results, counts, and regions that are many, change and go. */
#include "hot_fixture.h"

#include <string.h>
#include <sys/mman.h>

/* All of them, on memory that was just filled. */
static uint64_t run_all(char *at, char *alias)
{
    uint64_t sum = 0;
    char copy[600];
    fill(alias);
    sum = sum * 31 + sites_load_two(at);
    sum = sum * 31 + sites_load_three(at + 24);
    sum = sum * 31 + sites_load_four(at + 48);
    sum = sum * 31 + sites_load_seven(at + 72);
    sum = sum * 31 + sites_sum(at + 8, 200);
    sum = sum * 31 + sites_sum_with_carry(at + 16, 200);
    sum = sum * 31 + sites_vectors(at + 512);
    sum = sum * 31 + sites_copy(at + 1000, sizeof copy, copy);
    sum = sum * 31 + sites_stack(at + 2000);
    sum = sum * 31 + sites_modify(at + 3000);
    sum = sum * 31 + sites_call(at + 4000);
    for (size_t i = 0; i < sizeof copy; i++)
        sum = sum * 31 + (unsigned char)copy[i];
    /* The functions of the program's own text, whose addresses are data here. */
    memset(alias + 4000, 0, 0x200);
    for (size_t i = 0; i < SIZE; i += 8) {
        uint64_t word;
        memcpy(&word, alias + i, 8);
        sum = sum * 31 + word;
    }
    return sum;
}

static int results_are_those_of_open_memory(void)
{
    static char plain[SIZE] __attribute__((aligned(PAGE)));
    make_memory();
    uint64_t wanted = run_all(plain, plain);
    begin_with(0);
    uint64_t first = faults();
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(run_all(memory.memory, memory.alias), wanted);
    uint64_t in_all = faults() - first;
    /* The string instruction goes on faulting, once a round, or twice on two pages. */
    assert_in_range(in_all, ROUNDS, 3 * ROUNDS);
    /* The same sites, on memory in no region. */
    assert_int_equal(run_all(plain, plain), wanted);
    assert_int_equal(run_all(memory.memory, memory.alias), wanted);
    return 0;
}

static int counts_are_exact(void)
{
    make_memory();
    begin_with(SEGUE_REGION_COUNT);
    uint64_t before = faults(), stepped = steps();
    for (unsigned i = 0; i < ROUNDS; i++)
        sites_sum(memory.memory, 100);
    assert_int_equal(counted() + (steps() - stepped), 100 * ROUNDS);
    assert_in_range(faults() - before, 1, 10);
    for (unsigned i = 0; i < ROUNDS; i++)
        sites_modify(memory.memory);
    assert_int_equal(counted() + (steps() - stepped), 106 * ROUNDS);
    assert_in_range(faults() - before, 1, 30);
    return 0;
}

static int masked_accesses_are_those_of_open_memory(void)
{
    static char plain[SIZE] __attribute__((aligned(PAGE)));
    char results[2][96];
    if (!has_masks())
        return CASE_SKIPPED;
    make_memory();
    begin_with(0);
    memcpy(plain, memory.alias, SIZE);
    uint64_t first = faults();
    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t at = i % 16 ? i % 64 : SIZE - 256;
        assert_int_equal(sites_masked((char *)memory.memory + at, masks[i % MASKS], results[0]),
                         sites_masked(plain + at, masks[i % MASKS], results[1]));
        assert_memory_equal(results[0], results[1], sizeof *results);
    }
    assert_memory_equal(memory.alias, plain, SIZE);
    assert_in_range(faults() - first, 1, 10);
    return 0;
}

static int masked_accesses_are_counted_if_there_are_any(void)
{
    char results[96];
    if (!has_masks())
        return CASE_SKIPPED;
    make_memory();
    begin_with(SEGUE_REGION_COUNT);
    uint64_t stepped = steps(), wanted = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t mask = masks[i % MASKS];
        sites_masked(memory.memory, mask, results);
        /* Two of 32 elements, three of 16. */
        wanted += 2u * ((mask & 0xffffffff) != 0) + 3u * ((mask & 0xffff) != 0);
    }
    assert_int_equal(counted() + (steps() - stepped), wanted);
    assert_in_range(steps() - stepped, 0, 10);
    return 0;
}

static int a_region_that_is_removed_is_left_alone(void)
{
    make_memory();
    begin_with(0);
    uint64_t wanted = sites_sum(memory.alias, 100);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(sites_sum(memory.memory, 100), wanted);
    uint64_t before = faults();
    assert_int_equal(segue_mapping_protect(&memory, 0, memory.size, SEGUE_READ | SEGUE_WRITE), SEGUE_OK);
    assert_int_equal(segue_region_remove(memory.memory), SEGUE_OK);
    assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(segue_mapping_destroy(&memory), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, 4 * SIZE, &memory), SEGUE_OK);
    fill(memory.alias);
    assert_int_equal(faults(), before);
    begin_with(0);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_in_range(faults() - before, 1, 20);
    return 0;
}

static int many_regions_are_found(void)
{
    struct segue_mapping mappings[8];
    begin_many(mappings, 8, region_with, 0);
    uint64_t wanted = sites_sum(mappings[0].alias, 100);
    for (unsigned i = 0; i < 8 * 20; i++)
        assert_int_equal(sites_sum(mappings[i % 8].memory, 100), wanted);
    uint64_t before = faults();
    for (unsigned i = 0; i < 8 * 20; i++)
        assert_int_equal(sites_sum(mappings[i % 8].memory, 100), wanted);
    assert_in_range(faults() - before, 0, 10);
    return 0;
}

/* A body of one region serves all that count. */
static int accesses_of_many_regions_are_counted(void)
{
    struct segue_mapping mappings[4];
    begin_many(mappings, 4, region_with, SEGUE_REGION_COUNT);
    uint64_t wanted = sites_sum(mappings[0].alias, 100), stepped = steps(), before = faults();
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(sites_sum(mappings[i % 4].memory, 100), wanted);
    assert_int_equal(counted() + (steps() - stepped), 100 * ROUNDS);
    assert_in_range(faults() - before, 1, 10);
    return 0;
}

static int undone_sites_fault_again(void)
{
    size_t count;
    unsigned char before[64], after[64];
    make_memory();
    memcpy(before, (void *)(uintptr_t)sites_sum, sizeof before);
    begin_with(0);
    for (unsigned i = 0; i < 20; i++)
        sites_sum(memory.memory, 100);
    memcpy(after, (void *)(uintptr_t)sites_sum, sizeof after);
    assert_memory_not_equal(before, after, sizeof before);
    assert_int_equal(segue_patches_undo(0, SIZE_MAX, &count), SEGUE_OK);
    assert_true(count > 0);
    memcpy(after, (void *)(uintptr_t)sites_sum, sizeof after);
    assert_memory_equal(before, after, sizeof before);
    uint64_t first = faults();
    sites_sum(memory.memory, 100);
    assert_in_range(faults() - first, 1, 100);
    return 0;
}

/* Room for that many bytes close to the address, where nothing else is. */
static void *reserve_close(char *at, size_t size)
{
    for (unsigned distance = 2; distance < 100; distance++)
        for (unsigned below = 0; below < 2; below++) {
            char *wanted = below ? at - distance * size : at + distance * size;
            void *room = mmap(wanted, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
            if (room == wanted)
                return room;
        }
    fail_msg("there is no room close to %p", (void *)at);
    return NULL;
}

/* Where the alias of a region that is gone was, there is another region; it was the last one that the site met. */
static int an_alias_may_become_a_region(void)
{
    struct segue_mapping first;
    make_memory();
    first = memory;
    begin_with(0);
    for (unsigned i = 0; i < 10; i++)
        sites_sum(memory.memory, 100);
    assert_int_equal(segue_region_remove(first.memory), SEGUE_OK);
    void *at = first.alias;
    size_t size = first.size;
    assert_int_equal(segue_mapping_destroy(&first), SEGUE_OK);
    memory.size = size;
    memory.memory = mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    assert_ptr_equal(memory.memory, at);
    /* The same pages again, close to the pages that are there. */
    void *room = reserve_close(at, size);
    memory.alias = mremap(at, 0, size, MREMAP_MAYMOVE | MREMAP_FIXED, room);
    assert_ptr_equal(memory.alias, room);
    fill(memory.alias);
    begin_with(0);
    uint64_t wanted = sites_sum(memory.alias, 100);
    assert_int_equal(sites_sum(memory.memory, 100), wanted);
    return 0;
}

/* By number of a pair: its second instruction is a jump that moved it for the first one. */
static enum segue_status note_moved(void *context, const struct segue_patch *patch)
{
    uint64_t offset = patch->address - (uint64_t)(uintptr_t)sites_pairs_first;
    if (offset / PAIR_BYTES < SITES_PAIRS && offset % PAIR_BYTES == 0 && patch->tactic == SEGUE_TACTIC_T2)
        ((bool *)context)[offset / PAIR_BYTES] = true;
    return SEGUE_OK;
}

/* From the pair's first instruction on, or from the second, which does not load the first word. */
static uint32_t load_pair(unsigned number, unsigned offset, const void *first, const uint32_t *second)
{
    uint32_t (*pair)(const void *first, const void *second) =
        (uint32_t(*)(const void *, const void *))(uintptr_t)(sites_pairs_first + number * PAIR_BYTES + offset);
    return pair(first, (const char *)second - number - 1);
}

/* Such an instruction is not checked where it has moved to, until it faults there. Few mappings: so most jumps find no
 * room unless a second instruction moves, to where the first pair's has its body. */
static int moved_instructions_become_hot_themselves(void)
{
    static const uint32_t open = 5;
    bool moved[SITES_PAIRS] = {false};
    unsigned count = 0;
    make_memory();
    assert_int_equal(segue_hot_configure(&(const struct segue_hot_options){.most_mappings = 15}), SEGUE_OK);
    *(uint32_t *)memory.alias = 7;
    begin_with(SEGUE_REGION_COUNT);
    uint64_t stepped = steps();
    load_pair(0, PAIR_SECOND, NULL, memory.memory);
    for (unsigned i = 0; i < SITES_PAIRS; i++)
        for (unsigned round = 0; round < 3; round++)
            assert_int_equal(load_pair(i, 0, memory.memory, &open), 12);
    segue_patches_list(0, SIZE_MAX, note_moved, moved);
    for (unsigned i = 0; i < SITES_PAIRS; i++)
        count += moved[i];
    /* The program may have been loaded where what is mapped around it leaves such a jump no room, either. */
    if (count == 0)
        return CASE_SKIPPED;
    uint64_t first = faults();
    for (unsigned i = 0; i < SITES_PAIRS; i++)
        for (unsigned round = 0; moved[i] && round < ROUNDS; round++)
            load_pair(i, PAIR_SECOND, NULL, memory.memory);
    assert_in_range(faults() - first, count, 3 * count);
    assert_int_equal(counted() + steps() - stepped, 1 + 3 * SITES_PAIRS + count * (uint64_t)ROUNDS);
    return 0;
}

/* The code that a site's line leads to is read; the read may fail. */
static int a_line_may_lead_to_no_memory(void)
{
    uint64_t wanted;
    make_memory();
    memcpy(&wanted, memory.alias, 8);
    begin_with(0);
    uint64_t first = faults();
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(sites_to_nowhere(memory.memory), wanted);
    assert_in_range(faults() - first, 1, 10);
    return 0;
}

/* A block of segue_try ends with a fault in a body; the fault has the address of the original instruction. */
static int blocks_end_at_the_programs_instruction(void)
{
    char *closed = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t (*volatile const load)(void *at) = sites_load_four;
    uint64_t wanted;
    assert_true(closed != MAP_FAILED);
    make_memory();
    begin_with(SEGUE_REGION_COUNT);
    memcpy(&wanted, (char *)memory.alias + 8, 8);
    assert_int_equal(load(memory.memory), wanted);
    uint64_t first = faults();
    for (volatile unsigned i = 0; i < ROUNDS; i++) {
        struct segue_trial trial;
        if (segue_try(&trial) == 0) {
            load(closed);
            fail();
        }
        assert_true(trial.fault.instruction == (uint64_t)(uintptr_t)sites_load_four);
        assert_true(trial.fault.address == (uint64_t)(uintptr_t)closed + 8);
        /* The site is as it was. */
        assert_int_equal(load(memory.memory), wanted);
    }
    /* Those that ended the blocks; none of the region. */
    assert_int_equal(faults() - first, ROUNDS);
    assert_in_range(counted(), ROUNDS, ROUNDS + 1);
    return 0;
}

#define EACH_CASE(X)                                                                                                   \
    X(results_are_those_of_open_memory)                                                                                \
    X(counts_are_exact)                                                                                                \
    X(masked_accesses_are_those_of_open_memory)                                                                        \
    X(masked_accesses_are_counted_if_there_are_any)                                                                    \
    X(a_region_that_is_removed_is_left_alone)                                                                          \
    X(many_regions_are_found)                                                                                          \
    X(accesses_of_many_regions_are_counted)                                                                            \
    X(undone_sites_fault_again)                                                                                        \
    X(an_alias_may_become_a_region)                                                                                    \
    X(moved_instructions_become_hot_themselves)                                                                        \
    X(a_line_may_lead_to_no_memory)                                                                                    \
    X(blocks_end_at_the_programs_instruction)

CASES_MAIN(EACH_CASE)
