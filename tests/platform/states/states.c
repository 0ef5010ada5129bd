/* states.c: random instructions from random states on the systems of system.h, run by the processor with the pages
 * open, and by way of the library's handler with them protected; every difference in registers, flags, vector and x87
 * state, memory and signals or exceptions is reported. Zero are expected.
 *
 *      states [COUNT [SEED]]
 *
 * A batch that differs is run again: once in some million states YMM registers differed, and in the second run of the
 * same batch did not. No instruction here stores state by itself, as those do whose result shows an interrupt
 * (docs/facts.md), so that is not explained, and what differs in a first run is printed as ONCE. No more than one batch
 * in 100,000 states may be run again.
 *
 * An instruction is random bytes that the decoder accepts; its registers are changed until all its accesses lie in the
 * area. What it does, the processor says. What the plan refuses is counted by its reason and left out, and so is what
 * changes the flow of control or a segment. Where the system's handlers run on the stack of the code that they
 * interrupt, RSP always has to lead to a stack, and what is below it afterwards is not compared. Where they also resume
 * by way of that stack, RSP has to lead to it afterwards, too.
 *
 * Exits with 0 if there was no difference, 1 if there was, 77 where it cannot run. */
#if !defined(__x86_64__) && !defined(__i386__)
#error "states.c is specific to x86"
#endif

#include <cpuid.h>
#include <segue/handler.h>
#include <segue/segue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode/orders.h"
#include "decode/x86/flags.h"
#include "oracle.h"
#include "system.h"
#include "tests/support/processor/large_plan.h"
#include "tests/support/random.h"

#define PAGES 16u
#define STACK_SIZE 0x40000u
/* Above and below RSP; the instruction pushes less. */
#define STACK_SEEN 512u
#define IMAGES 16u
#define IMAGE_SIZE 4096u
#define REASONS 48u
#define TRIES 6u

struct oracle_context {
    struct segue_regs before, after;
    uintptr_t host_stack, code;
    void *image_before, *image_after, *image_host, *unused;
    uint64_t features;
};
#define AT(field, offset) _Static_assert(offsetof(struct oracle_context, field) == (offset), "oracle.h")
AT(before, ORACLE_BEFORE);
AT(after, ORACLE_AFTER);
AT(host_stack, ORACLE_HOST_STACK);
AT(code, ORACLE_CODE);
AT(image_before, ORACLE_IMAGE_BEFORE);
AT(image_after, ORACLE_IMAGE_AFTER);
AT(image_host, ORACLE_IMAGE_HOST);
AT(features, ORACLE_FEATURES);

/* x87, SSE, AVX, opmask and the upper halves of ZMM. What is behind them is no data: rights to memory by protection
 * keys, which would close the oracle's own pages. */
#define DATA_COMPONENTS 0xe7u

extern struct oracle_context oracle_context;
struct oracle_context oracle_context;
void oracle_enter(void);

struct test {
    uint8_t bytes[16];
    uint8_t length;
    unsigned image;
    struct segue_regs regs;
    struct segue_insn insn;
    /* Where the address of the landing is put before it runs; 0: nowhere. */
    uint64_t planted;
    /* The lowest address that it pushes to; RSP if it does not. */
    uint64_t pushed;
};

struct outcome {
    struct segue_regs regs;
    struct fault_seen fault;
    uint8_t stack[2 * STACK_SEEN];
    uint8_t image[IMAGE_SIZE];
};

/* Which pages are in a region; equal letters side by side are one. */
static const char layout[PAGES + 1] = ".AA.B..CCC.D.EE.";

static _Alignas(64) uint8_t images[IMAGES][IMAGE_SIZE], image_host[IMAGE_SIZE], image_after[IMAGE_SIZE];
static struct test tests[CASES];
static struct outcome outcomes[2][CASES];
static uint8_t contents[3][PAGES * PAGE];
static struct segue_mapping mapping;
static struct segue_window windows[PAGES];
static size_t window_count;
/* NULL where RSP may have any value. */
static char *stack;
static uint32_t image_size;
static struct {
    const char *why;
    uint64_t count;
    uint8_t example[16];
    uint8_t length;
} refusals[REASONS];
static uint64_t engines[4], differences, faulted, asked, repeated;

