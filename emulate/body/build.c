/* build.c: builds bodies (see body.h): the block's instructions one after the other, then what is out of line.
 *
 * A checked access, of which each step is left out where the state has it already:
 *
 *      lea  -frame(%rsp), %rsp            open the frame
 *      mov  %scratch, 8(%rsp)
 *      lea  operand, %scratch             the effective address
 *      mov  %rax, (%rsp); lahf; seto %al  the flags, in AX
 *      sub  base, %scratch
 *      cmp  limit, %scratch
 *      mov  ...                           the registers that the instruction uses
 *      jae  outside
 *      kmovq %mask, 64(%rsp); cmp $0      a mask of zeros is no access to count: as outside
 *      jz   outside
 *      lock incq count                    or the question
 *      add  $127, %al; sahf               if it uses flags
 *      the instruction at the alias */
#include "body.h"

#include <stddef.h>
#include <string.h>

#include "block.h"
#include "emit.h"
#include "registered.h"
#include "table.h"

/* A retry ends the block earlier. */
#define ATTEMPTS 6

#define RETURN_ADDRESS 8
/* Behind an access outside, as many instructions up to the end are built again, if none of them is checked. */
#define TAIL 8u
/* What is out of line: at most each access, each conditional jump, and those behind accesses. */
#define PENDING (BODY_INSTRUCTIONS + 4 * TAIL)

/* How an instruction with a memory operand is copied. */
enum copy_kind {
    /* As the program wrote it. */
    COPY_PLAIN,
    /* At the alias: moved by the distance; or with the alias's address in the scratch register. */
    COPY_LED,
    COPY_REGISTERED,
};

enum pending_kind {
    PENDING_OUTSIDE,
    PENDING_EXIT,
};

/* What is built out of line. */
struct pending {
    /* enum pending_kind. */
    uint8_t kind;
    uint8_t instruction;
    /* The displacements of the jumps to it. */
    uint8_t jump_count;
    uint32_t jumps[2];
    struct emit_state state;
    /* PENDING_OUTSIDE: where it joins, and with which state. */
    uint32_t join;
    struct emit_state joined;
};

/* Where the code of an instruction begins, and with which state; jumps of the block lead there. */
struct label {
    uint32_t offset;
    bool is_set;
    struct emit_state state;
};

struct body_scratch {
    struct decode_scratch decode;
    struct block block;
    struct pending pending[PENDING];
    struct label labels[BODY_INSTRUCTIONS];
};

struct builder {
    const struct body_request *request;
    struct body_scratch *scratch;
    struct emitter emit;
    unsigned count;
    unsigned pending_count;
    unsigned record_count;
    uint64_t recorded;
    bool checks_site;
    /* The block leads back to its beginning with that state: then it best begins with it. */
    bool is_loop;
    struct emit_state looping;
};

size_t body_scratch_size(void)
{
    return (sizeof(struct body_scratch) + 15) & ~(size_t)15;
}

static struct block_instruction *instruction_at(struct builder *builder, unsigned number)
{
    return &builder->scratch->block.instructions[number];
}

/* ---- copies ---- */

static int64_t moved_by(const struct builder *builder, const struct displaceable *form, int64_t by)
{
    bool is_on_stack = form->operand != DISPLACED_OPERAND_NONE && form->memory.base == SEGUE_RSP;
    return by + (is_on_stack && builder->emit.state.is_open ? BODY_FRAME : 0);
}

static bool try_copy(const struct builder *builder, const struct displaceable *form, enum copy_kind kind,
                     uint8_t *bytes, uint8_t *length)
{
    int64_t by = moved_by(builder, form, kind == COPY_LED ? builder->request->distance : 0);
    if (kind == COPY_REGISTERED)
        return registered_copy(form, builder->emit.scratch_register, bytes, length);
    if (form->flow == DISPLACED_FLOW_CALL_INDIRECT)
        return displaced_call_as_jump(form, emit_here(&builder->emit), by, bytes, length);
    return displaced_copy(form, emit_here(&builder->emit), by, bytes, length);
}

