/* random.h: random numbers that a seed repeats. Used inside tests/ alone.
 *
 * SOURCES: S. Vigna, splitmix64 (public domain): one addition and a mixing function, so any number is a good seed. */
#ifndef SEGUE_TESTS_RANDOM_H
#define SEGUE_TESTS_RANDOM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
    uint64_t mixed = random->state += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
}

/* A generator of its own for the `number`th thing under `seed`. */
static inline struct random random_for(uint64_t seed, uint64_t number)
{
    struct random outer = {seed};
    struct random inner = {random_next(&outer) ^ (number * 0xd1342543de82ef95)};
    random_next(&inner);
    return inner;
}

/* Below `limit`, which is small against 2^32. */
static inline uint32_t random_below(struct random *random, uint32_t limit)
{
    return (uint32_t)(((random_next(random) >> 32) * limit) >> 32);
}

static inline void random_fill(struct random *random, void *bytes, size_t size)
{
    uint64_t word;
    for (size_t at = 0; at < size; at += sizeof word) {
        word = random_next(random);
        memcpy((char *)bytes + at, &word, size - at < sizeof word ? size - at : sizeof word);
    }
}

#endif
