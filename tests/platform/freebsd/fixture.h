/* fixture.h: a closed region of one page with an alias; and by which signal the system reports a closed page. */
#ifndef SEGUE_TESTS_FREEBSD_FIXTURE_H
#define SEGUE_TESTS_FREEBSD_FIXTURE_H

#include "tests/support/test.h"

#include <segue/segue.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u

static struct segue_mapping mapping;
static unsigned asked;

/* As the sysctl machdep.prot_fault_translation says, which the loader has from there, too. */
static inline int closed_signal(void)
{
    const char *translation = getenv("LOADER_TRANSLATION");
    return translation && strcmp(translation, "1") == 0 ? SIGBUS : SIGSEGV;
}

static inline volatile uint8_t *begin(segue_policy *policy)
{
    asked = 0;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
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

/* What another view of the memory shows. */
static inline uint8_t *alias(void)
{
    return segue_mapping_window(&mapping).alias;
}

#endif
