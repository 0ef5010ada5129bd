/* registers_i386.c: the registers of 32-bit code on Windows, in and out of CONTEXT: in a policy, over steps and over
 * pushes on the system's own copy of the vector state, over blocks that may fault and over swaps; and the chain of
 * handlers that a thread has on its stack. */
#if !defined(_WIN32) || !defined(__i386__)
#error "registers_i386.c is specific to Windows on i386"
#endif

#include "fixture.h"

#include "platform/threads/handler_chain.h"

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
    volatile uint32_t *cell = begin(note);
    uint32_t value = 0x12345678, flags;
    uint16_t code, stack, data;
    (void)state;
    __asm__ volatile("stc\n\tmovl %2, 4(%1)\n\tpushfl\n\tpopl %0"
                     : "=&r"(flags)
                     : "r"(cell), "r"(value), "S"(0x51515151), "D"(0xd1d1d1d1)
                     : "memory", "cc");
    __asm__("movw %%cs, %0" : "=r"(code));
    __asm__("movw %%ss, %0" : "=r"(stack));
    __asm__("movw %%ds, %0" : "=r"(data));
    assert_int_equal(asked, 1);
    assert_int_equal(shown_event.address, (uintptr_t)cell + 4);
    assert_int_equal(shown_event.size, 4);
    assert_int_equal(shown_event.direction, SEGUE_WRITE);
    assert_int_equal(shown.rsi, 0x51515151);
    assert_int_equal(shown.rdi, 0xd1d1d1d1);
    assert_int_equal(shown.r8, 0);
    assert_int_equal(shown.selectors[SEGUE_SEGMENT_CS], code);
    assert_int_equal(shown.selectors[SEGUE_SEGMENT_SS], stack);
    assert_int_equal(shown.selectors[SEGUE_SEGMENT_DS], data);
    assert_int_equal(shown.fs_base, (uintptr_t)NtCurrentTeb());
    assert_int_equal(flags & 1, 1);
    assert_int_equal(((uint32_t *)mapping.alias)[1], value);
    end();
}

static void x87_and_vectors_survive_steps(void **state)
{
    volatile uint32_t *cell = begin(note);
    static _Alignas(32) uint8_t pattern[32], after[2][32];
    double numbers[2] = {1.25, -3.5}, back[2];
    uint16_t control = 0x0c7f, control_after;
    (void)state;
    if (!(GetEnabledXStateFeatures() & 4))
        skip();
    for (unsigned i = 0; i < 32; i++)
        pattern[i] = (uint8_t)(3 * i + 1);
    __asm__ volatile("fldcw %[control]\n\tfldl %[first]\n\tfldl %[second]\n\t"
                     "vmovdqa %[pattern], %%ymm3\n\tvmovdqa %[pattern], %%ymm7\n\t"
                     "movl $5, (%[cell])\n\t"
                     "fildl (%[cell])\n\tfstp %%st(0)\n\t"
                     "vmovdqu (%[cell]), %%ymm5\n\t"
                     "vpaddb (%[cell]), %%ymm7, %%ymm7\n\t"
                     "addl $1, (%[cell])\n\t"
                     "vmovdqa %%ymm3, %[kept]\n\tvmovdqa %%ymm7, %[added]\n\t"
                     "fnstcw %[control_after]\n\tfstpl %[second_back]\n\tfstpl %[first_back]\n\tfninit\n\tvzeroupper"
                     : [kept] "=m"(after[0]), [added] "=m"(after[1]), [control_after] "=m"(control_after),
                       [second_back] "=m"(back[1]), [first_back] "=m"(back[0])
                     : [cell] "r"(cell), [pattern] "m"(pattern), [first] "m"(numbers[0]), [second] "m"(numbers[1]),
                       [control] "m"(control)
                     : "memory", "cc", "xmm3", "xmm5", "xmm7", "st", "st(1)", "st(2)");
    assert_int_equal(asked, 5);
    assert_memory_equal(after[0], pattern, sizeof pattern);
    pattern[0] += 5;
    assert_memory_equal(after[1], pattern, sizeof pattern);
    assert_int_equal(control_after, control);
    assert_true(back[0] == numbers[0] && back[1] == numbers[1]);
    assert_int_equal(*(uint32_t *)mapping.alias, 6);
    end();
}

/* ENTER reads the pointers of the enclosing frames from the region, and pushes them where the system has put the upper
 * halves of the vectors. */
