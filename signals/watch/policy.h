/* policy.h: what happens at an access in a page that is watched. */
#ifndef SEGUE_SIGNALS_WATCH_POLICY_H
#define SEGUE_SIGNALS_WATCH_POLICY_H

#include <segue/region.h>

/* The policies of the regions; `context` is not used. */
enum segue_verdict policy_of_fault(void *context, const struct segue_event *event);
enum segue_verdict policy_of_site(void *context, const struct segue_hot_event *event);
enum segue_verdict policy_of_pool(void *context, const struct segue_hot_event *event);

/* Also reports what system calls do to ranges, if the library sees them. To be called before a region is added. */
void policy_begin(void);

/* In a child made by fork. */
void policy_in_child(void);

#endif