static void add_regions(void)
{
    for (unsigned i = 0, end; i < PAGES; i = end) {
        for (end = i + 1; end < PAGES && layout[end] == layout[i]; end++)
            ;
        if (layout[i] == '.')
            continue;
        struct segue_region region = {
            .window = segue_window_alias(AREA + i * PAGE, (end - i) * PAGE, (char *)mapping.alias + i * PAGE)};
        if (segue_region_add(&region) != SEGUE_OK)
            abort();
        windows[window_count++] = region.window;
    }
}

static void protect(bool is_open)
{
    for (unsigned i = 0; i < PAGES; i++)
        if (layout[i] != '.')
            system_protect(AREA + i * PAGE, PAGE, is_open);
}

static void make_images(struct random *random)
{
    for (unsigned i = 0; i < IMAGES; i++) {
        const uint64_t in_use = i % 4 ? oracle_context.features : oracle_context.features & random_next(random);
        const uint32_t mxcsr = 0x1f80u | (i % 2 && (in_use & 2) ? random_below(random, 4) << 13 : 0);
        const uint16_t control = 0x037f;
        random_fill(random, images[i], IMAGE_SIZE);
        /* Small numbers, which are useful indices. */
        if (i % 3 == 0)
            for (unsigned word = 40; word < IMAGE_SIZE / 4; word++)
                *(uint32_t *)(void *)&images[i][4 * word] &= 0xfffu;
        memcpy(images[i], &control, sizeof control);
        memset(images[i] + 2, 0, 22);
        images[i][4] = (uint8_t)random_next(random);
        memcpy(images[i] + 24, &mxcsr, sizeof mxcsr);
        memset(images[i] + 512, 0, 64);
        memcpy(images[i] + 512, &in_use, sizeof in_use);
    }
}

static bool prepare(struct random *random)
{
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE))
        return false;
    __asm__("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    oracle_context.features = eax & system_components() & DATA_COMPONENTS;
    image_size = (uint32_t)segue_xstate_size(0);
    if (image_size > IMAGE_SIZE)
        return false;
    oracle_context.image_host = image_host;
    oracle_context.image_after = image_after;
    make_images(random);
    stack = system_has_handler_stack() ? NULL : system_map_stack(STACK_SIZE);
    if ((!stack && !system_has_handler_stack()) || !system_prepare() ||
        segue_mapping_create(AREA, PAGES * PAGE, &mapping) != SEGUE_OK)
        return false;
    add_regions();
    return true;
}

/* ---- cases ---- */

static void refuse(const struct test *test, const char *why)
{
    unsigned i = 0;
    while (i < REASONS - 1 && refusals[i].why && strcmp(refusals[i].why, why) != 0)
        i++;
    if (!refusals[i].why) {
        refusals[i].why = why;
        refusals[i].length = test->length;
        memcpy(refusals[i].example, test->bytes, test->length);
    }
    refusals[i].count++;
}

static void make_bytes(struct random *random, uint8_t bytes[16])
{
    static const uint8_t prefixes[] = {0x66, 0x66, 0xf2, 0xf3, 0xf3, 0xf0, 0x64, 0x65, 0x67, 0x3e, 0x36, 0x2e};
    unsigned at = 0;
    random_fill(random, bytes, 16);
    for (unsigned chance = 3; random_below(random, chance) == 0 && at < 3; chance = 4)
        bytes[at++] = prefixes[random_below(random, sizeof prefixes)];
    switch (random_below(random, 8)) {
    case 0:
    case 1:
        bytes[at] = 0x0f;
        break;
    case 2:
        bytes[at++] = 0x0f;
        bytes[at] = random_below(random, 2) ? 0x38 : 0x3a;
        break;
    case 3:
        bytes[at] = random_below(random, 2) ? 0xc5 : 0xc4;
        bytes[at + 1] |= 0xc0;
        if (bytes[at] == 0xc4)
            bytes[at + 1] = (uint8_t)(0xe0 | (1 + random_below(random, 3)));
        break;
    case 4:
        bytes[at] = 0x62;
        bytes[at + 1] = (uint8_t)(0xf0 | (1 + random_below(random, 3)));
        bytes[at + 2] |= 4;
        bytes[at + 3] |= 8;
        break;
    case 5:
        bytes[at] = (uint8_t)(0xd8 | random_below(random, 8));
        break;
    default:
        break;
    }
}

