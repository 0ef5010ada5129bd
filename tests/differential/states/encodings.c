/* encodings.c: instructions of every opcode map with random states (see encodings.h). Their bytes are made by
 * encodings/bytes.c, and encodings/aim.c aims their operands. */
#include "encodings.h"

#include <Zydis/Zydis.h>

#include "decode/mnemonics/mnemonics.h"
#include "decode/orders.h"
#include "emulate/details.h"
#include "rows.h"
#include "tests/differential/states/encodings/aim.h"
#include "tests/differential/states/encodings/bytes.h"
#include "tests/differential/states/encodings/chance.h"
#include "tests/support/processor/large_plan.h"
#include "tests/support/processor/selectors.h"

#define FLAG_DIRECTION 0x400u
#define FCW 0
#define FSW 2
#define X87_POINTERS 6
#define X87_POINTERS_SIZE 18
#define MXCSR 24
#define X87_MASKS 0x3fu
#define MXCSR_MASKS 0x1f80u
/* AMD's, and no system sets it: operands of legacy vector instructions need no alignment then, and some read less. */
#define MXCSR_MISALIGNED 0x20000u

struct encodings_refusals encodings_refusals;
uint32_t encodings_mnemonics[MNEMONIC_MOST];

/* What leaves the slot for good, changes the segments that the host lives by, or is not a program's to execute, cannot.
 */
bool encodings_can_run(const struct segue_insn *insn)
{
    switch ((enum segue_class)insn->class_) {
    case SEGUE_CLASS_STACK:
    case SEGUE_CLASS_BRANCH:
    case SEGUE_CLASS_SEGMENT:
        return orders_of(insn)->transfer.kind != INSN_TRANSFER_NONE;
    case SEGUE_CLASS_SYSTEM:
    case SEGUE_CLASS_UNKNOWN:
        return false;
    default:
        return true;
    }
}

/* ENTER's frames lie in the areas, and so does what it allocates. */
static void place_frames(const struct generator *generator, struct random *random,
                         const ZydisDecodedInstruction *instruction, struct test_case *test)
{
    uint16_t allocated;
    memcpy(&allocated, test->bytes + instruction->raw.imm[0].offset, sizeof allocated);
    allocated %= AREA_PAGE;
    memcpy(test->bytes + instruction->raw.imm[0].offset, &allocated, sizeof allocated);
    test->registers.general[SEGUE_RBP] = aim_choose_place(generator, random, 64) + 64;
}

static void plant_value(struct test_case *test, uint64_t value, unsigned size)
{
    memcpy(test->planted + test->planted_size, &value, size);
    test->planted_size = (uint8_t)(test->planted_size + size);
    test->has_planted = true;
}

/* Not NT and ID, which are refused if they change, and not TF. */
static uint64_t flags_to_pop(struct random *random, const struct test_case *test)
{
    return (random_next(random) & 0x40cd5) | (test->registers.rflags & 0x204000);
}

/* Has a far one come back; and what it loads of segments is what the thread has. */
static void plant_far(struct random *random, const struct segue_insn *insn, uint64_t next, struct test_case *test)
{
    struct segue_regs present;
    unsigned word = insn->memory[insn->memory_count - 1u].element;
    selectors_read(present.selectors);
    switch (orders_of(insn)->transfer.kind) {
    case INSN_TRANSFER_CALL_FAR:
    case INSN_TRANSFER_JUMP_FAR:
        plant_value(test, next, insn->memory[0].size - 2u);
        plant_value(test, present.selectors[SEGUE_SEGMENT_CS], 2);
        break;
    case INSN_TRANSFER_RETURN_FAR:
    case INSN_TRANSFER_INTERRUPT_RETURN:
        plant_value(test, next, word);
        plant_value(test, present.selectors[SEGUE_SEGMENT_CS], word);
        if (orders_of(insn)->transfer.kind == INSN_TRANSFER_RETURN_FAR)
            break;
        plant_value(test, flags_to_pop(random, test), word);
        plant_value(test, random_next(random) >> 17, word);
        plant_value(test, present.selectors[SEGUE_SEGMENT_SS], word);
        break;
    case INSN_TRANSFER_LOAD_SEGMENT:
    case INSN_TRANSFER_POP_SEGMENT:
        /* With a base that is not zero it is refused. */
        if (orders_of(insn)->transfer.reg == SEGUE_SEGMENT_GS && insn->segment_prefix == SEGUE_NO_PREFIX)
            test->gs_base = 0;
        plant_value(test, present.selectors[orders_of(insn)->transfer.reg], insn->memory[0].size);
        break;
    default:
        break;
    }
}

