/* access.c: see access.h.
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
 *      testb $size, watched(%scratch)     if only watched bytes are asked about: past the question
 *      jz   spared
 *      mov  %fs:counters, %scratch        or lock incq count, where the scratch register is not free; or the question;
 *      incq count(%scratch)               or both where some accesses are asked about
 *      add  $127, %al; sahf               if it uses flags
 *      the instruction at the alias */
#include "access.h"

#include "copy.h"

static bool can_be_registered(const struct builder *builder, const struct block_instruction *instruction)
{
    unsigned reg = builder->emit.scratch_register;
    return !block_reads(instruction, reg) && !block_writes(instruction, reg) && !instruction->needs_stack &&
           copy_is_possible(builder, &instruction->form, COPY_REGISTERED);
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
    if (!displaced_lea(form, emit_here(emit), copy_distance(builder, form, 0), (uint8_t)emit->scratch_register, bytes,
                       &length))
        emit_fail(emit);
    else
        emit_bytes(emit, bytes, length);
    emit->state.scratch = EMIT_SLOT;
}

static uint64_t address_of(const volatile void *object)
{
    return (uint64_t)(uintptr_t)object;
}

/* Whether each thread counts by itself: for which the scratch register must be free, and for a thread without counters
 * the instruction must have a plain entry. */
static bool is_counted_by_thread(const struct builder *builder, const struct block_instruction *instruction,
                                 enum copy_kind kind)
{
    const struct body_request *request = builder->request;
    return request->mode == BODY_COUNT && request->counters_at && kind == COPY_LED &&
           instruction->kind != BLOCK_CHECKED_CALL && request->counters + builder->record_count < BODY_COUNTERS_MOST;
}

static void take_record(struct builder *builder, const struct block_instruction *instruction, enum copy_kind kind)
{
    const struct body_request *request = builder->request;
    if (request->mode == BODY_LED)
        return;
    const struct segue_memory_operand *memory = &instruction->form.memory;
    struct body_record *record = &request->records[builder->record_count];
    builder->recorded |= UINT64_C(1) << builder->emit.instruction;
    *record = (struct body_record){.site = instruction->form.address,
                                   .slot = request->slot,
                                   .size = memory->size,
                                   .direction = memory->direction,
                                   .by_thread = is_counted_by_thread(builder, instruction, kind),
                                   .lanes = instruction->form.is_masked ? memory->lanes : 0,
                                   .element = instruction->form.is_masked ? memory->element : 0};
    builder->record_count++;
}

/* The record of the current instruction. */
static struct body_record *record_of(const struct builder *builder)
{
    uint64_t before = builder->recorded & ((UINT64_C(1) << builder->emit.instruction) - 1);
    return &builder->request->records[__builtin_popcountll(before)];
}

/* By a thunk, which finds all that it needs in the frame. */
static void ask_by_thunk(struct builder *builder, bool missed)
{
    struct emitter *emit = &builder->emit;
    const struct body_request *request = builder->request;
    emit_store_slot(emit, emit->scratch_register, BODY_ADDRESS);
    emit_near(emit, EMIT_ADDRESS, address_of(record_of(builder)));
    emit_store_slot(emit, emit->scratch_register, BODY_ARGUMENT);
    if (request->ask == BODY_THUNK_ASK_REGS || request->ask == BODY_THUNK_ASK_REGS_VECTORS)
        emit_store_constant(emit, emit->scratch_register, BODY_NUMBER);
    emit_store_constant(emit, missed, BODY_MISSED);
    emit_call(emit, address_of(&request->thunks[request->ask]));
}

static void ask_quickly(struct builder *builder, enum copy_kind kind)
{
    struct emitter *emit = &builder->emit;
    if (kind == COPY_REGISTERED)
        emit_store_slot(emit, emit->scratch_register, BODY_ADDRESS);
    emit_rax_address(emit, address_of(record_of(builder)));
    emit_call_of(emit, &builder->request->quick[emit->scratch_register]);
}

static bool can_be_asked_quickly(const struct builder *builder)
{
    const struct body_request *request = builder->request;
    return request->ask == BODY_THUNK_ASK && request->quick && request->quick[builder->emit.scratch_register] &&
           !record_of(builder)->lanes;
}

/* Whether the address is made of RAX or of the scratch register. */
static bool is_address_saved(const struct builder *builder, const struct segue_memory_operand *memory)
{
    unsigned scratch = builder->emit.scratch_register;
    return memory->base == SEGUE_RAX || memory->index == SEGUE_RAX || memory->base == scratch ||
           memory->index == scratch;
}

