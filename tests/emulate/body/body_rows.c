/* body_rows.c: every row of corpus files in a body, between two checked accesses that leave its registers and flags
 * somewhere else; stepped, and compared with the row itself (differential.h).
 *
 *      body_rows EVERY FILE...      every EVERY-th row */
#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"

#include "corpus/rows/rows.h"
#include "decode/mnemonics/classes.h"
#include "decode/mnemonics/mnemonics.h"
#include "decode/relocate/displaced.h"
#include "decode/scratch.h"
#include "decode/x86/flags.h"
#include "differential.h"

static struct corpus_rows rows;
static unsigned every;
static char row_text[2 * CORPUS_ROW_BYTES + 1];

/* MOVB of a constant to a place relative to RIP: it uses no register and no flag, so both stay where the check leaves
 * them. */
#define ACCESS_BYTES 7

static uint64_t random_word(void)
{
    static uint64_t state = 88172645463325252;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static size_t write_access(uint8_t *code, size_t at, uint8_t value, uint64_t place)
{
    uint8_t bytes[ACCESS_BYTES] = {0xc6, 0x05, 0, 0, 0, 0, value};
    int32_t distance = (int32_t)(place - (uint64_t)(uintptr_t)world.original - at - ACCESS_BYTES);
    memcpy(bytes + 2, &distance, sizeof distance);
    memcpy(code + at, bytes, sizeof bytes);
    return at + sizeof bytes;
}

/* Whether the row does the same each time, and nothing to this process. */
static bool is_suitable(const struct displaceable *form, uint16_t mnemonic)
{
    const char *name = segue_mnemonic_name(mnemonic);
    static const char *const unsuitable[] = {"rd",      "xgetbv",  "wr",     "cpuid",    "incssp",  "mov_seg",
                                             "ptwrite", "umwait",  "tpause", "umonitor", "monitor", "mwait",
                                             "xrstor",  "fxrstor", "xsave",  "popf"};
    if (form->flow != DISPLACED_FLOW_NEXT || segue_mnemonic_class(mnemonic) == SEGUE_CLASS_SEGMENT ||
        segue_mnemonic_class(mnemonic) == SEGUE_CLASS_SYSTEM)
        return false;
    for (size_t i = 0; i < sizeof unsuitable / sizeof *unsuitable; i++)
        if (strncmp(name, unsuitable[i], strlen(unsuitable[i])) == 0)
            return false;
    return form->operand == DISPLACED_OPERAND_NONE || form->memory.segment < SEGUE_SEGMENT_FS;
}

/* Lets the operand's address be `target`, or near it. False if no register decides it. */
static bool aim(const struct displaceable *form, uint8_t *bytes, uint64_t at, uint64_t target, struct segue_regs *regs)
{
    const struct segue_memory_operand *memory = &form->memory;
    uint64_t base = target - (uint64_t)memory->displacement;
    if (form->operand == DISPLACED_OPERAND_NONE)
        return true;
    /* The bit's number also is a part of the address. */
    if (memory->addressing == SEGUE_ADDRESSING_BIT_OFFSET)
        *segue_register_at(regs, memory->mask) = random_word() % 64;
    if (form->operand == DISPLACED_OPERAND_RELATIVE) {
        int32_t distance = (int32_t)(target - at - form->length);
        memcpy(bytes + form->displacement, &distance, sizeof distance);
        return true;
    }
    if (form->address_size != 8 || memory->base == SEGUE_RSP || memory->addressing == SEGUE_ADDRESSING_VECTOR)
        return false;
    if (memory->index != SEGUE_REGISTER_NONE && memory->index == memory->base) {
        *segue_register_at(regs, memory->base) = base / (1u + memory->scale);
    } else if (memory->base == SEGUE_REGISTER_NONE) {
        if (memory->index == SEGUE_REGISTER_NONE)
            return false;
        *segue_register_at(regs, memory->index) = base / memory->scale;
    } else {
        uint64_t index = 0;
        if (memory->index != SEGUE_REGISTER_NONE) {
            *segue_register_at(regs, memory->index) = random_word() % 16;
            index = segue_register_get(regs, memory->index) * memory->scale;
        }
        *segue_register_at(regs, memory->base) = base - index;
    }
    return true;
}

static bool is_within(const struct segue_access *access, const uint8_t *area, size_t size)
{
    uint64_t offset = access->address - (uint64_t)(uintptr_t)area;
    return offset < size && access->size <= size - offset;
}

/* Whether all memory that the row at regs->rip accesses, as far as it can be listed, is filled anew before each run and
 * compared. Other memory differs from run to run, and may be this program's own: a bit's number that also is the base
 * leads as far as 256 MiB away. */
static bool stays_in_world(const uint8_t *bytes, size_t length, const struct segue_regs *regs)
{
    struct segue_insn insn;
    struct segue_access accesses[SEGUE_ACCESSES_MOST];
    size_t count;
    if (segue_decode(SEGUE_MODE_64, bytes, length, &insn) != SEGUE_OK ||
        segue_accesses(&insn, regs, NULL, accesses, SEGUE_ACCESSES_MOST, &count) != SEGUE_OK)
        return true;
    for (size_t i = 0; i < count; i++)
        if (!is_within(&accesses[i], world.memory, AREA_SIZE) && !is_within(&accesses[i], world.outside, AREA_SIZE) &&
            !is_within(&accesses[i], world.stack, STACK_SIZE))
            return false;
    return true;
}

static struct counts {
    uint64_t rows, left_out, cases, refused, boundaries, stops, faults, in_thunks;
} counts;

static void try_row(const struct corpus_row *row, const struct variation *variation, bool is_inside)
{
    struct decode_scratch scratch;
    struct displaceable form;
    struct segue_regs regs = {0};
    uint8_t code[64];
    char why[256];
    uint64_t at = (uint64_t)(uintptr_t)world.original + ACCESS_BYTES;
    if (!displaceable_make(&scratch, at, row->bytes, row->length, &form) ||
        !is_suitable(&form, mnemonic_of_zydis(scratch.instruction.mnemonic)))
        return;
    for (unsigned i = 0; i < SEGUE_RIP; i++)
        *segue_register_at(&regs, i) = random_word();
    regs.rsp = (uint64_t)(uintptr_t)world.stack + STACK_SIZE - STACK_ABOVE;
    regs.rbp = (uint64_t)(uintptr_t)world.stack + STACK_SIZE - STACK_ABOVE / 2;
    regs.rsi = (uint64_t)(uintptr_t)world.memory + 1024;
    regs.rdi = (uint64_t)(uintptr_t)world.outside + 1024;
    regs.rcx = random_word() % 8;
    regs.rflags = FIXED_FLAGS | (random_word() & FLAGS_ARITHMETIC);
    uint64_t inside = (uint64_t)(uintptr_t)world.memory + 2048;
    size_t size = write_access(code, 0, 1, inside + 1024);
    memcpy(code + size, row->bytes, form.length);
    if (!aim(&form, code + size, at, is_inside ? inside : (uint64_t)(uintptr_t)world.outside + 2048, &regs))
        return;
    regs.rip = at;
    if (!stays_in_world(code + size, form.length, &regs)) {
        counts.left_out++;
        return;
    }
    size += form.length;
    size = write_access(code, size, 2, inside + 1025);
    struct outcome outcome;
    counts.cases++;
    if (!world_compare(code, size, size, &regs, variation, &outcome, why))
        fail_msg("%s (%s), %s, mode %d: %s", row_text,
                 segue_mnemonic_name(mnemonic_of_zydis(scratch.instruction.mnemonic)), is_inside ? "inside" : "outside",
                 (int)variation->mode, why);
    counts.refused += outcome.body.refusal != NULL;
    counts.boundaries += outcome.boundaries;
    counts.stops += outcome.stops;
    counts.faults += outcome.faults;
    counts.in_thunks += outcome.stops_in_thunks;
}

static void bodies_of_all_rows_are_exact(void **state)
{
    static const struct variation variations[] = {
        {.mode = BODY_LED, .checks_all = true},
        {.mode = BODY_COUNT, .checks_all = true},
        {.mode = BODY_COUNT, .counters = WORLD_COUNTERS_THERE, .checks_all = true},
        {.mode = BODY_LED, .checks_all = true, .lookup = true, .is_elsewhere = true},
        {.mode = BODY_POLICY, .ask = BODY_THUNK_ASK_REGS, .answers = ~UINT64_C(0), .checks_all = true},
    };
    (void)state;
    world_prepare();
    for (size_t i = 0; i < rows.count; i += every) {
        counts.rows++;
        corpus_row_text(&rows.rows[i], row_text);
        try_row(&rows.rows[i], &variations[0], true);
        try_row(&rows.rows[i], &variations[0], false);
        try_row(&rows.rows[i], &variations[1 + counts.rows % 4], counts.rows & 4);
    }
    print_message("%lu rows, %lu cases, %lu left out, %lu refused; %lu boundaries; %lu places, %lu of them in thunks; "
                  "%lu faults\n",
                  (unsigned long)counts.rows, (unsigned long)counts.cases, (unsigned long)counts.left_out,
                  (unsigned long)counts.refused, (unsigned long)counts.boundaries, (unsigned long)counts.stops,
                  (unsigned long)counts.in_thunks, (unsigned long)counts.faults);
    assert_true(counts.cases > counts.rows && counts.stops > 10 * counts.cases);
}

/* What a body writes below RSP is not compared only as long as it is nowhere else than on the stack. */
static void moved_stack_pointers_reach_the_stack_alone(void **state)
{
    (void)state;
    world_prepare();
    uint64_t rsp = (uint64_t)(uintptr_t)world.stack + STACK_SIZE - STACK_ABOVE;
    uint64_t lowest = rsp - 0xffff - BODY_FRAME, highest = rsp | 0xffff;
    const uint8_t *const areas[] = {world.memory, world.alias, world.outside, world.near, world.bodies, world.original};
    for (size_t i = 0; i < sizeof areas / sizeof *areas; i++) {
        uint64_t area = (uint64_t)(uintptr_t)areas[i];
        assert_true(area > highest || area + AREA_SIZE <= lowest);
    }
}

/* BTC of a bit that RCX selects, at RAX. */
static void accesses_elsewhere_are_left_out(void **state)
{
    static const uint8_t code[] = {0x0f, 0xbb, 0x08};
    (void)state;
    world_prepare();
    struct segue_regs regs = {.rax = (uint64_t)(uintptr_t)world.outside, .rcx = UINT64_C(8) * AREA_SIZE - 1};
    assert_true(stays_in_world(code, sizeof code, &regs));
    regs.rcx++;
    assert_false(stays_in_world(code, sizeof code, &regs));
    regs.rcx = UINT32_MAX;
    assert_false(stays_in_world(code, sizeof code, &regs));
}

int main(int argc, char **argv)
{
    struct corpus_error error = {0};
    const struct CMUnitTest tests[] = {cmocka_unit_test(moved_stack_pointers_reach_the_stack_alone),
                                       cmocka_unit_test(accesses_elsewhere_are_left_out),
                                       cmocka_unit_test(bodies_of_all_rows_are_exact)};
    if (argc < 3)
        return 2;
    every = (unsigned)strtoul(argv[1], NULL, 10);
    for (int i = 2; i < argc; i++)
        if (!corpus_rows_read(&rows, argv[i], &error))
            return 2;
    return every ? cmocka_run_group_tests(tests, NULL, NULL) : 2;
}
