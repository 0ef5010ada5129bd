/* slots.c: see slots.h. */
#include "slots.h"

#include <stddef.h>

#include "decode/x86/page.h"
#include "patch/hot/space/rooms.h"
#include "platform/memory/memory.h"

/* Displacements of instructions are added to the distance, and most are small. */
#define DISTANCE_MOST ((int64_t)PLATFORM_VIEWS_NEAR)
#define LIMITS (sizeof((struct body_descriptor *)0)->limits / sizeof(uint64_t))
#define MODE_FLAGS (SEGUE_REGION_COUNT | SEGUE_REGION_HOT_GENERAL | SEGUE_REGION_HOT_REGS)

/* HOT_SLOTS of them; mapped with the first one. No slot from `slots_begun` on has been taken yet, nor its memory been
 * touched. */
static struct hot_slot *slots;
static size_t slots_begun;
/* A body refers to some slot, or has. */
static bool are_used;
/* The mode of the regions in `body_regions`. */
static enum body_mode lookup_mode = BODY_LED;
/* Some body looks for regions: from then on all that are found have the mode of that body. */
static bool is_looking;

static int64_t distance_of(const struct segue_window *window)
{
    return (int64_t)((uint64_t)(uintptr_t)window->alias - window->base);
}

bool hot_is_near(const struct segue_window *window)
{
    int64_t distance = distance_of(window);
    return distance >= -DISTANCE_MOST && distance <= DISTANCE_MOST;
}

static enum body_mode mode_of(const struct segue_region *region)
{
    if (region->hot_policy)
        return BODY_POLICY;
    return region->flags & SEGUE_REGION_COUNT ? BODY_COUNT : BODY_LED;
}

static uint32_t mode_flags_of(const struct segue_region *region)
{
    return region->flags & MODE_FLAGS;
}

static uint32_t sample_of(const struct segue_region *region)
{
    return region->sample > 1 ? region->sample : 0;
}

static enum quick_kind kind_of(const struct segue_region *region)
{
    bool is_asked_quickly = region->hot_policy && mode_flags_of(region) == SEGUE_REGION_HOT_GENERAL;
    return is_asked_quickly ? leaf_kind(region->hot_policy) : QUICK_FULLY;
}

static bool fits(const struct hot_slot *slot, const struct segue_region *region, int64_t watched, enum quick_kind kind)
{
    return slot->distance == distance_of(&region->window) && slot->mode == mode_of(region) &&
           slot->mode_flags == mode_flags_of(region) && slot->sample == sample_of(region) && slot->watched == watched &&
           slot->kind == kind;
}

bool hot_slot_fits(const struct hot_slot *slot, const struct segue_region *region)
{
    bool is_known =
        slot->region.hot_policy == region->hot_policy && mode_flags_of(&slot->region) == mode_flags_of(region);
    return fits(slot, region, slot->watched, is_known ? slot->kind : kind_of(region));
}

/* One that bodies refer to serves only regions that fit those bodies. */
static struct hot_slot *find_free(const struct segue_region *region, int64_t watched, enum quick_kind kind)
{
    struct hot_slot *found = NULL;
    for (size_t i = 0; i < slots_begun; i++) {
        struct hot_slot *slot = &slots[i];
        if (slot->is_taken)
            continue;
        if (slot->is_used && fits(slot, region, watched, kind))
            return slot;
        if (!slot->is_used && !found)
            found = slot;
    }
    if (!found && slots_begun < HOT_SLOTS)
        found = &slots[slots_begun++];
    return found;
}

enum segue_status hot_slot_take(const struct segue_region *region, int64_t watched, struct hot_slot **taken_slot)
{
    if (!slots)
        slots = platform_map_apart(HOT_SLOTS * sizeof *slots);
    if (!slots)
        return SEGUE_NO_MEMORY;
    enum quick_kind kind = kind_of(region);
    struct hot_slot *slot = find_free(region, watched, kind);
    *taken_slot = slot;
    if (!slot)
        return SEGUE_OK;
    slot->region = *region;
    slot->distance = distance_of(&region->window);
    slot->mode = mode_of(region);
    slot->mode_flags = mode_flags_of(region);
    slot->sample = sample_of(region);
    slot->watched = watched;
    slot->kind = kind;
    slot->is_taken = true;
    slot->leads = slot->has_led = false;
    slot->asked = leaf_that_refuses;
    __atomic_store_n(&slot->alias, (uint64_t)(uintptr_t)region->window.alias, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->alias_size, region->window.size, __ATOMIC_RELEASE);
    return SEGUE_OK;
}

