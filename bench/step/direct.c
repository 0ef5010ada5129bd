/* direct.c: the same instruction, from the same state, stepped without a signal and run by Unicorn.
 *
 * SOURCES: Unicorn 2.0, unicorn.h: uc_emu_start with a count of 1 runs one instruction. What it translated stays with
 * it from one call to the next, as ours stays in a stub. */
#include "direct.h"

#include <segue/segue.h>
#include <string.h>
#include <unicorn/unicorn.h>

#include "bench/harness/bench.h"

#define PAGE 4096u
#define CODE_ADDRESS UINT64_C(0x400000)
#define CODE_STEP 64u
/* In the XSAVE area: the status word, and behind it the tags. */
#define X87_STATUS 2
#define X87_TAGS 4
/* General registers, instruction pointer, flags. */
#define REGISTERS 18

static const int numbers[REGISTERS] = {
    UC_X86_REG_RAX, UC_X86_REG_RBX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RSI, UC_X86_REG_RDI,
    UC_X86_REG_RBP, UC_X86_REG_RSP, UC_X86_REG_R8,  UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11,
    UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15, UC_X86_REG_RIP, UC_X86_REG_RFLAGS,
};

static struct {
    /* One that counts and one that does not: an engine that changes over forgets all that it has translated, which
     * takes it tens of milliseconds. */
    uc_engine *whole, *counting;
    struct segue_window window;
    struct segue_insn insns[CLASS_COUNT];
    struct segue_regs before, after;
    struct segue_xstate xstate;
} direct;

static _Alignas(64) uint8_t area[4096];
static struct segue_cache cache;

static void check(uc_err error, const char *what)
{
    if (error != UC_ERR_OK)
        bench_fail("unicorn: %s: %s", what, uc_strerror(error));
}

/* The function's own instruction, behind the one that marks its beginning. */
static const uint8_t *bytes_of(enum class_number number)
{
    static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
    const uint8_t *bytes = (const uint8_t *)(uintptr_t)class_functions[number];
    return memcmp(bytes, endbr64, sizeof endbr64) == 0 ? bytes + sizeof endbr64 : bytes;
}

static uint64_t address_of(enum class_number number)
{
    return CODE_ADDRESS + (unsigned)number * CODE_STEP;
}

/* A load finds its place on the x87 register stack free. Unicorn does not ask whether it is. */
static void empty_register_stack(void)
{
    memset(area + X87_STATUS, 0, X87_TAGS + 2 - X87_STATUS);
}

static void step_once(enum class_number number)
{
    static struct segue_plan plan;
    empty_register_stack();
    direct.after = direct.before;
    direct.after.rip = address_of(number);
    if (segue_plan(&direct.insns[number], &direct.after, &direct.xstate, NULL, &direct.window, 1, &plan) != SEGUE_OK ||
        segue_step(&plan, &direct.after, &direct.xstate, NULL) != SEGUE_OK)
        bench_fail("class %d is not stepped: %s", number, plan.refusal ? plan.refusal : "it failed");
}

static void run_once(enum class_number number, uc_engine *unicorn, uint64_t end, size_t count)
{
    void *values[REGISTERS];
    direct.after = direct.before;
    direct.after.rip = address_of(number);
    for (unsigned i = 0; i < REGISTERS; i++)
        values[i] = segue_register_at(&direct.after, i);
    check(uc_reg_write_batch(unicorn, (int *)(uintptr_t)numbers, values, REGISTERS), "registers");
    check(uc_emu_start(unicorn, direct.after.rip, end, 0, count), "run");
    check(uc_reg_read_batch(unicorn, (int *)(uintptr_t)numbers, values, REGISTERS), "registers");
}

void direct_step(enum class_number number, unsigned operations)
{
    for (unsigned i = 0; i < operations; i++)
        step_once(number);
}

void direct_unicorn(enum class_number number, unsigned operations)
{
    for (unsigned i = 0; i < operations; i++)
        run_once(number, direct.whole, address_of(number) + class_lengths[number], 0);
}

void direct_unicorn_counted(enum class_number number, unsigned operations)
{
    for (unsigned i = 0; i < operations; i++)
        run_once(number, direct.counting, 0, 1);
}

/* Vector and x87 registers were not handed over; the rest must be equal, and so must the memory. */
static void compare(enum class_number number, char *memory, void (*run)(enum class_number number, unsigned operations))
{
    char kept[64], stepped[64];
    memcpy(kept, memory, sizeof kept);
    step_once(number);
    struct segue_regs regs = direct.after;
    memcpy(stepped, memory, sizeof stepped);
    memcpy(memory, kept, sizeof kept);
    run(number, 1);
    /* Interrupts are allowed in a program, which Unicorn does not know. */
    direct.after.rflags |= regs.rflags & 0x200;
    if (memcmp(&regs, &direct.after, sizeof regs) != 0 || memcmp(memory, stepped, sizeof stepped) != 0)
        bench_fail("class %d: Unicorn comes to another result", number);
    memcpy(memory, kept, sizeof kept);
}

/* Unicorn 2.0 refuses what AVX brought. */
static bool is_known_to_unicorn(enum class_number number)
{
    return number < CLASS_AVX_LOAD || number > CLASS_AVX512_MASKED;
}

static void prepare_state(void *memory)
{
    uint64_t components = 0xe7;
    memset(&direct.before, 0, sizeof direct.before);
    direct.before.rdi = (uint64_t)(uintptr_t)memory;
    direct.before.rax = 3;
    direct.before.rflags = 0x202;
    memset(area, 0, sizeof area);
    /* x87 and SSE as the system hands them out. */
    area[0] = 0x7f;
    area[1] = 0x03;
    area[24] = 0x80;
    area[25] = 0x1f;
    memcpy(area + 512, &components, sizeof components);
    direct.xstate = (struct segue_xstate){.area = area, .size = sizeof area, .features = components};
}

static uc_engine *open_unicorn(const uint8_t code[PAGE], void *alias)
{
    uc_engine *unicorn;
    check(uc_open(UC_ARCH_X86, UC_MODE_64, &unicorn), "open");
    check(uc_mem_map(unicorn, CODE_ADDRESS, PAGE, UC_PROT_READ | UC_PROT_EXEC), "code");
    check(uc_mem_write(unicorn, CODE_ADDRESS, code, PAGE), "code");
    check(uc_mem_map_ptr(unicorn, direct.window.base, PAGE, UC_PROT_READ | UC_PROT_WRITE, alias), "memory");
    return unicorn;
}

void direct_prepare(void *memory, void *alias)
{
    uint8_t code[PAGE];
    memset(code, 0x90, sizeof code);
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        memcpy(code + i * CODE_STEP, bytes_of(i), class_lengths[i]);
        if (segue_decode_cached(&cache, SEGUE_MODE_64, address_of(i), bytes_of(i), class_lengths[i],
                                &direct.insns[i]) != SEGUE_OK)
            bench_fail("class %u cannot be decoded", i);
    }
    direct.window = (struct segue_window){
        .base = (uint64_t)(uintptr_t)memory, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = alias};
    prepare_state(memory);
    direct.whole = open_unicorn(code, alias);
    direct.counting = open_unicorn(code, alias);
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        if (!is_known_to_unicorn(i))
            continue;
        compare(i, alias, direct_unicorn);
        compare(i, alias, direct_unicorn_counted);
    }
}

void direct_release(void)
{
    uc_close(direct.whole);
    uc_close(direct.counting);
}
