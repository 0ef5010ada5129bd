/* fixture.h: the handler, installed in one of its ways; and a closed region of one page with an alias. */
#ifndef SEGUE_TESTS_DARWIN_FIXTURE_H
#define SEGUE_TESTS_DARWIN_FIXTURE_H

#include "tests/support/test.h"

#include <segue/segue.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u

static struct segue_mapping mapping;
static unsigned asked;

/* WAY=port: by messages to a port; otherwise by signals. */
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

static inline volatile uint64_t *begin(segue_policy *policy)
{
    asked = 0;
    assert_int_equal(install(), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    struct segue_region region = {.window = segue_mapping_window(&mapping), .policy = policy};
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    for (unsigned i = 0; i < PAGE; i++)
        ((uint8_t *)mapping.memory)[i] = (uint8_t)i;
    assert_int_equal(segue_mapping_protect(&mapping, 0, PAGE, 0), SEGUE_OK);
    return mapping.memory;
}

/* In the test: cmocka has handlers of its own, which it changes before and after each. */
static inline void end(void)
{
    assert_int_equal(segue_region_remove(mapping.memory), SEGUE_OK);
    segue_mapping_destroy(&mapping);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

#endif
