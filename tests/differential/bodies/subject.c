/* subject.c: see subject.h. */
#include "subject.h"

#include <string.h>

#include "decode/scratch.h"

/* Enough to use all registers. */
#define BLOCK_INSTRUCTIONS 40u
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

/* One that, before the row, leaves what the row's address depends on. Rather one that uses another register than those
 * before: a body has none to spare once all are used. */
static const struct displaceable *choose_neighbour(struct random *random, bool before)
{
    const struct displaceable *found = NULL;
    for (unsigned i = 0; i < 32 && neighbour_count; i++) {
        const struct displaceable *form = &neighbours[random_below(random, neighbour_count)];
        if (before && (form->effects.writes & subject.form.effects.reads))
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

static void append_neighbours(struct random *random, bool before)
{
    for (unsigned count = random_below(random, BLOCK_INSTRUCTIONS / 2); count > 0; count--) {
        const struct displaceable *form = choose_neighbour(random, before);
        if (form && subject.size + 2 * SEGUE_INSN_BYTES < BLOCK_ROOM)
            append(form);
    }
}

/* The row alone in its slot, or among others. */
void subject_make_code(struct random *random)
{
    bool is_block = (subject.form.is_plain || subject.form.is_masked) && subject.form.flow == DISPLACED_FLOW_NEXT &&
                    subject.form.operand != DISPLACED_OPERAND_RELATIVE && random_below(random, 2);
    subject.size = subject.instructions = subject.registers = 0;
    if (is_block)
        append_neighbours(random, true);
    subject.row = subject.size;
    append(&subject.form);
    if (is_block)
        append_neighbours(random, false);
    subject.address = is_block ? BLOCK : oracle_slot_address(SLOT, subject.size);
    counts.blocks += is_block;
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
