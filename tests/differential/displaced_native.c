/* displaced_native.c: displaced instructions and their effects, held against the processor: rows of corpus files run
 * natively from random states, as they are and displaced.
 *
 * What it shows, for each row that runs here and does not stay (decode/relocate/displaced.h):
 * - a copy elsewhere does the same, faults included;
 * - a copy whose operand is moved does the same to the place it is moved to, and to nothing else;
 * - a copy for a lowered stack pointer does the same with a lowered stack pointer;
 * - the operand's address comes out as the access list has it, and no flag changes;
 * - registers and flags that are said not to be read have no influence, and those that are said not to be written keep
 *   their values.
 *
 *      displaced_native STATES EVERY FILE...
 *
 * One row in EVERY is run, in STATES states. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corpus/rows/rows.h"
#include "decode/relocate/displaced.h"
#include "decode/scratch.h"
#include "tests/differential/states/batch.h"
#include "tests/differential/states/outcome.h"
#include "tests/support/test.h"

#define IMAGES 16
#define SEED 1u
/* One interrupt may change what XSAVE stores (docs/facts.md). */
#define TRIES 3
#define LOWERED 152
#define REPORTS_MAX 100
#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct corpus_rows rows;
static uint64_t states, every;
static uint8_t *images;
static uint8_t *memory_before, *memory_original, *memory_expected;
static struct generator generator;

static struct {
    uint64_t rows, cases, faults, copies, moved, lowered, addresses, effects, registers_unread, flags_unread,
        differences;
} counts;

/* One case, and the row it is made of. */
struct subject {
    struct test_case test;
    struct segue_insn insn;
    struct displaceable form;
    uint64_t address;
    /* What the instruction does as it is. */
    struct outcome original;
};

static _Alignas(64) uint8_t image_original[ORACLE_IMAGE_MAX], image_other[ORACLE_IMAGE_MAX];

/* ---- running ------------------------------------------------------------------------------------------------------
 */

static uint64_t write_slot(size_t slot, const uint8_t *bytes, size_t length)
{
    oracle_slots_open();
    oracle_slot_write(slot, bytes, length);
    oracle_slots_close();
    return oracle_slot_address(slot, length);
}

/* Memory as it is before each run. */
static void reset_memory(const struct test_case *test)
{
    areas_load(generator.areas, memory_before);
    if (test->has_planted)
        areas_poke(generator.areas, test->planted_address, test->planted, test->planted_size);
}

static void run(const struct subject *subject, const struct oracle_registers *registers, uint64_t code,
                struct outcome *outcome)
{
    struct oracle_input input = {
        .registers = registers,
        .gs_base = subject->test.gs_base,
        .image = images + subject->test.image * oracle_image_size(),
        .code = code,
    };
    oracle_run(&input, &outcome->output);
}

static bool same_signals(const struct oracle_signal *left, const struct oracle_signal *right)
{
    return left->number == right->number && left->code == right->code && left->trap == right->trap &&
           left->error == right->error && left->page_fault_address == right->page_fault_address;
}

/* All but registers and memory. */
static const char *difference_beside(const struct outcome *left, const struct outcome *right)
{
    if (!same_signals(&left->output.signal, &right->output.signal))
        return "another signal";
    if (left->output.gs_base != right->output.gs_base)
        return "another base of GS";
    return outcome_same_images(left, right) ? NULL : "other vector or x87 state";
}

static const char *difference_in_registers(const struct outcome *left, const struct outcome *right)
{
    if (memcmp(left->output.registers.general, right->output.registers.general,
               sizeof left->output.registers.general) != 0)
        return "other registers";
    return left->output.registers.rflags == right->output.registers.rflags ? NULL : "other flags";
}

static const char *difference(const struct outcome *left, const struct outcome *right, const void *memory)
{
    const char *what = difference_beside(left, right);
    if (!what)
        what = difference_in_registers(left, right);
    if (!what && areas_difference(generator.areas, memory))
        what = "other memory";
    return what;
}

