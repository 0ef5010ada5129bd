/* areas.c: the memory that the differential test's instructions access (see areas.h).
 *
 * SOURCES: mmap(2) MAP_FIXED_NOREPLACE, memfd_create(2), proc(5) /proc/self/mem. The memory is made without the
 * library's help, so that nothing of what is tested stands on both sides of the comparison. */
#include "areas.h"

#include <ctype.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Below 2 GiB: every 32-bit displacement reaches them, sign-extended or not, and 67h too. */
#define LOW_BASE 0x10000000u
#define LOW_STEP 0x01000000u
/* Above a low area: one of many small regions. */
#define MANY_OFFSET 0x00400000u
/* Above the base of FS: within 2 GiB for displacements, within 4 GiB for 67h. */
#define FS_STEP 0x00100000u
#define FS_FIRST 0x04000000u
#define FS_LIMIT 0xf0000000u
#define FS_RETRY 0x01000000u
/* Protected pages on both sides of 4 GiB: what a 32-bit address begins may end beyond it. */
#define EDGE_BASE (0x100000000u - 2 * (uint64_t)AREA_PAGE)

#define EIGHT_TIMES(letters) letters letters letters letters letters letters letters letters
/* No two devices side by side: an access over both would be refused. */
#define MANY(letters) "O" EIGHT_TIMES(letters) "O"

static const struct {
    const char *name;
    const char *layout;
    const char *many_layout;
    const char *edge_layout;
} plans[AREA_SETS] = {
    [AREAS_ALIAS] = {"alias", "OAAaOAH", MANY("AaAaAaAa"), "OAAO"},
    [AREAS_EXPOSED] = {"exposed", "OEEeOEH", MANY("EeEeEeEe"), NULL},
    [AREAS_CALLBACK] = {"callback", "OCCOcOCH", MANY("COcOCOcO"), NULL},
    [AREAS_FORCED] = {"forced", "OFFfOFH", MANY("FfFfFfFf"), NULL},
    [AREAS_MIXED] = {"mixed", "OAFECOcAFEH", MANY("AFaECfAc"), NULL},
};

/* In an area of many regions, where the window of a page leads to: pages side by side are not so there. */
#define SCATTERED(page, pages) (((page)*7 + 3) % (pages))

static struct areas sets[AREA_SETS];
static int memory_file = -1;
struct area_watch area_watch;

/* Exposed regions that a policy has opened. */
static struct {
    uint64_t base, size;
} opened[AREA_REGIONS];
static size_t opened_count;
static int protection_in_force;

struct areas *areas_of(enum area_set set)
{
    return &sets[set];
}

const char *area_set_name(enum area_set set)
{
    return plans[set].name;
}

static enum segue_status device_read(void *context, uint64_t address, void *bytes, size_t size)
{
    const struct area *area = context;
    memcpy(bytes, area->alias + (address - area->base), size);
    return SEGUE_OK;
}

static enum segue_status device_write(void *context, uint64_t address, const void *bytes, size_t size)
{
    const struct area *area = context;
    memcpy(area->alias + (address - area->base), bytes, size);
    return SEGUE_OK;
}

static bool same_accesses(const struct segue_plan *plan)
{
    if (plan->access_count != area_watch.expected_count)
        return false;
    for (size_t i = 0; i < plan->access_count; i++)
        if (plan->accesses[i].address != area_watch.expected[i].address ||
            plan->accesses[i].size != area_watch.expected[i].size ||
            plan->accesses[i].direction != area_watch.expected[i].direction)
            return false;
    return true;
}

static enum segue_verdict watch(void *context, const struct segue_event *event)
{
    (void)context;
    area_watch.asked++;
    if (!same_accesses(event->plan))
        area_watch.wrong_plan = true;
    return SEGUE_STEP;
}

static enum segue_verdict expose(void *context, const struct segue_event *event)
{
    struct segue_region region;
    watch(context, event);
    for (size_t i = 0; i < opened_count; i++)
        if (event->address - opened[i].base < opened[i].size)
            return SEGUE_STEP;
    if (segue_region_find((const void *)(uintptr_t)event->address, &region) != SEGUE_OK ||
        opened_count == sizeof opened / sizeof *opened)
        return SEGUE_PASS;
    opened[opened_count].base = region.window.base;
    opened[opened_count++].size = region.window.size;
    mprotect((void *)(uintptr_t)region.window.base, region.window.size, PROT_READ | PROT_WRITE);
    return SEGUE_STEP;
}

bool areas_protect_exposed(void)
{
    bool any = opened_count != 0;
    while (opened_count) {
        opened_count--;
        mprotect((void *)(uintptr_t)opened[opened_count].base, opened[opened_count].size, protection_in_force);
    }
    return any;
}

static bool is_protected(char letter)
{
    return letter != 'O' && letter != 'H';
}

/* How many pages from `page` on have the same letter. */
static size_t run_length(const char *layout, size_t page)
{
    size_t length = 1;
    while (layout[page + length] == layout[page])
        length++;
    return length;
}

