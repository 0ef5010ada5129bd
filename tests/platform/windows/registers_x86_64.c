/* registers_x86_64.c: the registers of 64-bit code on Windows, in and out of CONTEXT: in a policy, over steps and over
 * pushes on the system's own copy of the vector state, over blocks that may fault and over swaps; and a context's first
 * frame. */
#if !defined(_WIN32) || !defined(__x86_64__)
#error "registers_x86_64.c is specific to Windows on x86-64"
#endif

#include "fixture.h"

#define STACK_SIZE 65536

static struct segue_context own, other;
static struct segue_stack of_other;

static void prepare(void (*entry)(void *data))
{
    assert_int_equal(segue_stack_new(STACK_SIZE, &of_other), SEGUE_OK);
    assert_int_equal(segue_context_make(&other, &of_other, entry, NULL), SEGUE_OK);
}

static void policy_sees_the_access_and_the_registers(void **state)
{
    volatile uint64_t *cell = begin(note);
    uint64_t flags, value = 0x123456789abcdef0;
    uint16_t code, stack, data;
    (void)state;
    __asm__ volatile("movq $0x5151, %%r12\n\tmovq $0xd1d1, %%r15\n\tstc\n\tmovq %2, 8(%1)\n\tpushfq\n\tpopq %0"
                     : "=&r"(flags)
                     : "r"(cell), "r"(value)
                     : "memory", "cc", "r12", "r15");
    __asm__("movw %%cs, %0" : "=r"(code));
    __asm__("movw %%ss, %0" : "=r"(stack));
    __asm__("movw %%ds, %0" : "=r"(data));
    assert_int_equal(asked, 1);
    assert_int_equal(shown_event.address, (uintptr_t)cell + 8);
    assert_int_equal(shown_event.size, 8);
    assert_int_equal(shown_event.direction, SEGUE_WRITE);
    assert_int_equal(shown.r12, 0x5151);
    assert_int_equal(shown.r15, 0xd1d1);
    assert_int_equal(shown.selectors[SEGUE_SEGMENT_CS], code);
    assert_int_equal(shown.selectors[SEGUE_SEGMENT_SS], stack);
    assert_int_equal(shown.selectors[SEGUE_SEGMENT_DS], data);
    assert_int_equal(shown.gs_base, (uintptr_t)NtCurrentTeb());
    assert_int_equal(flags & 1, 1);
    assert_int_equal(((uint64_t *)mapping.alias)[1], value);
    end();
}

static void x87_and_vectors_survive_steps(void **state)
{
    volatile uint64_t *cell = begin(note);
    static _Alignas(32) uint8_t pattern[32], after[2][32];
    double numbers[2] = {1.25, -3.5}, back[2];
    uint16_t control = 0x0c7f, control_after;
    (void)state;
    if (!(GetEnabledXStateFeatures() & 4))
        skip();
    for (unsigned i = 0; i < 32; i++)
        pattern[i] = (uint8_t)(3 * i + 1);
    __asm__ volatile("fldcw %[control]\n\tfldl %[first]\n\tfldl %[second]\n\t"
                     "vmovdqa %[pattern], %%ymm3\n\tvmovdqa %[pattern], %%ymm15\n\t"
                     "movl $5, (%[cell])\n\t"
                     "fildl (%[cell])\n\tfstp %%st(0)\n\t"
                     "vmovdqu (%[cell]), %%ymm5\n\t"
                     "vpaddb (%[cell]), %%ymm15, %%ymm15\n\t"
                     "addl $1, (%[cell])\n\t"
                     "vmovdqa %%ymm3, %[kept]\n\tvmovdqa %%ymm15, %[added]\n\t"
                     "fnstcw %[control_after]\n\tfstpl %[second_back]\n\tfstpl %[first_back]\n\tfninit\n\tvzeroupper"
                     : [kept] "=m"(after[0]), [added] "=m"(after[1]), [control_after] "=m"(control_after),
                       [second_back] "=m"(back[1]), [first_back] "=m"(back[0])
                     : [cell] "r"(cell), [pattern] "m"(pattern), [first] "m"(numbers[0]), [second] "m"(numbers[1]),
                       [control] "m"(control)
                     : "memory", "cc", "xmm3", "xmm5", "xmm15", "st", "st(1)", "st(2)");
    assert_int_equal(asked, 5);
    assert_memory_equal(after[0], pattern, sizeof pattern);
    pattern[0] += 5;
    assert_memory_equal(after[1], pattern, sizeof pattern);
    assert_int_equal(control_after, control);
    assert_true(back[0] == numbers[0] && back[1] == numbers[1]);
    assert_int_equal(*(uint64_t *)mapping.alias, 6);
    end();
}