static bool can_copy(const struct builder *builder, const struct displaceable *form, enum copy_kind kind)
{
    uint8_t bytes[DISPLACED_BYTES], length;
    return try_copy(builder, form, kind, bytes, &length);
}

static void copy(struct builder *builder, const struct displaceable *form, enum copy_kind kind)
{
    uint8_t bytes[DISPLACED_BYTES], length = 0;
    if (!try_copy(builder, form, kind, bytes, &length))
        emit_fail(&builder->emit);
    else
        emit_bytes(&builder->emit, bytes, length);
}

static bool reads(const struct block_instruction *instruction, unsigned reg)
{
    return instruction->form.effects.reads >> reg & 1;
}

static bool writes(const struct block_instruction *instruction, unsigned reg)
{
    return instruction->form.effects.writes >> reg & 1;
}

/* The state after the current instruction, which is now executed. */
static void have_executed(struct builder *builder, const struct block_instruction *instruction)
{
    struct emit_state *state = &builder->emit.state;
    if (writes(instruction, SEGUE_RAX)) {
        state->rax = EMIT_LIVE;
        state->flags &= (uint8_t)~EMIT_AX;
    }
    if (writes(instruction, builder->emit.scratch_register))
        state->scratch = EMIT_LIVE;
    if (instruction->form.effects.flags_written)
        state->flags = EMIT_LIVE;
    state->is_counted = false;
    builder->emit.instruction++;
}

/* What the instruction uses is put in place, by instructions that change no flag. Not RAX, if flags have to follow. */
static void prepare_by_moves(struct builder *builder, const struct block_instruction *instruction)
{
    struct emitter *emit = &builder->emit;
    bool flags_follow = instruction->needs_flags && !(emit->state.flags & EMIT_LIVE);
    if (!flags_follow) {
        if (reads(instruction, SEGUE_RAX))
            emit_load_rax(emit);
        else if (writes(instruction, SEGUE_RAX) && emit->state.flags == EMIT_AX &&
                 !effects_overwrite_flags(&instruction->form.effects))
            emit_save_flags_in_slot(emit);
    }
    if (reads(instruction, emit->scratch_register))
        emit_load_scratch(emit);
}

static void prepare(struct builder *builder, const struct block_instruction *instruction)
{
    if (instruction->needs_flags)
        emit_load_flags(&builder->emit);
    prepare_by_moves(builder, instruction);
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
    copy(builder, &instruction->form, kind);
}

/* The access itself, inside or outside. */
static void finish(struct builder *builder, const struct block_instruction *instruction, enum copy_kind kind)
{
    if (instruction->kind == BLOCK_CHECKED_CALL) {
        call(builder, instruction, kind);
    } else {
        prepare(builder, instruction);
        copy(builder, &instruction->form, kind);
    }
    have_executed(builder, instruction);
}

/* ---- exits ---- */

/* The label of the instruction there, if it is in the block; else NULL. */
static const struct label *label_at(struct builder *builder, uint64_t original)
{
    for (unsigned i = 0; i < builder->count; i++)
        if (instruction_at(builder, i)->form.address == original)
            return &builder->scratch->labels[i];
    return NULL;
}

/* Only an access that is checked opens the frame: it has an entry for a stack without room. */
static bool can_conform(const struct builder *builder, const struct label *label)
{
    return label && label->is_set && (builder->emit.state.is_open || !label->state.is_open);
}

/* For the next attempt: the state at the first jump to the beginning. */
static void note_loop(struct builder *builder, const struct label *label)
{
    const struct emit_state *state = &builder->emit.state;
    if (builder->is_loop || label != builder->scratch->labels || !state->is_open)
        return;
    builder->is_loop = true;
    builder->looping = *state;
    builder->looping.flags = state->flags & EMIT_LIVE ? EMIT_LIVE : state->flags & EMIT_AX ? EMIT_AX : EMIT_SLOT;
}

/* Where code that goes on at that original address leads to. No other body: it may be built anew. */
static uint64_t resolve(const struct builder *builder, uint64_t original)
{
    return original == builder->request->site ? builder->emit.at : original;
}

