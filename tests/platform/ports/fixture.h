/* fixture.h: the handler, and a closed region of one page with an alias, on every system. */
#ifndef SEGUE_TESTS_PORTS_FIXTURE_H
#define SEGUE_TESTS_PORTS_FIXTURE_H

#include "tests/support/test.h"

#include <segue/segue.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u

static struct segue_mapping mapping;
static struct segue_region page_region;
/* How often a policy was asked; what `note` was shown the last time. */
static unsigned asked;
static struct segue_regs shown;
static struct segue_event shown_event;
static const char *volatile stack_of_policy;

/* On macOS, WAY=port: by messages to a port; otherwise by signals. */
static inline bool is_by_port(void)
{
    const char *way = getenv("WAY");
    return way && strcmp(way, "port") == 0;
}

static inline enum segue_status install(void)
{
    const struct segue_options options = {.flags = is_by_port() ? SEGUE_INSTALL_MACH_PORT : 0};
    return segue_install(&options);
}

static inline enum segue_verdict note(void *context, const struct segue_event *event)
{
    char here;
    (void)context;
    stack_of_policy = &here;
    shown = *event->regs;
    shown_event = *event;
    asked++;
    return SEGUE_STEP;
}

/* What another view of the page shows. */
static inline uint8_t *alias(void)
{
    return segue_mapping_window(&mapping).alias;
}

/* The page, of zeroes. */
static inline volatile void *begin(segue_policy *policy)
{
    asked = 0;
    assert_int_equal(install(), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    page_region = (struct segue_region){.window = segue_mapping_window(&mapping), .policy = policy};
    assert_int_equal(segue_region_add(&page_region), SEGUE_OK);
    assert_int_equal(segue_mapping_protect(&mapping, 0, PAGE, 0), SEGUE_OK);
    return mapping.memory;
}

/* The page, whose bytes are their own numbers. */
static inline volatile void *begin_filled(segue_policy *policy)
{
    volatile void *page = begin(policy);
    for (unsigned i = 0; i < PAGE; i++)
        alias()[i] = (uint8_t)i;
    return page;
}

/* In the test: cmocka has handlers of its own, which it changes before and after each. */
static inline void end(void)
{
    assert_int_equal(segue_region_remove(mapping.memory), SEGUE_OK);
    segue_mapping_destroy(&mapping);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

#endif
