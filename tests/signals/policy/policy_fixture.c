/* policy_fixture.c: see the header. */
#include "policy_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct segue_mapping one, two;
unsigned asked;

static struct segue_region region_of(const struct segue_mapping *mapping, segue_policy *policy)
{
    return (struct segue_region){.window = {.base = (uint64_t)(uintptr_t)mapping->memory,
                                            .size = mapping->size,
                                            .kind = SEGUE_WINDOW_ALIAS,
                                            .alias = mapping->alias},
                                 .policy = policy,
                                 .context = mapping->alias};
}

void close_region(const struct segue_mapping *mapping, segue_policy *policy)
{
    struct segue_region region = region_of(mapping, policy);
    memset(mapping->alias, 0, mapping->size);
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(mprotect(mapping->memory, mapping->size, PROT_NONE), 0);
}

void open_region(const struct segue_mapping *mapping)
{
    assert_int_equal(mprotect(mapping->memory, mapping->size, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(segue_region_remove(mapping->memory), SEGUE_OK);
}

static int begin(void)
{
    asked = 0;
    alarm(getenv("SEGUE_TEST_LOADS") ? 3000 : 200);
    return segue_suspend_install(NULL) || segue_install(NULL) || segue_mapping_create(NULL, 16 * PAGE, &one) ||
           segue_mapping_create(NULL, 16 * PAGE, &two);
}

static int end(void)
{
    segue_mapping_destroy(&one);
    segue_mapping_destroy(&two);
    return segue_uninstall(NULL) || segue_suspend_uninstall();
}

void run_inside(void **state)
{
    const struct inside *test = *state;
    assert_int_equal(begin(), 0);
    test->run(NULL);
    assert_int_equal(end(), 0);
}