/* Whether it can be run in a slot, and comes back. */
static bool can_run(const struct segue_insn *insn)
{
    for (unsigned i = 0; i < insn->memory_count; i++)
        if (insn->memory[i].segment >= SEGUE_SEGMENT_FS && !system_knows_base(insn->memory[i].segment))
            return false;
    switch (orders_of(insn)->transfer.kind) {
    case INSN_TRANSFER_NONE:
    case INSN_TRANSFER_PUSH:
    case INSN_TRANSFER_PUSH_FLAGS:
    case INSN_TRANSFER_POP:
    case INSN_TRANSFER_LEAVE:
    case INSN_TRANSFER_ENTER:
    case INSN_TRANSFER_PUSH_SEGMENT:
    case INSN_TRANSFER_STORE_SEGMENT:
    case INSN_TRANSFER_RETURN:
        break;
    case INSN_TRANSFER_CALL:
    case INSN_TRANSFER_JUMP:
        return insn->memory[0].addressing != SEGUE_ADDRESSING_STACK || insn->memory_count > 1;
    default:
        return false;
    }
    return insn->memory_count > 0 && insn->class_ != SEGUE_CLASS_STATE && insn->unlisted == SEGUE_UNLISTED_NONE;
}

static bool is_in_area(uint64_t address, uint64_t size)
{
    const uint64_t base = (uintptr_t)AREA;
    return address >= base && size <= PAGES * PAGE && address - base <= PAGES * PAGE - size;
}

/* Near a page's edge in every other case. */
static uint64_t choose_target(struct random *random)
{
    uint32_t page = 1 + random_below(random, PAGES - 2);
    uint32_t offset = random_below(random, 2) ? random_below(random, PAGE) : PAGE - 8 + random_below(random, 16);
    return (uint64_t)(uintptr_t)AREA + page * PAGE + offset;
}

/* What is below the stack pointer is the system's, unless the instruction pushes it. */
static bool is_on_stack(const struct segue_access *access, const struct segue_memory_operand *memory,
                        uint64_t stack_pointer)
{
    bool is_pushed = access->direction == SEGUE_WRITE && memory->addressing == SEGUE_ADDRESSING_STACK;
    uint64_t low = is_pushed ? stack_pointer - STACK_SEEN : stack_pointer;
    return stack && access->address >= low && access->address + access->size <= stack_pointer + STACK_SEEN;
}

static void move(struct segue_regs *regs, unsigned number, uint64_t distance)
{
    *segue_register_at(regs, number) = (uintptr_t)(segue_register_get(regs, number) + distance);
}

/* Moves a register that the operand's address is made of, so that the address becomes the target. */
static void aim(struct segue_regs *regs, const struct segue_memory_operand *memory, uint64_t address, uint64_t target)
{
    unsigned base = memory->base;
    if (memory->addressing == SEGUE_ADDRESSING_STACK && base >= REGISTERS)
        base = SEGUE_RSP;
    if (base < REGISTERS && (base != SEGUE_RSP || !stack))
        move(regs, base, target - address);
    else if (memory->index < REGISTERS && memory->scale == 1)
        move(regs, memory->index, target - address);
}

static bool is_branch(const struct segue_insn *insn)
{
    unsigned kind = orders_of(insn)->transfer.kind;
    return kind == INSN_TRANSFER_CALL || kind == INSN_TRANSFER_JUMP || kind == INSN_TRANSFER_RETURN;
}

