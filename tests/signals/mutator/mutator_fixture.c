/* mutator_fixture.c: see the header. */
#include "mutator_fixture.h"

#include <assert.h>
#include <cpuid.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define HEADER 512
#define RED_ZONE_WORDS 16

/* Disguised: the word itself stands in the place under test alone. */
const uint64_t disguise = 0x5a5a5a5a5a5a5a5a;
static const uint64_t disguised = 0x00007e57ab1e0c40 ^ 0x5a5a5a5a5a5a5a5a;

uint64_t reference(void)
{
    return *(const volatile uint64_t *)&disguised ^ disguise;
}

struct segue_mapping closed;
volatile uint8_t *ready, *go;

/* ---- places --------------------------------------------------------------------------------------------------- */

struct place places[PLACES_MOST];
size_t place_count;

__attribute__((format(printf, 4, 5))) static void add_place(enum kind kind, int64_t at, unsigned component,
                                                            const char *format, ...)
{
    struct place *place = &places[place_count++];
    va_list list;
    assert_true(place_count <= sizeof places / sizeof *places);
    *place = (struct place){.kind = kind, .at = at, .component = component};
    va_start(list, format);
    vsnprintf(place->name, sizeof place->name, format, list);
    va_end(list);
}

/* All the words of `count` registers of `words` words each, `stride` bytes apart. */
static void add_lanes(const char *name, unsigned component, uint32_t offset, unsigned count, unsigned words,
                      unsigned stride)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned word = 0; word < words; word++)
            add_place(VECTOR, offset + i * stride + word * 8, component, "%s %u, word %u", name, i, word);
}

uint64_t components;

static void add_component(const char *name, unsigned component, unsigned count, unsigned words)
{
    unsigned size, offset, c, d;
    if (!(components >> component & 1)) {
        print_message("SKIP %s: this processor has none\n", name);
        return;
    }
    __cpuid_count(0xd, component, size, offset, c, d);
    add_lanes(name, component, offset, count, words, words * 8);
}

static void list_places(void)
{
    unsigned low, b, c, high;
    __cpuid_count(0xd, 0, low, b, c, high);
    components = (low | (uint64_t)high << 32) & 0xe7;
    for (unsigned i = 0; i < 16; i++)
        if (i != SEGUE_RSP)
            add_place(GENERAL, i, 0, "general register %u", i);
    add_lanes("mm", 0, 32, 8, 1, 16);
    add_lanes("xmm", 1, 160, 16, 2, 16);
    add_component("upper half of ymm", 2, 16, 2);
    add_component("k", 5, 8, 1);
    add_component("upper half of zmm", 6, 16, 4);
    add_component("zmm 16 +", 7, 16, 8);
    for (int i = 1; i <= RED_ZONE_WORDS; i++)
        add_place(RED_ZONE, -8 * i, 0, "red zone, word %d", i);
}

struct image image;
_Alignas(64) unsigned char area[AREA_MOST];

void make_image(const struct place *place)
{
    static const uint16_t x87_control = 0x37f;
    static const uint32_t mxcsr = 0x1f80;
    uint64_t present = components, word = reference();
    for (unsigned i = 0; i < 16; i++)
        image.general[i] = 0x1111111111111111u * (i + 1) & 0x7fffffffffffffffu;
    image.red_zone = 0;
    image.red_offset = -8;
    memset(area, 0x3c, sizeof area);
    memset(area + HEADER, 0, 64);
    memcpy(area + HEADER, &present, sizeof present);
    memcpy(area, &x87_control, sizeof x87_control);
    memset(area + 2, 0, 6);
    area[4] = 0xff;
    memcpy(area + 24, &mxcsr, sizeof mxcsr);
    switch (place->kind) {
    case GENERAL:
        image.general[place->at] = word;
        break;
    case VECTOR:
        memcpy(area + place->at, &word, sizeof word);
        break;
    case RED_ZONE:
        image.red_zone = word;
        image.red_offset = place->at;
        break;
    case NOWHERE:
        break;
    }
}

/* ---- scanning ------------------------------------------------------------------------------------------------- */

struct search {
    unsigned found, words;
};

/* On the stacks of others too, between their variables. */
__attribute__((no_sanitize_address)) static int look(void *closure, const void *base, const void *limit)
{
    struct search *search = closure;
    assert((uintptr_t)base % 8 == 0 && (uintptr_t)limit % 8 == 0);
    for (const uint64_t *word = base; word < (const uint64_t *)limit; word++) {
        search->words++;
        search->found += *word == reference();
    }
    return 0;
}

unsigned count_in(const struct segue_mutator *context)
{
    struct search search = {0, 0};
    assert(segue_mutator_scan(context, look, &search) == 0 && search.words >= 20);
    return search.found;
}

void expect_found(const struct place *place, unsigned found, const char *where)
{
    if (place->kind == NOWHERE ? found != 0 : found == 0)
        fail_msg("%s, %s: %u times", where, place->name, found);
}

/* ---- the closed page -------------------------------------------------------------------------------------------- */

void close_page(segue_policy *policy)
{
    struct segue_region region = {
        .window = {.base = (uint64_t)(uintptr_t)closed.memory,
                   .size = PAGE,
                   .kind = SEGUE_WINDOW_ALIAS,
                   .alias = closed.alias},
        .policy = policy,
    };
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(mprotect(closed.memory, PAGE, PROT_NONE), 0);
}

void open_page(void)
{
    assert_int_equal(mprotect(closed.memory, PAGE, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(segue_region_remove(closed.memory), SEGUE_OK);
}

int fixture_setup(void **state)
{
    (void)state;
    void *bytes = mmap((void *)LONE_READY, PAGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (bytes != (void *)LONE_READY || segue_mapping_create((void *)LONE_CLOSED, PAGE, &closed) != SEGUE_OK)
        return -1;
    ready = (volatile uint8_t *)LONE_READY;
    go = (volatile uint8_t *)LONE_GO;
    list_places();
    print_message("%zu places\n", place_count);
    return 0;
}