/* ---- copies -------------------------------------------------------------------------------------------------------
 */

static void run_original(struct subject *subject)
{
    subject->original.output.image = image_original;
    reset_memory(&subject->test);
    run(subject, &subject->test.registers, subject->address, &subject->original);
    areas_save(generator.areas, memory_original);
}

/* At another slot, in another page. */
static const char *check_copy(struct subject *subject)
{
    struct outcome outcome = {.output.image = image_other};
    uint8_t bytes[DISPLACED_BYTES], length;
    uint64_t place = oracle_slot_address(300, subject->form.length);
    if (!displaced_copy(&subject->form, place, 0, bytes, &length))
        return subject->form.operand == DISPLACED_OPERAND_RELATIVE ? NULL : "no copy";
    if (length != subject->form.length)
        return "another length";
    write_slot(300, bytes, length);
    reset_memory(&subject->test);
    run(subject, &subject->test.registers, place, &outcome);
    counts.copies++;
    return difference(&subject->original, &outcome, memory_original);
}

/* The access list's place of the operand that is displaced; NULL if it is not the only one that could be. */
static const struct segue_access *find_access(const struct subject *subject)
{
    const struct segue_access *found = NULL;
    for (size_t i = 0; i < subject->test.access_count; i++) {
        const struct segue_access *access = &subject->test.accesses[i];
        if (subject->insn.memory[access->operand].addressing == SEGUE_ADDRESSING_STACK)
            continue;
        if (found && found->address != access->address)
            return NULL;
        found = access;
    }
    return found;
}

static bool overlap(uint64_t left, uint64_t left_size, uint64_t right, uint64_t right_size)
{
    return left < right + right_size && right < left + left_size;
}

/* On the stack, for one. */
static bool overlaps_another(const struct subject *subject, const struct segue_access *access)
{
    for (size_t i = 0; i < subject->test.access_count; i++)
        if (subject->test.accesses[i].operand != access->operand &&
            overlap(access->address, access->size, subject->test.accesses[i].address, subject->test.accesses[i].size))
            return true;
    return false;
}

static bool is_free(const struct subject *subject, uint64_t first, uint64_t size)
{
    for (size_t i = 0; i < subject->test.access_count; i++)
        if (overlap(first, size, subject->test.accesses[i].address, subject->test.accesses[i].size))
            return false;
    return areas_are_accessible(generator.areas, first, size);
}

/* A distance to a free place in the areas: near, or in another area. */
static int64_t choose_distance(const struct subject *subject, struct random *random, const struct segue_access *access)
{
    for (unsigned i = 0; i < 16; i++) {
        static const int64_t near[] = {64, -64, 4096, -4096, 192, -320};
        const struct area *area = &generator.areas->area[random_below(random, (uint32_t)generator.areas->count)];
        int64_t by = near[random_below(random, COUNT(near))];
        if (random_below(random, 2))
            by = (int64_t)(area->base + random_below(random, 16) * 64 + access->address % 64 - access->address);
        if (by && is_free(subject, access->address + (uint64_t)by, access->size))
            return by;
    }
    return 0;
}

static void copy_memory(uint64_t from, uint64_t to, uint64_t size)
{
    uint8_t bytes[256];
    areas_peek(generator.areas, from, bytes, size);
    areas_poke(generator.areas, to, bytes, size);
}

/* What is to come of a moved operand: the original's memory, with the operand's result in its place, and the operand's
 * old bytes where they were. */
static void expect_moved(const struct subject *subject, const struct segue_access *access, uint64_t target)
{
    uint8_t before[256];
    reset_memory(&subject->test);
    areas_peek(generator.areas, access->address, before, access->size);
    areas_load(generator.areas, memory_original);
    copy_memory(access->address, target, access->size);
    areas_poke(generator.areas, access->address, before, access->size);
    areas_save(generator.areas, memory_expected);
}