static uint64_t find_read(const struct segue_access *accesses, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (accesses[i].direction == SEGUE_READ)
            return accesses[i].address;
    return 0;
}

static uint64_t find_pushed(const struct segue_access *accesses, size_t count, uint64_t stack_pointer)
{
    uint64_t lowest = stack_pointer;
    for (size_t i = 0; i < count; i++)
        if (accesses[i].direction == SEGUE_WRITE && lowest - accesses[i].address <= STACK_SEEN)
            lowest = accesses[i].address;
    return lowest;
}

static bool make_state(struct random *random, struct test *test)
{
    struct segue_access accesses[SEGUE_ACCESSES_MOST];
    struct segue_xstate xstate = {images[test->image], image_size, oracle_context.features};
    size_t count;
    memset(&test->regs, 0, sizeof test->regs);
    for (unsigned i = 0; i < REGISTERS; i++)
        *segue_register_at(&test->regs, i) =
            random_below(random, 4) ? random_below(random, 256) : (uintptr_t)random_next(random);
    if (stack)
        test->regs.rsp = (uint64_t)(uintptr_t)stack + STACK_SIZE / 2 - random_below(random, 64) * 8;
    else if (system_is_handler_stack(test->regs.rsp))
        test->regs.rsp = random_below(random, 256);
    test->regs.rflags =
        FIXED_FLAGS | (random_next(random) & FLAGS_ARITHMETIC) | (random_below(random, 8) ? 0 : FLAG_DIRECTION);
    system_get_bases(&test->regs);
    __asm__("movw %%es, %0" : "=r"(test->regs.selectors[SEGUE_SEGMENT_ES]));
    __asm__("movw %%cs, %0" : "=r"(test->regs.selectors[SEGUE_SEGMENT_CS]));
    __asm__("movw %%ss, %0" : "=r"(test->regs.selectors[SEGUE_SEGMENT_SS]));
    __asm__("movw %%ds, %0" : "=r"(test->regs.selectors[SEGUE_SEGMENT_DS]));
    __asm__("movw %%fs, %0" : "=r"(test->regs.selectors[SEGUE_SEGMENT_FS]));
    __asm__("movw %%gs, %0" : "=r"(test->regs.selectors[SEGUE_SEGMENT_GS]));
    test->regs.rip = CODE + (uint64_t)(test - tests) * SLOT;
    for (unsigned i = 0; i < TRIES; i++) {
        bool good = true;
        if (segue_accesses(&test->insn, &test->regs, &xstate, accesses, SEGUE_ACCESSES_MOST, &count) != SEGUE_OK)
            return false;
        for (size_t k = 0; k < count && good; k++) {
            if (is_in_area(accesses[k].address, accesses[k].size) ||
                is_on_stack(&accesses[k], &test->insn.memory[accesses[k].operand], test->regs.rsp))
                continue;
            good = false;
            aim(&test->regs, &test->insn.memory[accesses[k].operand], accesses[k].address, choose_target(random));
        }
        if (good) {
            test->pushed = find_pushed(accesses, count, test->regs.rsp);
            test->planted = is_branch(&test->insn) ? find_read(accesses, count) : 0;
            return count > 0;
        }
    }
    return false;
}

static bool make_test(struct random *random, struct test *test)
{
    static union large_plan made;
    const struct segue_plan *plan = &made.plan;
    uint8_t bytes[16];
    make_bytes(random, bytes);
    if (segue_decode(MODE, bytes, 15, &test->insn) != SEGUE_OK || !can_run(&test->insn))
        return false;
    test->length = test->insn.length;
    memcpy(test->bytes, bytes, test->length);
    test->image = random_below(random, IMAGES);
    if (!make_state(random, test))
        return false;
    struct segue_xstate xstate = {images[test->image], image_size, oracle_context.features};
    asked++;
    if (large_plan_make(&test->insn, &test->regs, &xstate, NULL, windows, window_count, &made) != SEGUE_OK) {
        refuse(test, plan->refusal ? plan->refusal : "(no reason)");
        return false;
    }
    engines[plan->engine % 4]++;
    return true;
}