static void leave_to(struct builder *builder, uint64_t address)
{
    emit_close(&builder->emit, 0);
    emit_lead_to_address(&builder->emit, emit_jump(&builder->emit, EMIT_ALWAYS), address);
}

static void go_on_at(struct builder *builder, uint64_t original)
{
    const struct label *label = label_at(builder, original);
    note_loop(builder, label);
    if (!can_conform(builder, label)) {
        leave_to(builder, resolve(builder, original));
        return;
    }
    emit_conform(&builder->emit, &label->state);
    emit_jump_back(&builder->emit, EMIT_ALWAYS, label->offset);
}

static struct pending *add_pending(struct builder *builder, enum pending_kind kind)
{
    struct pending *pending = &builder->scratch->pending[builder->pending_count++];
    *pending = (struct pending){
        .kind = (uint8_t)kind, .instruction = (uint8_t)builder->emit.instruction, .state = builder->emit.state};
    return pending;
}

static enum emit_condition condition_of(const struct displaceable *form)
{
    const uint8_t *opcode = form->bytes + form->opcode;
    return (enum emit_condition)(EMIT_IF | (*opcode == 0x0f ? opcode[1] : *opcode) % 16u);
}

/* A jump back leads straight to its label where moves are all that is to be done. */
static void conditional(struct builder *builder, const struct block_instruction *instruction)
{
    struct emitter *emit = &builder->emit;
    const struct displaceable *form = &instruction->form;
    const struct label *label = label_at(builder, form->target);
    emit_load_flags(emit);
    note_loop(builder, label);
    if (can_conform(builder, label))
        emit_conform_by_moves(emit, &label->state);
    if (label && label->is_set && emit_conforms(emit, &label->state)) {
        emit_jump_back(emit, condition_of(form), label->offset);
    } else {
        struct pending *pending = add_pending(builder, PENDING_EXIT);
        pending->jumps[pending->jump_count++] = emit_jump(emit, condition_of(form));
    }
    have_executed(builder, instruction);
}

/* ---- checks ---- */

static bool is_transfer(const struct block_instruction *instruction)
{
    return instruction->kind == BLOCK_CHECKED_JUMP || instruction->kind == BLOCK_CHECKED_CALL;
}

static bool can_be_registered(const struct builder *builder, const struct block_instruction *instruction)
{
    unsigned reg = builder->emit.scratch_register;
    return !reads(instruction, reg) && !writes(instruction, reg) && !instruction->needs_stack &&
           can_copy(builder, &instruction->form, COPY_REGISTERED);
}

/* Whether other regions are tried where the access misses the body's. */
static bool looks_up(const struct builder *builder, const struct block_instruction *instruction)
{
    return builder->request->lookup && can_be_registered(builder, instruction);
}

/* The effective address in the scratch register, whose value is in its slot. */
static void load_address(struct builder *builder, const struct block_instruction *instruction)
{
    struct emitter *emit = &builder->emit;
    const struct displaceable *form = &instruction->form;
    uint8_t bytes[DISPLACED_BYTES], length = 0;
    if (form->memory.base == SEGUE_RAX || form->memory.index == SEGUE_RAX)
        emit_load_rax(emit);
    if (form->memory.base == emit->scratch_register || form->memory.index == emit->scratch_register)
        emit_load_scratch(emit);
    if (!displaced_lea(form, emit_here(emit), moved_by(builder, form, 0), (uint8_t)emit->scratch_register, bytes,
                       &length))
        emit_fail(emit);
    else
        emit_bytes(emit, bytes, length);
    emit->state.scratch = EMIT_SLOT;
}

static void take_record(struct builder *builder, const struct block_instruction *instruction)
{
    const struct body_request *request = builder->request;
    if (request->mode == BODY_LED)
        return;
    const struct segue_memory_operand *memory = &instruction->form.memory;
    struct body_record *record = &request->records[builder->record_count++];
    builder->recorded |= UINT64_C(1) << builder->emit.instruction;
    *record = (struct body_record){.site = instruction->form.address,
                                   .slot = request->slot,
                                   .size = memory->size,
                                   .direction = memory->direction,
                                   .lanes = instruction->form.is_masked ? memory->lanes : 0,
                                   .element = instruction->form.is_masked ? memory->element : 0,
                                   .looks_up = looks_up(builder, instruction)};
}

