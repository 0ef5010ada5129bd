/* lanes.c: gathers and scatters through the installed handler, whose lanes lie in many regions or wrap around in 32
 * bits of address; through devices and forced windows lane by lane. */
#include <segue/segue.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/support/processor/large_plan.h"
#include "tests/support/test.h"

#define PAGE 4096u
#define PAGES 16u
/* Below 4 GiB, for short addresses. */
#define PLACE ((void *)0x30000000)

static struct segue_mapping mapping;
static unsigned asked, calls, refuse_at;
static uint32_t expected[16];

static enum segue_verdict watch(void *context, const struct segue_event *event)
{
    asked += event->can_step == SEGUE_OK && event->address - (uint64_t)(uintptr_t)context < PAGE &&
             event->size == sizeof(uint32_t);
    return SEGUE_STEP;
}

static char *byte_of(uint64_t address)
{
    uint64_t offset = address - (uint64_t)(uintptr_t)mapping.memory;
    return (char *)mapping.alias + ((offset / PAGE) ^ 1) * PAGE + offset % PAGE;
}

static enum segue_status device_read(void *context, uint64_t address, void *bytes, size_t size)
{
    (void)context;
    if (++calls == refuse_at)
        return SEGUE_UNSUPPORTED;
    memcpy(bytes, byte_of(address), size);
    return size == sizeof(uint32_t) ? SEGUE_OK : SEGUE_INVALID;
}

static enum segue_status device_write(void *context, uint64_t address, const void *bytes, size_t size)
{
    (void)context;
    if (++calls == refuse_at)
        return SEGUE_UNSUPPORTED;
    memcpy(byte_of(address), bytes, size);
    return size == sizeof(uint32_t) ? SEGUE_OK : SEGUE_INVALID;
}

/* A device of eight bytes. */
static char eight[8];

static enum segue_status eight_read(void *context, uint64_t address, void *bytes, size_t size)
{
    (void)context, (void)address, (void)bytes, (void)size;
    return SEGUE_UNSUPPORTED;
}

static enum segue_status eight_write(void *context, uint64_t address, const void *bytes, size_t size)
{
    (void)context, (void)address;
    if (++calls == refuse_at || size != sizeof eight)
        return SEGUE_UNSUPPORTED;
    memcpy(eight, bytes, size);
    return SEGUE_OK;
}

/* Sixteen regions of a page, whose windows stand in another order. */
static void begin(enum segue_window_kind kind)
{
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(PLACE, PAGES * PAGE, &mapping), SEGUE_OK);
    for (unsigned i = 0; i < PAGES; i++) {
        struct segue_region region = {
            .window = {.base = (uint64_t)(uintptr_t)mapping.memory + i * PAGE,
                       .size = PAGE,
                       .kind = kind,
                       .read = device_read,
                       .write = device_write},
            .policy = watch,
            .context = (char *)mapping.memory + i * PAGE,
        };
        if (kind == SEGUE_WINDOW_ALIAS)
            region.window.alias = (char *)mapping.alias + (i ^ 1) * PAGE;
        else
            region.window.context = NULL;
        assert_int_equal(segue_region_add(&region), SEGUE_OK);
        expected[i] = 0x01010101u * (i + 3);
        memcpy(byte_of(region.window.base + 16 * i), &expected[i], sizeof expected[i]);
    }
    mprotect(mapping.memory, mapping.size, PROT_NONE);
    asked = calls = refuse_at = 0;
}

static void end(void)
{
    mprotect(mapping.memory, mapping.size, PROT_READ | PROT_WRITE);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(segue_region_remove((char *)mapping.memory + i * PAGE), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_destroy(&mapping), SEGUE_OK);
}

static unsigned long steps(void)
{
    struct segue_counters counters;
    segue_counters_read(&counters);
    return counters.stepped;
}

static const int32_t indices[16] = {0 * 4112,  1 * 4112,  2 * 4112,  3 * 4112, 4 * 4112,  5 * 4112,
                                    6 * 4112,  7 * 4112,  8 * 4112,  9 * 4112, 10 * 4112, 11 * 4112,
                                    12 * 4112, 13 * 4112, 14 * 4112, 15 * 4112};

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f");
}