/* From the check on: the address, with RAX, the scratch register and the flags in their slots. Once more by LEA, if it
 * can be: a load less. */
static void find_address(struct builder *builder, const struct block_instruction *instruction)
{
    struct emitter *emit = &builder->emit;
    emit->state.rax = emit->state.scratch = emit->state.flags = EMIT_SLOT;
    if (is_address_saved(builder, &instruction->form.memory))
        emit_near(emit, EMIT_ADD, address_of(&builder->request->descriptor->base));
    else
        load_address(builder, instruction);
}

/* Asks about the address; CF if the answer is 0. */
static void call_policy(struct builder *builder, bool missed, enum copy_kind kind)
{
    if (!missed && can_be_asked_quickly(builder))
        ask_quickly(builder, kind);
    else
        ask_by_thunk(builder, missed);
}

/* Returns the place of the jump for an access that touches no watched byte: it is made at the alias, as after an answer
 * of 0. */
static uint32_t spare(struct builder *builder, unsigned size_class, enum copy_kind kind)
{
    struct emitter *emit = &builder->emit;
    if (kind == COPY_REGISTERED)
        emit_store_slot(emit, emit->scratch_register, BODY_ADDRESS);
    emit_test_at_scratch(emit, builder->request->watched, (uint8_t)(1u << size_class));
    return emit_jump(emit, EMIT_IF_ZERO);
}

/* Returns the place of the jump for other answers than 0. */
static uint32_t ask(struct builder *builder, bool missed, enum copy_kind kind)
{
    call_policy(builder, missed, kind);
    uint32_t place = emit_jump(&builder->emit, EMIT_IF_ABOVE_OR_EQUAL);
    builder->emit.state.is_counted = true;
    return place;
}

/* Numbers the access, and asks if the number is due. If it is not made here, another one does not get the number. */
static uint32_t ask_about_some(struct builder *builder, enum copy_kind kind)
{
    struct emitter *emit = &builder->emit;
    const struct body_record *record = record_of(builder);
    if (kind == COPY_REGISTERED)
        emit_store_slot(emit, emit->scratch_register, BODY_ADDRESS);
    emit_take_number(emit, address_of(&record->count));
    emit->state.is_counted = true;
    emit_test_number(emit, builder->request->sample);
    uint32_t not_due = emit_jump(emit, EMIT_IF_NOT_ZERO);
    call_policy(builder, false, kind);
    uint32_t answered = emit_jump(emit, EMIT_IF_BELOW);
    emit_increment(emit, address_of(&record->left));
    emit->state.is_counted = false;
    uint32_t place = emit_jump(emit, EMIT_ALWAYS);
    emit->state.is_counted = true;
    emit_lead_to(emit, not_due, emit->used);
    emit_lead_to(emit, answered, emit->used);
    return place;
}

/* The scratch register is lost if each thread counts by itself. */
static void count(struct builder *builder)
{
    struct emitter *emit = &builder->emit;
    const struct body_request *request = builder->request;
    const struct body_record *record = record_of(builder);
    if (record->by_thread) {
        uint32_t counter = request->counters + (uint32_t)(record - request->records);
        emit->state.scratch = EMIT_SLOT;
        emit_load_of_thread(emit, request->counters_at);
        emit_increment_at_scratch(emit, (int32_t)(counter * sizeof(uint64_t) - BODY_COUNTERS_BIAS));
    } else {
        emit_increment(emit, address_of(&record->count));
    }
    emit->state.is_counted = true;
}