static uint64_t address_of(const volatile void *object)
{
    return (uint64_t)(uintptr_t)object;
}

/* The record of the current instruction. */
static struct body_record *record_of(const struct builder *builder)
{
    uint64_t before = builder->recorded & ((UINT64_C(1) << builder->emit.instruction) - 1);
    return &builder->request->records[__builtin_popcountll(before)];
}

/* Asks, with RAX, the scratch register and the flags in their slots. Returns the place of the jump for other answers
 * than 0. */
static uint32_t ask(struct builder *builder, bool missed)
{
    struct emitter *emit = &builder->emit;
    const struct body_request *request = builder->request;
    const struct body_record *record = record_of(builder);
    emit->state.rax = emit->state.scratch = emit->state.flags = EMIT_SLOT;
    emit_near(emit, EMIT_ADD, address_of(&request->descriptor->base));
    emit_store_slot(emit, emit->scratch_register, BODY_ADDRESS);
    emit_near(emit, EMIT_ADDRESS, address_of(record));
    emit_store_slot(emit, emit->scratch_register, BODY_ARGUMENT);
    if (request->ask == BODY_THUNK_ASK_REGS || request->ask == BODY_THUNK_ASK_REGS_VECTORS)
        emit_store_constant(emit, emit->scratch_register, BODY_NUMBER);
    if (record->looks_up)
        emit_store_constant(emit, missed, BODY_MISSED);
    emit_call(emit, address_of(&request->thunks[request->ask]));
    uint32_t place = emit_jump(emit, EMIT_IF_ABOVE_OR_EQUAL);
    emit->state.is_counted = true;
    return place;
}

static void count(struct builder *builder)
{
    emit_increment(&builder->emit, address_of(&record_of(builder)->count));
    builder->emit.state.is_counted = true;
}

/* A mask without a bit selects nothing: there is no access to count, and the mask goes to the policy. */
static void examine_mask(struct builder *builder, const struct segue_memory_operand *memory, struct pending *outside)
{
    struct emitter *emit = &builder->emit;
    emit_store_mask(emit, memory->mask, memory->lanes);
    if (builder->request->mode == BODY_POLICY)
        return;
    emit_test_mask(emit, memory->lanes);
    outside->jumps[outside->jump_count++] = emit_jump(emit, EMIT_IF_ZERO);
}

/* The alias's address in the scratch register, from what a check leaves there. */
static void load_alias(struct builder *builder)
{
    struct emitter *emit = &builder->emit;
    if (builder->request->mode == BODY_POLICY)
        emit_load_slot(emit, emit->scratch_register, BODY_ADDRESS);
    else
        emit_near(emit, EMIT_ADD, address_of(&builder->request->descriptor->base));
    emit_advance(emit, builder->request->distance);
}

static void check_access(struct builder *builder, const struct block_instruction *instruction, enum copy_kind kind)
{
    struct emitter *emit = &builder->emit;
    const struct body_request *request = builder->request;
    builder->checks_site |= emit->instruction == 0;
    unsigned size_class = (unsigned)__builtin_ctz(instruction->form.memory.size);
    bool needs_offset = request->lookup || request->mode == BODY_POLICY || kind == COPY_REGISTERED;
    take_record(builder, instruction);
    emit_open(emit);
    emit_save_scratch(emit);
    load_address(builder, instruction);
    emit_save_flags(emit);
    emit_near(emit, EMIT_SUB, address_of(&request->descriptor->base));
    emit->state.flags &= (uint8_t)~EMIT_LIVE;
    emit_near(emit, EMIT_COMPARE, address_of(&request->descriptor->limits[size_class]));
    if (request->mode == BODY_POLICY) {
        emit_save_flags_in_slot(emit);
        emit_save_rax(emit);
    } else if (!needs_offset && !instruction->needs_stack) {
        prepare_by_moves(builder, instruction);
    }
    uint32_t place = emit_jump(emit, EMIT_IF_ABOVE_OR_EQUAL);
    if (request->mode == BODY_POLICY)
        emit->state.rax = emit->state.flags = EMIT_SLOT;
    struct pending *outside = add_pending(builder, PENDING_OUTSIDE);
    outside->jumps[outside->jump_count++] = place;
    if (request->mode != BODY_LED && instruction->form.is_masked)
        examine_mask(builder, &instruction->form.memory, outside);
    if (request->mode == BODY_POLICY) {
        outside->jumps[outside->jump_count++] = ask(builder, false);
    } else if (request->mode == BODY_COUNT) {
        count(builder);
    }
    if (kind == COPY_REGISTERED)
        load_alias(builder);
    finish(builder, instruction, kind);
    outside->join = emit->used;
    outside->joined = emit->state;
}

