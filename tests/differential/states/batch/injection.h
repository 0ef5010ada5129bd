/* injection.h: spoils one case of a batch (enum injection, batch.h), to see that the comparison notices. */
#ifndef SEGUE_TESTS_INJECTION_H
#define SEGUE_TESTS_INJECTION_H

#include "tests/differential/states/batch.h"
#include "tests/differential/states/outcome.h"

/* Whether an injection can show in a case that is stepped: an access across an edge would fault on the other page; a
 * region without a policy sees no plan. */
bool injection_shows(const struct areas *areas, const struct test_case *test);

/* Before the case is stepped, and after it. */
void inject_before(enum injection injection, struct test_case *test);
void inject_after(enum injection injection, const struct areas *areas, const struct test_case *test,
                  struct outcome *outcome);

#endif
