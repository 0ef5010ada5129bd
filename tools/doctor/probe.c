/* probe.c: what the probes write. */
#include "probe.h"

#include <stdarg.h>
#include <stdio.h>

void finding_detail(struct finding *finding, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(finding->detail, sizeof finding->detail, format, arguments);
    va_end(arguments);
}
