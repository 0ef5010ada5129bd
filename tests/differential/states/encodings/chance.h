/* chance.h: what happens once in so many times, by random numbers. */
#ifndef SEGUE_TESTS_CHANCE_H
#define SEGUE_TESTS_CHANCE_H

#include "tests/support/random.h"

static inline uint32_t one_in(struct random *random, uint32_t times)
{
    return random_below(random, times) == 0;
}

#endif