/* ---- runs ---- */

static void write_slot(unsigned slot, const struct test *test)
{
    static const uint8_t jump[] = {0xff, 0x25};
    const void *landing = oracle_landing;
    uint8_t *at = (uint8_t *)(uintptr_t)CODE + slot * SLOT, *end = at + test->length + sizeof jump;
    const uint8_t *place = end + sizeof(uint32_t);
    /* The place's address; in 64-bit code, its distance from the instruction's end. */
    uint32_t displacement = MODE == SEGUE_MODE_64 ? 0 : (uint32_t)(uintptr_t)place;
    memset(at, 0xcc, SLOT);
    memcpy(at, test->bytes, test->length);
    memcpy(at + test->length, jump, sizeof jump);
    memcpy(end, &displacement, sizeof displacement);
    memcpy(end + sizeof displacement, &landing, sizeof landing);
}

/* Where the landing's address is to be, whichever view leads there. */
static char *place_of(uint64_t address)
{
    bool is_inside = is_in_area(address, sizeof(void *));
    return is_inside ? (char *)mapping.alias + (address - (uintptr_t)AREA) : (char *)(uintptr_t)address;
}

/* How much of the stack that is seen lies below what the instruction pushes, and below its stack pointer afterwards
 * where the system writes there. */
static size_t not_compared(const struct test *test, const struct segue_regs *after, uint64_t around)
{
    uint64_t below = test->pushed;
    if (system_resumes_by_stack() && after->rsp > below)
        below = after->rsp;
    return (size_t)(below - around < 2 * STACK_SEEN ? below - around : 2 * STACK_SEEN);
}

static void run(const struct test *test, unsigned slot, struct outcome *outcome)
{
    const void *landing = oracle_landing;
    char *around = stack ? (char *)(uintptr_t)test->regs.rsp - STACK_SEEN : NULL;
    seen.number = 0;
    for (unsigned i = 0; stack && i < 2 * STACK_SEEN; i++)
        around[i] = (char)(i * 5 + slot);
    if (test->planted)
        memcpy(place_of(test->planted), &landing, sizeof landing);
    oracle_context.before = test->regs;
    oracle_context.code = (uintptr_t)CODE + slot * SLOT;
    oracle_context.image_before = images[test->image];
    memset(image_after, 0, sizeof image_after);
    oracle_enter();
    outcome->regs = oracle_context.after;
    outcome->fault = (struct fault_seen){0};
    if (seen.number)
        outcome->fault = seen;
    memcpy(outcome->image, image_after, IMAGE_SIZE);
    if (!stack)
        return;
    memcpy(outcome->stack, around, sizeof outcome->stack);
    memset(outcome->stack, 0, not_compared(test, &outcome->regs, (uintptr_t)around));
}

/* By a run. */
static bool keeps_stack(unsigned slot)
{
    run(&tests[slot], slot, &outcomes[0][slot]);
    return outcomes[0][slot].regs.rsp - (uintptr_t)stack < STACK_SIZE;
}

static void run_all(unsigned way)
{
    for (unsigned i = 0; i < CASES; i++)
        run(&tests[i], i, &outcomes[way][i]);
}

static bool are_alike(const struct fault_seen *native, const struct fault_seen *stepped)
{
    if (!system_reports_faults_of_steps())
        return !native->number == !stepped->number;
    return native->number == stepped->number && native->kind == stepped->kind && native->address == stepped->address &&
           native->instruction == stepped->instruction;
}