/* ENTER reads the pointers of the enclosing frames from the region, and pushes them where the system has put the upper
 * halves of the vectors. */
static void pushes_keep_the_vectors_and_the_words(void **state)
{
    volatile uint64_t *cell = begin(note);
    static uint64_t words[32];
    uint64_t pattern[4] = {1, 2, 3, 4}, after[4], *alias = mapping.alias;
    (void)state;
    if (!(GetEnabledXStateFeatures() & 4))
        skip();
    for (unsigned i = 0; i < 40; i++)
        alias[i] = 0x1000 + i;
    for (uint64_t shift = 0; shift < 128; shift += 8) {
        uint64_t top;
        __asm__ volatile("vmovdqu %[pattern], %%ymm15\n\tmovq %%rsp, %%rbx\n\tmovq %%rbp, %%r12\n\t"
                         "andq $-128, %%rsp\n\tsubq %[shift], %%rsp\n\tmovq %%rsp, %[top]\n\t"
                         "movq %[frame], %%rbp\n\tenter $0, $31\n\t"
                         "movq %%rsp, %%rsi\n\tmovq %[words], %%rdi\n\tmovl $32, %%ecx\n\trep movsq\n\t"
                         "movq %%r12, %%rbp\n\tmovq %%rbx, %%rsp\n\tvmovdqu %%ymm15, %[after]\n\tvzeroupper"
                         : [top] "=&r"(top), [after] "=m"(after)
                         : [pattern] "m"(pattern), [shift] "r"(shift), [frame] "r"(cell + 32), [words] "r"(words)
                         : "rbx", "r12", "rsi", "rdi", "rcx", "xmm15", "memory", "cc");
        assert_memory_equal(after, pattern, sizeof pattern);
        assert_int_equal(words[31], (uintptr_t)(cell + 32));
        assert_int_equal(words[0], top - 8);
        for (unsigned i = 1; i < 31; i++)
            assert_int_equal(words[31 - i], alias[32 - i]);
    }
    assert_int_equal(asked, 16 * 30);
    end();
}

static void block_keeps_the_callee_saved_registers(void **state)
{
    volatile char *page = closed_page();
    static struct segue_trial trial;
    static _Alignas(16) uint8_t pattern[16], after[2][16];
    uint64_t general[8], result;
    (void)state;
    begin(note);
    memset(pattern, 0xa5, sizeof pattern);
    __asm__ volatile("movdqa %[pattern], %%xmm6\n\tmovdqa %[pattern], %%xmm15\n\t"
                     "movq $11, %%rbx\n\tmovq $12, %%rdi\n\tmovq $13, %%rsi\n\tmovq $14, %%r12\n\tmovq $15, %%r13\n\t"
                     "movq $16, %%r14\n\tmovq %[page], %%r15\n\t"
                     "leaq %[trial], %%rcx\n\tsubq $40, %%rsp\n\tcall segue_try\n\taddq $40, %%rsp\n\t"
                     "testl %%eax, %%eax\n\tjnz 1f\n\t"
                     "pxor %%xmm6, %%xmm6\n\tpxor %%xmm15, %%xmm15\n\txorl %%ebx, %%ebx\n\txorl %%edi, %%edi\n\t"
                     "xorl %%esi, %%esi\n\txorl %%r12d, %%r12d\n\txorl %%r13d, %%r13d\n\txorl %%r14d, %%r14d\n\t"
                     "movb $1, (%%r15)\n"
                     "1:\n\tmovslq %%eax, %[result]\n\tmovdqa %%xmm6, %[six]\n\tmovdqa %%xmm15, %[fifteen]\n\t"
                     "movq %%rbx, %[general]\n\tmovq %%rdi, 8+%[general]\n\tmovq %%rsi, 16+%[general]\n\t"
                     "movq %%r12, 24+%[general]\n\tmovq %%r13, 32+%[general]\n\tmovq %%r14, 40+%[general]"
                     : [result] "=&a"(result), [six] "=m"(after[0]), [fifteen] "=m"(after[1]), [general] "=o"(general),
                       [trial] "+m"(trial)
                     : [page] "m"(page), [pattern] "m"(pattern)
                     : "rbx", "rcx", "rdx", "rdi", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0",
                       "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm15", "memory", "cc");
    assert_int_equal(result, 1);
    assert_memory_equal(after[0], pattern, sizeof pattern);
    assert_memory_equal(after[1], pattern, sizeof pattern);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(general[i], 11 + i);
    end();
}

/* ---- what a swap keeps ---- */

