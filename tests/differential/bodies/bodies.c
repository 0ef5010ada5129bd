/* bodies.c: see bodies.h. */
#include "bodies.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "decode/relocate/displaceable_cache.h"
#include "memory.h"

/* What bodies read, near them. */
#define NEAR_ADDRESS (BATCH_CODE_ADDRESS - 0x100000u)

struct near_data {
    struct body_descriptor descriptors[VARIANTS];
    struct body_record record;
    uint64_t thunks[BODY_THUNK_COUNT];
};

static struct near_data *near;
static struct body_scratch *body_scratch;
static uint64_t asked;
/* The thread's counter of the record; and where body_counters is, from the base of FS. */
static uint64_t own_count;
static int32_t counters_at;

static __attribute__((target("general-regs-only"))) int BODY_ASK_ABI ask(struct body_call *call)
{
    static const uint64_t word;
    call->watch = &word;
    call->watched = word;
    /* Without a bit in its mask it makes no access. */
    unsigned lanes = call->record->lanes;
    asked += !lanes || call->mask << (64 - lanes);
    return 0;
}

bool bodies_prepare(void)
{
    bool vectors;
    body_scratch = aligned_alloc(64, (body_scratch_size() + 63) & ~(size_t)63);
    near = mmap((void *)(uintptr_t)NEAR_ADDRESS, AREA_PAGE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (!body_scratch || near == MAP_FAILED)
        return false;
    body_thunks_fill(near->thunks, &vectors);
    body_ask = ask;
    uint64_t base;
    __asm__ volatile("movq %%fs:0, %0" : "=r"(base));
    body_counters = (uint64_t)(uintptr_t)&own_count + BODY_COUNTERS_BIAS;
    counters_at = (int32_t)((uint64_t)(uintptr_t)&body_counters - base);
    return true;
}

void bodies_clear_counts(void)
{
    near->record.count = own_count = asked = 0;
}

uint64_t bodies_counted(void)
{
    return near->record.count + own_count;
}

uint64_t bodies_asked(void)
{
    return asked;
}

static size_t read_code(void *context, uint64_t address, uint8_t *bytes, size_t size)
{
    (void)context;
    uint64_t offset = address - subject.address;
    if (offset >= subject.size)
        return 0;
    if (size > subject.size - offset)
        size = subject.size - offset;
    memcpy(bytes, subject.code + offset, size);
    return size;
}

static bool check_every_access(void *context, uint64_t address)
{
    (void)context;
    (void)address;
    return true;
}

uint64_t bodies_address(enum variant variant)
{
    return BODIES + variant * BODY_ROOM;
}

void bodies_describe_region(enum variant variant)
{
    struct body_descriptor *descriptor = &near->descriptors[variant];
    const struct area *area = subject.area ? subject.area : &generator.areas->area[0];
    *descriptor = (struct body_descriptor){.base = area->base};
    for (unsigned i = 0; i < 7 && variant != OUTSIDE && variant != LOOKED_UP; i++)
        descriptor->limits[i] = area_accessible(area) - (1u << i) + 1;
    body_regions.count = 1;
    body_regions.regions[0] =
        (struct body_region){.base = area->base,
                             .size = area_accessible(area),
                             .distance = (uint64_t)(uintptr_t)memory_shadow_of(area, LOOKED_UP) - area->base};
}

void bodies_build(enum variant variant)
{
    static const uint8_t modes[VARIANTS] = {[COUNTED] = BODY_COUNT, [ASKED] = BODY_POLICY};
    const struct area *area = subject.area ? subject.area : &generator.areas->area[0];
    /* Rows have the same addresses. */
    static struct displaceable_cache cache;
    bodies_describe_region(variant);
    struct body_request request = {
        .site = subject.address,
        .descriptor = &near->descriptors[variant],
        .distance = (int64_t)((uint64_t)(uintptr_t)memory_shadow_of(area, variant) - area->base),
        .mode = (enum body_mode)modes[variant],
        .ask = counts.cases % 2 ? BODY_THUNK_ASK : BODY_THUNK_ASK_REGS,
        .counters_at = counts.cases / 2 % 2 ? counters_at : 0,
        .lookup = variant == LOOKED_UP,
        .records = &near->record,
        .most_records = 1,
        .thunks = near->thunks,
        .read_code = read_code,
        .is_checked = check_every_access,
        .cache = &cache,
        .most_instructions = BODY_INSTRUCTIONS,
        .most_bytes = BODY_ROOM,
    };
    uint64_t at = bodies_address(variant);
    subject.statuses[variant] =
        body_build(body_scratch, &request, at, (uint8_t *)(uintptr_t)at, BODY_ROOM, &subject.bodies[variant]);
}