/* ---- the body ---- */

static void build_checked(struct builder *builder, const struct block_instruction *instruction)
{
    if (can_copy(builder, &instruction->form, COPY_LED))
        check_access(builder, instruction, COPY_LED);
    else if (can_be_registered(builder, instruction))
        check_access(builder, instruction, COPY_REGISTERED);
    else if (is_transfer(instruction))
        emit_fail(&builder->emit);
    else
        finish(builder, instruction, COPY_PLAIN);
}

/* Only where the instruction is built for the first time. */
static void set_label(struct builder *builder)
{
    struct label *label = &builder->scratch->labels[builder->emit.instruction];
    if (!label->is_set)
        *label = (struct label){.offset = builder->emit.used, .is_set = true, .state = builder->emit.state};
}

static void build_instruction(struct builder *builder, const struct block_instruction *instruction)
{
    set_label(builder);
    switch ((enum block_kind)instruction->kind) {
    case BLOCK_PLAIN:
    case BLOCK_LAST:
        finish(builder, instruction, COPY_PLAIN);
        break;
    case BLOCK_CHECKED:
    case BLOCK_CHECKED_JUMP:
    case BLOCK_CHECKED_CALL:
        build_checked(builder, instruction);
        break;
    case BLOCK_CONDITIONAL:
        conditional(builder, instruction);
        break;
    case BLOCK_JUMP:
        go_on_at(builder, instruction->form.target);
        break;
    }
}

/* The rest of the block from that instruction on. */
static void build_tail(struct builder *builder, unsigned first)
{
    for (unsigned i = first; i < builder->count; i++)
        build_instruction(builder, instruction_at(builder, i));
    const struct block_instruction *last = instruction_at(builder, builder->count - 1);
    if (last->kind < BLOCK_JUMP)
        go_on_at(builder, last->form.address + last->form.length);
}

/* ---- out of line ---- */

static bool is_short_tail(struct builder *builder, unsigned first)
{
    if (builder->count - first > TAIL || builder->pending_count + TAIL > PENDING)
        return false;
    for (unsigned i = first; i < builder->count; i++)
        if (block_is_checked(instruction_at(builder, i)))
            return false;
    return true;
}

/* The access, whose address is outside: in another region, or as the program wrote it. */
static void join(struct builder *builder, const struct pending *pending)
{
    emit_conform(&builder->emit, &pending->joined);
    emit_lead_to(&builder->emit, emit_jump(&builder->emit, EMIT_ALWAYS), pending->join);
}

/* Where the lookup leaves the alias's address; no answer leads on. Returns the places of the jumps to the access as the
 * program wrote it. */
struct misses {
    uint32_t jumps[2];
    unsigned count;
};

