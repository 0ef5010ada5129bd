/* mutator_fixture.h: the only reference to an object, in one given place of a thread's state, and a page that is
 * closed.
 */
#ifndef SEGUE_TESTS_MUTATOR_FIXTURE_H
#define SEGUE_TESTS_MUTATOR_FIXTURE_H

#include "tests/support/test.h"

#include "mutator.h"

#define PAGE 4096u
#define AREA_MOST 16384
#define PLACES_MOST 512

/* The reference, and a word from which it can be made: nothing else holds it. */
extern const uint64_t disguise;
uint64_t reference(void);

extern struct segue_mapping closed;
/* At LONE_READY and LONE_GO. */
extern volatile uint8_t *ready, *go;

/* Where a reference may stand. */
enum kind { GENERAL, VECTOR, RED_ZONE, NOWHERE };
struct place {
    char name[32];
    enum kind kind;
    /* GENERAL: the register's number. VECTOR: the offset in the area. RED_ZONE: the offset from RSP. */
    int64_t at;
    unsigned component;
};

extern struct place places[PLACES_MOST];
extern size_t place_count;
/* Those of XSAVE's that the processor has and the places are in. */
extern uint64_t components;

/* What the next lone_fault, lone_wait or lone_capture runs with: the reference in this place, and something else
 * everywhere; with NOWHERE there is no reference at all. */
extern struct image image;
extern unsigned char area[AREA_MOST];
void make_image(const struct place *place);

/* How often a scan finds the reference; whether it is as often as it should be. */
unsigned count_in(const struct segue_mutator *context);
void expect_found(const struct place *place, unsigned found, const char *where);

/* Makes the page a region without access, and takes the region away. */
void close_page(segue_policy *policy);
void open_page(void);

/* Of a group. */
int fixture_setup(void **state);

#endif
