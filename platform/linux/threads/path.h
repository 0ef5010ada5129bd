/* path.h: names of files in /proc, for code that may use general registers alone, and for all other. Pure. */
#ifndef SEGUE_LINUX_PATH_H
#define SEGUE_LINUX_PATH_H

#ifndef __linux__
#error "path.h is specific to Linux"
#endif

#include <segue/region.h>
#include <stdint.h>

/* Each puts something at `to`, without a zero byte behind it, and returns where that ends. */
static SEGUE_HOT_POLICY inline char *path_put(char *to, const char *text)
{
    while (*text)
        *to++ = *text++;
    return to;
}

static SEGUE_HOT_POLICY inline char *path_put_number(char *to, uint32_t number)
{
    char digits[10];
    unsigned count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count)
        *to++ = digits[--count];
    return to;
}

#endif
