/* build.c: builds bodies (see body.h): the block's instructions one after the other, then what is out of line. */
#include <stddef.h>
#include <string.h>

#include "access.h"
#include "copy.h"
#include "emulate/body/body.h"

/* A retry ends the block earlier. */
#define ATTEMPTS 6
/* The most instructions: the block's, what is behind it, and ways. */
#define TABLE_NUMBERS (BODY_INSTRUCTIONS + 1 + BLOCK_WAYS)

size_t body_scratch_size(void)
{
    return (sizeof(struct body_scratch) + 15) & ~(size_t)15;
}

/* ---- exits ---- */

/* The label of the instruction there, if it is in the block; else NULL. */
static const struct label *label_at(struct builder *builder, uint64_t original)
{
    for (unsigned i = 0; i < builder->count; i++)
        if (builder_instruction(builder, i)->form.address == original)
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

/* What a body's links and entries take for granted: the scratch register, and where flags are saved. */
static uint8_t linkage_of(const struct builder *builder)
{
    return (uint8_t)((unsigned)builder->emit.scratch_register << 3 | (unsigned)builder_saved_flags(builder));
}

/* The entry that takes the flags from where they are. */
static enum body_entry entry_for(const struct builder *builder)
{
    unsigned flags = builder->emit.state.flags;
    return flags & builder_saved_flags(builder) || !(flags & EMIT_LIVE) ? BODY_ENTRY_SAVED : BODY_ENTRY_LIVE;
}

/* Where the thread goes on behind the block, or at the target of the current instruction. */
static const struct block_exit *follow(struct builder *builder, uint64_t original)
{
    struct block *block = &builder->scratch->block;
    unsigned number = builder->emit.instruction;
    struct block_exit *exit = number == builder->count ? &block->ends[number] : &block->targets[number];
    if (exit->kind == BLOCK_EXIT_UNKNOWN)
        block_follow(&builder->scratch->decode, builder->request, block, original, exit);
    return exit;
}

static bool can_link(const struct builder *builder)
{
    return builder->emit.state.is_open && builder->link_count < builder->request->most_links;
}

/* To another body, or on to what follows here, with the same state. */
static void link_to(struct builder *builder, uint64_t original)
{
    struct emitter *emit = &builder->emit;
    enum body_entry entry = entry_for(builder);
    emit_put_flags(emit, entry == BODY_ENTRY_LIVE ? EMIT_LIVE : builder_saved_flags(builder));
    emit_save_rax(emit);
    emit_save_scratch(emit);
    emit_jump_through(emit, (uint64_t)(uintptr_t)builder->request->link_words[builder->link_count]);
    builder->links[builder->link_count++] =
        (struct body_link){.target = original, .local = emit->used, .entry = (uint8_t)entry};
}

static void leave_to(struct builder *builder, uint64_t address)
{
    emit_close(&builder->emit, 0);
    emit_lead_to_address(&builder->emit, emit_jump(&builder->emit, EMIT_ALWAYS), address);
}

/* With the frame open, at an instruction of the block. */
static bool join(struct builder *builder, uint64_t original)
{
    const struct label *label = label_at(builder, original);
    note_loop(builder, label);
    if (!can_conform(builder, label))
        return false;
    emit_conform(&builder->emit, &label->state);
    emit_jump_back(&builder->emit, EMIT_ALWAYS, label->offset);
    return true;
}

/* The instructions up to the next site, which is in another body, or in this one. Returns the site. */
static uint64_t go_to_site(struct builder *builder, uint64_t original)
{
    const struct block_exit *exit = follow(builder, original);
    if (exit->kind != BLOCK_EXIT_TO_SITE)
        return original;
    builder->emit.instruction = builder->count + 1 + exit->first;
    for (unsigned i = 0; i < exit->count; i++)
        copy_instruction(builder, &builder->scratch->block.ways[exit->first + i], COPY_PLAIN);
    return exit->site;
}

static void go_on_at(struct builder *builder, uint64_t original)
{
    if (join(builder, original))
        return;
    if (can_link(builder)) {
        uint64_t site = go_to_site(builder, original);
        if (site != original && join(builder, site))
            return;
        if (builder->emit.instruction > builder->count)
            link_to(builder, site);
        original = site;
    }
    leave_to(builder, resolve(builder, original));
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
        struct pending *pending = builder_add_pending(builder, PENDING_EXIT);
        pending->jumps[pending->jump_count++] = emit_jump(emit, condition_of(form));
    }
    copy_have_executed(builder, instruction);
}

