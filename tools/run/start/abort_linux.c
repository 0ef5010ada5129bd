/* abort_linux.c: how the host ends where it cannot go on. It says so by host/report.h, which is above the rest of the
 * library. */
#include <stdlib.h>

#include "tools/run/host/report.h"

void abort(void)
{
    report_fatal("there is no memory for the host");
}

void __stack_chk_fail(void);

void __stack_chk_fail(void)
{
    report_fatal("the host's stack is broken");
}
