/* outside_windows.c: see outside.h. The tests that run on Windows start no threads that assert. */
#include "tests/support/outside.h"

void outside_begin(void)
{
}

void outside_end(void)
{
}