/* ---- the body ---- */

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
        copy_instruction(builder, instruction, COPY_PLAIN);
        break;
    case BLOCK_CHECKED:
    case BLOCK_CHECKED_JUMP:
    case BLOCK_CHECKED_CALL:
        access_build(builder, instruction);
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
        build_instruction(builder, builder_instruction(builder, i));
    const struct block_instruction *last = builder_instruction(builder, builder->count - 1);
    if (last->kind < BLOCK_JUMP)
        go_on_at(builder, last->form.address + last->form.length);
}

/* ---- out of line ---- */

static bool is_short_tail(struct builder *builder, unsigned first)
{
    if (builder->count - first > BUILDER_TAIL || builder->pending_count + BUILDER_TAIL > BUILDER_PENDING)
        return false;
    for (unsigned i = first; i < builder->count; i++)
        if (block_is_checked(builder_instruction(builder, i)))
            return false;
    return true;
}

/* What is behind the access follows, or is joined. */
static void build_outside(struct builder *builder, const struct pending *pending)
{
    access_build_outside(builder, pending);
    if (block_is_transfer(builder_instruction(builder, pending->instruction)))
        return;
    if (is_short_tail(builder, pending->instruction + 1u))
        build_tail(builder, pending->instruction + 1u);
    else
        access_join(builder, pending);
}

/* A conditional jump that is taken. */
static void build_exit(struct builder *builder, const struct pending *pending)
{
    struct emitter *emit = &builder->emit;
    uint64_t target = builder_instruction(builder, pending->instruction)->form.target;
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
    const struct block_instruction *instruction = builder_instruction(builder, number);
    if (!block_is_checked(instruction) || instruction->kind == BLOCK_CHECKED_CALL)
        return;
    emit->instruction = number;
    emit->state = EMIT_ALL_LIVE;
    copy_put(builder, &instruction->form, COPY_PLAIN);
    copy_have_executed(builder, instruction);
    if (!block_is_transfer(instruction))
        leave_to(builder, instruction->form.address + instruction->form.length);
}

static void begin(struct builder *builder, unsigned count, uint64_t at, uint8_t *code, size_t room, struct body *body)
{
    struct block *block = &builder->scratch->block;
    block->count = count;
    block_choose_scratch(block);
    builder->count = count;
    builder->pending_count = builder->record_count = builder->link_count = 0;
    builder->joint = 0;
    memset(body->entries, 0, sizeof body->entries);
    builder->recorded = 0;
    builder->checks_site = false;
    memset(builder->scratch->labels, 0, sizeof builder->scratch->labels);
    builder->emit = (struct emitter){.code = code,
                                     .room = room,
                                     .at = at,
                                     .state = EMIT_ALL_LIVE,
                                     .scratch_register = block->scratch_register,
                                     .failed = TABLE_NUMBERS};
    body_table_begin(&builder->emit.table, body->table, TABLE_NUMBERS);
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
    for (unsigned i = 0; i < BODY_ENTRIES && builder->joint && builder->request->most_links; i++) {
        if (builder->entries[i])
            continue;
        builder->entries[i] = (uint16_t)emit->used;
        access_build_entry(builder, (enum body_entry)i);
    }
    *plain = emit->used;
    for (unsigned i = builder->count; i-- > 0;)
        build_plain_entry(builder, i);
}

static uint32_t offset_of(const struct builder *builder, uint64_t address)
{
    return (uint32_t)(address - builder->request->site) + BODY_TABLE_BIAS;
}

