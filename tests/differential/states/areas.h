/* areas.h: the memory that the differential test's instructions access: pages of every kind side by side, at addresses
 * that every addressing form can reach, served by regions with every kind of window.
 *
 * An area is a row of pages, written as a string of one letter a page:
 *
 *      O  open: never protected               H  a hole: always inaccessible, in no region
 *      A  a region with an alias window       E  one with an exposed window, opened by its policy
 *      C  one with a callback window          F  one with a forced window (private anonymous memory)
 *
 * Equal letters side by side are one region; a small letter is a region of the same kind beside it, without a policy
 * where its kind needs none. On both sides of an area is a page that is always inaccessible. There is one set of areas
 * for each kind of window, and one for mixtures. */
#ifndef SEGUE_TESTS_AREAS_H
#define SEGUE_TESTS_AREAS_H

#include <segue/handler.h>

#include "tests/support/random.h"

#define AREA_PAGE 4096u
/* The most regions in one area. */
#define AREA_REGIONS 64

enum area_set {
    AREAS_ALIAS,
    AREAS_EXPOSED,
    AREAS_CALLBACK,
    AREAS_FORCED,
    AREAS_MIXED,
    AREA_SETS,
};

struct area {
    uint64_t base, size;
    const char *layout;
    /* The second view of all pages but H and F. */
    char *alias;
    /* The windows of its regions. */
    struct segue_window windows[AREA_REGIONS];
    size_t window_count;
};

/* The last one has many small regions. */
#define AREAS_IN_SET 4

struct areas {
    struct area area[AREAS_IN_SET];
    size_t count;
    /* Bytes of all of them together. */
    size_t size;
};

/* What a policy saw of the accesses; reset by whoever reads it. */
struct area_watch {
    /* The accesses that the instruction at hand is to make. */
    const struct segue_access *expected;
    size_t expected_count;
    /* How often a policy was asked, and whether a plan listed other accesses than those. */
    unsigned asked;
    bool wrong_plan;
};
extern struct area_watch area_watch;

/* Makes every set, with its regions; segue must be installed. NULL, or why it cannot. Where one area of several cannot
 * be had (a sanitizer's shadow stands there), the set does without it. */
const char *areas_create(void);

/* In a child made by fork: what is open to the memory is still the parent's. False if it cannot be opened anew. */
bool areas_after_fork(void);

struct areas *areas_of(enum area_set set);
const char *area_set_name(enum area_set set);

/* Opens all pages but holes; gives those of the regions the protection `protection`. */
void areas_open(const struct areas *areas);
void areas_protect(const struct areas *areas, int protection);
/* Protects again what exposed regions' policies have opened since; returns whether there was any. */
bool areas_protect_exposed(void);

/* With the pages open: fills them; saves them to, and loads them from a buffer of `areas->size` bytes; finds the first
 * byte that differs from such a buffer: its address, or 0. */
void areas_fill(const struct areas *areas, struct random *random);
void areas_save(const struct areas *areas, void *buffer);
void areas_load(const struct areas *areas, const void *buffer);
uint64_t areas_difference(const struct areas *areas, const void *buffer);

/* The area that the address is in; NULL if none. */
const struct area *areas_find(const struct areas *areas, uint64_t address);

/* Copies memory whatever its protection; what lies in holes and outside of the areas reads as zero and is not written.
 */
void areas_peek(const struct areas *areas, uint64_t address, void *bytes, size_t size);
void areas_poke(const struct areas *areas, uint64_t address, const void *bytes, size_t size);

/* The bytes of an area before its first hole; whether all of a range are such bytes of one area. */
uint64_t area_accessible(const struct area *area);
bool areas_are_accessible(const struct areas *areas, uint64_t first, uint64_t size);

/* The letter of the page at `address`; 'H' outside of the areas. */
char areas_page(const struct areas *areas, uint64_t address);

#endif