bool hot_slot_watches(const struct hot_slot *slot, uint64_t address, uint64_t size)
{
    if (!slot->watched)
        return slot->mode != BODY_LED;
    /* Bit 0: of the byte itself. */
    const volatile uint8_t *of_bytes = (const volatile uint8_t *)(uintptr_t)(address + (uint64_t)slot->watched);
    for (uint64_t i = 0; i < size; i++)
        if (of_bytes[i] & 1)
            return true;
    return false;
}

bool hot_slot_is_at_alias(const struct hot_slot *slot, uint64_t address)
{
    uint64_t size = __atomic_load_n(&slot->alias_size, __ATOMIC_ACQUIRE);
    return address - __atomic_load_n(&slot->alias, __ATOMIC_RELAXED) < size;
}

void hot_slot_release(struct hot_slot *slot)
{
    __atomic_store_n(&slot->alias_size, 0, __ATOMIC_RELEASE);
    slot->is_taken = false;
}

bool hot_slot_is_one(const struct hot_slot *slot)
{
    uint64_t offset = (uint64_t)(uintptr_t)slot - (uint64_t)(uintptr_t)slots;
    return slots && offset < HOT_SLOTS * sizeof *slots && offset % sizeof *slots == 0;
}

bool hot_slots_are_used(void)
{
    return __atomic_load_n(&are_used, __ATOMIC_SEQ_CST);
}

/* ---- regions that a body finds when its own one is missed ---- */

/* A body treats each of them as it does its own region: so they have one mode, that of the region that was opened
 * first, and no policy. */
static bool is_looked_up(const struct hot_slot *slot)
{
    return slot->is_open && slot->mode == lookup_mode;
}

static void insert_sorted(const struct hot_slot *slot, uint32_t count)
{
    struct body_region *regions = body_regions.regions;
    for (; count && regions[count - 1].base > slot->region.window.base; count--)
        regions[count] = regions[count - 1];
    regions[count] = (struct body_region){
        .base = slot->region.window.base, .size = slot->region.window.size, .distance = (uint64_t)slot->distance};
}

/* Under the lock of the regions. A lookup that meets the change finds nothing. */
static void write_regions(void)
{
    uint32_t count = 0, sequence = body_regions.sequence;
    __atomic_store_n(&body_regions.sequence, sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (size_t i = 0; i < slots_begun && count < BODY_REGIONS_MOST; i++)
        if (slots[i].is_taken && is_looked_up(&slots[i]))
            insert_sorted(&slots[i], count++);
    body_regions.count = count;
    __atomic_store_n(&body_regions.sequence, sequence + 2, __ATOMIC_SEQ_CST);
}

/* The open slots of regions with policies, sorted by base; behind a sequence count, as body_regions. */
static struct {
    uint32_t sequence, count;
    const struct hot_slot *slots[HOT_SLOTS];
} asked;

/* Under the lock of the regions: the slot has been opened, or closed. */
static void write_asked(const struct hot_slot *slot)
{
    const bool is_in = slot->is_open && slot->mode == BODY_POLICY;
    uint32_t count = 0, sequence = asked.sequence;
    __atomic_store_n(&asked.sequence, sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < asked.count; i++)
        if (asked.slots[i] != slot)
            asked.slots[count++] = asked.slots[i];
    uint32_t at = count;
    for (; is_in && at && asked.slots[at - 1]->region.window.base > slot->region.window.base; at--)
        asked.slots[at] = asked.slots[at - 1];
    if (is_in)
        asked.slots[at] = slot;
    asked.count = count + is_in;
    __atomic_store_n(&asked.sequence, sequence + 2, __ATOMIC_SEQ_CST);
}

SEGUE_HOT_POLICY const struct hot_slot *hot_slot_find(uint64_t address, uint32_t size)
{
    uint32_t sequence = __atomic_load_n(&asked.sequence, __ATOMIC_ACQUIRE);
    uint32_t low = 0, high = __atomic_load_n(&asked.count, __ATOMIC_RELAXED);
    if (sequence % 2 || high > HOT_SLOTS)
        return NULL;
    /* The last one that does not begin behind the address is at low - 1. */
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        const struct hot_slot *slot = __atomic_load_n(&asked.slots[middle], __ATOMIC_RELAXED);
        if (slot->region.window.base <= address)
            low = middle + 1;
        else
            high = middle;
    }
    const struct hot_slot *found = low ? __atomic_load_n(&asked.slots[low - 1], __ATOMIC_RELAXED) : NULL;
    uint64_t offset = found ? address - found->region.window.base : 0;
    if (!found || offset >= found->region.window.size || found->region.window.size - offset < size)
        return NULL;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&asked.sequence, __ATOMIC_RELAXED) == sequence ? found : NULL;
}

