/* sole.c: platform/process/sole.h where copies of the library do not find each other. */
#include "platform/process/sole.h"

bool sole_claim(void)
{
    return true;
}
