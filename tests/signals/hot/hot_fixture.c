/* hot_fixture.c: see hot_fixture.h. */
#include "hot_fixture.h"

#include <string.h>

struct segue_mapping memory;

const uint64_t masks[MASKS] = {0xff, 0xffff0, 0x80000000, 0xffffffff, 0x5, 0xf0f0, 0, 0xffffffff00000000, 1, 0xffff};

bool has_masks(void)
{
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

uint64_t steps(void)
{
    struct segue_counters counters;
    segue_counters_read(&counters);
    return counters.stepped;
}

uint64_t faults(void)
{
    struct segue_counters counters;
    segue_counters_read(&counters);
    return counters.faults;
}

static enum segue_status add_accesses(void *context, const struct segue_patch *patch)
{
    *(uint64_t *)context += patch->accesses;
    return SEGUE_OK;
}

uint64_t counted(void)
{
    uint64_t sum = 0;
    assert_int_equal(segue_patches_list(0, SIZE_MAX, add_accesses, &sum), SEGUE_OK);
    return sum;
}

void fill(char *at)
{
    for (uint64_t i = 0; i < SIZE; i += 8) {
        uint64_t word = i * UINT64_C(0x9e3779b97f4a7c15);
        memcpy(at + i, &word, 8);
    }
}

struct segue_region region_with(uint32_t flags)
{
    struct segue_region region = {.window = segue_mapping_window(&memory), .flags = SEGUE_REGION_HOT | flags};
    return region;
}

void begin(const struct segue_region *region)
{
    assert_int_equal(segue_region_add(region), SEGUE_OK);
    assert_int_equal(segue_mapping_protect(&memory, 0, memory.size, 0), SEGUE_OK);
}

void begin_with(uint32_t flags)
{
    struct segue_region region = region_with(flags);
    begin(&region);
}

void make_memory(void)
{
    make_memory_with(NULL);
}

void make_memory_with(const struct segue_options *options)
{
    assert_int_equal(segue_install(options), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, SIZE, &memory), SEGUE_OK);
    fill(memory.alias);
}

void begin_many(struct segue_mapping *mappings, unsigned count, struct segue_region (*region_of)(uint32_t),
                uint32_t flags)
{
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(segue_mapping_create(NULL, SIZE, &mappings[i]), SEGUE_OK);
        memory = mappings[i];
        fill(memory.alias);
        struct segue_region region = region_of(flags);
        begin(&region);
    }
}
