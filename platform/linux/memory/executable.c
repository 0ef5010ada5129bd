/* executable.c: the two views are views.c's; further ones are made from the executable view. The memory is asked for as
 * the system's own first, which needs no descriptor and no file of a certain length; and from a file without a name if
 * the system refuses that (SELinux execmem).
 *
 * SOURCES: mremap(2): an old size of 0 makes a second mapping of the same shared pages, with the protection and the
 * advice of the first; prctl(2) PR_SET_MDWE: no mapping may gain PROT_EXEC.
 * ASSUMPTIONS: mremap unmaps its target and maps there under one lock, so no thread sees the addresses unmapped. */
#if !defined(__linux__)
#error "platform/linux/memory/executable.c is specific to Linux"
#endif

#include "platform/memory/executable.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "decode/x86/canonical.h"
#include "platform/linux/call.h"
#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"

#define BREAKPOINT 0xcc
/* Other threads may take the addresses that were found free. */
#define TRIES 16
/* The places that are tried on each side without the list of mappings. */
#define PROBES 64u
#define PIECE 512
/* The lowest address that kernels let a program map (vm.mmap_min_addr). */
#define LOWEST UINT64_C(65536)

/* ---- free addresses ---- */

/* Maps at the address; a negative error number: -EEXIST if something is mapped there. */
typedef long map_at(void *context, uint64_t address);

/* The lowest and the highest place of so many bytes in [low, end); false if they do not fit. */
static bool find_places(uint64_t low, uint64_t end, uint64_t size, uint64_t *first, uint64_t *last)
{
    uint64_t limit = canonical_user_end();
    low = low < LOWEST ? LOWEST : low;
    end = end > limit ? limit : end;
    if (low >= end || end - low < size)
        return false;
    *first = (low + PAGE - 1) & -PAGE;
    *last = (end - size) & -PAGE;
    return *first <= *last;
}

static uint64_t distance_of(uint64_t one, uint64_t other)
{
    return one < other ? other - one : one - other;
}

static uint64_t closest(uint64_t near, uint64_t first, uint64_t last)
{
    near &= -PAGE;
    return near < first ? first : near > last ? last : near;
}

struct search {
    const struct executable_range *range;
    uint64_t size, best;
    bool found;
};

/* Looks at the free addresses between two mappings. */
static void look_between(struct search *search, const struct mapping *below, const struct mapping *above)
{
    const struct executable_range *range = search->range;
    uint64_t low = below->end > range->low ? below->end : range->low;
    uint64_t end = above->start < range->end ? above->start : range->end;
    uint64_t first, last;
    if (!find_places(low, end, search->size, &first, &last))
        return;
    uint64_t place = closest(range->near, first, last);
    if (below->growth == MAPPING_IS_HEAP)
        place = last;
    else if (above->growth == MAPPING_IS_STACK)
        place = first;
    if (search->found && distance_of(place, range->near) >= distance_of(search->best, range->near))
        return;
    search->best = place;
    search->found = true;
}

/* Finds the best place; false if the list of mappings is not shown. */
static bool find_place(struct search *search)
{
    char piece[PIECE];
    struct mappings mappings;
    struct mapping below = {0}, above = {0};
    search->found = false;
    if (!mappings_open(&mappings, piece, sizeof piece))
        return false;
    while (below.end < search->range->end && mappings_next(&mappings, &above)) {
        look_between(search, &below, &above);
        below = above;
    }
    mappings_close(&mappings);
    above = (struct mapping){.start = UINT64_MAX};
    look_between(search, &below, &above);
    return true;
}

/* Tries places on both sides of the best one. */
static long probe(const struct executable_range *range, uint64_t first, uint64_t last, map_at *map, void *context)
{
    uint64_t middle = closest(range->near, first, last), step = ((last - first) / PROBES & -PAGE) + PAGE;
    long result = map(context, middle);
    for (uint64_t i = 1; i <= PROBES && result == -EEXIST; i++) {
        if (last - middle >= i * step)
            result = map(context, middle + i * step);
        if (result == -EEXIST && middle - first >= i * step)
            result = map(context, middle - i * step);
    }
    return result;
}

static long map_in(const struct executable_range *range, uint64_t size, map_at *map, void *context)
{
    struct search search = {.range = range, .size = size};
    uint64_t first, last;
    if (!find_places(range->low, range->end, size, &first, &last))
        return -EEXIST;
    if (first == last)
        return map(context, first);
    long result = -EEXIST;
    for (unsigned i = 0; i < TRIES && result == -EEXIST; i++) {
        if (!find_place(&search))
            return probe(range, first, last, map, context);
        if (!search.found)
            break;
        result = map(context, search.best);
    }
    return result;
}

static enum segue_status status_of(long result)
{
    switch (result) {
    case 0:
        return SEGUE_OK;
    case -EEXIST:
        return SEGUE_EXISTS;
    case -ENOMEM:
        return SEGUE_NO_MEMORY;
    default:
        return SEGUE_UNSUPPORTED;
    }
}

/* ---- the memory ---- */

struct order {
    uint64_t size;
    struct platform_views views;
};

/* Other kinds of errors than an occupied address may concern one of the two kinds of memory only. */
static long create_at(void *context, uint64_t address)
{
    const int access = PLATFORM_READ | PLATFORM_EXECUTE;
    struct order *order = context;
    long first = platform_views_create(address, order->size, access, PLATFORM_BACKING_ANONYMOUS, &order->views);
    if (first == 0 || first == -EEXIST)
        return first;
    long second = platform_views_create(address, order->size, access, PLATFORM_BACKING_FILE, &order->views);
    return second == 0 ? 0 : first;
}