static bool is_far_or_segment(const struct segue_insn *insn)
{
    return orders_of(insn)->transfer.kind >= INSN_TRANSFER_PUSH_SEGMENT;
}

/* Has a branch come back, whatever it takes its target from, and flags be such as the harness can live with. */
static void plant(struct random *random, const struct segue_insn *insn, const ZydisDecodedInstruction *instruction,
                  uint64_t next, struct test_case *test)
{
    const struct insn_transfer *transfer = &orders_of(insn)->transfer;
    /* Now and then to where there is no address. */
    uint64_t target = one_in(random, 16) ? next | UINT64_C(1) << (47 + random_below(random, 16)) : next;
    if (is_far_or_segment(insn))
        plant_far(random, insn, target, test);
    else if (transfer->kind == INSN_TRANSFER_POP_FLAGS)
        plant_value(test, flags_to_pop(random, test), sizeof(uint64_t));
    else if (insn->class_ != SEGUE_CLASS_BRANCH)
        return;
    else if (transfer->is_immediate && transfer->kind != INSN_TRANSFER_RETURN)
        memset(test->bytes + instruction->raw.imm[0].offset, 0, instruction->raw.imm[0].size / 8);
    else if (transfer->reg != SEGUE_REGISTER_NONE)
        test->registers.general[transfer->reg] = next;
    else
        plant_value(test, target, sizeof target);
}

/* One repetition in this many runs until something ends it. */
#define FAR_ONE_IN 32

static void choose_count(struct random *random, struct test_case *test)
{
    uint64_t *count = &test->registers.general[SEGUE_RCX];
    *count = random_below(random, 100);
    test->runs_far = one_in(random, FAR_ONE_IN);
    if (!test->runs_far)
        return;
    uint64_t near = random_below(random, 4096);
    switch (random_below(random, 4)) {
    case 0:
        *count = UINT64_MAX - near;
        break;
    case 1:
        *count = (UINT64_C(1) << 32) - 2048 + near;
        break;
    case 2:
        *count = random_next(random) & ((UINT64_C(1) << 33) - 1);
        break;
    default:
        *count = random_below(random, 1u << 20);
        break;
    }
}

/* The state that makes the instruction whose bytes the case has access a chosen place. `encoding`: how many bytes there
 * are; the instruction may be shorter. */
static bool aim_instruction(const struct generator *generator, struct random *random, size_t slot, size_t encoding,
                            struct segue_insn *insn, struct test_case *test)
{
    ZydisDecoder decoder;
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, test->bytes, encoding, &instruction, operands)) ||
        segue_decode(SEGUE_MODE_64, test->bytes, encoding, insn) != SEGUE_OK || !encodings_can_run(insn))
        return false;
    test->length = instruction.length;
    uint64_t next = oracle_slot_address(slot, instruction.length) + instruction.length;
    struct aim_target target = {.instruction = &instruction, .test = test, .next = next};
    /* Zydis knows no memory operand of CLZERO. */
    if (insn->memory_count && insn->memory[0].addressing == SEGUE_ADDRESSING_CACHE_LINE)
        test->registers.general[SEGUE_RAX] = aim_choose_place(generator, random, 64);
    else if (insn->memory_count == 0 || !aim_operands(&target, operands, generator, random))
        return false;
    plant(random, insn, &instruction, next, test);
    if (orders_of(insn)->transfer.kind == INSN_TRANSFER_ENTER)
        place_frames(generator, random, &instruction, test);
    /* With no component asked for, the processor looks at the area all the same; that fault is no access's. */
    if (insn->class_ == SEGUE_CLASS_STATE)
        test->registers.general[SEGUE_RAX] |= 1;
    test->repeats = insn->flags & SEGUE_INSN_REPEATED;
    if (insn->memory[0].addressing == SEGUE_ADDRESSING_VECTOR)
        test->repeats = true;
    else if (test->repeats)
        choose_count(random, test);
    return segue_decode(SEGUE_MODE_64, test->bytes, test->length, insn) == SEGUE_OK;
}