/* The addresses of all instructions, and then the pieces. */
static void complete_table(struct builder *builder, struct body *body)
{
    const struct block *block = &builder->scratch->block;
    struct body_table *table = (struct body_table *)(void *)body->table;
    const struct block_instruction *last = builder_instruction(builder, builder->count - 1);
    unsigned count = builder->count + 1 + block->way_count;
    for (unsigned i = 0; i < builder->count; i++)
        table->offsets[i] = offset_of(builder, block->instructions[i].form.address);
    table->offsets[builder->count] = offset_of(builder, last->form.address + last->form.length);
    for (unsigned i = 0; i < block->way_count; i++)
        table->offsets[builder->count + 1 + i] = offset_of(builder, block->ways[i].form.address);
    body->table_size = body_table_end(&builder->emit.table, TABLE_NUMBERS, count);
    table->instructions = (uint8_t)count;
    table->bytes = (uint16_t)body->table_size;
}

static void complete(struct builder *builder, uint32_t plain, struct body *body)
{
    struct body_table head = {.site = builder->request->site,
                              .recorded = builder->recorded,
                              .size = builder->emit.used,
                              .plain = (uint16_t)plain,
                              .scratch_register = builder->emit.scratch_register};
    memcpy(body->table, &head, offsetof(struct body_table, offsets));
    complete_table(builder, body);
    body->size = builder->emit.used;
    body->record_count = builder->record_count;
    body->link_count = builder->link_count;
    body->linkage = linkage_of(builder);
    body->checks_site = builder->checks_site;
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
        again = builder->is_loop && !was_loop && block_is_checked(builder_instruction(builder, 0));
    }
    if (builder->emit.failed < TABLE_NUMBERS || builder->emit.table.is_full ||
        builder->emit.used > builder->request->most_bytes)
        return false;
    complete(builder, plain, body);
    return true;
}

/* Reads the block, unless it is the last one that was read. Returns why it has no instruction, or NULL. */
static const char *read_block(struct body_scratch *scratch, const struct body_request *request)
{
    bool is_known = request->version && scratch->version == request->version && scratch->site == request->site;
    const char *refusal = is_known ? NULL : block_read(&scratch->decode, request, &scratch->block);
    if (!is_known)
        scratch->count = refusal ? 0 : scratch->block.count;
    scratch->version = refusal ? 0 : request->version;
    scratch->site = request->site;
    return refusal;
}

uint32_t body_estimate(struct body_scratch *scratch, const struct body_request *request)
{
    /* Fitted to the bodies of Lua and SQLite: of a hundred of SQLite, two need more, of Lua none. */
    static const uint8_t of_checks[] = {[BODY_LED] = 50, [BODY_COUNT] = 66, [BODY_POLICY] = 91};
    uint32_t size = 175;
    if (read_block(scratch, request))
        return 0;
    for (unsigned i = 0; i < scratch->count; i++) {
        const struct block_instruction *instruction = &scratch->block.instructions[i];
        size += instruction->form.length * 9u / 8;
        if (block_is_checked(instruction))
            size += of_checks[request->mode] + (request->sample ? 41u : 0);
        else if (instruction->kind == BLOCK_CONDITIONAL)
            size += 40;
    }
    return size < request->most_bytes ? size : request->most_bytes;
}

enum segue_status body_build(struct body_scratch *scratch, const struct body_request *request, uint64_t at,
                             uint8_t *code, size_t room, struct body *body)
{
    struct builder builder = {.request = request, .scratch = scratch, .links = body->links, .entries = body->entries};
    body->refusal = read_block(scratch, request);
    unsigned count = body->refusal ? 0 : scratch->count;
    for (unsigned attempt = 0; attempt < ATTEMPTS && count > 0; attempt++) {
        if (try_build(&builder, count, at, code, room, body))
            return body->size <= room ? SEGUE_OK : SEGUE_TOO_SMALL;
        body->refusal = "what it needs does not reach from there, or is too much";
        count = builder.emit.failed < count ? builder.emit.failed : count * 3 / 4;
    }
    return SEGUE_UNSUPPORTED;
}
