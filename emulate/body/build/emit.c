/* emit.c: the instructions of bodies that no program wrote (see emit.h).
 *
 * SOURCES: Intel SDM volume 2, chapters 2 to 5 (encodings; LAHF, SAHF and MOV and LEA, which change no flag). */
#include "emit.h"

#include <string.h>

#include "decode/encoding.h"

void emit_fail(struct emitter *emitter)
{
    if (emitter->failed > emitter->instruction)
        emitter->failed = emitter->instruction;
}

static unsigned state_bits(const struct emit_state *state)
{
    unsigned bits = 0;
    if (!(state->rax & EMIT_LIVE))
        bits |= BODY_AT_RAX_SAVED;
    if (!(state->scratch & EMIT_LIVE))
        bits |= BODY_AT_SCRATCH_SAVED;
    if (!(state->flags & EMIT_LIVE))
        bits |= state->flags & EMIT_AX ? BODY_AT_FLAGS_IN_AX : BODY_AT_FLAGS_SAVED;
    return bits | (state->is_open ? BODY_AT_FRAME : 0u) | (state->is_counted ? BODY_AT_COUNTED : 0u) |
           (state->is_pushed ? BODY_AT_PUSHED : 0u);
}

static inline __attribute__((always_inline)) void put(struct emitter *emitter, const uint8_t *bytes, size_t size)
{
    body_table_note(&emitter->table, emitter->used, emitter->instruction, state_bits(&emitter->state));
    if (emitter->used + size <= emitter->room)
        memcpy(emitter->code + emitter->used, bytes, size);
    emitter->used += (uint32_t)size;
}

void emit_bytes(struct emitter *emitter, const uint8_t *bytes, size_t size)
{
    put(emitter, bytes, size);
}

/* Of so many bytes as are known here, for which the compiler has stores. */
#define EMIT(emitter, ...) put(emitter, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define BYTES_OF(word) (uint8_t)(word), (uint8_t)((word) >> 8), (uint8_t)((word) >> 16), (uint8_t)((word) >> 24)

static uint8_t rex(unsigned reg)
{
    return (uint8_t)(REX_64 | (encoding_of(reg) >= 8 ? REX_R : 0));
}

/* MOV between a register and [rsp + slot]. */
static void emit_slot(struct emitter *emitter, uint8_t opcode, unsigned reg, unsigned slot)
{
    uint8_t modrm = (uint8_t)(4 | (encoding_of(reg) & 7) << 3);
    if (slot == 0)
        EMIT(emitter, rex(reg), opcode, modrm, 0x24);
    else
        EMIT(emitter, rex(reg), opcode, (uint8_t)(modrm | 0x40), 0x24, (uint8_t)slot);
}

void emit_store_slot(struct emitter *emitter, unsigned reg, unsigned slot)
{
    emit_slot(emitter, 0x89, reg, slot);
}

void emit_load_slot(struct emitter *emitter, unsigned reg, unsigned slot)
{
    emit_slot(emitter, 0x8b, reg, slot);
}

void emit_store_constant(struct emitter *emitter, uint32_t constant, unsigned slot)
{
    EMIT(emitter, 0xc7, 0x44, 0x24, (uint8_t)slot, BYTES_OF(constant));
}

void emit_store_far_slot(struct emitter *emitter, unsigned reg, uint32_t slot)
{
    EMIT(emitter, rex(reg), 0x89, (uint8_t)(0x84 | (encoding_of(reg) & 7) << 3), 0x24, BYTES_OF(slot));
}

/* The displacement from the end of an instruction of `length` bytes. */
static uint32_t relative(struct emitter *emitter, unsigned length, uint64_t address)
{
    int64_t distance = (int64_t)(address - emit_here(emitter) - length);
    if (distance != (int32_t)distance)
        emit_fail(emitter);
    return (uint32_t)distance;
}

static void near(struct emitter *emitter, enum emit_operation operation, unsigned reg, uint64_t word)
{
    uint32_t distance = relative(emitter, 7, word);
    EMIT(emitter, rex(reg), (uint8_t)operation, (uint8_t)(5 | (encoding_of(reg) & 7) << 3), BYTES_OF(distance));
}

void emit_near(struct emitter *emitter, enum emit_operation operation, uint64_t word)
{
    near(emitter, operation, emitter->scratch_register, word);
}

void emit_rax_address(struct emitter *emitter, uint64_t word)
{
    near(emitter, EMIT_ADDRESS, SEGUE_RAX, word);
}

