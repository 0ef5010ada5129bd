/* bodies.c: see bodies.h. */
#include "bodies.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "decode/relocate/displaceable_cache.h"
#include "memory.h"
#include "tests/support/test.h"

struct near_data {
    struct body_descriptor descriptors[VARIANTS];
    /* The row's, and the other access's. */
    struct body_record record, other;
    uint64_t thunks[BODY_THUNK_COUNT];
    uint64_t links[VARIANTS][2][BODY_LINKS_MOST];
};

static struct near_data *near;
static struct body_scratch *body_scratch;
static uint64_t asked;
/* The thread's counters of the records; and where body_counters is, from the base of FS. */
static uint64_t own_counts[2];
static int32_t counters_at;

static __attribute__((target("general-regs-only"))) int BODY_ASK_ABI ask(struct body_call *call)
{
    static const uint64_t word;
    call->watch = &word;
    call->watched = word;
    /* Without a bit in its mask it makes no access. */
    unsigned lanes = call->record->lanes;
    asked += call->record == &near->record && (!lanes || call->mask << (64 - lanes));
    return 0;
}

uint64_t bodies_address(enum variant variant)
{
    return BODIES + variant * BODY_ROOM;
}

static uint64_t behind_address(enum variant variant)
{
    return bodies_address(VARIANTS) + variant * BODY_ROOM;
}

bool bodies_prepare(void)
{
    bool vectors;
    body_scratch = aligned_alloc(64, (body_scratch_size() + 63) & ~(size_t)63);
    near = mmap((void *)(uintptr_t)NEAR_ADDRESS, AREA_PAGE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    assert_in_range(oracle_slot_address(SLOT, SEGUE_INSN_BYTES), BLOCK + BLOCK_ROOM, BODIES - 2 * SEGUE_INSN_BYTES);
    assert_true(behind_address(VARIANTS) <= oracle_slot_address(BATCH_SLOTS - 1, 0));
    if (!body_scratch || near == MAP_FAILED)
        return false;
    body_thunks_fill(near->thunks, &vectors);
    body_ask = ask;
    uint64_t base;
    __asm__ volatile("movq %%fs:0, %0" : "=r"(base));
    body_counters = (uint64_t)(uintptr_t)own_counts + BODY_COUNTERS_BIAS;
    counters_at = (int32_t)((uint64_t)(uintptr_t)&body_counters - base);
    return true;
}

void bodies_clear_counts(void)
{
    near->record.count = own_counts[0] = asked = 0;
}

uint64_t bodies_counted(void)
{
    return near->record.count + own_counts[0];
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

bool bodies_contain(enum variant variant, uint64_t address)
{
    return address - bodies_address(variant) < subject.bodies[variant].size ||
           (subject.leads[variant] && address - behind_address(variant) < subject.behind[variant].size);
}

bool bodies_translate(enum variant variant, struct segue_regs *regs, struct body_place *place)
{
    if (body_translate(subject.bodies[variant].table, bodies_address(variant), regs, place))
        return true;
    if (!subject.leads[variant] || !body_translate(subject.behind[variant].table, behind_address(variant), regs, place))
        return false;
    counts.behind++;
    return true;
}

/* Where a link leads to at first. */
static void lead_back(const struct body *body, uint64_t at, uint64_t *words)
{
    for (unsigned i = 0; i < body->link_count; i++)
        words[i] = at + body->links[i].local;
}

/* The row's body, and the links to it. */
static void build_behind(enum variant variant, struct body_request *request)
{
    struct body *body = &subject.behind[variant];
    const struct body *from = &subject.bodies[variant];
    uint64_t at = behind_address(variant), *words = near->links[variant][0];
    request->site = subject.address + subject.row;
    request->records = &near->record;
    request->counters = 0;
    request->most_instructions = BODY_INSTRUCTIONS;
    for (unsigned i = 0; i < BODY_LINKS_MOST; i++)
        request->link_words[i] = &near->links[variant][1][i];
    if (body_build(body_scratch, request, at, (uint8_t *)(uintptr_t)at, BODY_ROOM, body) != SEGUE_OK)
        return;
    lead_back(body, at, near->links[variant][1]);
    subject.leads[variant] = from->link_count > 0 && from->linkage == body->linkage;
    for (unsigned i = 0; i < from->link_count; i++)
        subject.leads[variant] &= from->links[i].target == request->site && body->entries[from->links[i].entry];
    for (unsigned i = 0; subject.leads[variant] && i < from->link_count; i++)
        words[i] = at + body->entries[from->links[i].entry];
    counts.leads += subject.leads[variant];
}

/* How many instructions the first body has: the other access, and some of those between it and the row. */
static unsigned instructions_before(void)
{
    unsigned between = subject.row_number - subject.other_number - 1;
    return subject.other_number + 1 + (unsigned)(counts.cases % (between + 1));
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
        .records = subject.is_linked ? &near->other : &near->record,
        .counters = subject.is_linked,
        .most_records = 1,
        .thunks = near->thunks,
        .read_code = read_code,
        .is_checked = check_every_access,
        .cache = &cache,
        .most_instructions = subject.is_linked ? instructions_before() : BODY_INSTRUCTIONS,
        .most_bytes = BODY_ROOM,
        .most_links = subject.is_linked ? BODY_LINKS_MOST : 0,
    };
    for (unsigned i = 0; i < BODY_LINKS_MOST; i++)
        request.link_words[i] = &near->links[variant][0][i];
    uint64_t at = bodies_address(variant);
    subject.statuses[variant] =
        body_build(body_scratch, &request, at, (uint8_t *)(uintptr_t)at, BODY_ROOM, &subject.bodies[variant]);
    subject.leads[variant] = false;
    if (!subject.is_linked || subject.statuses[variant] != SEGUE_OK)
        return;
    lead_back(&subject.bodies[variant], at, near->links[variant][0]);
    build_behind(variant, &request);
}