/* With the operand moved, over memory that has the operand's bytes there. */
static const char *check_moved(struct subject *subject, struct random *random)
{
    struct outcome outcome = {.output.image = image_other};
    const struct segue_access *access = find_access(subject);
    uint8_t bytes[DISPLACED_BYTES], length;
    if (!subject->form.is_plain || !access || access->size > 256 ||
        !areas_are_accessible(generator.areas, access->address, access->size) || overlaps_another(subject, access))
        return NULL;
    if (access->size != subject->form.memory.size)
        return "another size than the access list's";
    int64_t by = choose_distance(subject, random, access);
    if (by == 0 || !displaced_copy(&subject->form, oracle_slot_address(300, 0), by, bytes, &length))
        return NULL;
    /* A RIP-relative displacement depends on where the slot's instruction begins. */
    uint64_t place = oracle_slot_address(300, length);
    if (!displaced_copy(&subject->form, place, by, bytes, &length) || oracle_slot_address(300, length) != place)
        return NULL;
    uint64_t target = access->address + (uint64_t)by;
    write_slot(300, bytes, length);
    expect_moved(subject, access, target);
    reset_memory(&subject->test);
    copy_memory(access->address, target, access->size);
    run(subject, &subject->test.registers, place, &outcome);
    counts.moved++;
    return difference(&subject->original, &outcome, memory_expected);
}

/* With a lowered stack pointer. */
static const char *check_lowered(struct subject *subject)
{
    struct outcome outcome = {.output.image = image_other};
    struct oracle_registers registers = subject->test.registers;
    uint8_t bytes[DISPLACED_BYTES], length;
    if (subject->form.effects.uses_stack || subject->form.operand == DISPLACED_OPERAND_NONE ||
        subject->form.memory.base != SEGUE_RSP || !displaced_copy(&subject->form, 0, LOWERED, bytes, &length))
        return NULL;
    registers.general[SEGUE_RSP] -= LOWERED;
    reset_memory(&subject->test);
    run(subject, &registers, write_slot(300, bytes, length), &outcome);
    if (outcome.output.registers.general[SEGUE_RSP] != registers.general[SEGUE_RSP])
        return "the stack pointer has changed";
    outcome.output.registers.general[SEGUE_RSP] += LOWERED;
    counts.lowered++;
    return difference(&subject->original, &outcome, memory_original);
}

static const char *check_address(struct subject *subject)
{
    struct outcome outcome = {.output.image = image_other};
    const struct segue_access *access = find_access(subject);
    const uint8_t reg = (uint8_t)(counts.addresses % 16);
    uint8_t bytes[DISPLACED_BYTES], length;
    if (!subject->form.is_plain || !access || !displaced_lea(&subject->form, 0, 8, reg, bytes, &length))
        return NULL;
    uint64_t place = oracle_slot_address(300, length);
    if (!displaced_lea(&subject->form, place, 8, reg, bytes, &length))
        return NULL;
    write_slot(300, bytes, length);
    reset_memory(&subject->test);
    run(subject, &subject->test.registers, place, &outcome);
    counts.addresses++;
    if (outcome.output.signal.number)
        return "its address faults";
    if (outcome.output.registers.general[reg] != access->address + 8)
        return "another address";
    outcome.output.registers.general[reg] = subject->test.registers.general[reg];
    return memcmp(&outcome.output.registers, &subject->test.registers, sizeof subject->test.registers) == 0
               ? NULL
               : "its address changes registers or flags";
}

/* ---- effects ------------------------------------------------------------------------------------------------------
 */

static const char *check_unwritten(const struct subject *subject)
{
    const struct oracle_registers *before = &subject->test.registers, *after = &subject->original.output.registers;
    const struct effects *effects = &subject->form.effects;
    for (unsigned i = 0; i < 16; i++)
        if (!(effects->writes >> i & 1) && before->general[i] != after->general[i])
            return "it writes a register that it is said not to write";
    if ((before->rflags ^ after->rflags) & FLAGS_ARITHMETIC & ~effects->flags_written)
        return "it writes a flag that it is said not to write";
    return NULL;
}

