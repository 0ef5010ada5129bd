/* faults.c: faults on Windows, in and out of CONTEXT: registers, vectors and x87, pushes over the system's own copy of
 * the vector state, blocks that may fault, mappings, and what is refused. */
#if !defined(_WIN32) || !defined(__x86_64__)
#error "faults.c is specific to Windows on x86-64"
#endif

#include "fixture.h"

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

/* ---- mappings ---- */

static void mapping_has_two_views(void **state)
{
    struct segue_mapping two, at, taken;
    MEMORY_BASIC_INFORMATION before;
    (void)state;
    assert_int_equal(segue_mapping_create(NULL, 3 * PAGE, &two), SEGUE_OK);
    ((char *)two.memory)[5000] = 17;
    assert_int_equal(((char *)two.alias)[5000], 17);
    uint64_t distance = (uint64_t)(uintptr_t)two.alias - (uint64_t)(uintptr_t)two.memory;
    assert_int_equal(distance, (uint64_t)(int64_t)(int32_t)distance);
    assert_true(VirtualQuery((char *)two.memory - 1, &before, sizeof before) && before.State == MEM_RESERVE);
    assert_true(VirtualQuery((char *)two.alias + 0x10000, &before, sizeof before) && before.State == MEM_RESERVE);
    assert_int_equal(segue_mapping_protect(&two, PAGE, PAGE, SEGUE_READ), SEGUE_OK);
    assert_int_equal(((volatile char *)two.memory)[5000], 17);
    assert_int_equal(segue_mapping_create(two.memory, PAGE, &taken), SEGUE_EXISTS);
    void *free_again = two.memory;
    assert_int_equal(segue_mapping_destroy(&two), SEGUE_OK);
    assert_int_equal(segue_mapping_create(free_again, PAGE, &at), SEGUE_OK);
    assert_ptr_equal(at.memory, free_again);
    assert_int_equal(segue_mapping_destroy(&at), SEGUE_OK);
    /* Views begin at multiples of 64 KiB. */
    assert_int_equal(segue_mapping_create((char *)free_again + PAGE, PAGE, &at), SEGUE_SYSTEM);
}

/* ---- blocks that may fault ---- */

static volatile int times;

/* The fault that an access meets: by what it was: 0 a read, 1 a write, 8 a fetch. */
static struct segue_fault fault_of(volatile char *page, unsigned kind)
{
    struct segue_trial trial;
    if (segue_try(&trial) == 0) {
        if (kind == 8)
            ((void (*)(void))(uintptr_t)page)();
        else if (kind == 1)
            page[5] = 1;
        else
            times += page[5];
        segue_try_end(&trial);
        return (struct segue_fault){.trap = 0};
    }
    assert_int_equal(segue_try_end(&trial), SEGUE_NOT_FOUND);
    return trial.fault;
}

static void fault_has_its_address_and_its_direction(void **state)
{
    volatile char *page = closed_page();
    (void)state;
    begin(note);
    struct segue_fault read = fault_of(page, 0), write = fault_of(page, 1), fetch = fault_of(page, 8);
    assert_int_equal(read.address, (uintptr_t)page + 5);
    assert_int_equal(read.direction, SEGUE_READ);
    assert_int_equal(read.trap, 14);
    assert_int_equal((uint32_t)read.code, EXCEPTION_ACCESS_VIOLATION);
    assert_int_equal(read.signal, 0);
    assert_int_equal(write.address, (uintptr_t)page + 5);
    assert_int_equal(write.direction, SEGUE_WRITE);
    assert_int_equal(fetch.address, (uintptr_t)page);
    assert_int_equal(fetch.direction, SEGUE_FETCH);
    assert_int_equal(fetch.instruction, (uintptr_t)page);
    /* An address that is not canonical is not reported. */
    struct segue_fault beyond = fault_of((volatile char *)0x8000000000000000, 1);
    assert_int_equal(beyond.trap, 13);
    assert_false(beyond.address_known);
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

/* ---- what there is not ---- */

static void what_windows_lacks_is_refused_by_name(void **state)
{
    static const struct {
        enum segue_feature feature;
        const char *reason;
    } lacks[] = {
        {SEGUE_FEATURE_HOT, "hot sites need a system with signals"},
        {SEGUE_FEATURE_GUEST, "guests need a system with signals"},
        {SEGUE_FEATURE_DIRECT_RESTORE, "a direct restore needs a system with signals"},
        {SEGUE_FEATURE_FORCED, "this system lets no process write past its own protection"},
        {SEGUE_FEATURE_ALTERNATE_STACK, "the system has no alternate stacks: handlers run on the thread's"},
        {SEGUE_FEATURE_SEGMENT, "the bases of FS and GS are the system's own here"},
    };
    const struct segue_segment_options options = {.rewrite = {SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS}};
    struct segue_guest guest;
    (void)state;
    for (unsigned i = 0; i < sizeof lacks / sizeof *lacks; i++) {
        assert_int_equal(segue_feature_check(lacks[i].feature), SEGUE_UNSUPPORTED);
        assert_string_equal(segue_reason(), lacks[i].reason);
    }
    assert_int_equal(segue_feature_check(SEGUE_FEATURE_REPLAY), SEGUE_OK);
    assert_int_equal(segue_feature_check(SEGUE_FEATURE_NEAR), SEGUE_OK);
    assert_int_equal(segue_guest_new(&guest, NULL), SEGUE_UNSUPPORTED);
    assert_int_equal(segue_segment_enable(&options), SEGUE_UNSUPPORTED);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    const struct segue_region hot = {.window = segue_mapping_window(&mapping), .flags = SEGUE_REGION_HOT};
    assert_int_equal(segue_region_add(&hot), SEGUE_UNSUPPORTED);
    segue_mapping_destroy(&mapping);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_sees_the_access_and_the_registers),
        cmocka_unit_test(x87_and_vectors_survive_steps),
        cmocka_unit_test(pushes_keep_the_vectors_and_the_words),
        cmocka_unit_test(mapping_has_two_views),
        cmocka_unit_test(fault_has_its_address_and_its_direction),
        cmocka_unit_test(block_keeps_the_callee_saved_registers),
        cmocka_unit_test(what_windows_lacks_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