void emit_increment(struct emitter *emitter, uint64_t word)
{
    uint32_t distance = relative(emitter, 8, word);
    EMIT(emitter, 0xf0, REX_64, 0xff, 0x05, BYTES_OF(distance));
}

void emit_load_of_thread(struct emitter *emitter, int32_t offset)
{
    unsigned reg = emitter->scratch_register;
    EMIT(emitter, PREFIX_FS, rex(reg), 0x8b, (uint8_t)(4 | (encoding_of(reg) & 7) << 3), 0x25,
         BYTES_OF((uint32_t)offset));
}

void emit_increment_at_scratch(struct emitter *emitter, int32_t displacement)
{
    unsigned reg = emitter->scratch_register, low = encoding_of(reg) & 7;
    uint8_t prefix = (uint8_t)(REX_64 | (encoding_of(reg) >= 8 ? REX_B : 0));
    /* R12 as a base needs SIB. */
    if (low == 4)
        EMIT(emitter, prefix, 0xff, 0x84, 0x24, BYTES_OF((uint32_t)displacement));
    else
        EMIT(emitter, prefix, 0xff, (uint8_t)(0x80 | low), BYTES_OF((uint32_t)displacement));
}

void emit_test_at_scratch(struct emitter *emitter, int64_t displacement, uint8_t bits)
{
    unsigned reg = emitter->scratch_register, low = encoding_of(reg) & 7;
    uint8_t prefix = (uint8_t)(REX | (encoding_of(reg) >= 8 ? REX_B : 0));
    if (displacement != (int32_t)displacement)
        emit_fail(emitter);
    /* R12 as a base needs SIB. */
    if (low == 4)
        EMIT(emitter, prefix, 0xf6, 0x84, 0x24, BYTES_OF((uint32_t)displacement), bits);
    else
        EMIT(emitter, prefix, 0xf6, (uint8_t)(0x80 | low), BYTES_OF((uint32_t)displacement), bits);
}

void emit_take_number(struct emitter *emitter, uint64_t word)
{
    EMIT(emitter, 0xb8, 1, 0, 0, 0);
    uint32_t distance = relative(emitter, 9, word);
    EMIT(emitter, 0xf0, REX_64, 0x0f, 0xc1, 0x05, BYTES_OF(distance));
}

void emit_test_number(struct emitter *emitter, uint32_t sample)
{
    uint32_t bits = sample - 1;
    EMIT(emitter, 0xf7, 0xd0);
    EMIT(emitter, 0xa9, BYTES_OF(bits));
}

void emit_call(struct emitter *emitter, uint64_t word)
{
    uint32_t distance = relative(emitter, 6, word);
    EMIT(emitter, 0xff, 0x15, BYTES_OF(distance));
}

/* With a prefix that has no meaning there: as long as a call through memory. */
void emit_call_of(struct emitter *emitter, const uint64_t *word)
{
    int64_t distance = (int64_t)(*word - emit_here(emitter) - BODY_QUICK_CALL);
    if (distance == (int32_t)distance)
        EMIT(emitter, PREFIX_ADDRESS_SIZE, 0xe8, BYTES_OF((uint32_t)distance));
    else
        emit_call(emitter, (uint64_t)(uintptr_t)word);
}

/* Before a jump that may lead to an instruction that is not ENDBR64. */
#define NOTRACK 0x3e

void emit_jump_through(struct emitter *emitter, uint64_t word)
{
    uint32_t distance = relative(emitter, 7, word);
    EMIT(emitter, NOTRACK, 0xff, 0x25, BYTES_OF(distance));
}

/* KMOVW, KMOVD, KMOVQ: with more lanes an instruction implies what has the wider ones. */
void emit_store_mask(struct emitter *emitter, unsigned mask, unsigned lanes)
{
    uint8_t modrm = (uint8_t)(0x44 | mask << 3);
    if (lanes > 16)
        EMIT(emitter, 0xc4, 0xe1, (uint8_t)(lanes > 32 ? 0xf8 : 0xf9), 0x91, modrm, 0x24, BODY_MASK);
    else
        EMIT(emitter, 0xc5, 0xf8, 0x91, modrm, 0x24, BODY_MASK);
}