static const char *check_unread(struct subject *subject, struct random *random)
{
    struct outcome outcome = {.output.image = image_other};
    struct oracle_registers registers = subject->test.registers;
    const struct effects *effects = &subject->form.effects;
    for (unsigned i = 0; i < 16; i++) {
        if (effects->reads >> i & 1)
            continue;
        registers.general[i] = random_next(random);
        counts.registers_unread += effects->writes >> i & 1;
    }
    uint64_t unread = FLAGS_ARITHMETIC & ~(uint64_t)effects->flags_read;
    registers.rflags ^= unread & random_next(random);
    counts.flags_unread += effects_overwrite_flags(effects);
    reset_memory(&subject->test);
    run(subject, &registers, subject->address, &outcome);
    counts.effects++;
    for (unsigned i = 0; i < 16; i++) {
        if (effects->writes >> i & 1)
            continue;
        if (outcome.output.registers.general[i] != registers.general[i])
            return "it writes a register that it is said not to write";
        outcome.output.registers.general[i] = subject->original.output.registers.general[i];
    }
    uint64_t kept = FLAGS_ARITHMETIC & ~(uint64_t)effects->flags_written;
    if ((outcome.output.registers.rflags ^ registers.rflags) & kept)
        return "it writes a flag that it is said not to write";
    outcome.output.registers.rflags =
        (outcome.output.registers.rflags & ~kept) | (subject->original.output.registers.rflags & kept);
    return difference(&subject->original, &outcome, memory_original);
}

/* ---- rows ---------------------------------------------------------------------------------------------------------
 */

/* Their results differ from run to run. */
static bool is_repeatable(const struct segue_insn *insn)
{
    static const char *const names[] = {"rdtsc", "rdtscp", "rdrand", "rdseed", "rdpid", "rdpkru", "wrpkru", "xgetbv"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(segue_mnemonic_name(insn->mnemonic), names[i]) == 0)
            return false;
    return true;
}

static bool can_run_registers(const struct segue_insn *insn)
{
    return insn->memory_count == 0 && insn->class_ != SEGUE_CLASS_BRANCH && is_repeatable(insn) &&
           encodings_can_run(insn) && insn->unlisted == SEGUE_UNLISTED_NONE;
}

static bool make_case(struct subject *subject, struct random *random)
{
    struct test_case *test = &subject->test;
    if (subject->insn.memory_count)
        return encodings_state(&generator, random, 0, images, subject->insn.length, test);
    if (!can_run_registers(&subject->insn))
        return false;
    test->length = subject->insn.length;
    test->image = (uint8_t)random_below(random, IMAGES);
    random_fill(random, test->registers.general, sizeof test->registers.general);
    /* Counts, and the operands that some results are undefined for. */
    for (unsigned i = 0; i < 16; i++)
        if (random_below(random, 2))
            test->registers.general[i] = random_below(random, 2) ? random_below(random, 66) : random_below(random, 2);
    test->registers.rflags = (random_next(random) & FLAGS_ARITHMETIC) | 0x202;
    test->gs_base = random_next(random) >> 17;
    return true;
}

static const char *check_case(struct subject *subject, struct random random)
{
    run_original(subject);
    counts.cases++;
    const char *what = check_copy(subject);
    if (subject->original.output.signal.number) {
        counts.faults++;
        return what;
    }
    if (!what)
        what = check_moved(subject, &random);
    if (!what)
        what = check_lowered(subject);
    if (!what)
        what = check_address(subject);
    if (!what)
        what = check_unwritten(subject);
    for (unsigned i = 0; i < 2 && !what; i++)
        what = check_unread(subject, &random);
    return what;
}

