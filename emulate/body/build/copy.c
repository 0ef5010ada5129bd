/* copy.c: see copy.h. */
#include "copy.h"

#include "registered.h"

#define RETURN_ADDRESS 8

int64_t copy_distance(const struct builder *builder, const struct displaceable *form, int64_t by)
{
    bool is_on_stack = form->operand != DISPLACED_OPERAND_NONE && form->memory.base == SEGUE_RSP;
    return by + (is_on_stack && builder->emit.state.is_open ? BODY_FRAME : 0);
}

static bool try_copy(const struct builder *builder, const struct displaceable *form, enum copy_kind kind,
                     uint8_t *bytes, uint8_t *length)
{
    int64_t by = copy_distance(builder, form, kind == COPY_LED ? builder->request->distance : 0);
    if (kind == COPY_REGISTERED)
        return registered_copy(form, builder->emit.scratch_register, bytes, length);
    if (form->flow == DISPLACED_FLOW_CALL_INDIRECT)
        return displaced_call_as_jump(form, emit_here(&builder->emit), by, bytes, length);
    return displaced_copy(form, emit_here(&builder->emit), by, bytes, length);
}

bool copy_is_possible(const struct builder *builder, const struct displaceable *form, enum copy_kind kind)
{
    uint8_t bytes[DISPLACED_BYTES], length;
    return try_copy(builder, form, kind, bytes, &length);
}

void copy_put(struct builder *builder, const struct displaceable *form, enum copy_kind kind)
{
    uint8_t bytes[DISPLACED_BYTES], length = 0;
    if (!try_copy(builder, form, kind, bytes, &length))
        emit_fail(&builder->emit);
    else
        emit_bytes(&builder->emit, bytes, length);
}

/* The state after the current instruction, which is now executed. */
void copy_have_executed(struct builder *builder, const struct block_instruction *instruction)
{
    struct emit_state *state = &builder->emit.state;
    if (block_writes(instruction, SEGUE_RAX)) {
        state->rax = EMIT_LIVE;
        state->flags &= (uint8_t)~EMIT_AX;
    }
    if (block_writes(instruction, builder->emit.scratch_register))
        state->scratch = EMIT_LIVE;
    if (instruction->form.effects.flags_written)
        state->flags = EMIT_LIVE;
    state->is_counted = false;
    builder->emit.instruction++;
}

/* What the instruction uses is put in place, by instructions that change no flag. Not RAX, if flags have to follow. */
void copy_prepare_by_moves(struct builder *builder, const struct block_instruction *instruction)
{
    struct emitter *emit = &builder->emit;
    bool flags_follow = instruction->needs_flags && !instruction->needs_carry && !(emit->state.flags & EMIT_LIVE);
    if (!flags_follow) {
        if (block_reads(instruction, SEGUE_RAX))
            emit_load_rax(emit);
        else if (block_writes(instruction, SEGUE_RAX) && emit->state.flags == EMIT_AX &&
                 !effects_overwrite_flags(&instruction->form.effects))
            emit_save_flags_in_slot(emit);
    }
    if (block_reads(instruction, emit->scratch_register))
        emit_load_scratch(emit);
}

/* As far as the instruction needs them: what it overwrites is taken from where it was saved until it has been executed.
 * A loop that counts by DEC so has a shorter chain from one CF to the next. */
static void load_flags(struct builder *builder, const struct block_instruction *instruction)
{
    if (instruction->needs_carry)
        emit_load_carry(&builder->emit);
    else if (instruction->needs_flags)
        emit_load_flags(&builder->emit);
}

void copy_prepare(struct builder *builder, const struct block_instruction *instruction)
{
    load_flags(builder, instruction);
    copy_prepare_by_moves(builder, instruction);
}

static void prepare(struct builder *builder, const struct block_instruction *instruction)
{
    copy_prepare(builder, instruction);
    if (instruction->needs_stack)
        emit_close(&builder->emit, 0);
}

/* A call as a jump: the return address is stored where a push would store it, and stays when the frame is closed. */
static void call(struct builder *builder, const struct block_instruction *instruction, enum copy_kind kind)
{
    struct emitter *emit = &builder->emit;
    emit_load_flags(emit);
    emit_load_rax(emit);
    emit->state.scratch = EMIT_SLOT;
    emit_near(emit, EMIT_ADDRESS, instruction->form.address + instruction->form.length);
    emit_store_far_slot(emit, emit->scratch_register, BODY_FRAME - RETURN_ADDRESS);
    emit_close(emit, RETURN_ADDRESS);
    copy_put(builder, &instruction->form, kind);
}

/* The access itself, inside or outside. */
void copy_instruction(struct builder *builder, const struct block_instruction *instruction, enum copy_kind kind)
{
    if (instruction->kind == BLOCK_CHECKED_CALL) {
        call(builder, instruction, kind);
    } else {
        prepare(builder, instruction);
        copy_put(builder, &instruction->form, kind);
    }
    copy_have_executed(builder, instruction);
}
