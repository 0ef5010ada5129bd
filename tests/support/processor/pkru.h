/* pkru.h: protection keys, for tests: asked of the processor and the kernel themselves, not of the library. */
#ifndef SEGUE_TESTS_PKRU_H
#define SEGUE_TESTS_PKRU_H

#include <cpuid.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

/* What Linux gives every program, and every handler, to begin with: key 0 and nothing else. */
#define PKRU_INITIAL 0x55555554u
/* Two bits a key. */
#define PKRU_NO_ACCESS(key) (1u << 2 * (key))
#define PKRU_NO_WRITE(key) (2u << 2 * (key))
#define PKRU_BIT ((uint64_t)1 << 9)

static inline uint32_t pkru_read(void)
{
    uint32_t rights, zero;
    __asm__ volatile("rdpkru" : "=a"(rights), "=d"(zero) : "c"(0));
    return rights;
}

static inline void pkru_write(uint32_t rights)
{
    __asm__ volatile("wrpkru" : : "a"(rights), "c"(0), "d"(0) : "memory");
}

/* NULL where there are protection keys; else why not. */
static inline const char *pkru_missing(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(c & 1u << 4))
        return "the processor has no protection keys, or the system does not use them";
    uint32_t rights = pkru_read();
    int key = pkey_alloc(0, 0);
    if (key < 0)
        return "the system gives no protection key";
    pkey_free(key);
    pkru_write(rights);
    return 0;
}

#endif
