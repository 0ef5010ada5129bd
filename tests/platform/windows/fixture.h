/* fixture.h: a closed region of one page with an alias, whose policy steps and notes what it was shown. */
#ifndef SEGUE_TESTS_WINDOWS_FIXTURE_H
#define SEGUE_TESTS_WINDOWS_FIXTURE_H

#include "tests/support/test.h"

#include <segue/segue.h>
#include <string.h>
#include <windows.h>

#define PAGE 4096u

static struct segue_mapping mapping;
static struct segue_region region;
static struct segue_regs shown;
static unsigned asked;
static uint64_t shown_address, shown_size;
static uint8_t shown_direction;

static inline enum segue_verdict note(void *context, const struct segue_event *event)
{
    (void)context;
    shown = *event->regs;
    shown_address = event->address;
    shown_size = event->size;
    shown_direction = event->direction;
    asked++;
    return SEGUE_STEP;
}

static inline volatile uint64_t *begin(segue_policy *policy)
{
    asked = 0;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    region = (struct segue_region){.window = segue_mapping_window(&mapping), .policy = policy};
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(segue_mapping_protect(&mapping, 0, PAGE, 0), SEGUE_OK);
    return mapping.memory;
}

static inline void end(void)
{
    segue_region_remove(mapping.memory);
    segue_mapping_destroy(&mapping);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

/* A page that cannot be accessed, in no region. */
static inline volatile char *closed_page(void)
{
    void *page = VirtualAlloc(NULL, PAGE, MEM_RESERVE | MEM_COMMIT, PAGE_NOACCESS);
    assert_non_null(page);
    return page;
}

#endif
