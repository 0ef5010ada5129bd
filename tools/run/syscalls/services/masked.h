/* masked.h: calls with a signal mask argument. The forced signals, which must not be blocked here, are removed from
 * it. */
#ifndef SEGUE_RUN_MASKED_H
#define SEGUE_RUN_MASKED_H

#include "tools/run/syscalls/service.h"

/* The argument is the mask's address, the next one its size: rt_sigsuspend, ppoll, epoll_pwait. */
call_service masked_lead;

/* The argument points to the mask's address and size: pselect6, io_pgetevents. */
call_service masked_lead_pair;

/* io_uring_enter, whose flags say which. */
call_service masked_lead_uring;

#endif