/* In the table; counted if it is found. */
static void find_region(struct builder *builder, const struct block_instruction *instruction, struct misses *misses)
{
    struct emitter *emit = &builder->emit;
    const struct body_request *request = builder->request;
    const struct segue_memory_operand *memory = &instruction->form.memory;
    emit_near(emit, EMIT_ADD, address_of(&request->descriptor->base));
    emit_store_slot(emit, emit->scratch_register, BODY_ADDRESS);
    emit_store_constant(emit, memory->size, BODY_ARGUMENT);
    if (request->mode == BODY_COUNT && instruction->form.is_masked) {
        emit_store_mask(emit, memory->mask, memory->lanes);
        emit_test_mask(emit, memory->lanes);
        misses->jumps[misses->count++] = emit_jump(emit, EMIT_IF_ZERO);
    }
    emit_call(emit, address_of(&request->thunks[BODY_THUNK_LOOKUP]));
    misses->jumps[misses->count++] = emit_jump(emit, EMIT_IF_ABOVE_OR_EQUAL);
    if (request->mode == BODY_COUNT)
        count(builder);
}

static void ask_for_region(struct builder *builder, const struct block_instruction *instruction, struct misses *misses)
{
    if (instruction->form.is_masked)
        emit_store_mask(&builder->emit, instruction->form.memory.mask, instruction->form.memory.lanes);
    misses->jumps[misses->count++] = ask(builder, true);
}

/* The access in another region. */
static struct misses look_up(struct builder *builder, const struct pending *pending,
                             const struct block_instruction *instruction)
{
    struct emitter *emit = &builder->emit;
    struct misses misses = {.count = 0};
    bool asks = builder->request->mode == BODY_POLICY;
    if (asks)
        ask_for_region(builder, instruction, &misses);
    else
        find_region(builder, instruction, &misses);
    if (instruction->needs_flags)
        emit_load_flags(emit);
    prepare_by_moves(builder, instruction);
    emit_load_slot(emit, emit->scratch_register, asks ? BODY_ALIAS : BODY_ADDRESS);
    copy(builder, &instruction->form, COPY_REGISTERED);
    have_executed(builder, instruction);
    join(builder, pending);
    return misses;
}

/* The first jump comes from the check; the others, where the access is inside and not made there. */
static void build_outside(struct builder *builder, const struct pending *pending)
{
    struct emitter *emit = &builder->emit;
    const struct block_instruction *instruction = instruction_at(builder, pending->instruction);
    emit_lead_to(emit, pending->jumps[0], emit->used);
    if (looks_up(builder, instruction)) {
        struct misses misses = look_up(builder, pending, instruction);
        for (unsigned i = 0; i < misses.count; i++)
            emit_lead_to(emit, misses.jumps[i], emit->used);
        emit->state = pending->state;
        emit->instruction = pending->instruction;
    }
    for (unsigned i = 1; i < pending->jump_count; i++)
        emit_lead_to(emit, pending->jumps[i], emit->used);
    finish(builder, instruction, COPY_PLAIN);
    if (is_transfer(instruction))
        return;
    if (is_short_tail(builder, pending->instruction + 1u))
        build_tail(builder, pending->instruction + 1u);
    else
        join(builder, pending);
}

/* A conditional jump that is taken. */
static void build_exit(struct builder *builder, const struct pending *pending)
{
    struct emitter *emit = &builder->emit;
    uint64_t target = instruction_at(builder, pending->instruction)->form.target;
    const struct label *label = label_at(builder, target);
    if (label && label->is_set && emit_conforms(emit, &label->state)) {
        emit_lead_to(emit, pending->jumps[0], label->offset);
    } else if (!emit->state.is_open && !can_conform(builder, label)) {
        emit_lead_to_address(emit, pending->jumps[0], resolve(builder, target));
    } else {
        emit_lead_to(emit, pending->jumps[0], emit->used);
        go_on_at(builder, target);
    }
}

static void build_pending(struct builder *builder, const struct pending *pending)
{
    struct emitter *emit = &builder->emit;
    emit->state = pending->state;
    emit->instruction = pending->instruction;
    if (pending->kind == PENDING_EXIT) {
        build_exit(builder, pending);
        return;
    }
    build_outside(builder, pending);
}

