/* policies_fixture.h: a hot region with a hot policy and an ordinary one, which note what they were asked. */
#ifndef SEGUE_TESTS_POLICIES_FIXTURE_H
#define SEGUE_TESTS_POLICIES_FIXTURE_H

#include "tests/signals/hot/hot_fixture.h"

/* How often the hot policy and the ordinary one were asked. */
extern volatile uint64_t asked, asked_ordinarily;

/* What the hot policy was asked last. */
extern volatile uint64_t last_address, last_site;
extern volatile uint32_t last_size, last_direction;

/* The hot policy leaves the answer to the ordinary one. */
extern volatile int wants_ordinary;

/* Counts in *context. */
SEGUE_HOT_POLICY enum segue_verdict hot_policy(void *context, const struct segue_hot_event *event);
enum segue_verdict policy(void *context, const struct segue_event *event);

/* A hot region of `memory`, with these flags and the policies above; the context is `asked`. */
struct segue_region region_with_policy(uint32_t flags);

#endif