static void random_registers(struct random *random, struct test_case *test)
{
    static const uint64_t special[] = {0, 1, UINT64_MAX, 0x80, 0x8000, 0x80000000, 0x7fffffff, 0x8000000000000000};
    uint64_t *general = test->registers.general;
    random_fill(random, general, sizeof test->registers.general);
    /* So that a comparison can succeed where memory is zero, a quotient fits, and a bit offset is near. */
    for (unsigned i = 0; i < 16; i++)
        if (one_in(random, 4))
            general[i] = special[random_below(random, 8)];
    if (one_in(random, 2))
        general[SEGUE_RAX] = general[SEGUE_RDX] = 0;
    for (unsigned i = 0; i < 16; i++)
        if (one_in(random, 4))
            general[i] = (uint64_t)((int64_t)(random_next(random) << 49) >> 49);
    test->registers.rflags = (random_next(random) & 0x200cd5) | 0x202;
    if (one_in(random, 16))
        test->registers.rflags |= TEST_FLAG_ALIGNMENT_CHECK;
    test->gs_base = random_next(random) >> 17;
}

static void count_refusal(const char *why, const struct test_case *test)
{
    for (unsigned i = 0; i < ENCODINGS_REASONS; i++) {
        if (encodings_refusals.reasons[i].why && strcmp(encodings_refusals.reasons[i].why, why) != 0)
            continue;
        if (!encodings_refusals.reasons[i].why) {
            memcpy(encodings_refusals.reasons[i].example, test->bytes, test->length);
            encodings_refusals.reasons[i].example_length = test->length;
        }
        encodings_refusals.reasons[i].why = why;
        encodings_refusals.reasons[i].count++;
        return;
    }
}

/* Where the first element is, of a repeated string; where the access is, of others. */
static uint64_t beginning(const struct segue_access *access)
{
    bool down = (access->flags & SEGUE_ACCESS_REPEATED) && (access->flags & SEGUE_ACCESS_DOWN);
    return down ? access->address + access->size - access->element : access->address;
}

#define WINDOWS_MOST (AREAS_IN_SET * AREA_REGIONS)

/* The windows of all areas that the accesses begin or end in; of all there are where accesses cannot be listed. */
static size_t windows_of(const struct test_case *test, const struct areas *areas, struct segue_window *windows)
{
    size_t count = 0;
    for (size_t k = 0; k < areas->count; k++) {
        const struct area *area = &areas->area[k];
        bool touched = test->access_count == 0;
        for (size_t i = 0; i < test->access_count && !touched; i++) {
            const struct segue_access *access = &test->accesses[i];
            touched = beginning(access) - area->base < area->size ||
                      access->address + access->size - 1 - area->base < area->size;
        }
        if (!touched)
            continue;
        memcpy(windows + count, area->windows, area->window_count * sizeof *windows);
        count += area->window_count;
    }
    return count;
}

/* The null page, the last page of a program's addresses and the system's half can never be mapped; what is not
 * canonical has no owner. */
static bool is_never_mapped(uint64_t first, uint64_t size)
{
    return first + size <= AREA_PAGE || first >= 0x00007ffffffff000;
}

/* What lies elsewhere may be the test's own memory. */
static bool stays_in_areas(const struct test_case *test, const struct areas *areas)
{
    for (size_t i = 0; i < test->access_count; i++) {
        uint64_t first = test->accesses[i].address, size = test->accesses[i].size;
        if (test->runs_far) {
            first = beginning(&test->accesses[i]);
            size = test->accesses[i].element;
        }
        bool inside = is_never_mapped(first, size);
        for (size_t k = 0; k < areas->count && !inside; k++)
            inside = first >= areas->area[k].base && first + size <= areas->area[k].base + areas->area[k].size;
        if (!inside)
            return false;
    }
    return true;
}