/* A mask without a bit selects nothing: there is no access to count, and the mask goes to the policy. */
static void examine_mask(struct builder *builder, const struct segue_memory_operand *memory, struct pending *outside)
{
    struct emitter *emit = &builder->emit;
    emit_store_mask(emit, memory->mask, memory->lanes);
    if (builder->request->mode == BODY_POLICY && !builder->request->sample)
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

/* Threads come to the first access by its beginning, and by a link that has opened the frame. */
static void note_entry(struct builder *builder, const struct block_instruction *instruction)
{
    struct emitter *emit = &builder->emit;
    if (emit->instruction || !builder->request->most_links || emit->state.flags != EMIT_LIVE ||
        is_address_saved(builder, &instruction->form.memory))
        return;
    emit_save_rax(emit);
    emit->state.rax = emit->state.scratch = EMIT_SLOT;
    builder->entries[BODY_ENTRY_LIVE] = (uint16_t)emit->used;
}

/* The address and the flags are in place. */
static void note_joint(struct builder *builder)
{
    struct emitter *emit = &builder->emit;
    if (emit->instruction)
        return;
    builder->joint = emit->used;
    builder->at_joint = emit->state;
}

static void check_access(struct builder *builder, const struct block_instruction *instruction, enum copy_kind kind)
{
    struct emitter *emit = &builder->emit;
    const struct body_request *request = builder->request;
    builder->checks_site |= emit->instruction == 0;
    unsigned size_class = (unsigned)__builtin_ctz(instruction->form.memory.size);
    bool needs_offset = request->lookup || request->mode == BODY_POLICY || kind == COPY_REGISTERED;
    take_record(builder, instruction, kind);
    bool is_scratch_used = request->mode == BODY_COUNT && record_of(builder)->by_thread;
    emit_open(emit);
    emit_save_scratch(emit);
    note_entry(builder, instruction);
    load_address(builder, instruction);
    emit_save_flags(emit);
    emit->state.flags &= (uint8_t)~EMIT_LIVE;
    note_joint(builder);
    emit_near(emit, EMIT_SUB, address_of(&request->descriptor->base));
    emit_near(emit, EMIT_COMPARE, address_of(&request->descriptor->limits[size_class]));
    if (request->mode == BODY_POLICY) {
        emit_save_flags_in_slot(emit);
        emit_save_rax(emit);
    } else if (!needs_offset && !instruction->needs_stack &&
               !(is_scratch_used && block_reads(instruction, emit->scratch_register))) {
        copy_prepare_by_moves(builder, instruction);
    }
    uint32_t place = emit_jump(emit, EMIT_IF_ABOVE_OR_EQUAL);
    if (request->mode == BODY_POLICY)
        emit->state.rax = emit->state.flags = EMIT_SLOT;
    struct pending *outside = builder_add_pending(builder, PENDING_OUTSIDE);
    outside->jumps[outside->jump_count++] = place;
    if (request->mode != BODY_LED && instruction->form.is_masked)
        examine_mask(builder, &instruction->form.memory, outside);
    if (request->mode == BODY_POLICY) {
        find_address(builder, instruction);
        uint32_t spared = request->watched ? spare(builder, size_class, kind) : 0;
        outside->jumps[outside->jump_count++] =
            request->sample ? ask_about_some(builder, kind) : ask(builder, false, kind);
        if (spared)
            emit_lead_to(&builder->emit, spared, builder->emit.used);
    } else if (request->mode == BODY_COUNT) {
        count(builder);
    }
    if (kind == COPY_REGISTERED)
        load_alias(builder);
    copy_instruction(builder, instruction, kind);
    outside->join = emit->used;
    outside->joined = emit->state;
}

void access_build(struct builder *builder, const struct block_instruction *instruction)
{
    if (copy_is_possible(builder, &instruction->form, COPY_LED))
        check_access(builder, instruction, COPY_LED);
    else if (can_be_registered(builder, instruction))
        check_access(builder, instruction, COPY_REGISTERED);
    else if (block_is_transfer(instruction))
        emit_fail(&builder->emit);
    else
        copy_instruction(builder, instruction, COPY_PLAIN);
}

void access_build_entry(struct builder *builder, enum body_entry entry)
{
    struct emitter *emit = &builder->emit;
    enum emit_place flags = entry == BODY_ENTRY_LIVE ? EMIT_LIVE : builder_saved_flags(builder);
    emit->instruction = 0;
    emit->state = (struct emit_state){.rax = EMIT_SLOT, .scratch = EMIT_SLOT, .flags = (uint8_t)flags, .is_open = true};
    load_address(builder, builder_instruction(builder, 0));
    emit_conform(emit, &builder->at_joint);
    emit_lead_to(emit, emit_jump(emit, EMIT_ALWAYS), builder->joint);
}

/* ---- out of line ---- */

/* The access, whose address is outside: in another region, or as the program wrote it. */
void access_join(struct builder *builder, const struct pending *pending)
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
    find_address(builder, instruction);
    misses->jumps[misses->count++] = ask(builder, true, COPY_REGISTERED);
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
    copy_prepare(builder, instruction);
    emit_load_slot(emit, emit->scratch_register, asks ? BODY_ALIAS : BODY_ADDRESS);
    copy_put(builder, &instruction->form, COPY_REGISTERED);
    copy_have_executed(builder, instruction);
    access_join(builder, pending);
    return misses;
}

/* The first jump comes from the check; the others, where the access is inside and not made there. */
void access_build_outside(struct builder *builder, const struct pending *pending)
{
    struct emitter *emit = &builder->emit;
    const struct block_instruction *instruction = builder_instruction(builder, pending->instruction);
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
    copy_instruction(builder, instruction, COPY_PLAIN);
}
