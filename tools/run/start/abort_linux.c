/* abort_linux.c: ends the host where it cannot go on. It prints the reason by host/report.h, which is above the rest of
 * the library. */
#include <stdlib.h>

#include "tools/run/host/report.h"

void abort(void)
{
    report_fatal("out of memory for the host");
}

void __stack_chk_fail(void);

void __stack_chk_fail(void)
{
    report_fatal("the host's stack has been overwritten");
}