/* The registers after so many elements of a repeated string; false if they were the last, or it has left the areas. */
static bool pass_elements(const struct segue_insn *insn, uint64_t elements, const struct areas *areas,
                          struct segue_regs *regs)
{
    bool inside = true;
    uint64_t mask = insn->address_size == 4 ? UINT32_MAX : UINT64_MAX;
    uint64_t moved = elements * insn->memory[0].element;
    regs->rcx = (regs->rcx & mask) - elements;
    for (unsigned i = 0; i < insn->memory_count; i++) {
        uint64_t *base = segue_register_at(regs, insn->memory[i].base);
        *base = (regs->rflags & FLAG_DIRECTION ? *base - moved : *base + moved) & mask;
        uint64_t segment = insn->memory[i].segment == SEGUE_SEGMENT_FS   ? regs->fs_base
                           : insn->memory[i].segment == SEGUE_SEGMENT_GS ? regs->gs_base
                                                                         : 0;
        inside &= areas_find(areas, *base + segment) != NULL;
    }
    return regs->rcx != 0 && inside;
}

/* Why the last plan said no. */
static const char *last_refusal;

/* Whether the plan says yes, whatever pages are closed. What accesses nothing cannot fault. */
static bool is_planned(const struct segue_insn *insn, struct test_case *test, const struct generator *generator,
                       uint64_t address, const void *image)
{
    static union large_plan made;
    const struct segue_plan *plan = &made.plan;
    static struct segue_window windows[WINDOWS_MOST];
    struct segue_regs regs;
    struct segue_xstate xstate = {
        .area = (void *)(uintptr_t)image, .size = (uint32_t)oracle_image_size(), .features = oracle_features()};
    memcpy(&regs, test->registers.general, sizeof test->registers.general);
    regs.rip = address;
    regs.rflags = test->registers.rflags;
    regs.fs_base = generator->fs_base;
    regs.gs_base = test->gs_base;
    selectors_read(regs.selectors);
    if (segue_accesses(insn, &regs, &xstate, test->accesses, SEGUE_ACCESSES_MOST, &test->access_count) != SEGUE_OK)
        test->access_count = 0;
    else if (test->access_count == 0)
        return true;
    last_refusal = "no state was found that keeps to the areas";
    if (!stays_in_areas(test, generator->areas))
        return false;
    size_t count = windows_of(test, generator->areas, windows);
    enum segue_status status = large_plan_make(insn, &regs, &xstate, NULL, windows, count, &made);
    while (status == SEGUE_OK && details_of(plan)->elements &&
           pass_elements(insn, details_of(plan)->elements, generator->areas, &regs))
        status = large_plan_make(insn, &regs, &xstate, NULL, windows, count, &made);
    encodings_refusals.planned++;
    last_refusal = plan->refusal;
    if (status != SEGUE_OK)
        count_refusal(plan->refusal, test);
    return status == SEGUE_OK;
}

/* Where what is planted is read from: the lowest place that is read. */
static void place_planted(struct test_case *test)
{
    bool found = false;
    for (size_t i = 0; test->has_planted && i < test->access_count; i++) {
        const struct segue_access *access = &test->accesses[i];
        if (!(access->direction & SEGUE_READ) || (found && access->address >= test->planted_address))
            continue;
        test->planted_address = access->address;
        found = true;
    }
    test->has_planted = found;
}

/* A state for the instruction whose bytes the case has; false if the plan does not say yes to it. */
static bool make_state(const struct generator *generator, struct random *random, size_t slot, const void *images,
                       size_t encoding, struct segue_insn *insn, struct test_case *test)
{
    random_registers(random, test);
    test->image = (uint8_t)random_below(random, generator->images);
    last_refusal = "its operands cannot be aimed";
    if (!aim_instruction(generator, random, slot, encoding, insn, test))
        return false;
    const void *image = (const char *)images + test->image * oracle_image_size();
    if (!is_planned(insn, test, generator, oracle_slot_address(slot, test->length), image))
        return false;
    place_planted(test);
    return true;
}