/* `view`: where the windows of aliases lead; in an area of many regions it is another than the area's own. */
static bool add_region(struct area *area, char *view, size_t page, size_t pages)
{
    size_t place = view == area->alias ? page : SCATTERED(page, area->size / AREA_PAGE);
    char letter = area->layout[page];
    struct segue_region region = {
        .window = {.base = area->base + page * AREA_PAGE, .size = pages * AREA_PAGE},
        .policy = islower(letter) ? NULL : watch,
    };
    switch (toupper(letter)) {
    case 'A':
        region.window.kind = SEGUE_WINDOW_ALIAS;
        region.window.alias = view + place * AREA_PAGE;
        break;
    case 'E':
        region.window.kind = SEGUE_WINDOW_EXPOSED;
        region.policy = expose;
        break;
    case 'C':
        region.window.kind = SEGUE_WINDOW_CALLBACK;
        region.window.read = device_read;
        region.window.write = device_write;
        region.window.context = area;
        break;
    case 'F':
        region.window.kind = SEGUE_WINDOW_FORCED;
        break;
    }
    area->windows[area->window_count++] = region.window;
    return segue_region_add(&region) == SEGUE_OK;
}

/* A view of the area's pages in another order. */
static char *scatter(const struct area *area, int file)
{
    size_t pages = area->size / AREA_PAGE;
    char *view = mmap(NULL, area->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t page = 0; view != MAP_FAILED && page < pages; page++)
        if (mmap(view + SCATTERED(page, pages) * AREA_PAGE, AREA_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                 file, (off_t)(page * AREA_PAGE)) == MAP_FAILED)
            return NULL;
    return view == MAP_FAILED ? NULL : view;
}