static void pushes_keep_the_vectors_and_the_words(void **state)
{
    volatile uint32_t *cell = begin(note);
    static uint32_t words[32];
    static uint64_t pattern[4] = {1, 2, 3, 4}, after[4];
    static uint32_t stack_pointer, frame_pointer, top;
    uint32_t *alias = mapping.alias;
    (void)state;
    if (!(GetEnabledXStateFeatures() & 4))
        skip();
    for (unsigned i = 0; i < 40; i++)
        alias[i] = 0x1000 + i;
    for (uint32_t shift = 0; shift < 128; shift += 4) {
        __asm__ volatile(
            "vmovdqu %[pattern], %%ymm7\n\tmovl %%esp, %[stack_pointer]\n\tmovl %%ebp, %[frame_pointer]\n\t"
            "andl $-128, %%esp\n\tsubl %%eax, %%esp\n\tmovl %%esp, %[top]\n\t"
            "movl %%edx, %%ebp\n\tenter $0, $31\n\t"
            "movl %%esp, %%esi\n\tmovl %[words], %%edi\n\tmovl $32, %%ecx\n\trep movsl\n\t"
            "movl %[frame_pointer], %%ebp\n\tmovl %[stack_pointer], %%esp\n\t"
            "vmovdqu %%ymm7, %[after]\n\tvzeroupper"
            : [top] "=m"(top), [after] "=m"(after), [stack_pointer] "=m"(stack_pointer),
              [frame_pointer] "=m"(frame_pointer)
            : [pattern] "m"(pattern), "a"(shift), "d"(cell + 32), [words] "i"(words)
            : "esi", "edi", "ecx", "xmm7", "memory", "cc");
        assert_memory_equal(after, pattern, sizeof pattern);
        assert_int_equal(words[31], (uintptr_t)(cell + 32));
        assert_int_equal(words[0], top - 4);
        for (unsigned i = 1; i < 31; i++)
            assert_int_equal(words[31 - i], alias[32 - i]);
    }
    assert_int_equal(asked, 32 * 30);
    end();
}

/* ---- the chain of handlers ---- */

static struct handler_record *innermost(void)
{
    struct handler_record *record;
    __asm__ volatile("movl %%fs:0, %0" : "=r"(record));
    return record;
}

static void set_innermost(const struct handler_record *record)
{
    __asm__ volatile("movl %0, %%fs:0" : : "r"(record));
}

/* The handler of the outermost record; the records lie in the bounds of the stack. */
static uintptr_t outermost_handler(void)
{
    const struct handler_record *record = innermost();
    ULONG_PTR low, high;
    GetCurrentThreadStackLimits(&low, &high);
    for (;; record = (const struct handler_record *)record->next) {
        assert_true((uintptr_t)record >= low && (uintptr_t)record + sizeof *record <= high);
        if (record->next == UINTPTR_MAX)
            return record->handler;
    }
}

static void block_keeps_the_callee_saved_registers(void **state)
{
    static volatile char *page;
    static struct segue_trial trial;
    static uint32_t general[3], frame_pointer, result;
    static struct handler_record deeper;
    struct handler_record *before = innermost();
    (void)state;
    page = closed_page();
    begin(note);
    deeper = (struct handler_record){(uintptr_t)before, 1};
    __asm__ volatile("movl %%ebp, %[frame_pointer]\n\t"
                     "movl $11, %%ebx\n\tmovl $12, %%edi\n\tmovl $13, %%esi\n\tmovl $14, %%ebp\n\t"
                     "pushl %[trial]\n\tcall _segue_try\n\tpopl %%ecx\n\ttestl %%eax, %%eax\n\tjnz 1f\n\t"
                     "xorl %%ebx, %%ebx\n\txorl %%edi, %%edi\n\txorl %%esi, %%esi\n\txorl %%ebp, %%ebp\n\t"
                     "movl %[deeper], %%fs:0\n\tmovl %[page], %%ecx\n\tmovb $1, (%%ecx)\n"
                     "1:\n\tmovl %%eax, %[result]\n\tmovl %%ebx, %[general]\n\tmovl %%edi, 4+%[general]\n\t"
                     "movl %%esi, 8+%[general]\n\txchgl %%ebp, %[frame_pointer]"
                     : [result] "=m"(result), [general] "=o"(general), [frame_pointer] "=m"(frame_pointer)
                     : [page] "m"(page), [trial] "i"(&trial), [deeper] "i"(&deeper)
                     : "eax", "ebx", "ecx", "edx", "edi", "esi", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                       "xmm7", "memory", "cc");
    assert_int_equal(result, 1);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(general[i], 11 + i);
    assert_int_equal(frame_pointer, 14);
    assert_ptr_equal(innermost(), before);
    end();
}

