/* vector_x86_64.c: the extended state of a guest on x86-64.
 *
 * SOURCES: Intel SDM volume 1, 13.2 (what CPUID tells of it), 13.4 (the area); volume 2, XRSTOR (what it refuses). */
#include "vector.h"

#include <cpuid.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LEAF 0xd
#define HEADER 512
#define HEADER_END 576
#define COMPONENTS 63
#define X87_SSE_AVX 0x07u
#define AVX512 0xe0u
/* The protection keys are the host's as well. */
#define LEFT_OUT ((uint64_t)1 << 9)

#define LEAF_HAS_XGETBV1 (1u << 2)
#define MXCSR_INITIAL 0x1f80u
#define X87_INITIAL 0x37fu

/* The components that the system has in use; those that can be moved; where each stands in an area, and its size. */
static struct {
    uint64_t enabled, movable;
    uint32_t offset[COMPONENTS], size[COMPONENTS];
} known;

static void learn(void)
{
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    known.enabled = low | (uint64_t)high << 32;
    for (unsigned i = 2; i < COMPONENTS; i++)
        if (known.enabled >> i & 1)
            __cpuid_count(LEAF, i, known.size[i], known.offset[i], c, d);
    __cpuid_count(LEAF, 1, a, b, c, d);
    if (!(a & LEAF_HAS_XGETBV1) || ~known.enabled & X87_SSE_AVX)
        return;
    known.movable = X87_SSE_AVX;
    __cpuid_count(7, 0, a, b, c, d);
    if (!(~known.enabled & AVX512) && (b & bit_AVX512F) && (b & bit_AVX512DQ) && (b & bit_AVX512BW))
        known.movable |= AVX512;
}

void vector_learn(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, learn);
}

enum segue_status vector_new(struct segue_xstate *xstate, uint64_t wanted)
{
    static const uint32_t mxcsr = MXCSR_INITIAL;
    static const uint16_t x87 = X87_INITIAL;
    uint64_t features = wanted & known.enabled & ~LEFT_OUT;
    uint32_t size = HEADER_END;
    if (!known.enabled)
        return SEGUE_UNSUPPORTED;
    for (unsigned i = 2; i < COMPONENTS; i++)
        if (features >> i & 1 && known.offset[i] + known.size[i] > size)
            size = known.offset[i] + known.size[i];
    size = (size + 63) / 64 * 64;
    char *area = aligned_alloc(64, size);
    if (!area)
        return SEGUE_NO_MEMORY;
    memset(area, 0, size);
    memcpy(area, &x87, sizeof x87);
    memcpy(area + 24, &mxcsr, sizeof mxcsr);
    *xstate = (struct segue_xstate){.area = area, .size = size, .features = features};
    return SEGUE_OK;
}

/* One that XRSTOR would refuse is left to it. */
static bool is_movable(const char *area, uint64_t features)
{
    uint64_t in_use, compaction;
    memcpy(&in_use, area + HEADER, sizeof in_use);
    memcpy(&compaction, area + HEADER + 8, sizeof compaction);
    return (features == X87_SSE_AVX || features == (X87_SSE_AVX | AVX512)) && !(features & ~known.movable) &&
           !(in_use & ~features) && compaction == 0;
}

void vector_place(struct gate *gate, const struct segue_xstate *xstate)
{
    char *area = xstate->area;
    gate->area = area;
    gate->features = xstate->features;
    gate->by_moves = area && is_movable(area, xstate->features);
    if (!gate->by_moves)
        return;
    gate->ymm_upper = area + known.offset[2];
    gate->opmask = area + known.offset[5];
    gate->zmm_upper = area + known.offset[6];
    gate->zmm_high = area + known.offset[7];
}
