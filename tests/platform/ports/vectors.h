/* vectors.h: registers in the parts of a frame's extended state that follow the legacy one. In a step another register
 * of each kind keeps its value, and the one that is written has all its bytes. */
#ifndef SEGUE_TESTS_PORTS_VECTORS_H
#define SEGUE_TESTS_PORTS_VECTORS_H

#include "tests/platform/ports/fixture.h"

static inline bool has(const char *name)
{
    uint32_t a = 7, b, c = 0, d, low, high;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return strcmp(name, "avx2") == 0 ? (b >> 5 & 1) && (low & 4) : (b >> 16 & 1) && (low & 0xe0) == 0xe0;
}

static inline void check_upper_halves(void)
{
    uint8_t before[32], loaded[32], after[32];
    volatile uint8_t *page = begin_filled(note);
    for (unsigned i = 0; i < 32; i++)
        before[i] = (uint8_t)(0xa0 + i);
    __asm__ volatile("vmovdqu (%0), %%ymm7\n\tvmovdqu 256(%1), %%ymm5\n\tvpaddb %%ymm5, %%ymm5, %%ymm6\n\t"
                     "vmovdqu %%ymm5, (%2)\n\tvpaddb 256(%1), %%ymm6, %%ymm6\n\t"
                     "vmovdqu %%ymm7, (%3)\n\tvmovdqu %%ymm6, 512(%1)\n\tvzeroupper"
                     :
                     : "r"(before), "r"(page), "r"(loaded), "r"(after)
                     : "memory", "xmm5", "xmm6", "xmm7");
    assert_memory_equal(after, before, 32);
    assert_memory_equal(loaded, alias() + 256, 32);
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(alias()[512 + i], (uint8_t)(3 * i));
    assert_int_equal(asked, 3);
    end();
}

#if defined(__x86_64__)
static inline void check_avx512(void)
{
    uint8_t before[64], loaded[64], after[64];
    uint64_t mask = 0;
    volatile uint8_t *page = begin_filled(note);
    for (unsigned i = 0; i < 64; i++)
        before[i] = (uint8_t)(0x55 + i);
    __asm__ volatile(
        "vmovdqu64 (%1), %%zmm29\n\tvmovdqu64 (%1), %%zmm7\n\tmovl $0x5aa5, %%eax\n\tkmovw %%eax, %%k3\n\t"
        "vmovdqu64 256(%2), %%zmm17\n\tvmovdqu64 %%zmm17, (%3)\n\t"
        "vmovdqu32 256(%2), %%zmm7%{%%k3%}\n\tvmovdqu64 %%zmm29, (%4)\n\tkmovw %%k3, %%eax\n\tmovq %%rax, %0\n\t"
        "vmovdqu64 %%zmm7, 1024(%2)\n\tvzeroupper"
        : "=m"(mask)
        : "r"(before), "r"(page), "r"(loaded), "r"(after)
        : "memory", "rax", "xmm7");
    assert_memory_equal(after, before, 64);
    assert_memory_equal(loaded, alias() + 256, 64);
    assert_int_equal(mask, 0x5aa5);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(alias()[1024 + i], 0x5aa5 >> (i / 4) & 1 ? (uint8_t)i : before[i]);
    end();
}
#endif

#endif