/* The rows of pages: the file's everywhere, but in holes, and private anonymous memory where the window is forced. */
static bool map_pages(struct area *area, int file)
{
    char *base = (char *)(uintptr_t)area->base;
    area->alias = mmap(NULL, area->size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (area->alias == MAP_FAILED)
        return false;
    for (size_t page = 0; area->layout[page]; page++) {
        char letter = (char)toupper(area->layout[page]);
        size_t at = page * AREA_PAGE;
        void *mapped = base + at;
        if (letter == 'F')
            mapped = mmap(base + at, AREA_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        else if (letter != 'H')
            mapped = mmap(base + at, AREA_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, (off_t)at);
        if (mapped != base + at)
            return false;
    }
    return true;
}

/* The area's pages and one on each side of it. */
static bool reserve(const struct area *area)
{
    void *first = (void *)(uintptr_t)(area->base - AREA_PAGE);
    return mmap(first, area->size + 2 * AREA_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
                0) == first;
}

/* False if the address is taken or the system refuses. */
static bool create(struct areas *areas, uint64_t base, const char *layout, bool scattered)
{
    struct area *area = &areas->area[areas->count];
    *area = (struct area){.base = base, .size = strlen(layout) * AREA_PAGE, .layout = layout};
    if (!reserve(area))
        return false;
    int file = memfd_create("areas", MFD_CLOEXEC);
    bool mapped = file >= 0 && ftruncate(file, (off_t)area->size) == 0 && map_pages(area, file);
    char *view = mapped && scattered ? scatter(area, file) : area->alias;
    if (file >= 0)
        close(file);
    if (!mapped || !view)
        return false;
    for (size_t page = 0; layout[page]; page += run_length(layout, page))
        if (is_protected(layout[page]) && !add_region(area, view, page, run_length(layout, page)))
            return false;
    areas->size += area->size;
    areas->count++;
    return true;
}

/* Free addresses above the base of FS for one area of every set, the nearest there are; 0 for none. */
static uint64_t find_place_above_fs(void)
{
    uint64_t fs_base = (uint64_t)(uintptr_t)pthread_self() / AREA_PAGE * AREA_PAGE;
    size_t size = AREA_SETS * FS_STEP + AREA_PAGE;
    for (uint64_t offset = FS_FIRST; offset < FS_LIMIT; offset += FS_RETRY) {
        void *place = (void *)(uintptr_t)(fs_base + offset);
        void *got = mmap(place, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (got != MAP_FAILED)
            munmap(got, size);
        if (got == place)
            return fs_base + offset + AREA_PAGE;
    }
    return 0;
}

bool areas_after_fork(void)
{
    if (memory_file >= 0)
        close(memory_file);
    memory_file = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    return memory_file >= 0;
}

const char *areas_create(void)
{
    uint64_t above_fs = find_place_above_fs();
    if (!above_fs)
        return "there is no room within 4 GiB above the base of FS";
    if (!areas_after_fork())
        return "/proc/self/mem cannot be opened";
    for (unsigned set = 0; set < AREA_SETS; set++) {
        uint64_t low = LOW_BASE + set * LOW_STEP;
        if (!create(&sets[set], low, plans[set].layout, false) ||
            !create(&sets[set], above_fs + set * FS_STEP, plans[set].layout, false) ||
            !create(&sets[set], low + MANY_OFFSET, plans[set].many_layout, true))
            return "an area or its regions could not be made";
        if (plans[set].edge_layout)
            create(&sets[set], EDGE_BASE, plans[set].edge_layout, false);
    }
    return NULL;
}

static void protect_regions(const struct areas *areas, int protection)
{
    for (size_t i = 0; i < areas->count; i++) {
        const struct area *area = &areas->area[i];
        for (size_t page = 0, end; area->layout[page]; page = end) {
            for (end = page + 1; is_protected(area->layout[page]) && is_protected(area->layout[end]);)
                end++;
            if (is_protected(area->layout[page]))
                mprotect((char *)(uintptr_t)area->base + page * AREA_PAGE, (end - page) * AREA_PAGE, protection);
        }
    }
    protection_in_force = protection;
}

void areas_open(const struct areas *areas)
{
    protect_regions(areas, PROT_READ | PROT_WRITE);
    opened_count = 0;
}

void areas_protect(const struct areas *areas, int protection)
{
    protect_regions(areas, protection);
}

uint64_t area_accessible(const struct area *area)
{
    return strcspn(area->layout, "H") * AREA_PAGE;
}

void areas_fill(const struct areas *areas, struct random *random)
{
    for (size_t i = 0; i < areas->count; i++)
        random_fill(random, (void *)(uintptr_t)areas->area[i].base, area_accessible(&areas->area[i]));
}

void areas_save(const struct areas *areas, void *buffer)
{
    char *to = buffer;
    for (size_t i = 0; i < areas->count; to += areas->area[i++].size)
        memcpy(to, (void *)(uintptr_t)areas->area[i].base, area_accessible(&areas->area[i]));
}

void areas_load(const struct areas *areas, const void *buffer)
{
    const char *from = buffer;
    for (size_t i = 0; i < areas->count; from += areas->area[i++].size)
        memcpy((void *)(uintptr_t)areas->area[i].base, from, area_accessible(&areas->area[i]));
}

uint64_t areas_difference(const struct areas *areas, const void *buffer)
{
    const char *saved = buffer;
    for (size_t i = 0; i < areas->count; saved += areas->area[i++].size) {
        const char *memory = (const char *)(uintptr_t)areas->area[i].base;
        size_t size = area_accessible(&areas->area[i]);
        if (memcmp(memory, saved, size) == 0)
            continue;
        for (size_t at = 0; at < size; at++)
            if (memory[at] != saved[at])
                return areas->area[i].base + at;
    }
    return 0;
}

const struct area *areas_find(const struct areas *areas, uint64_t address)
{
    for (size_t i = 0; i < areas->count; i++)
        if (address - areas->area[i].base < areas->area[i].size)
            return &areas->area[i];
    return NULL;
}

bool areas_are_accessible(const struct areas *areas, uint64_t first, uint64_t size)
{
    const struct area *area = areas_find(areas, first);
    return area && first + size <= area->base + area_accessible(area);
}

char areas_page(const struct areas *areas, uint64_t address)
{
    const struct area *area = areas_find(areas, address);
    return area ? area->layout[(address - area->base) / AREA_PAGE] : 'H';
}

enum transfer { PEEK, POKE };

/* Within one page. */
static void transfer_part(const struct areas *areas, enum transfer transfer, uint64_t address, char *bytes, size_t size)
{
    const struct area *area = areas_find(areas, address);
    char letter = (char)toupper(areas_page(areas, address));
    ssize_t done = (ssize_t)size;
    if (letter == 'H') {
        if (transfer == PEEK)
            memset(bytes, 0, size);
    } else if (letter == 'F') {
        done = transfer == PEEK ? pread(memory_file, bytes, size, (off_t)address)
                                : pwrite(memory_file, bytes, size, (off_t)address);
    } else {
        char *place = area->alias + (address - area->base);
        memcpy(transfer == PEEK ? bytes : place, transfer == PEEK ? place : bytes, size);
    }
    /* Memory that we mapped ourselves cannot fail to be there. */
    if (done != (ssize_t)size)
        __builtin_trap();
}

static void transfer_all(const struct areas *areas, enum transfer transfer, uint64_t address, char *bytes, size_t size)
{
    while (size) {
        size_t part = AREA_PAGE - address % AREA_PAGE;
        if (part > size)
            part = size;
        transfer_part(areas, transfer, address, bytes, part);
        address += part;
        bytes += part;
        size -= part;
    }
}

void areas_peek(const struct areas *areas, uint64_t address, void *bytes, size_t size)
{
    transfer_all(areas, PEEK, address, bytes, size);
}

void areas_poke(const struct areas *areas, uint64_t address, const void *bytes, size_t size)
{
    transfer_all(areas, POKE, address, (char *)(uintptr_t)bytes, size);
}
