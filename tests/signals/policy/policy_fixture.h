/* policy_fixture.h: two mappings of sixteen pages, which a test closes with a policy of its own. */
#ifndef SEGUE_TESTS_POLICY_FIXTURE_H
#define SEGUE_TESTS_POLICY_FIXTURE_H

#include "tests/support/test.h"

#include <segue/segue.h>

#define PAGE 4096u

extern struct segue_mapping one, two;
/* For a policy to count in; 0 as a test begins. */
extern unsigned asked;

/* Clears the mapping, makes it a region whose policy has the alias as its context, and takes its access away. */
void close_region(const struct segue_mapping *mapping, segue_policy *policy);
void open_region(const struct segue_mapping *mapping);

/* Runs a test with handler and suspension installed: cmocka puts its own handlers in force for each test. */
struct inside {
    void (*run)(void **state);
};
void run_inside(void **state);

#define TEST(name)                                                                                                     \
    {                                                                                                                  \
#name, run_inside, NULL, NULL, &(struct inside)                                                                \
        {                                                                                                              \
            name                                                                                                       \
        }                                                                                                              \
    }

#endif