static void gather16(uint32_t *result)
{
    __asm__ volatile("vpternlogd $255, %%zmm3, %%zmm3, %%zmm3\n\t"
                     "kxnorw %%k1, %%k1, %%k1\n\t"
                     "vmovdqu32 (%1), %%zmm2\n\t"
                     "vpgatherdd (%2, %%zmm2), %%zmm1%{%%k1%}\n\t"
                     "vmovdqu32 %%zmm1, (%0)"
                     :
                     : "r"(result), "r"(indices), "r"(mapping.memory)
                     : "memory", "xmm1", "xmm2", "xmm3");
}

static void gather_reaches_a_region_a_lane_in_one_step(void **state)
{
    (void)state;
    skip_if(has_avx512() ? NULL : "the processor has no AVX-512");
    uint32_t result[16] = {0};
    begin(SEGUE_WINDOW_ALIAS);
    unsigned long before = steps();
    gather16(result);
    assert_int_equal(steps() - before, 1);
    assert_int_equal(asked, 16);
    assert_memory_equal(result, expected, sizeof result);
    end();
}

static void gather_in_avx2_reaches_a_region_a_lane(void **state)
{
    (void)state;
    skip_if(__builtin_cpu_supports("avx2") ? NULL : "the processor has no AVX2");
    uint32_t result[8] = {0}, mask[8];
    begin(SEGUE_WINDOW_ALIAS);
    unsigned long before = steps();
    __asm__ volatile("vpcmpeqd %%ymm3, %%ymm3, %%ymm3\n\t"
                     "vmovdqu (%1), %%ymm2\n\t"
                     "vpgatherdd %%ymm3, (%2, %%ymm2), %%ymm1\n\t"
                     "vmovdqu %%ymm1, (%0)\n\t"
                     "vmovdqu %%ymm3, (%3)"
                     :
                     : "r"(result), "r"(indices), "r"(mapping.memory), "r"(mask)
                     : "memory", "xmm1", "xmm2", "xmm3");
    assert_int_equal(steps() - before, 1);
    assert_int_equal(asked, 8);
    assert_memory_equal(result, expected, sizeof result);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(mask[i], 0);
    end();
}

/* The base is near 4 GiB, and the indices lead beyond. */
static void gather_wraps_around_in_32_bits(void **state)
{
    (void)state;
    skip_if(__builtin_cpu_supports("avx2") ? NULL : "the processor has no AVX2");
    uint32_t result[4] = {0};
    int32_t around[4];
    begin(SEGUE_WINDOW_ALIAS);
    for (int i = 0; i < 4; i++)
        around[i] = (int32_t)((uint32_t)(uintptr_t)mapping.memory + (uint32_t)indices[i] - 0xfffffff8u);
    __asm__ volatile("vpcmpeqd %%xmm3, %%xmm3, %%xmm3\n\t"
                     "vmovdqu (%1), %%xmm2\n\t"
                     ".byte 0x67\n\tvpgatherdd %%xmm3, (%2, %%xmm2), %%xmm1\n\t"
                     "vmovdqu %%xmm1, (%0)"
                     :
                     : "r"(result), "r"(around), "r"(0xfffffff8ul)
                     : "memory", "xmm1", "xmm2", "xmm3");
    assert_memory_equal(result, expected, sizeof result);
    end();
}

static void device_is_asked_once_a_lane(void **state)
{
    (void)state;
    skip_if(has_avx512() ? NULL : "the processor has no AVX-512");
    uint32_t result[16] = {0};
    begin(SEGUE_WINDOW_CALLBACK);
    gather16(result);
    assert_int_equal(calls, 16);
    assert_memory_equal(result, expected, sizeof result);
    end();
}