static void check_row(size_t number)
{
    static struct decode_scratch scratch;
    static struct subject subject;
    const struct corpus_row *row = &rows.rows[number];
    struct random random = random_for(SEED, number);
    char text[2 * CORPUS_ROW_BYTES + 1];
    corpus_row_text(row, text);
    if (row->length > SEGUE_INSN_BYTES)
        return;
    for (uint64_t i = 0; i < states; i++) {
        const char *what = NULL;
        memset(&subject.test, 0, sizeof subject.test);
        memcpy(subject.test.bytes, row->bytes, row->length);
        if (segue_decode(SEGUE_MODE_64, row->bytes, row->length, &subject.insn) != SEGUE_OK ||
            !make_case(&subject, &random))
            return;
        subject.address = write_slot(0, subject.test.bytes, subject.insn.length);
        assert_true(
            displaceable_make(&scratch, subject.address, subject.test.bytes, subject.insn.length, &subject.form));
        if (subject.form.flow != DISPLACED_FLOW_NEXT && subject.form.flow != DISPLACED_FLOW_JUMP_INDIRECT &&
            subject.form.flow != DISPLACED_FLOW_RETURN)
            return;
        for (unsigned k = 0; k < TRIES; k++) {
            what = check_case(&subject, random);
            if (!what)
                break;
        }
        if (what && counts.differences++ < REPORTS_MAX)
            print_error("%s (%s): %s\n", text, segue_mnemonic_name(subject.insn.mnemonic), what);
    }
    counts.rows++;
}

static bool prepare(void)
{
    struct random random = random_for(SEED, 1);
    generator = (struct generator){.seed = SEED, .areas = areas_of(AREAS_ALIAS), .images = IMAGES};
    __asm__("movq %%fs:0, %0" : "=r"(generator.fs_base));
    images = encodings_images(&random, IMAGES);
    memory_before = malloc(generator.areas->size);
    memory_original = malloc(generator.areas->size);
    memory_expected = malloc(generator.areas->size);
    if (!images || !memory_before || !memory_original || !memory_expected)
        return false;
    areas_open(generator.areas);
    areas_fill(generator.areas, &random);
    areas_save(generator.areas, memory_before);
    return true;
}

static void displaced_rows_do_as_the_rows_themselves(void **state)
{
    (void)state;
    skip_if(batch_prepare());
    assert_true(prepare());
    oracle_signals_take();
    for (size_t i = 0; i < rows.count; i += every)
        check_row(i);
    oracle_signals_give_back();
    print_message("%llu rows, %llu cases, %llu with a fault\n", (unsigned long long)counts.rows,
                  (unsigned long long)counts.cases, (unsigned long long)counts.faults);
    print_message("%llu copies, %llu moved, %llu lowered, %llu addresses\n", (unsigned long long)counts.copies,
                  (unsigned long long)counts.moved, (unsigned long long)counts.lowered,
                  (unsigned long long)counts.addresses);
    print_message("%llu times effects; registers written whole %llu, all flags %llu\n",
                  (unsigned long long)counts.effects, (unsigned long long)counts.registers_unread,
                  (unsigned long long)counts.flags_unread);
    assert_int_equal(counts.differences, 0);
    assert_true(counts.copies > counts.cases / 2 && counts.moved > counts.cases / 8 && counts.lowered > 0);
    assert_true(counts.addresses > counts.cases / 8 && counts.registers_unread > 0 && counts.flags_unread > 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(displaced_rows_do_as_the_rows_themselves)};
    struct corpus_error error;
    states = argc > 3 ? strtoull(argv[1], NULL, 10) : 0;
    every = argc > 3 ? strtoull(argv[2], NULL, 10) : 0;
    if (!states || !every) {
        fputs("usage: displaced_native STATES EVERY FILE...\n", stderr);
        return 2;
    }
    for (int i = 3; i < argc; i++)
        if (!corpus_rows_read(&rows, argv[i], &error))
            return 2;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