static const char *compare(const struct outcome *native, const struct outcome *stepped)
{
    for (unsigned i = 0; i < REGISTERS; i++)
        if (segue_register_get(&native->regs, i) != segue_register_get(&stepped->regs, i))
            return "a register";
    if ((uint32_t)native->regs.rflags != (uint32_t)stepped->regs.rflags)
        return "the flags";
    if (!are_alike(&native->fault, &stepped->fault))
        return "the exception";
    if (memcmp(native->stack, stepped->stack, sizeof native->stack) != 0)
        return "the stack";
    /* x87 control, status and tags; MXCSR and its mask, registers; what comes behind the legacy region. */
    if (memcmp(native->image, stepped->image, 5) != 0)
        return "x87's control, status or tags";
    if (memcmp(native->image + 24, stepped->image + 24, 160 + REGISTERS * 16 - 24) != 0)
        return "x87's registers, MXCSR or XMM";
    if (memcmp(native->image + 576, stepped->image + 576, image_size - 576) != 0)
        return "the extended state";
    return NULL;
}

static void report(uint64_t batch, unsigned number, const char *what, bool is_last)
{
    const struct test *test = &tests[number];
    const struct outcome *native = &outcomes[0][number], *stepped = &outcomes[1][number];
    if (is_last && ++differences > 20)
        return;
    printf("%s in %s: batch %llu case %u:", is_last ? "DIFFERENCE" : "ONCE", what, (unsigned long long)batch, number);
    for (unsigned i = 0; i < test->length; i++)
        printf(" %02x", test->bytes[i]);
    printf("\n            before     native    stepped\n");
    for (unsigned i = 0; i < REGISTERS; i++)
        printf("  %-2u     %016llx   %016llx   %016llx\n", i, (unsigned long long)segue_register_get(&test->regs, i),
               (unsigned long long)segue_register_get(&native->regs, i),
               (unsigned long long)segue_register_get(&stepped->regs, i));
    printf("  flags  %08x   %08x   %08x\n", (uint32_t)test->regs.rflags, (uint32_t)native->regs.rflags,
           (uint32_t)stepped->regs.rflags);
    struct segue_access accesses[SEGUE_ACCESSES_MOST];
    size_t count = 0;
    segue_accesses(&test->insn, &test->regs, NULL, accesses, SEGUE_ACCESSES_MOST, &count);
    for (size_t i = 0; i < count; i++)
        printf("  access %u of %u bytes at %llx\n", accesses[i].direction, (unsigned)accesses[i].size,
               (unsigned long long)accesses[i].address);
    printf("  exception %x kind %llu at %llx, %x kind %llu at %llx\n", native->fault.number,
           (unsigned long long)native->fault.kind, (unsigned long long)native->fault.address, stepped->fault.number,
           (unsigned long long)stepped->fault.kind, (unsigned long long)stepped->fault.address);
    for (unsigned i = 0; i < 2 * STACK_SEEN; i++)
        if (native->stack[i] != stepped->stack[i])
            printf("  stack byte %d: %02x, %02x\n", (int)i - (int)STACK_SEEN, native->stack[i], stepped->stack[i]);
    for (unsigned i = 0; i < image_size; i++)
        if (native->image[i] != stepped->image[i])
            printf("  image byte %u: %02x, %02x\n", i, native->image[i], stepped->image[i]);
}

/* Which bytes, and the cases that write them. */
static void report_memory(void)
{
    unsigned at = 0, end = PAGES * PAGE;
    while (contents[1][at] == contents[2][at])
        at++;
    while (contents[1][end - 1] == contents[2][end - 1])
        end--;
    printf("  %p to %p: %02x, %02x\n", (void *)(AREA + at), (void *)(AREA + end), contents[1][at], contents[2][at]);
    for (unsigned i = 0; i < CASES; i++) {
        const struct test *test = &tests[i];
        struct segue_xstate xstate = {images[test->image], image_size, oracle_context.features};
        struct segue_access accesses[SEGUE_ACCESSES_MOST];
        size_t count = 0;
        segue_accesses(&test->insn, &test->regs, &xstate, accesses, SEGUE_ACCESSES_MOST, &count);
        for (size_t k = 0; k < count; k++) {
            if (!(accesses[k].direction & SEGUE_WRITE) || accesses[k].address >= (uintptr_t)AREA + end ||
                accesses[k].address + accesses[k].size <= (uintptr_t)AREA + at)
                continue;
            printf("  case %u at %llx of %u bytes:", i, (unsigned long long)accesses[k].address,
                   (unsigned)accesses[k].size);
            for (unsigned b = 0; b < test->length; b++)
                printf(" %02x", test->bytes[b]);
            putchar('\n');
        }
    }
}