void emit_test_mask(struct emitter *emitter, unsigned lanes)
{
    if (lanes < 8)
        EMIT(emitter, 0xf6, 0x44, 0x24, BODY_MASK, (uint8_t)((1u << lanes) - 1));
    else if (lanes == 8)
        EMIT(emitter, 0x80, 0x7c, 0x24, BODY_MASK, 0);
    else if (lanes == 16)
        EMIT(emitter, 0x66, 0x83, 0x7c, 0x24, BODY_MASK, 0);
    else if (lanes == 32)
        EMIT(emitter, 0x83, 0x7c, 0x24, BODY_MASK, 0);
    else
        EMIT(emitter, REX_64, 0x83, 0x7c, 0x24, BODY_MASK, 0);
}

void emit_advance(struct emitter *emitter, int64_t distance)
{
    unsigned reg = emitter->scratch_register, low = encoding_of(reg) & 7;
    uint8_t prefix = (uint8_t)(rex(reg) | (encoding_of(reg) >= 8 ? REX_B : 0));
    if (distance != (int32_t)distance)
        emit_fail(emitter);
    /* R12 as a base needs SIB. */
    if (low == 4)
        EMIT(emitter, prefix, 0x8d, 0xa4, 0x24, BYTES_OF((uint32_t)distance));
    else
        EMIT(emitter, prefix, 0x8d, (uint8_t)(0x80 | low << 3 | low), BYTES_OF((uint32_t)distance));
}

uint32_t emit_jump(struct emitter *emitter, enum emit_condition condition)
{
    if (condition)
        EMIT(emitter, 0x0f, (uint8_t)condition, 0, 0, 0, 0);
    else
        EMIT(emitter, 0xe9, 0, 0, 0, 0);
    return emitter->used - 4;
}

void emit_jump_back(struct emitter *emitter, enum emit_condition condition, uint32_t offset)
{
    int64_t distance = (int64_t)offset - emitter->used - 2;
    if (distance < INT8_MIN)
        emit_lead_to(emitter, emit_jump(emitter, condition), offset);
    else
        EMIT(emitter, (uint8_t)(condition ? 0x70 | (condition & 0xf) : 0xeb), (uint8_t)distance);
}

void emit_lead_to_address(struct emitter *emitter, uint32_t place, uint64_t address)
{
    int64_t distance = (int64_t)(address - emitter->at - place - 4);
    if (distance != (int32_t)distance)
        emit_fail(emitter);
    if (place + 4 <= emitter->room)
        memcpy(emitter->code + place, (const uint8_t[]){BYTES_OF((uint32_t)distance)}, 4);
}

void emit_lead_to(struct emitter *emitter, uint32_t place, uint32_t offset)
{
    emit_lead_to_address(emitter, place, emitter->at + offset);
}

/* LEA distance(%rsp), %rsp. */
static void move_stack(struct emitter *emitter, int32_t distance)
{
    EMIT(emitter, REX_64, 0x8d, 0xa4, 0x24, BYTES_OF((uint32_t)distance));
}

void emit_open(struct emitter *emitter)
{
    if (emitter->state.is_open)
        return;
    move_stack(emitter, -BODY_FRAME);
    emitter->state.is_open = true;
}

void emit_close(struct emitter *emitter, unsigned kept)
{
    emit_load_flags(emitter);
    emit_load_rax(emitter);
    emit_load_scratch(emitter);
    if (!emitter->state.is_open)
        return;
    move_stack(emitter, (int32_t)(BODY_FRAME - kept));
    bool is_counted = emitter->state.is_counted;
    emitter->state = EMIT_ALL_LIVE;
    emitter->state.is_counted = is_counted;
    emitter->state.is_pushed = kept != 0;
}

static void save_ax(struct emitter *emitter)
{
    /* 32 bits, since a store of 16 has a longer encoding. */
    EMIT(emitter, 0x89, 0x44, 0x24, BODY_FLAGS);
    emitter->state.flags |= EMIT_SLOT;
}

void emit_save_rax(struct emitter *emitter)
{
    if (emitter->state.rax & EMIT_SLOT)
        return;
    emit_store_slot(emitter, SEGUE_RAX, BODY_RAX);
    emitter->state.rax |= EMIT_SLOT;
}

void emit_load_rax(struct emitter *emitter)
{
    if (emitter->state.rax & EMIT_LIVE)
        return;
    if (emitter->state.flags == EMIT_AX)
        save_ax(emitter);
    emitter->state.flags &= (uint8_t)~EMIT_AX;
    emit_load_slot(emitter, SEGUE_RAX, BODY_RAX);
    emitter->state.rax |= EMIT_LIVE;
}

