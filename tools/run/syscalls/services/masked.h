/* masked.h: calls with a signal mask argument. The forced signals, which must not be blocked here, are removed from
 * it. */
#ifndef SEGUE_RUN_MASKED_H
#define SEGUE_RUN_MASKED_H

#include "tools/run/syscalls/service.h"

call_service masked_lead;

#endif
