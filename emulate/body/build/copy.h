/* copy.h: an instruction of the program in a body: the registers and flags that it uses put in place, then the
 * instruction again, at the program's address of its operand or at the alias's. */
#ifndef SEGUE_EMULATE_BODY_COPY_H
#define SEGUE_EMULATE_BODY_COPY_H

#include "builder.h"

/* How an instruction with a memory operand is copied. */
enum copy_kind {
    /* As the program wrote it. */
    COPY_PLAIN,
    /* At the alias: moved by the distance; or with the alias's address in the scratch register. */
    COPY_LED,
    COPY_REGISTERED,
};

/* `by`, and how far the stack pointer is from the program's if the operand is based on it. */
int64_t copy_distance(const struct builder *builder, const struct displaceable *form, int64_t by);

bool copy_is_possible(const struct builder *builder, const struct displaceable *form, enum copy_kind kind);

/* The copy alone. */
void copy_put(struct builder *builder, const struct displaceable *form, enum copy_kind kind);

/* What the instruction uses is put in place, by instructions that change no flag. Not RAX, if flags have to follow. */
void copy_prepare_by_moves(struct builder *builder, const struct block_instruction *instruction);
/* The flags and all else that it uses, except the stack pointer. */
void copy_prepare(struct builder *builder, const struct block_instruction *instruction);

/* The state after the current instruction, which is now executed. */
void copy_have_executed(struct builder *builder, const struct block_instruction *instruction);

/* All of it: what it uses, the copy, the state after it. */
void copy_instruction(struct builder *builder, const struct block_instruction *instruction, enum copy_kind kind);

#endif