void emit_save_scratch(struct emitter *emitter)
{
    if (emitter->state.scratch & EMIT_SLOT)
        return;
    emit_store_slot(emitter, emitter->scratch_register, BODY_SCRATCH);
    emitter->state.scratch |= EMIT_SLOT;
}

void emit_load_scratch(struct emitter *emitter)
{
    if (emitter->state.scratch & EMIT_LIVE)
        return;
    emit_load_slot(emitter, emitter->scratch_register, BODY_SCRATCH);
    emitter->state.scratch |= EMIT_LIVE;
}

static void load_ax(struct emitter *emitter)
{
    emit_save_rax(emitter);
    EMIT(emitter, 0x8b, 0x44, 0x24, BODY_FLAGS);
    emitter->state.rax = EMIT_SLOT;
    emitter->state.flags |= EMIT_AX;
}

void emit_load_flags(struct emitter *emitter)
{
    struct emit_state *state = &emitter->state;
    if (state->flags & EMIT_LIVE)
        return;
    if (!(state->flags & EMIT_AX))
        load_ax(emitter);
    /* Sets OF if AL is 1; the others come from AH. */
    EMIT(emitter, 0x04, 0x7f);
    EMIT(emitter, 0x9e);
    state->flags = (uint8_t)((state->flags | EMIT_LIVE) & ~EMIT_AX);
}

/* The state stays: the flags are where they were. */
void emit_load_carry(struct emitter *emitter)
{
    /* In AH. */
    enum { CARRY_IN_AX = 8 };
    if (emitter->state.flags & EMIT_LIVE)
        return;
    if (emitter->state.flags & EMIT_AX)
        EMIT(emitter, 0x0f, 0xba, 0xe0, CARRY_IN_AX);
    else
        EMIT(emitter, 0x0f, 0xba, 0x64, 0x24, BODY_FLAGS, CARRY_IN_AX);
}

void emit_save_flags(struct emitter *emitter)
{
    struct emit_state *state = &emitter->state;
    if (state->flags & (EMIT_AX | EMIT_SLOT))
        return;
    emit_save_rax(emitter);
    EMIT(emitter, 0x9f);
    state->rax = EMIT_SLOT;
    EMIT(emitter, 0x0f, 0x90, 0xc0);
    state->flags |= EMIT_AX;
}

static void emit_put_flags_in_ax(struct emitter *emitter)
{
    emit_save_flags(emitter);
    if (!(emitter->state.flags & EMIT_AX))
        load_ax(emitter);
}

void emit_save_flags_in_slot(struct emitter *emitter)
{
    emit_save_flags(emitter);
    if (!(emitter->state.flags & EMIT_SLOT))
        save_ax(emitter);
}

void emit_put_flags(struct emitter *emitter, enum emit_place place)
{
    if (place == EMIT_LIVE)
        emit_load_flags(emitter);
    if (place == EMIT_SLOT)
        emit_save_flags_in_slot(emitter);
    if (place == EMIT_AX)
        emit_put_flags_in_ax(emitter);
}

bool emit_conforms(const struct emitter *emitter, const struct emit_state *wanted)
{
    const struct emit_state *state = &emitter->state;
    return !(wanted->rax & ~state->rax) && !(wanted->scratch & ~state->scratch) && !(wanted->flags & ~state->flags) &&
           state->is_open == wanted->is_open;
}

void emit_conform_by_moves(struct emitter *emitter, const struct emit_state *wanted)
{
    /* A closed frame has no slots. */
    if (!wanted->is_open)
        return;
    if ((wanted->rax & EMIT_LIVE) && emitter->state.flags != EMIT_AX)
        emit_load_rax(emitter);
    if (wanted->rax & EMIT_SLOT)
        emit_save_rax(emitter);
    if (wanted->scratch & EMIT_LIVE)
        emit_load_scratch(emitter);
    if (wanted->scratch & EMIT_SLOT)
        emit_save_scratch(emitter);
}

void emit_conform(struct emitter *emitter, const struct emit_state *wanted)
{
    if (wanted->is_open)
        emit_open(emitter);
    else
        emit_close(emitter, 0);
    static const uint8_t places[] = {EMIT_LIVE, EMIT_SLOT, EMIT_AX};
    for (size_t i = 0; i < sizeof places; i++)
        emit_put_flags(emitter, (enum emit_place)(wanted->flags & places[i]));
    emit_conform_by_moves(emitter, wanted);
    if (!emit_conforms(emitter, wanted))
        emit_fail(emitter);
    emitter->state = *wanted;
}