/* States that are tried for bytes that are given before they are given up for this time. */
#define ATTEMPTS 64

bool encodings_state(const struct generator *generator, struct random *random, size_t slot, const void *images,
                     size_t size, struct test_case *test)
{
    struct segue_insn insn;
    const struct test_case given = *test;
    if (segue_decode(SEGUE_MODE_64, test->bytes, size, &insn) != SEGUE_OK || insn.memory_count == 0 ||
        !encodings_can_run(&insn))
        return false;
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        *test = given;
        if (make_state(generator, random, slot, images, size, &insn, test))
            return true;
    }
    return false;
}

void encodings_case(const struct generator *generator, uint64_t number, size_t slot, const void *images,
                    struct test_case *test)
{
    struct random random = random_for(generator->seed, number);
    struct segue_insn insn;
    do {
        *test = (struct test_case){0};
        bytes_random(&random, test->bytes);
    } while (!make_state(generator, &random, slot, images, BYTES_OF_CODE, &insn, test));
    encodings_mnemonics[insn.mnemonic]++;
}

void encodings_row_case(const struct generator *generator, uint64_t number, size_t slot, const void *images,
                        struct test_case *test)
{
    struct random random = random_for(generator->seed, number);
    struct segue_insn insn;
    size_t row = rows_of_case(number);
    for (unsigned i = 0; i < ATTEMPTS && !rows_is_done(row); i++) {
        uint8_t length;
        *test = (struct test_case){0};
        const uint8_t *bytes = rows_bytes(row, &length);
        memcpy(test->bytes, bytes, length);
        if (!make_state(generator, &random, slot, images, length, &insn, test))
            continue;
        encodings_mnemonics[insn.mnemonic]++;
        rows_note_case(row);
        return;
    }
    /* Through an alias everything can be done that can be done at all. */
    if (!rows_is_done(row) && generator->areas == areas_of(AREAS_ALIAS))
        rows_note_refused(row, last_refusal);
    *test = (struct test_case){.bytes = {0x90}, .length = 1, .registers.rflags = 0x202, .idle = true};
}

static void small_numbers(struct random *random, uint8_t *vector, unsigned element)
{
    /* As indices, some reach over many pages. */
    uint32_t range = one_in(random, 4) ? 65536 : 1024;
    for (unsigned i = 0; i < 16; i += element) {
        int64_t value = (int64_t)random_below(random, range) - range / 2;
        memcpy(vector + i, &value, element);
    }
}

void encodings_tame_image(struct random *random, void *image)
{
    uint8_t *bytes = image;
    uint32_t mxcsr;
    /* They are lost with any signal on processors that store them only while an exception waits (docs/facts.md). */
    memset(bytes + X87_POINTERS, 0, X87_POINTERS_SIZE);
    if (!one_in(random, 4)) {
        bytes[FCW] |= X87_MASKS;
        bytes[FSW] &= 0x7f;
        bytes[FSW + 1] &= 0x7f;
    }
    memcpy(&mxcsr, bytes + MXCSR, sizeof mxcsr);
    mxcsr &= ~MXCSR_MISALIGNED;
    if (!one_in(random, 4))
        mxcsr |= MXCSR_MASKS;
    memcpy(bytes + MXCSR, &mxcsr, sizeof mxcsr);
    size_t count;
    const struct oracle_component *components = oracle_components(&count);
    for (size_t i = 1; i < count; i++) {
        uint32_t first = i == 1 ? 160 : components[i].offset;
        uint32_t end = components[i].offset + components[i].size;
        if (components[i].size == 64)
            continue;
        for (uint32_t at = first; at + 16 <= end; at += 16)
            if (one_in(random, 2))
                small_numbers(random, bytes + at, one_in(random, 2) ? 4 : 8);
    }
}

uint8_t *encodings_images(struct random *random, size_t count)
{
    size_t size = oracle_image_size();
    uint8_t *images = aligned_alloc(64, count * size);
    for (size_t i = 0; images && i < count; i++) {
        oracle_image_random(random, images + i * size);
        encodings_tame_image(random, images + i * size);
    }
    return images;
}
