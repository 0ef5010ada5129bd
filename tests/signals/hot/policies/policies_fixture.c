/* policies_fixture.c: see policies_fixture.h. */
#include "policies_fixture.h"

volatile uint64_t asked, asked_ordinarily;
volatile uint64_t last_address, last_site;
volatile uint32_t last_size, last_direction;
volatile int wants_ordinary;

SEGUE_HOT_POLICY enum segue_verdict hot_policy(void *context, const struct segue_hot_event *event)
{
    *(volatile uint64_t *)context += 1;
    last_address = event->address;
    last_site = event->site;
    last_size = event->size;
    last_direction = event->direction;
    return wants_ordinary ? SEGUE_RETRY : SEGUE_STEP;
}

enum segue_verdict policy(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    asked_ordinarily++;
    return SEGUE_STEP;
}

struct segue_region region_with_policy(uint32_t flags)
{
    struct segue_region region = region_with(flags);
    region.policy = policy;
    region.hot_policy = hot_policy;
    region.context = (void *)(uintptr_t)&asked;
    return region;
}