bool hot_slots_are_looked_up(const struct hot_slot *slot)
{
    if (slot->sample)
        return false;
    if (slot->mode == BODY_POLICY)
        return __atomic_load_n(&asked.count, __ATOMIC_RELAXED) > 1;
    if (__atomic_load_n(&body_regions.count, __ATOMIC_RELAXED) < 2)
        return false;
    __atomic_store_n(&is_looking, true, __ATOMIC_SEQ_CST);
    return slot->mode == __atomic_load_n(&lookup_mode, __ATOMIC_SEQ_CST);
}

/* ---- descriptors ---- */

static void write_limits(struct body_descriptor *descriptor, uint64_t size)
{
    for (size_t i = 0; i < LIMITS; i++) {
        uint64_t access = UINT64_C(1) << i;
        __atomic_store_n(&descriptor->limits[i], size < access ? 0 : size - access + 1, __ATOMIC_RELEASE);
    }
}

static void write_all_limits(struct hot_slot *slot, uint64_t size)
{
    for (size_t i = 0; i < HOT_PARTS; i++) {
        struct body_descriptor *descriptor = __atomic_load_n(&slot->descriptors[i], __ATOMIC_ACQUIRE);
        if (!descriptor)
            continue;
        if (size)
            __atomic_store_n(&descriptor->base, slot->region.window.base, __ATOMIC_RELEASE);
        write_limits(descriptor, size);
    }
}

void hot_slot_open(struct hot_slot *slot)
{
    if (slot->region.flags & SEGUE_REGION_IDLE)
        return;
    if (body_regions.count == 0 && slot->mode != BODY_POLICY && !__atomic_load_n(&is_looking, __ATOMIC_SEQ_CST))
        __atomic_store_n(&lookup_mode, slot->mode, __ATOMIC_SEQ_CST);
    slot->context = slot->region.context;
    __atomic_store_n(&slot->asked, slot->region.hot_policy, __ATOMIC_RELEASE);
    __atomic_store_n(&slot->is_open, true, __ATOMIC_SEQ_CST);
    write_all_limits(slot, slot->region.window.size);
    write_regions();
    write_asked(slot);
    slot->openings++;
    __atomic_store_n(&slot->leads, slot->mode == BODY_LED || slot->watched, __ATOMIC_SEQ_CST);
}

void hot_slot_close(struct hot_slot *slot)
{
    __atomic_store_n(&slot->is_open, false, __ATOMIC_SEQ_CST);
    __atomic_store_n(&slot->asked, leaf_that_refuses, __ATOMIC_SEQ_CST);
    write_all_limits(slot, 0);
    write_regions();
    write_asked(slot);
}

void hot_slot_change(struct hot_slot *slot, const struct segue_region *region)
{
    slot->region = *region;
}

/* The slot may be opened or closed at the same time: whoever comes second sees what the first has done. */
static void publish(struct hot_slot *slot, size_t part, struct body_descriptor *descriptor)
{
    descriptor->base = slot->region.window.base;
    __atomic_store_n(&slot->descriptors[part], descriptor, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&slot->is_open, __ATOMIC_SEQ_CST))
        return;
    write_limits(descriptor, slot->region.window.size);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&slot->is_open, __ATOMIC_SEQ_CST))
        write_limits(descriptor, 0);
}

struct body_descriptor *hot_slot_descriptor(struct hot_slot *slot, uint64_t at)
{
    size_t part = 0;
    for (; part < HOT_PARTS && slot->descriptors[part]; part++)
        if (rooms_reach(slot->descriptors[part], at))
            return slot->descriptors[part];
    if (part == HOT_PARTS)
        return NULL;
    const char *refusal;
    void *descriptor;
    if (rooms_take_data(at, sizeof(struct body_descriptor), &descriptor, &refusal) != SEGUE_OK)
        return NULL;
    slot->is_used = true;
    __atomic_store_n(&are_used, true, __ATOMIC_SEQ_CST);
    publish(slot, part, descriptor);
    return descriptor;
}
