/* masked.h: calls with a signal mask of their own, out of which the signals are taken that cannot be blocked here. */
#ifndef SEGUE_RUN_MASKED_H
#define SEGUE_RUN_MASKED_H

#include "service.h"

/* The argument is the mask's address, the next one its size: rt_sigsuspend, ppoll, epoll_pwait. */
call_service masked_lead;

/* The argument leads to the mask's address and size: pselect6, io_pgetevents. */
call_service masked_lead_pair;

/* io_uring_enter, whose flags say which. */
call_service masked_lead_uring;

#endif