static bool advise(uint64_t address, uint64_t size, int advice)
{
    return system_call3(SYS_madvise, (long)address, (long)size, advice) == 0;
}

enum segue_status executable_memory_create(const struct executable_range *range, uint64_t size, uint32_t most_views,
                                           struct executable_memory *memory)
{
    struct order order = {.size = size};
    enum segue_status status = status_of(range ? map_in(range, size, create_at, &order) : create_at(&order, 0));
    if (status != SEGUE_OK)
        return status;
    *memory = (struct executable_memory){
        .size = size,
        .executable = order.views.first,
        .writable = order.views.second,
        .most_views = most_views,
        .is_guarded = !range,
    };
    if (platform_view_keep_from_child(memory->writable, size) && platform_view_keep_from_dump(memory->writable, size))
        return SEGUE_OK;
    executable_memory_free(memory);
    return SEGUE_UNSUPPORTED;
}

const char *executable_memory_refusal(void)
{
    return "the system lets this process execute no memory that it writes through a second mapping (SELinux execmem, "
           "or a filter of mmap)";
}

void executable_memory_leave(struct executable_memory *memory)
{
    platform_view_unmap(memory->executable, memory->size, memory->is_guarded);
    memory->executable = 0;
}

void executable_memory_free(struct executable_memory *memory)
{
    if (memory->executable)
        executable_memory_leave(memory);
    platform_view_unmap(memory->writable, memory->size, true);
    memory->writable = 0;
}

bool executable_memory_keep_from_child(const struct executable_memory *memory)
{
    return advise(memory->executable, memory->size, MADV_DONTFORK);
}

/* Maps a part of the view once more, in place of what is at `to`. */
static long show(uint64_t view, uint64_t size, uint64_t to)
{
    long result = system_call6(SYS_mremap, (long)view, 0, (long)size, MREMAP_MAYMOVE | MREMAP_FIXED, (long)to, 0);
    return result == (long)to ? 0 : result;
}

enum segue_status executable_memory_own(struct executable_memory *memory, uint64_t used)
{
    struct executable_memory own;
    enum segue_status status = executable_memory_create(NULL, memory->size, 0, &own);
    if (status != SEGUE_OK)
        return status;
    memcpy((void *)(uintptr_t)own.writable, (const void *)(uintptr_t)memory->executable, used);
    status = status_of(show(own.executable, own.size, memory->executable));
    if (status != SEGUE_OK) {
        executable_memory_free(&own);
        return status;
    }
    executable_memory_leave(&own);
    memory->writable = own.writable;
    return SEGUE_OK;
}

/* ---- further views ---- */

static bool is_inside(const struct executable_memory *memory, uint64_t offset, uint64_t size)
{
    return size && !((offset | size) % PAGE) && offset <= memory->size && size <= memory->size - offset;
}

struct view_order {
    uint64_t view, size, address;
};

static long show_at(void *context, uint64_t address)
{
    struct view_order *order = context;
    long result = platform_reserve_at(address, order->size);
    if (result != 0)
        return result;
    order->address = address;
    result = show(order->view, order->size, address);
    if (result != 0)
        platform_view_unmap(address, order->size, false);
    return result;
}

enum segue_status executable_view_create(struct executable_memory *memory, const struct executable_range *range,
                                         uint64_t offset, uint64_t size, uint64_t *address)
{
    struct view_order order = {memory->executable + offset, size, 0};
    if (!is_inside(memory, offset, size))
        return SEGUE_INVALID;
    if (__atomic_fetch_add(&memory->views, 1, __ATOMIC_RELAXED) >= memory->most_views) {
        __atomic_fetch_sub(&memory->views, 1, __ATOMIC_RELAXED);
        return SEGUE_BUSY;
    }
    enum segue_status status = status_of(map_in(range, size, show_at, &order));
    if (status == SEGUE_OK)
        *address = order.address;
    else
        __atomic_fetch_sub(&memory->views, 1, __ATOMIC_RELAXED);
    return status;
}

enum segue_status executable_view_renew(const struct executable_memory *memory, uint64_t address, uint64_t offset,
                                        uint64_t size)
{
    return is_inside(memory, offset, size) ? status_of(show(memory->executable + offset, size, address))
                                           : SEGUE_INVALID;
}

void executable_view_unmap(struct executable_memory *memory, uint64_t address, uint64_t size)
{
    platform_view_unmap(address, size, false);
    __atomic_fetch_sub(&memory->views, 1, __ATOMIC_RELAXED);
}

/* ---- code that is written once ---- */

void *executable_copy(const void *code, size_t size, size_t room, size_t data)
{
    struct executable_memory memory;
    void *whole = platform_map_quietly(room + data);
    if (!whole)
        return NULL;
    bool done = executable_memory_create(NULL, room, 0, &memory) == SEGUE_OK;
    if (done) {
        memset((void *)(uintptr_t)memory.writable, BREAKPOINT, room);
        memcpy((void *)(uintptr_t)memory.writable, code, size);
        done = executable_view_renew(&memory, (uint64_t)(uintptr_t)whole, 0, room) == SEGUE_OK;
        executable_memory_free(&memory);
    }
    if (done)
        return whole;
    platform_unmap_quietly(whole, room + data);
    return NULL;
}