/* The device refuses the sixth lane; those before it are done, and the mask keeps the others. */
static void lanes_before_one_that_is_refused_are_done(void **state)
{
    (void)state;
    skip_if(has_avx512() ? NULL : "the processor has no AVX-512");
    begin(SEGUE_WINDOW_CALLBACK);
    refuse_at = 6;
    static uint32_t stored[16];
    memset(stored, 0xee, sizeof stored);
    struct segue_insn insn;
    static union large_plan made;
    const struct segue_plan *plan = &made.plan;
    static _Alignas(64) uint8_t area[8192];
    struct segue_mutator context;
    size_t size = segue_xstate_size(0);
    assert_true(size && size <= sizeof area);
    __asm__ volatile("kxnorw %%k1, %%k1, %%k1\n\tvmovdqu32 (%0), %%zmm2\n\tvmovdqu32 (%1), %%zmm1"
                     :
                     : "r"(indices), "r"(stored)
                     : "xmm1", "xmm2");
    assert_int_equal(segue_mutator_capture(&context, area, sizeof area), SEGUE_OK);
    struct segue_window windows[PAGES];
    for (unsigned i = 0; i < PAGES; i++) {
        struct segue_region region;
        assert_int_equal(segue_region_find((char *)mapping.memory + i * PAGE, &region), SEGUE_OK);
        windows[i] = region.window;
    }
    /* vpgatherdd (%rdi, %zmm2), %zmm1{%k1} */
    static const uint8_t bytes[] = {0x62, 0xf2, 0x7d, 0x49, 0x90, 0x0c, 0x17};
    assert_int_equal(segue_decode(SEGUE_MODE_64, bytes, sizeof bytes, &insn), SEGUE_OK);
    context.regs.rdi = (uint64_t)(uintptr_t)mapping.memory;
    context.regs.rip = 0x400000;
    assert_int_equal(large_plan_make(&insn, &context.regs, &context.xstate, NULL, windows, PAGES, &made), SEGUE_OK);
    assert_int_equal(segue_step(plan, &context.regs, &context.xstate, NULL), SEGUE_OK);
    assert_int_equal(context.regs.rip, 0x400000);
    struct segue_access accesses[16];
    size_t count;
    assert_int_equal(segue_accesses(&insn, &context.regs, &context.xstate, accesses, 16, &count), SEGUE_OK);
    assert_int_equal(count, 11);
    assert_int_equal(accesses[0].lane, 5);
    /* It refuses again, and nothing is done. */
    refuse_at = calls + 1;
    assert_int_equal(large_plan_make(&insn, &context.regs, &context.xstate, NULL, windows, PAGES, &made), SEGUE_OK);
    assert_int_equal(segue_step(plan, &context.regs, &context.xstate, NULL), SEGUE_UNSUPPORTED);
    refuse_at = 0;
    assert_int_equal(segue_step(plan, &context.regs, &context.xstate, NULL), SEGUE_OK);
    assert_int_equal(context.regs.rip, 0x400000 + sizeof bytes);
    end();
}

/* Lanes that store to the same place: the last one counts, whatever windows are in between. */
static void scatter_keeps_the_order_of_lanes(void **state)
{
    (void)state;
    skip_if(has_avx512() ? NULL : "the processor has no AVX-512");
    static const enum segue_window_kind kinds[] = {SEGUE_WINDOW_ALIAS, SEGUE_WINDOW_CALLBACK};
    for (size_t kind = 0; kind < 2; kind++) {
        int32_t places[16];
        uint32_t values[16];
        begin(kinds[kind]);
        for (int i = 0; i < 16; i++) {
            places[i] = i % 3 * 4096 + 8;
            values[i] = 0x1000u + (uint32_t)i;
        }
        __asm__ volatile("kxnorw %%k1, %%k1, %%k1\n\t"
                         "vmovdqu32 (%0), %%zmm2\n\t"
                         "vmovdqu32 (%1), %%zmm1\n\t"
                         "vpscatterdd %%zmm1, (%2, %%zmm2)%{%%k1%}"
                         :
                         : "r"(places), "r"(values), "r"(mapping.memory)
                         : "memory", "xmm1", "xmm2");
        for (unsigned i = 0; i < 3; i++) {
            uint32_t got;
            memcpy(&got, byte_of((uint64_t)(uintptr_t)mapping.memory + i * PAGE + 8), sizeof got);
            assert_int_equal(got, 0x1000 + (i == 0 ? 15 : 12 + i));
        }
        end();
    }
}

