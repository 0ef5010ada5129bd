/* none.c: no thread is suspended. */
#include "suspend.h"

int suspend_signal(void)
{
    return 0;
}

void suspend_now(void)
{
}
