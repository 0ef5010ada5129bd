/* subject.c: see subject.h. */
#include "subject.h"

#include <string.h>

#include "decode/scratch.h"
#include "memory.h"

/* Enough to use all registers. */
#define BLOCK_INSTRUCTIONS 40u
/* Before the other access, and from there to the row: some more than what a body copies up to the next site. */
#define LINKED_INSTRUCTIONS 11u
#define NEIGHBOURS 16384u

struct subject subject;
struct generator generator;
uint8_t *memory_before;
struct counts counts;

static struct displaceable neighbours[NEIGHBOURS];
static uint32_t neighbour_count;

/* Their results differ from run to run. */
static bool is_repeatable(const struct segue_insn *insn)
{
    return insn->class_ != SEGUE_CLASS_SYSTEM && insn->class_ != SEGUE_CLASS_STATE;
}

static uint16_t registers_of(const struct displaceable *form)
{
    return form->effects.reads | form->effects.writes;
}

/* Whether a row may stand beside the subject's: it accesses no memory and does not use RSP. */
static bool is_neighbour(const struct corpus_row *row, struct displaceable *form)
{
    static struct decode_scratch scratch;
    struct segue_insn insn;
    return segue_decode(SEGUE_MODE_64, row->bytes, row->length, &insn) == SEGUE_OK && !insn.memory_count &&
           !insn.unlisted && is_repeatable(&insn) && insn.class_ != SEGUE_CLASS_BRANCH && encodings_can_run(&insn) &&
           displaceable_make(&scratch, BLOCK, row->bytes, row->length, form) && form->flow == DISPLACED_FLOW_NEXT &&
           form->operand == DISPLACED_OPERAND_NONE && !(registers_of(form) >> SEGUE_RSP & 1);
}

/* A sample of all that there are. */
void subject_find_neighbours(const struct corpus_rows *rows, struct random *random)
{
    for (unsigned i = 0; i < 16 * NEIGHBOURS && neighbour_count < NEIGHBOURS; i++)
        neighbour_count +=
            is_neighbour(&rows->rows[random_below(random, (uint32_t)rows->count)], &neighbours[neighbour_count]);
}

/* Effects have no mask registers. */
static bool may_write_mask(const struct displaceable *form)
{
    enum { VEX2 = 0xc5, VEX3 = 0xc4, EVEX = 0x62 };
    uint8_t first = form->bytes[form->opcode];
    return first == VEX2 || first == VEX3 || first == EVEX;
}

/* One that, before the row, leaves what the row's address depends on. Rather one that uses another register than those
 * before: a body has none to spare once all are used. */
static const struct displaceable *choose_neighbour(struct random *random, bool before)
{
    const struct displaceable *found = NULL;
    for (unsigned i = 0; i < 32 && neighbour_count; i++) {
        const struct displaceable *form = &neighbours[random_below(random, neighbour_count)];
        if (before && subject.form.is_masked && may_write_mask(form))
            continue;
        if ((before && (form->effects.writes & subject.form.effects.reads)) || (registers_of(form) & subject.spared))
            continue;
        found = form;
        if (registers_of(form) & ~subject.registers)
            break;
    }
    return found;
}

static void append(const struct displaceable *form)
{
    memcpy(subject.code + subject.size, form->bytes, form->length);
    subject.size += form->length;
    subject.registers |= registers_of(form);
    subject.instructions++;
}

static void append_neighbours(struct random *random, unsigned most, bool before)
{
    for (unsigned count = random_below(random, most); count > 0; count--) {
        const struct displaceable *form = choose_neighbour(random, before);
        if (form && subject.size + 2 * SEGUE_INSN_BYTES < BLOCK_ROOM)
            append(form);
    }
}

/* A load that changes nothing which the row's address depends on; or a comparison, which changes flags. */
static void append_other(struct random *random)
{
    enum { COMPARE = 0x3b, LOAD = 0x8b };
    static const uint8_t numbers[] = {[SEGUE_RAX] = 0, [SEGUE_RCX] = 1, [SEGUE_RDX] = 2, [SEGUE_RBX] = 3,
                                      [SEGUE_RSP] = 4, [SEGUE_RBP] = 5, [SEGUE_RSI] = 6, [SEGUE_RDI] = 7};
    unsigned reg = random_below(random, 16);
    uint32_t needed = subject.form.effects.reads | subject.spared;
    bool is_load = reg != SEGUE_RSP && !(needed >> reg & 1) && random_below(random, 2);
    uint8_t *code = subject.code + subject.size;
    code[0] = (uint8_t)(0x48 | (reg >= 8 ? 4 : 0));
    code[1] = is_load ? LOAD : COMPARE;
    /* RIP-relative. */
    code[2] = (uint8_t)((reg >= 8 ? reg & 7 : numbers[reg]) << 3 | 5);
    int32_t displacement = (int32_t)(subject.other - (BLOCK + subject.size + 7));
    memcpy(code + 3, &displacement, sizeof displacement);
    subject.size += 7;
    subject.registers |= (uint16_t)(1u << reg);
    subject.other_number = subject.instructions++;
}

/* The row alone in its slot, or among others. */
void subject_make_code(struct random *random)
{
    bool is_block = (subject.form.is_plain || subject.form.is_masked) && subject.form.flow == DISPLACED_FLOW_NEXT &&
                    subject.form.operand != DISPLACED_OPERAND_RELATIVE && random_below(random, 2);
    subject.size = subject.instructions = subject.registers = 0;
    subject.is_linked = is_block && random_below(random, 2) && memory_choose_other(random);
    /* The register that bodies rather keep in the frame: a link needs the same in both. */
    subject.spared = subject.is_linked && random_below(random, 4) ? UINT16_C(1) << SEGUE_R11 : 0;
    if (is_block)
        append_neighbours(random, subject.is_linked ? LINKED_INSTRUCTIONS : BLOCK_INSTRUCTIONS / 2, true);
    if (subject.is_linked) {
        append_other(random);
        append_neighbours(random, LINKED_INSTRUCTIONS, true);
    }
    subject.row = subject.size;
    subject.row_number = subject.instructions;
    append(&subject.form);
    if (is_block)
        append_neighbours(random, BLOCK_INSTRUCTIONS / 2, false);
    subject.address = is_block ? BLOCK : oracle_slot_address(SLOT, subject.size);
    counts.blocks += is_block;
    counts.linked += subject.is_linked;
    counts.instructions += subject.instructions;
}

void subject_write_code(void)
{
    static const uint8_t jump[] = {0xff, 0x25};
    if (subject.address != BLOCK) {
        oracle_slot_write(SLOT, subject.code, subject.size);
        return;
    }
    /* To where all slots lead: the address at the beginning. */
    uint8_t *end = (uint8_t *)(uintptr_t)BLOCK + subject.size;
    int32_t displacement = (int32_t)(BATCH_CODE_ADDRESS - (BLOCK + subject.size + 6));
    memcpy((void *)(uintptr_t)BLOCK, subject.code, subject.size);
    memcpy(end, jump, sizeof jump);
    memcpy(end + sizeof jump, &displacement, sizeof displacement);
}