/* A store under a mask may not be stopped between its runs: the one run that lies in a device is asked first, and if it
 * refuses nothing is stored. */
static void masked_store_asks_its_device_first(void **state)
{
    (void)state;
    skip_if(__builtin_cpu_supports("avx2") ? NULL : "the processor has no AVX2");
    static _Alignas(64) uint8_t area[8192];
    static _Alignas(PAGE) char memory[PAGE];
    static const uint32_t mask[8] = {0x80000000, 0, 0x80000000, 0, 0x80000000, 0x80000000, 0, 0};
    struct segue_mutator context;
    struct segue_insn insn;
    struct segue_plan plan;
    begin(SEGUE_WINDOW_CALLBACK);
    size_t size = segue_xstate_size(0);
    assert_true(size && size <= sizeof area);
    __asm__ volatile("vmovdqu (%0), %%ymm2\n\tvmovdqu (%1), %%ymm1" : : "r"(mask), "r"(indices) : "xmm1", "xmm2");
    assert_int_equal(segue_mutator_capture(&context, area, sizeof area), SEGUE_OK);
    /* vpmaskmovd %ymm1, %ymm2, (%rdi): four elements on the first page, four in the device behind it. */
    static const uint8_t bytes[] = {0xc4, 0xe2, 0x6d, 0x8e, 0x0f};
    assert_int_equal(segue_decode(SEGUE_MODE_64, bytes, sizeof bytes, &insn), SEGUE_OK);
    struct segue_window windows[2] = {
        {.base = 0x30000000, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = memory},
        {.base = 0x30000000 + PAGE,
         .size = PAGE,
         .kind = SEGUE_WINDOW_CALLBACK,
         .read = eight_read,
         .write = eight_write},
    };
    context.regs.rdi = 0x30000000 + PAGE - 16;
    struct segue_regs before = context.regs;
    memset(memory, 0xee, sizeof memory);
    refuse_at = 1;
    calls = 0;
    assert_int_equal(segue_plan(&insn, &context.regs, &context.xstate, NULL, windows, 2, &plan), SEGUE_OK);
    assert_int_equal(segue_step(&plan, &context.regs, &context.xstate, NULL), SEGUE_UNSUPPORTED);
    assert_memory_equal(&context.regs, &before, sizeof before);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal((uint8_t)memory[PAGE - 16 + i], 0xee);
    refuse_at = 0;
    calls = 0;
    assert_int_equal(segue_step(&plan, &context.regs, &context.xstate, NULL), SEGUE_OK);
    assert_int_equal(calls, 1);
    assert_memory_equal(memory + PAGE - 16, &indices[0], 4);
    assert_int_equal((uint8_t)memory[PAGE - 12], 0xee);
    assert_memory_equal(memory + PAGE - 8, &indices[2], 4);
    assert_memory_equal(eight, &indices[4], sizeof eight);
    /* With two runs in devices it is refused. */
    context.regs = before;
    context.regs.rdi = 0x30000000 + PAGE;
    assert_int_equal(segue_plan(&insn, &context.regs, &context.xstate, NULL, windows, 2, &plan), SEGUE_UNSUPPORTED);
    assert_string_equal(plan.refusal, "it accesses callback windows more than once");
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gather_reaches_a_region_a_lane_in_one_step),
        cmocka_unit_test(gather_in_avx2_reaches_a_region_a_lane),
        cmocka_unit_test(gather_wraps_around_in_32_bits),
        cmocka_unit_test(device_is_asked_once_a_lane),
        cmocka_unit_test(lanes_before_one_that_is_refused_are_done),
        cmocka_unit_test(scatter_keeps_the_order_of_lanes),
        cmocka_unit_test(masked_store_asks_its_device_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