static void spoil(void *data)
{
    (void)data;
    for (;;) {
        __asm__ volatile("xorl %%ebx, %%ebx\n\txorl %%edi, %%edi\n\txorl %%esi, %%esi\n\txorl %%r12d, %%r12d\n\t"
                         "xorl %%r13d, %%r13d\n\txorl %%r14d, %%r14d\n\txorl %%r15d, %%r15d\n\t"
                         "pxor %%xmm6, %%xmm6\n\tpxor %%xmm10, %%xmm10\n\tpxor %%xmm15, %%xmm15"
                         :
                         :
                         : "rbx", "rdi", "rsi", "r12", "r13", "r14", "r15", "xmm6", "xmm10", "xmm15");
        segue_context_swap(&other, &own);
    }
}

static void swap_keeps_the_callee_saved_registers(void **state)
{
    static _Alignas(16) uint64_t vectors[3][2];
    uint64_t general[7], mxcsr = 0x3f80;
    (void)state;
    prepare(spoil);
    for (unsigned i = 0; i < 1000; i++) {
        __asm__ volatile(
            "movq %[mark], %%rbx\n\tleaq 1(%%rbx), %%rdi\n\tleaq 2(%%rbx), %%rsi\n\tleaq 3(%%rbx), %%r12\n\t"
            "leaq 4(%%rbx), %%r13\n\tleaq 5(%%rbx), %%r14\n\tleaq 6(%%rbx), %%r15\n\t"
            "movq %%rbx, %%xmm6\n\tmovddup %%xmm6, %%xmm6\n\tmovdqa %%xmm6, %%xmm10\n\t"
            "movdqa %%xmm6, %%xmm15\n\tldmxcsr %[mxcsr]\n\t"
            "leaq %[own], %%rcx\n\tleaq %[other], %%rdx\n\tsubq $32, %%rsp\n\tcall segue_context_swap\n\t"
            "addq $32, %%rsp\n\tstmxcsr %[mxcsr]\n\t"
            "movdqa %%xmm6, %[vectors]\n\tmovdqa %%xmm10, 16+%[vectors]\n\tmovdqa %%xmm15, 32+%[vectors]\n\t"
            "movq %%rbx, %[general]\n\tmovq %%rdi, 8+%[general]\n\tmovq %%rsi, 16+%[general]\n\t"
            "movq %%r12, 24+%[general]\n\tmovq %%r13, 32+%[general]\n\tmovq %%r14, 40+%[general]\n\t"
            "movq %%r15, 48+%[general]"
            :
            [general] "=o"(general), [vectors] "=o"(vectors), [mxcsr] "+m"(mxcsr), [own] "+m"(own), [other] "+m"(other)
            : [mark] "r"(UINT64_C(0x5e60e00000000000) + i)
            : "rax", "rbx", "rcx", "rdx", "rdi", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0",
              "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm10", "xmm15", "memory", "cc");
        for (unsigned k = 0; k < 7; k++)
            assert_int_equal(general[k], UINT64_C(0x5e60e00000000000) + i + k);
        for (unsigned k = 0; k < 3; k++)
            assert_int_equal(vectors[k][1], general[0]);
        assert_int_equal(mxcsr & 0xffc0, 0x3f80);
    }
    __asm__ volatile("ldmxcsr %0" : : "m"((uint32_t){0x1f80}));
    segue_stack_free(&of_other);
}

static unsigned frames;
static bool ends;

/* From a function in the context to its first frame, by the data that the system has of each function. */
static __attribute__((noinline)) void walk(void *data)
{
    CONTEXT context;
    (void)data;
    RtlCaptureContext(&context);
    for (frames = 0; frames < 20 && context.Rip; frames++) {
        DWORD64 image, establisher;
        void *handler_data;
        RUNTIME_FUNCTION *function = RtlLookupFunctionEntry(context.Rip, &image, NULL);
        if (!function)
            break;
        RtlVirtualUnwind(UNW_FLAG_NHANDLER, image, context.Rip, function, &context, &handler_data, &establisher, NULL);
    }
    ends = context.Rip == 0;
    segue_context_swap(&other, &own);
}

static void walk_ends_at_the_first_frame(void **state)
{
    (void)state;
    prepare(walk);
    assert_int_equal(segue_context_swap(&own, &other), SEGUE_OK);
    assert_true(ends);
    assert_int_equal(frames, 2);
    segue_stack_free(&of_other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_sees_the_access_and_the_registers),
        cmocka_unit_test(x87_and_vectors_survive_steps),
        cmocka_unit_test(pushes_keep_the_vectors_and_the_words),
        cmocka_unit_test(block_keeps_the_callee_saved_registers),
        cmocka_unit_test(swap_keeps_the_callee_saved_registers),
        cmocka_unit_test(walk_ends_at_the_first_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
