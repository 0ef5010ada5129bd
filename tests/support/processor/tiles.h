/* tiles.h: AMX's tiles, for tests: state that a thread asks the kernel for, and that makes signal frames grow. */
#ifndef SEGUE_TESTS_TILES_H
#define SEGUE_TESTS_TILES_H

#include <cpuid.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TILE_DATA 18
#define TILE_BYTES 1024
#define ARCH_REQUEST_STATE 0x1023

/* Asks for them, for the process. NULL if it may use them; else why not. */
static inline const char *tiles_missing(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & 1u << 24))
        return "the processor has no tiles";
    return syscall(SYS_arch_prctl, ARCH_REQUEST_STATE, TILE_DATA) == 0 ? 0 : "the system does not allow tiles";
}

/* Eight tiles of 16 rows of 64 bytes. */
static inline void tiles_configure(void)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } how = {.palette = 1};
    for (unsigned i = 0; i < 8; i++)
        how.row_bytes[i] = 64, how.rows[i] = 16;
    __asm__ volatile("ldtilecfg %0" : : "m"(how));
}

/* The first and the last tile, from and to two kilobytes. */
static inline void tiles_load(const void *bytes)
{
    __asm__ volatile("tileloadd (%0,%1), %%tmm0\n\ttileloadd 1024(%0,%1), %%tmm7"
                     :
                     : "r"(bytes), "r"((uint64_t)64)
                     : "memory");
}

static inline void tiles_store(void *bytes)
{
    __asm__ volatile("tilestored %%tmm0, (%0,%1)\n\ttilestored %%tmm7, 1024(%0,%1)"
                     :
                     : "r"(bytes), "r"((uint64_t)64)
                     : "memory");
}

static inline void tiles_release(void)
{
    __asm__ volatile("tilerelease");
}

/* Which components are not in their initial state. */
static inline uint64_t tiles_in_use(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
    return (low | (uint64_t)high << 32) & (uint64_t)3 << (TILE_DATA - 1);
}

#endif