/* Runs the cases both ways from the same memory. `is_last`: what differs counts. */
static bool ways_agree(uint64_t number, bool is_last)
{
    uint64_t before = differences;
    bool agree = true;
    memcpy(AREA, contents[0], PAGES * PAGE);
    run_all(0);
    memcpy(contents[1], AREA, PAGES * PAGE);
    memcpy(AREA, contents[0], PAGES * PAGE);
    protect(false);
    run_all(1);
    protect(true);
    memcpy(contents[2], AREA, PAGES * PAGE);
    for (unsigned i = 0; i < CASES; i++) {
        const char *what = compare(&outcomes[0][i], &outcomes[1][i]);
        faulted += outcomes[0][i].fault.number != 0;
        agree = agree && !what;
        if (what)
            report(number, i, what, is_last);
    }
    if (memcmp(contents[1], contents[2], PAGES * PAGE) != 0) {
        agree = false;
        if (is_last && differences == before) {
            printf("DIFFERENCE in memory: batch %llu\n", (unsigned long long)number);
            report_memory();
            differences++;
        }
    }
    return agree;
}

static void batch(uint64_t seed, uint64_t number)
{
    struct random random = random_for(seed, number);
    protect(true);
    random_fill(&random, AREA, PAGES * PAGE);
    for (unsigned i = 0; i < CASES; i++) {
        do {
            while (!make_test(&random, &tests[i]))
                ;
            write_slot(i, &tests[i]);
        } while (system_resumes_by_stack() && !keeps_stack(i));
    }
    memcpy(contents[0], AREA, PAGES * PAGE);
    if (!ways_agree(number, false)) {
        repeated++;
        ways_agree(number, true);
    }
}

int main(int argc, char **argv)
{
    const uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 0) : 100000;
    const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    const uint64_t batches = (count + CASES - 1) / CASES;
    struct random random = random_for(seed, UINT64_MAX);
    struct segue_counters counters;
    setbuf(stdout, NULL);
    if (!prepare(&random)) {
        puts("SKIP: no XSAVE, or no room where the area and the code must be");
        return 77;
    }
    for (uint64_t i = 0; i < batches && differences < 20; i++)
        batch(seed, i);
    printf("states         %10llu  (seed %llu)\n", (unsigned long long)(batches * CASES), (unsigned long long)seed);
    printf("  table        %10llu\n  replay       %10llu\n  stack        %10llu\n",
           (unsigned long long)engines[SEGUE_ENGINE_MOVE], (unsigned long long)engines[SEGUE_ENGINE_REPLAY],
           (unsigned long long)engines[SEGUE_ENGINE_STACK]);
    printf("fault natively %10llu\n", (unsigned long long)faulted);
    if (segue_counters_read(&counters) == SEGUE_OK)
        printf("stepped        %10llu\n", (unsigned long long)counters.stepped);
    printf("batches twice  %10llu  since their first run differed\n", (unsigned long long)repeated);
    printf("plans asked    %10llu, which refused:\n", (unsigned long long)asked);
    for (unsigned i = 0; i < REASONS && refusals[i].why; i++) {
        printf("  %10llu  %s ", (unsigned long long)refusals[i].count, refusals[i].why);
        for (unsigned k = 0; k < refusals[i].length; k++)
            printf(" %02x", refusals[i].example[k]);
        putchar('\n');
    }
    printf("differences    %10llu\n", (unsigned long long)differences);
    return differences != 0 || repeated > 1 + count / 100000;
}
