/* number.h: numbers in text. Pure. */
#ifndef SEGUE_RUN_NUMBER_H
#define SEGUE_RUN_NUMBER_H

#include <stdint.h>

/* Writes the number in decimal, and a zero byte, at which it returns. */
static inline char *number_write(char *at, uint64_t number)
{
    char digits[24];
    unsigned held = 0;
    do
        digits[held++] = (char)('0' + number % 10);
    while (number /= 10);
    while (held)
        *at++ = digits[--held];
    *at = 0;
    return at;
}

/* Reads decimal digits, and moves on behind them. */
static inline uint64_t number_read(const char **at)
{
    uint64_t number = 0;
    while (**at >= '0' && **at <= '9')
        number = number * 10 + (uint64_t)(*(*at)++ - '0');
    return number;
}

#endif