/* ---- swaps ---- */

static void spoil(void *data)
{
    struct handler_record record = {(uintptr_t)innermost(), 1};
    (void)data;
    for (;; set_innermost(&record)) {
        __asm__ volatile("xorl %%ebx, %%ebx\n\txorl %%edi, %%edi\n\txorl %%esi, %%esi" : : : "ebx", "edi", "esi");
        segue_context_swap(&other, &own);
    }
}

static void swap_keeps_the_callee_saved_registers(void **state)
{
    static uint32_t general[3], mxcsr;
    struct handler_record record = {(uintptr_t)innermost(), 1};
    (void)state;
    prepare(spoil);
    mxcsr = 0x3f80;
    set_innermost(&record);
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t mark = 0x5e60e000 + i;
        __asm__ volatile("movl %%eax, %%ebx\n\tleal 1(%%eax), %%edi\n\tleal 2(%%eax), %%esi\n\tldmxcsr %[mxcsr]\n\t"
                         "pushl %[other]\n\tpushl %[own]\n\tcall _segue_context_swap\n\taddl $8, %%esp\n\t"
                         "stmxcsr %[mxcsr]\n\tmovl %%ebx, %[general]\n\tmovl %%edi, 4+%[general]\n\t"
                         "movl %%esi, 8+%[general]"
                         : [general] "=o"(general), [mxcsr] "+m"(mxcsr), "+a"(mark)
                         : [own] "i"(&own), [other] "i"(&other)
                         : "ebx", "ecx", "edx", "edi", "esi", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                           "xmm7", "memory", "cc");
        for (unsigned k = 0; k < 3; k++)
            assert_int_equal(general[k], 0x5e60e000 + i + k);
        assert_int_equal(mxcsr & 0xffc0, 0x3f80);
        assert_ptr_equal(innermost(), &record);
    }
    set_innermost((const struct handler_record *)record.next);
    __asm__ volatile("ldmxcsr %0" : : "m"((uint32_t){0x1f80}));
    segue_stack_free(&of_other);
}

static uintptr_t handler_there;

static void look_at_the_chain(void *data)
{
    (void)data;
    handler_there = outermost_handler();
    segue_context_swap(&other, &own);
}

/* The system calls another chain damaged. */
static void context_has_a_chain_that_ends_as_the_threads(void **state)
{
    uintptr_t handler = outermost_handler();
    (void)state;
    prepare(look_at_the_chain);
    assert_int_equal(segue_context_swap(&own, &other), SEGUE_OK);
    assert_int_equal(handler_there, handler);
    assert_int_equal(outermost_handler(), handler);
    segue_stack_free(&of_other);
}

/* ---- a handler of the context's own ---- */

static volatile unsigned calls;

static EXCEPTION_DISPOSITION __cdecl skip_it(EXCEPTION_RECORD *exception, void *frame, CONTEXT *context,
                                             void *dispatcher)
{
    (void)frame;
    (void)dispatcher;
    calls += exception->ExceptionCode == EXCEPTION_ACCESS_VIOLATION;
    context->Eip += 3;
    return ExceptionContinueExecution;
}

static void fault_with_a_handler(void *data)
{
    struct handler_record record = {(uintptr_t)innermost(), (uintptr_t)skip_it};
    volatile char *page = closed_page();
    (void)data;
    set_innermost(&record);
    __asm__ volatile(".byte 0x88, 0x4b, 0x07" /* movb %cl, 7(%ebx) */ : : "b"(page) : "memory");
    set_innermost((const struct handler_record *)record.next);
    segue_context_swap(&other, &own);
}

/* The dispatcher looks whether the record lies in the bounds of the stack. */
static void handler_on_a_contexts_stack_is_called(void **state)
{
    (void)state;
    begin(note);
    calls = 0;
    prepare(fault_with_a_handler);
    assert_int_equal(segue_context_swap(&own, &other), SEGUE_OK);
    assert_int_equal(calls, 1);
    segue_stack_free(&of_other);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_sees_the_access_and_the_registers),
        cmocka_unit_test(x87_and_vectors_survive_steps),
        cmocka_unit_test(pushes_keep_the_vectors_and_the_words),
        cmocka_unit_test(block_keeps_the_callee_saved_registers),
        cmocka_unit_test(swap_keeps_the_callee_saved_registers),
        cmocka_unit_test(context_has_a_chain_that_ends_as_the_threads),
        cmocka_unit_test(handler_on_a_contexts_stack_is_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
