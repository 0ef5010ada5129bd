/* spoil.c: the mutation test of the known disagreements (see spoil.h). */
#include "spoil.h"

#include "corpus/decoders/names.h"

/* The first operand of a kind, or NULL. */
static struct corpus_operand *operand_of(struct corpus_answer *answer, unsigned kind)
{
    for (size_t i = 0; i < answer->operand_count; i++)
        if (answer->operands[i].kind == kind)
            return &answer->operands[i];
    return NULL;
}

/* Changes a register, a base or a value to a wrong one. */
static void spoil_operand(struct corpus_operand *operand)
{
    if (operand->kind == CORPUS_OPERAND_REGISTER || (operand->kind == CORPUS_OPERAND_MEMORY && operand->reg))
        operand->reg ^= 1;
    else
        operand->value ^= 1;
}

/* Another mnemonic: NOP, or UD2 in place of NOP. */
static uint16_t other_mnemonic(uint16_t mnemonic)
{
    const struct corpus_name *nop = corpus_names_find("nop", 3), *ud2 = corpus_names_find("ud2", 3);
    return nop && nop->number != mnemonic ? nop->number : ud2->number;
}

/* Makes the answer differ from a right one in the `number`-th difference. */
static void make_wrong(struct corpus_answer *answer, unsigned number)
{
    struct corpus_operand *memory = operand_of(answer, CORPUS_OPERAND_MEMORY);
    switch (1u << number) {
    case CORPUS_DIFFERS_STATUS:
        answer->status = answer->status == CORPUS_ACCEPTED ? CORPUS_REFUSED : CORPUS_ACCEPTED;
        break;
    case CORPUS_DIFFERS_LENGTH:
        answer->length++;
        break;
    case CORPUS_DIFFERS_MNEMONIC:
        answer->mnemonic = other_mnemonic(answer->mnemonic);
        break;
    case CORPUS_DIFFERS_OPERANDS:
        if (answer->operand_count)
            spoil_operand(&answer->operands[answer->operand_count - 1]);
        break;
    case CORPUS_DIFFERS_SIZE:
        if (memory)
            memory->size = (uint16_t)(memory->size * 2);
        break;
    default:
        if (memory && memory->direction)
            memory->direction = memory->direction == 3 ? 1 : memory->direction ^ 3;
        break;
    }
}

/* Makes one respect of one party's answer wrong. */
static void spoil(struct corpus_judge *judge, const struct corpus_shape *shape, unsigned party, unsigned number)
{
    struct corpus_case *row = &judge->row;
    struct corpus_answer right = row->answers[party];
    make_wrong(&row->answers[party], number);
    corpus_judge_compare(judge);
    if (row->differences[party] & 1u << number) {
        int class = corpus_rules_find(judge->rules, row, shape, party, 1u << number);
        judge->counts.parties[party].spoilt[number]++;
        if (class >= 0) {
            judge->counts.parties[party].passed[number]++;
            judge->counts.classes[class].passed++;
        }
    }
    row->answers[party] = right;
    row->differences[party] = 0;
}

void corpus_spoil(struct corpus_judge *judge)
{
    const struct corpus_case *row = &judge->row;
    struct corpus_shape shape;
    corpus_shape_read(row->slot, &shape);
    for (unsigned party = 0; party < CORPUS_PARTIES; party++)
        for (unsigned number = 0; number < CORPUS_DIFFERENCES; number++)
            if (row->answers[party].status != CORPUS_NOT_ASKED && !row->differences[party])
                spoil(judge, &shape, party, number);
}