/* For a thread whose stack has no room for the frame: its own instruction, then back. */
static void build_plain_entry(struct builder *builder, unsigned number)
{
    struct emitter *emit = &builder->emit;
    const struct block_instruction *instruction = instruction_at(builder, number);
    if (!block_is_checked(instruction) || instruction->kind == BLOCK_CHECKED_CALL)
        return;
    emit->instruction = number;
    emit->state = EMIT_ALL_LIVE;
    copy(builder, &instruction->form, COPY_PLAIN);
    have_executed(builder, instruction);
    if (!is_transfer(instruction))
        leave_to(builder, instruction->form.address + instruction->form.length);
}

static void begin(struct builder *builder, unsigned count, uint64_t at, uint8_t *code, size_t room, struct body *body)
{
    struct block *block = &builder->scratch->block;
    block->count = count;
    block_choose_scratch(block);
    builder->count = count;
    builder->pending_count = builder->record_count = 0;
    builder->recorded = 0;
    builder->checks_site = false;
    memset(builder->scratch->labels, 0, sizeof builder->scratch->labels);
    builder->emit = (struct emitter){.code = code,
                                     .room = room,
                                     .at = at,
                                     .state = EMIT_ALL_LIVE,
                                     .scratch_register = block->scratch_register,
                                     .failed = BODY_INSTRUCTIONS + 1};
    body_table_begin(&builder->emit.table, body->table, count);
}

/* The code of the first `count` instructions. */
static void build(struct builder *builder, uint32_t *plain)
{
    struct emitter *emit = &builder->emit;
    if (builder->is_loop)
        emit_conform(emit, &builder->looping);
    build_tail(builder, 0);
    for (unsigned i = 0; i < builder->pending_count; i++)
        build_pending(builder, &builder->scratch->pending[i]);
    *plain = emit->used;
    for (unsigned i = builder->count; i-- > 0;)
        build_plain_entry(builder, i);
}

static void complete(struct builder *builder, uint32_t plain, struct body *body)
{
    struct body_table head = {.site = builder->request->site,
                              .recorded = builder->recorded,
                              .size = builder->emit.used,
                              .plain = (uint16_t)plain,
                              .bytes = (uint16_t)builder->emit.table.used,
                              .instructions = (uint8_t)builder->count,
                              .scratch_register = builder->emit.scratch_register};
    memcpy(body->table, &head, offsetof(struct body_table, lengths));
    for (unsigned i = 0; i < builder->count; i++)
        body->table[offsetof(struct body_table, lengths) + i] = instruction_at(builder, i)->form.length;
    body->size = builder->emit.used;
    body->record_count = builder->record_count;
    body->checks_site = builder->checks_site;
    body->table_size = builder->emit.table.used;
    body->refusal = NULL;
}

/* Builds it; if it is a loop, once more, so that it begins with the state that the loop comes back with. */
static bool try_build(struct builder *builder, unsigned count, uint64_t at, uint8_t *code, size_t room,
                      struct body *body)
{
    uint32_t plain = 0;
    builder->is_loop = false;
    for (bool again = true; again;) {
        bool was_loop = builder->is_loop;
        begin(builder, count, at, code, room, body);
        build(builder, &plain);
        again = builder->is_loop && !was_loop && block_is_checked(instruction_at(builder, 0));
    }
    if (builder->emit.failed <= BODY_INSTRUCTIONS || builder->emit.table.is_full ||
        builder->emit.used > builder->request->most_bytes)
        return false;
    complete(builder, plain, body);
    return true;
}

enum segue_status body_build(struct body_scratch *scratch, const struct body_request *request, uint64_t at,
                             uint8_t *code, size_t room, struct body *body)
{
    struct builder builder = {.request = request, .scratch = scratch};
    body->refusal = block_read(&scratch->decode, request, &scratch->block);
    unsigned count = body->refusal ? 0 : scratch->block.count;
    for (unsigned attempt = 0; attempt < ATTEMPTS && count > 0; attempt++) {
        if (try_build(&builder, count, at, code, room, body))
            return body->size <= room ? SEGUE_OK : SEGUE_TOO_SMALL;
        body->refusal = "what it needs does not reach from there, or is too much";
        count = builder.emit.failed < count ? builder.emit.failed : count * 3 / 4;
    }
    return SEGUE_UNSUPPORTED;
}
