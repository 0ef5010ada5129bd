/* step_pitfalls.c: what emulators have got wrong, one by one, with the results that the manuals give. Each test names
 * whose fault it was; docs/emulate.md lists them. The differential tests come across all of this by chance, this one on
 * purpose, and says what is right without asking the processor. */
#include "tests/support/test.h"

#include <segue/segue.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decode/x86/xsave.h"

#define PAGE 4096u
#define SIZE (2 * PAGE)
/* Below 2 GiB, so that 32 bits of address reach it; nothing is behind it. */
#define BASE UINT64_C(0x21000000)
#define END (BASE + SIZE)

#define CARRY 0x1u
#define ZERO 0x40u
#define SIGN 0x80u
#define DIRECTION 0x400u
#define FLAGS 0x202u

#define LEGACY_XMM 160
#define XSTATE_BV 512
#define ALL_ONES UINT64_MAX

static struct segue_mapping mapping;
static uint8_t *memory;
static struct segue_regs regs;
static _Alignas(64) uint8_t area[4096];
static struct segue_xstate xstate;
static struct segue_fault fault;
static struct segue_plan plan;
/* Through which window the next step goes. */
static struct segue_window window;

static int setup(void **state)
{
    (void)state;
    if (segue_mapping_create((void *)(uintptr_t)BASE, SIZE, &mapping) != SEGUE_OK)
        return -1;
    memory = mapping.alias;
    mprotect(mapping.memory, SIZE, PROT_NONE);
    return mmap((void *)(uintptr_t)END, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
                   MAP_FAILED
               ? -1
               : 0;
}

static int teardown(void **state)
{
    (void)state;
    munmap((void *)(uintptr_t)END, PAGE);
    return segue_mapping_destroy(&mapping) == SEGUE_OK ? 0 : -1;
}

/* cmocka has handlers of its own in force around a test's body, so the library comes in within it. */
static void begin(void)
{
    uint64_t enabled = xsave_enabled() ? xsave_enabled() : COMPONENTS_LEGACY, in_use = 0xe7;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    in_use &= enabled;
    memset(memory, 0, SIZE);
    memset(area, 0, sizeof area);
    memcpy(area, "\x7f\x03", 2);
    memcpy(area + 24, "\x80\x1f", 2);
    memcpy(area + XSTATE_BV, &in_use, sizeof in_use);
    xstate = (struct segue_xstate){.area = area, .size = sizeof area, .features = in_use};
    window = (struct segue_window){.base = BASE, .size = SIZE, .kind = SEGUE_WINDOW_ALIAS, .alias = memory};
    regs = (struct segue_regs){.rbx = BASE, .rip = 0x400000, .rflags = FLAGS};
}

static void end(void)
{
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

static enum segue_status try_step(const uint8_t *bytes, size_t length)
{
    struct segue_insn insn;
    regs.rip = 0x400000;
    fault = (struct segue_fault){0};
    assert_int_equal(segue_decode(SEGUE_MODE_64, bytes, length, &insn), SEGUE_OK);
    assert_int_equal(insn.length, length);
    enum segue_status status = segue_plan(&insn, &regs, &xstate, NULL, &window, 1, &plan);
    return status == SEGUE_OK ? segue_step(&plan, &regs, &xstate, &fault) : status;
}

#define TRY(...) try_step((const uint8_t[]){__VA_ARGS__}, sizeof(const uint8_t[]){__VA_ARGS__})
#define STEP(...) assert_int_equal(TRY(__VA_ARGS__), SEGUE_OK)

static void put(uint64_t offset, uint64_t value)
{
    memcpy(memory + offset, &value, sizeof value);
}

static uint64_t get(uint64_t offset)
{
    uint64_t value;
    memcpy(&value, memory + offset, sizeof value);
    return value;
}

static uint8_t *component(unsigned number)
{
    struct xsave_component place;
    assert_true(xsave_find(number, &place));
    return area + place.offset;
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw");
}

/* ---- registers -------------------------------------------------------------------------------------------------- */

/* HAXM#67, FEX#4775 and #5664, angr/vex#63, Wine's ntoskrnl. */
static void every_32_bit_result_clears_the_upper_half(void **state)
{
    (void)state;
    begin();
    put(0, 0xffffffff80000001);
    regs.rax = ALL_ONES;
    STEP(0x8b, 0x03); /* mov eax, [rbx] */
    assert_int_equal(regs.rax, 0x80000001);
    regs.rax = ALL_ONES;
    STEP(0x03, 0x03); /* add eax, [rbx] */
    assert_int_equal(regs.rax, 0x80000000);
    regs.rax = ALL_ONES;
    STEP(0x0f, 0xb6, 0x03); /* movzx eax, byte [rbx] */
    assert_int_equal(regs.rax, 1);
    regs.rax = ALL_ONES;
    STEP(0x0f, 0xbe, 0x43, 0x03); /* movsx eax, byte [rbx+3] */
    assert_int_equal(regs.rax, 0xffffff80);
    regs.rax = ALL_ONES;
    STEP(0x0f, 0xc1, 0x03); /* xadd [rbx], eax */
    assert_int_equal(regs.rax, 0x80000001);
    regs.rax = ALL_ONES;
    STEP(0x66, 0x8b, 0x03); /* mov ax, [rbx], which does not */
    assert_int_equal(regs.rax, 0xffffffffffff0000);
    end();
}

/* The move that is not made is made to the lower half of the register itself; and the memory is read all the same. */
static void conditional_move_reads_and_clears_when_its_condition_is_false(void **state)
{
    (void)state;
    begin();
    regs.rax = ALL_ONES;
    put(0, 5);
    STEP(0x0f, 0x44, 0x03); /* cmovz eax, [rbx] */
    assert_int_equal(regs.rax, 0xffffffff);
    regs.rbx = END;
    assert_int_equal(TRY(0x0f, 0x44, 0x03), SEGUE_FAULT);
    assert_int_equal(fault.address, END);
    end();
}

/* HAXM#189: AH to BH taken for SPL to DIL. */
static void high_bytes_are_high_bytes(void **state)
{
    (void)state;
    begin();
    put(0, 0x5a);
    regs.rax = 0x1111, regs.rsp = 0x2222;
    STEP(0x8a, 0x23); /* mov ah, [rbx] */
    assert_int_equal(regs.rax, 0x5a11);
    assert_int_equal(regs.rsp, 0x2222);
    STEP(0x00, 0x23); /* add [rbx], ah */
    assert_int_equal(get(0), 0xb4);
    STEP(0x40, 0x8a, 0x23); /* mov spl, [rbx] */
    assert_int_equal(regs.rsp, 0x22b4);
    STEP(0x40, 0x02, 0x23); /* add spl, [rbx] */
    assert_int_equal(regs.rsp, 0x2268);
    assert_int_equal(regs.rax, 0x5a11);
    end();
}

/* ---- flags ------------------------------------------------------------------------------------------------------ */

/* KVM 5aca3722: CMPS subtracted the wrong way round. SCAS subtracts memory from the accumulator. */
static void string_comparisons_subtract_the_destination(void **state)
{
    (void)state;
    begin();
    put(0, 2);
    put(64, 1);
    regs.rsi = BASE, regs.rdi = BASE + 64;
    STEP(0xa6); /* cmpsb: 2 - 1 */
    assert_int_equal(regs.rflags & (CARRY | ZERO | SIGN), 0);
    regs.rsi = BASE + 64, regs.rdi = BASE;
    STEP(0xa6); /* 1 - 2 */
    assert_int_equal(regs.rflags & (CARRY | ZERO | SIGN), CARRY | SIGN);
    regs.rax = 1, regs.rdi = BASE;
    STEP(0xae); /* scasb: 1 - 2 */
    assert_int_equal(regs.rflags & (CARRY | ZERO | SIGN), CARRY | SIGN);
    end();
}

/* FEX#4417: BT left ZF undefined on paper and unchanged on all processors. */
static void bit_tests_keep_the_zero_flag(void **state)
{
    (void)state;
    begin();
    put(0, 2);
    regs.rflags = FLAGS | ZERO;
    STEP(0x0f, 0xba, 0x23, 0x01); /* bt dword [rbx], 1 */
    assert_int_equal(regs.rflags & (CARRY | ZERO), CARRY | ZERO);
    regs.rflags = FLAGS;
    STEP(0x0f, 0xba, 0x23, 0x00);
    assert_int_equal(regs.rflags & (CARRY | ZERO), 0);
    end();
}

/* Xen 1aa803f94e and bddisasm#49: the carry of a double shift; a count of 0 changes no flag, and still reads. */
static void double_shift_carries_the_last_bit(void **state)
{
    (void)state;
    begin();
    put(0, UINT64_C(1) << 60);
    regs.rdx = 0, regs.rcx = 4;
    STEP(0x48, 0x0f, 0xa5, 0x13); /* shld [rbx], rdx, cl */
    assert_true(regs.rflags & CARRY);
    assert_int_equal(get(0), 0);
    regs.rcx = 0;
    STEP(0x48, 0x0f, 0xa5, 0x13);
    assert_true(regs.rflags & CARRY);
    end();
}

/* ---- addresses -------------------------------------------------------------------------------------------------- */

/* KVM 35c843c4857e: negative offsets; Xen 1c6c2d60d2: huge ones. */
static void bit_offsets_reach_far_and_back(void **state)
{
    (void)state;
    begin();
    put(0x100 - 8, UINT64_C(1) << 63);
    regs.rbx = BASE + 0x100, regs.rax = ALL_ONES;
    STEP(0x48, 0x0f, 0xa3, 0x03); /* bt [rbx], rax: the bit below */
    assert_true(regs.rflags & CARRY);
    /* As far as an offset goes: 2^60 bytes back, from an address so far up. */
    regs.rbx = BASE + (UINT64_C(1) << 60), regs.rax = UINT64_C(1) << 63 | 7;
    STEP(0x48, 0x0f, 0xab, 0x03); /* bts [rbx], rax */
    assert_int_equal(get(0), 0x80);
    assert_int_equal(regs.rax, UINT64_C(1) << 63 | 7);
    regs.rbx = BASE, regs.rax = 0xffffffff00000009;
    STEP(0x0f, 0xbb, 0x03); /* btc [rbx], eax: 32 bits of offset */
    assert_int_equal(get(0), 0x280);
    end();
}

/* Xen b7dce29d9f and 99dd522c3f. The thread's base counts, not the handler's; once; for the operand alone. */
static void segment_base_is_added_once(void **state)
{
    (void)state;
    begin();
    put(8, 7);
    regs.gs_base = 0x100000, regs.rbx = BASE - 0x100000, regs.rax = 1;
    STEP(0x65, 0x48, 0x01, 0x43, 0x08); /* add gs:[rbx+8], rax */
    assert_int_equal(get(8), 8);
    regs.rsi = BASE - 0x100000, regs.rdi = BASE + 64;
    STEP(0x65, 0x48, 0xa5); /* movsq es:[rdi], gs:[rsi]: only the source has it */
    assert_int_equal(regs.rsi, BASE - 0x100000 + 8);
    STEP(0x65, 0x48, 0xa5);
    assert_int_equal(get(72), 8);
    end();
}

/* Zydis#592: 67h, no displacement by MOD, SIB with base 5 and REX.B: a displacement and no base. */
static void short_address_without_a_base_has_none(void **state)
{
    (void)state;
    begin();
    put(0, 0x77);
    regs.r13 = BASE + 64, regs.rcx = 0;
    STEP(0x67, 0x41, 0x8a, 0x0c, 0x25, 0x00, 0x00, 0x00, 0x21); /* mov cl, [0x21000000] */
    assert_int_equal(regs.rcx, 0x77);
    regs.rbx = 0xffffffff00000000 | BASE;
    STEP(0x67, 0x02, 0x0b); /* add cl, [ebx] */
    assert_int_equal(regs.rcx, 0xee);
    end();
}

/* Ghidra#6600: 67h makes a string's address and count registers 32-bit destinations. */
static void short_strings_clear_upper_halves(void **state)
{
    (void)state;
    begin();
    put(0, 0x0807060504030201);
    regs.rsi = UINT64_C(0x500000000) | BASE, regs.rdi = UINT64_C(0x600000000) | (BASE + 64);
    regs.rcx = UINT64_C(0x700000003);
    STEP(0x67, 0xf3, 0xa4); /* rep movsb, 32 bits */
    assert_int_equal(regs.rcx, 0);
    assert_int_equal(regs.rsi, BASE + 3);
    assert_int_equal(regs.rdi, BASE + 67);
    assert_int_equal(get(64), 0x030201);
    end();
}

/* ---- repetition ------------------------------------------------------------------------------------------------- */

/* Xen 79e996a89f, 5310a042c4 and Triton#530. */
static void repetition_of_zero_accesses_nothing(void **state)
{
    struct segue_access accesses[4];
    struct segue_insn insn;
    size_t count = 9;
    (void)state;
    begin();
    regs.rcx = 0;
    assert_int_equal(segue_decode(SEGUE_MODE_64, (const uint8_t *)"\xf3\xa4", 2, &insn), SEGUE_OK);
    assert_int_equal(segue_accesses(&insn, &regs, NULL, accesses, 4, &count), SEGUE_OK);
    assert_int_equal(count, 0);
    end();
}

/* Bochs#841: a copy onto its own continuation spreads its first element, in either direction. */
static void overlapping_copies_go_element_by_element(void **state)
{
    (void)state;
    begin();
    put(0, 0xab);
    regs.rsi = BASE, regs.rdi = BASE + 1, regs.rcx = 7;
    STEP(0xf3, 0xa4); /* rep movsb */
    assert_int_equal(get(0), 0xabababababababab);
    put(64, 0x11);
    put(72, 0x22);
    put(80, 0);
    regs.rsi = BASE + 72, regs.rdi = BASE + 80, regs.rcx = 2, regs.rflags = FLAGS | DIRECTION;
    STEP(0xf3, 0x48, 0xa5); /* rep movsq, downwards */
    assert_int_equal(get(80), 0x22);
    assert_int_equal(get(72), 0x11);
    assert_int_equal(regs.rdi, BASE + 64);
    end();
}

/* ---- how often, and whether ------------------------------------------------------------------------------------- */

static unsigned reads, writes;
static uint64_t device_value;

static enum segue_status device_read(void *context, uint64_t address, void *bytes, size_t size)
{
    (void)context, (void)address;
    reads++;
    memcpy(bytes, &device_value, size);
    return SEGUE_OK;
}

static enum segue_status device_write(void *context, uint64_t address, const void *bytes, size_t size)
{
    (void)context, (void)address;
    writes++;
    memcpy(&device_value, bytes, size);
    return SEGUE_OK;
}

/* Xen 86781624f8 and bc6c457661: a device's register was read twice. */
static void device_is_accessed_once(void **state)
{
    (void)state;
    begin();
    window = (struct segue_window){
        .base = BASE, .size = SIZE, .kind = SEGUE_WINDOW_CALLBACK, .read = device_read, .write = device_write};
    reads = writes = 0, device_value = 5;
    regs.rax = 2;
    STEP(0x48, 0x01, 0x03); /* add [rbx], rax */
    assert_int_equal(reads, 1);
    assert_int_equal(writes, 1);
    assert_int_equal(device_value, 7);
    STEP(0x48, 0x03, 0x03); /* add rax, [rbx] */
    assert_int_equal(reads, 2);
    assert_int_equal(writes, 1);
    STEP(0x48, 0xc7, 0x03, 1, 0, 0, 0); /* mov [rbx], 1 */
    assert_int_equal(reads, 2);
    assert_int_equal(writes, 2);
    STEP(0xf7, 0x03, 1, 0, 0, 0); /* test dword [rbx], 1 */
    assert_int_equal(reads, 3);
    assert_int_equal(writes, 2);
    end();
}

/* Xen 3aaa72b3f1: the failure path of CMPXCHG. */
static void compare_and_exchange_that_fails_loads_the_accumulator(void **state)
{
    (void)state;
    begin();
    put(0, 0x1122334455667788);
    regs.rax = ALL_ONES, regs.rcx = 3;
    STEP(0x0f, 0xb1, 0x0b); /* cmpxchg [rbx], ecx */
    assert_int_equal(regs.rax, 0x55667788);
    assert_int_equal(get(0), 0x1122334455667788);
    assert_false(regs.rflags & ZERO);
    STEP(0xf0, 0x0f, 0xb1, 0x0b); /* and then succeeds */
    assert_true(regs.rflags & ZERO);
    assert_int_equal(get(0), 0x1122334400000003);
    regs.rax = regs.rdx = 9;
    STEP(0xf0, 0x48, 0x0f, 0xc7, 0x0b); /* lock cmpxchg16b [rbx] */
    assert_int_equal(regs.rax, 0x1122334400000003);
    assert_int_equal(regs.rdx, 0);
    end();
}

/* icicle#80; and over two pages of the same window it is one operation still. */
static void exchange_may_be_misaligned(void **state)
{
    (void)state;
    begin();
    put(PAGE - 3, 0x0123456789abcdef);
    regs.rbx = BASE + PAGE - 3, regs.rax = 5;
    STEP(0x48, 0x87, 0x03); /* xchg [rbx], rax */
    assert_int_equal(regs.rax, 0x0123456789abcdef);
    assert_int_equal(get(PAGE - 3), 5);
    assert_false(plan.flags & SEGUE_PLAN_COPIED);
    end();
}

/* ---- vectors ---------------------------------------------------------------------------------------------------- */

/* An emulated processor may read sixteen bytes for a scalar of four: a child that has no more than those dies of it. */
__attribute__((target("fma"))) static bool processor_reads_beyond_scalars(void)
{
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int status;
    assert_true(pages != MAP_FAILED && mprotect(pages + PAGE, PAGE, PROT_NONE) == 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        __asm__ volatile("vfmadd231ss (%0), %%xmm1, %%xmm0" : : "r"(pages + PAGE - 4) : "xmm0", "xmm1");
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    munmap(pages, 2 * PAGE);
    return WIFSIGNALED(status);
}

/* Xen a6488965ca and 31c941cc2b, unicorn#1658: an operand's size by VEX.L and VEX.W, and of scalar FMA. At the end of
 * memory a byte more is a fault. */
static void vector_operands_end_where_they_should(void **state)
{
    (void)state;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        skip();
    if (processor_reads_beyond_scalars()) {
        print_message("SKIP: this processor reads more than a scalar operand has\n");
        skip();
    }
    begin();
    regs.rbx = END - 4;
    STEP(0xc4, 0xe2, 0x71, 0xb9, 0x03); /* vfmadd231ss xmm0, xmm1, [rbx] */
    STEP(0xc5, 0xf9, 0x6e, 0x03);       /* vmovd xmm0, [rbx] */
    regs.rbx = END - 8;
    STEP(0xc4, 0xe2, 0xf1, 0xb9, 0x03); /* vfmadd231sd */
    STEP(0xc4, 0xe1, 0xf9, 0x6e, 0x03); /* vmovq xmm0, [rbx] */
    regs.rbx = END - 32;
    memset(memory + SIZE - 32, 0x5a, 32);
    STEP(0xc5, 0xfe, 0x6f, 0x03); /* vmovdqu ymm0, [rbx] */
    assert_memory_equal(area + LEGACY_XMM, memory + SIZE - 16, 16);
    assert_memory_equal(component(STATE_AVX), memory + SIZE - 16, 16);
    regs.rbx = END - 16;
    STEP(0xc5, 0xfa, 0x6f, 0x03); /* vmovdqu xmm0, [rbx] clears what is above */
    assert_int_equal(component(STATE_AVX)[0] | component(STATE_AVX)[15], 0);
    assert_int_equal(TRY(0xc5, 0xfe, 0x6f, 0x03), SEGUE_FAULT);
    assert_int_equal(fault.address, END);
    end();
}

/* Xen eddf13b5e9, f5d7d37040 and cf90c8a48a, Bochs#2, simde#998. */
static void masks_spare_what_they_leave_out(void **state)
{
    uint32_t words[4] = {1, 2, 3, 4};
    (void)state;
    if (!has_avx512())
        skip();
    begin();
    /* Two of sixteen words are in memory. */
    regs.rbx = END - 8;
    put(SIZE - 8, 0x2200000011);
    component(STATE_OPMASK)[8] = 3;
    STEP(0x62, 0xf1, 0x7e, 0xc9, 0x6f, 0x03); /* vmovdqu32 zmm0{k1}{z}, [rbx] */
    assert_memory_equal(area + LEGACY_XMM, "\x11\0\0\0\x22\0\0\0\0\0\0\0\0\0\0\0", 16);
    component(STATE_OPMASK)[8] = 7;
    assert_int_equal(TRY(0x62, 0xf1, 0x7e, 0xc9, 0x6f, 0x03), SEGUE_FAULT);
    assert_int_equal(fault.address, END);
    /* Compressed, words 0 and 2 stand side by side; an 8-bit displacement counts elements. */
    memcpy(area + LEGACY_XMM, words, sizeof words);
    component(STATE_OPMASK)[8] = 5;
    regs.rbx = END - 12;
    STEP(0x62, 0xf2, 0x7d, 0x09, 0x8b, 0x43, 0x01); /* vpcompressd [rbx+4]{k1}, xmm0 */
    assert_int_equal(get(SIZE - 8), 0x300000001);
    STEP(0x62, 0xf2, 0x7d, 0x89, 0x89, 0x43, 0x01); /* vpexpandd xmm0{k1}{z}, [rbx+4] */
    assert_memory_equal(area + LEGACY_XMM, "\1\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0", 16);
    end();
}

/* DynamoRIO#3931, #3964 and #3970, FEX PR3165: lanes that came before a fault are done, and their mask says so. */
static void gather_stops_between_lanes(void **state)
{
    static const uint32_t indices[4] = {0, 1, SIZE, 2};
    (void)state;
    if (!__builtin_cpu_supports("avx2"))
        skip();
    begin();
    /* One window has all lanes, and its last page is missing. */
    window = (struct segue_window){.base = BASE, .size = SIZE + PAGE, .kind = SEGUE_WINDOW_EXPOSED};
    mprotect(mapping.memory, SIZE, PROT_READ | PROT_WRITE);
    put(0, 0x2200000011);
    memset(area + LEGACY_XMM, 0xee, 16);
    memset(area + LEGACY_XMM + 16, 0xff, 16);
    memcpy(area + LEGACY_XMM + 32, indices, sizeof indices);
    area[LEGACY_XMM + 36] = 4;
    assert_int_equal(TRY(0xc4, 0xe2, 0x71, 0x90, 0x04, 0x13), SEGUE_FAULT); /* vpgatherdd xmm0, [rbx+xmm2], xmm1 */
    assert_int_equal(fault.address, END);
    assert_memory_equal(area + LEGACY_XMM, "\x11\0\0\0\x22\0\0\0\xee\xee\xee\xee\xee\xee\xee\xee", 16);
    assert_memory_equal(area + LEGACY_XMM + 16, "\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 16);
    mprotect(mapping.memory, SIZE, PROT_NONE);
    end();
}

/* ---- x87 -------------------------------------------------------------------------------------------------------- */

/* Xen 0711b59b85: the pointers are to the instruction and to what it accessed, not to a stub and a copy. */
static void x87_pointers_tell_the_program(void **state)
{
    uint64_t pointer;
    (void)state;
    begin();
    put(0, 0x3f800000);
    STEP(0xd9, 0x03); /* fld dword [rbx] */
    memcpy(&pointer, area + 8, sizeof pointer);
    /* Some processors keep them only while an exception waits. */
    assert_true(pointer == 0x400000 || pointer == 0);
    memcpy(&pointer, area + 16, sizeof pointer);
    assert_true(pointer == BASE || pointer == 0);
    end();
}

/* Xen a8fcd80c8f: a store that faults takes nothing off the register stack. */
static void x87_store_that_faults_pops_nothing(void **state)
{
    uint8_t kept[160];
    (void)state;
    begin();
    put(0, 0x3f800000);
    STEP(0xd9, 0x03); /* fld dword [rbx] */
    memcpy(kept, area, sizeof kept);
    regs.rbx = END - 4;
    assert_int_equal(TRY(0xdd, 0x1b), SEGUE_FAULT); /* fstp qword [rbx] */
    assert_int_equal(fault.address, END);
    /* Status, tags and registers. */
    assert_memory_equal(area, kept, 5);
    assert_memory_equal(area + 32, kept + 32, 128);
    assert_int_equal(get(SIZE - 8), 0);
    end();
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_32_bit_result_clears_the_upper_half),
        TEST(conditional_move_reads_and_clears_when_its_condition_is_false),
        TEST(high_bytes_are_high_bytes),
        TEST(string_comparisons_subtract_the_destination),
        TEST(bit_tests_keep_the_zero_flag),
        TEST(double_shift_carries_the_last_bit),
        TEST(bit_offsets_reach_far_and_back),
        TEST(segment_base_is_added_once),
        TEST(short_address_without_a_base_has_none),
        TEST(short_strings_clear_upper_halves),
        TEST(repetition_of_zero_accesses_nothing),
        TEST(overlapping_copies_go_element_by_element),
        TEST(device_is_accessed_once),
        TEST(compare_and_exchange_that_fails_loads_the_accumulator),
        TEST(exchange_may_be_misaligned),
        TEST(vector_operands_end_where_they_should),
        TEST(masks_spare_what_they_leave_out),
        TEST(gather_stops_between_lanes),
        TEST(x87_pointers_tell_the_program),
        TEST(x87_store_that_faults_pops_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
