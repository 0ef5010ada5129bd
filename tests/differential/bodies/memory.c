/* memory.c: see memory.h. */
#include "memory.h"

#include <string.h>
#include <sys/mman.h>

#define RED_ZONE 128u
/* Below the red zone a body has its frame, and calls. */
#define BELOW 1024u
#define OWN_STACK 0x10000u
#define OTHER_SIZE 8u

/* Memory of an area's size: aliases within reach of a displacement, and beyond. */
static struct shadow {
    char *near, *far;
} shadows[AREAS_IN_SET];
static char *own_stack;

char *memory_shadow_of(const struct area *area, enum variant variant)
{
    const struct shadow *shadow = &shadows[area - generator.areas->area];
    return variant == FAR || variant == LOOKED_UP ? shadow->far : shadow->near;
}

void *memory_shadow_at(uint64_t address, enum variant variant)
{
    return memory_shadow_of(subject.area, variant) + (address - subject.area->base);
}

/* Of memory below 4 GiB and the memory beside it, some is free. */
static char *map_near(const struct area *area)
{
    for (uint64_t at = area->base + 0x800000; at < area->base + 0x70000000; at += 0x1100000) {
        void *wanted = (void *)(uintptr_t)(at / AREA_PAGE * AREA_PAGE);
        void *mapped =
            mmap(wanted, area->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (mapped == wanted)
            return mapped;
    }
    return NULL;
}

bool memory_map(void)
{
    for (size_t i = 0; i < generator.areas->count; i++) {
        const struct area *area = &generator.areas->area[i];
        char *place =
            mmap(NULL, 3 * (UINT64_C(1) << 32), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (place == MAP_FAILED)
            return false;
        char *far = (uint64_t)(uintptr_t)place > area->base ? place + 2 * (UINT64_C(1) << 32) : place;
        shadows[i].far = mmap(far, area->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        shadows[i].near = map_near(area);
        if (shadows[i].far == MAP_FAILED || !shadows[i].near)
            return false;
    }
    own_stack = mmap(NULL, OWN_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return own_stack != MAP_FAILED;
}

/* Whether the operand lies in another access's bytes: in the stack's. At an alias that is other memory it would not. */
static bool operand_overlaps(void)
{
    const struct bytes *operand = &subject.footprint[subject.operand];
    for (size_t i = 0; subject.area && i < subject.footprint_count; i++)
        if (i != subject.operand && operand->address < subject.footprint[i].address + subject.footprint[i].size &&
            subject.footprint[i].address < operand->address + operand->size)
            return true;
    return false;
}

/* A body checks the whole operand of which a mask selects elements. */
static bool find_masked(void)
{
    const struct segue_access *access = &subject.test.accesses[0];
    struct bytes *bytes = &subject.footprint[0];
    if (!subject.form.is_masked || subject.test.access_count == 0)
        return false;
    bytes->address = access->address - (uint64_t)access->lane * access->element;
    bytes->size = subject.form.memory.size;
    if (!areas_are_accessible(generator.areas, bytes->address, bytes->size))
        return false;
    subject.area = areas_find(generator.areas, bytes->address);
    subject.operand = 0;
    subject.footprint_count = 1;
    return true;
}

/* The memory that the case accesses; false if it is too much, or not known. */
bool memory_find_footprint(void)
{
    const struct test_case *test = &subject.test;
    uint64_t size = 0;
    subject.footprint_count = 0;
    subject.area = NULL;
    /* A repeated string has no list if it wraps around; what it does until it faults is not known. */
    if (test->access_count == 0 && (subject.insn.flags & SEGUE_INSN_REPEATED))
        return false;
    if (find_masked())
        return true;
    for (size_t i = 0; i < test->access_count; i++) {
        const struct segue_access *access = &test->accesses[i];
        struct bytes *bytes = &subject.footprint[subject.footprint_count];
        size += access->size;
        if (subject.footprint_count == COUNT(subject.footprint) || size > FOOTPRINT_MOST)
            return false;
        bytes->address = access->address;
        bytes->size = access->size;
        if (subject.form.is_plain && subject.insn.memory[access->operand].addressing != SEGUE_ADDRESSING_STACK &&
            areas_are_accessible(generator.areas, access->address, access->size)) {
            subject.area = areas_find(generator.areas, access->address);
            subject.operand = subject.footprint_count;
        }
        subject.footprint_count++;
    }
    return !operand_overlaps();
}

/* An alias has the same bytes there. */
static void put_other(void)
{
    const struct area *area = subject.is_linked ? areas_find(generator.areas, subject.other) : NULL;
    for (unsigned far = 0; area && far < 2; far++)
        areas_peek(generator.areas, subject.other,
                   (uint8_t *)memory_shadow_of(area, far ? FAR : NEAR) + (subject.other - area->base), OTHER_SIZE);
}

/* Puts `bytes` of each access in place: the operand's to the alias, too. */
void memory_put(bool clean)
{
    put_other();
    for (size_t i = 0; i < subject.footprint_count; i++) {
        const struct bytes *bytes = &subject.footprint[i];
        areas_poke(generator.areas, bytes->address, clean ? bytes->clean : bytes->before, bytes->size);
    }
    for (unsigned far = 0; subject.area && far < 2; far++) {
        const struct bytes *bytes = &subject.footprint[subject.operand];
        memcpy(memory_shadow_at(bytes->address, far ? FAR : NEAR), clean ? bytes->clean : bytes->before, bytes->size);
    }
}

void memory_save_before(void)
{
    const struct test_case *test = &subject.test;
    for (size_t i = 0; i < subject.footprint_count; i++)
        areas_peek(generator.areas, subject.footprint[i].address, subject.footprint[i].clean,
                   subject.footprint[i].size);
    if (test->has_planted)
        areas_poke(generator.areas, test->planted_address, test->planted, test->planted_size);
    for (size_t i = 0; i < subject.footprint_count; i++)
        areas_peek(generator.areas, subject.footprint[i].address, subject.footprint[i].before,
                   subject.footprint[i].size);
}

void memory_save_after(void)
{
    for (size_t i = 0; i < subject.footprint_count; i++)
        areas_peek(generator.areas, subject.footprint[i].address, subject.footprint[i].after,
                   subject.footprint[i].size);
}

/* Whether the memory of an access is as it was before it, or after it. */
bool memory_is(bool after, bool led, enum variant variant)
{
    uint8_t seen[FOOTPRINT_MOST];
    for (size_t i = 0; i < subject.footprint_count; i++) {
        const struct bytes *bytes = &subject.footprint[i];
        bool at_alias = subject.area && i == subject.operand;
        const uint8_t *here = after && !(at_alias && led) ? bytes->after : bytes->before;
        const uint8_t *there = after && led ? bytes->after : bytes->before;
        areas_peek(generator.areas, bytes->address, seen, bytes->size);
        if (memcmp(seen, here, bytes->size) != 0 ||
            (at_alias && memcmp(memory_shadow_at(bytes->address, variant), there, bytes->size) != 0))
            return false;
    }
    return true;
}

/* ---- stack ---- */

static bool overlaps_footprint(uint64_t first, uint64_t size)
{
    for (size_t i = 0; i < subject.footprint_count; i++)
        if (first < subject.footprint[i].address + subject.footprint[i].size &&
            subject.footprint[i].address < first + size)
            return true;
    return false;
}

/* Where a frame has room: on a stack of the test's, if the instruction does not use RSP; else below its own. */
bool memory_choose_stack(struct random *random)
{
    const struct effects *effects = &subject.form.effects;
    uint64_t *rsp = &subject.test.registers.general[SEGUE_RSP];
    subject.has_own_stack = !((effects->reads | effects->writes) >> SEGUE_RSP & 1);
    if (subject.has_own_stack) {
        *rsp = (uint64_t)(uintptr_t)own_stack + OWN_STACK - 4096 + random_below(random, 2048);
        return true;
    }
    uint64_t lowest = *rsp - RED_ZONE - BELOW;
    return areas_are_accessible(generator.areas, lowest, RED_ZONE + BELOW + 8) && !overlaps_footprint(lowest, BELOW);
}

bool memory_choose_other(struct random *random)
{
    const struct area *area = subject.area ? subject.area : &generator.areas->area[0];
    uint64_t stack = subject.test.registers.general[SEGUE_RSP] - RED_ZONE - BELOW;
    uint64_t at = area->base + random_below(random, (uint32_t)(area_accessible(area) - OTHER_SIZE));
    subject.other = random_below(random, 4) ? at : NEAR_ADDRESS;
    int64_t distance = (int64_t)(subject.other - BLOCK);
    return distance == (int32_t)distance && !overlaps_footprint(subject.other, OTHER_SIZE) &&
           subject.other - stack >= RED_ZONE + BELOW + 8 &&
           (subject.other != at || areas_are_accessible(generator.areas, at, OTHER_SIZE));
}

void memory_clean_stack(void)
{
    static const uint8_t pattern[RED_ZONE] = {0x5a, 0xa5};
    uint64_t rsp = subject.test.registers.general[SEGUE_RSP];
    if (subject.has_own_stack) {
        memcpy((void *)(uintptr_t)(rsp - RED_ZONE), pattern, RED_ZONE);
        return;
    }
    /* Below it everything is as it was at the very beginning. */
    const struct area *area = areas_find(generator.areas, rsp - RED_ZONE - BELOW);
    const uint8_t *before = memory_before;
    for (const struct area *other = generator.areas->area; other < area; other++)
        before += other->size;
    areas_poke(generator.areas, rsp - RED_ZONE - BELOW, before + (rsp - RED_ZONE - BELOW - area->base), BELOW);
}

bool memory_red_zone_is_kept(void)
{
    uint64_t rsp = subject.test.registers.general[SEGUE_RSP];
    const uint8_t *at = (const uint8_t *)(uintptr_t)(rsp - RED_ZONE);
    if (!subject.has_own_stack)
        return true;
    for (unsigned i = 0; i < RED_ZONE; i++)
        if (at[i] != (i == 0 ? 0x5a : i == 1 ? 0xa5 : 0))
            return false;
    return true;
}
