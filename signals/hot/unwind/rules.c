/* rules.c: see rules.h. Comments show the evaluator's stack, its top at the right. */
#include "rules.h"

#include <stddef.h>
#include <string.h>

#include "emulate/body/layout.h"
#include "emulate/body/table.h"
#include "expression.h"
#include "patch/hot/space/chunks.h"

/* DWARF's numbers of registers. */
enum { RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP, REGISTERS = 16, RETURN_ADDRESS = 16 };

/* DWARF's numbers, and those of augmentations. */
#define DEFINE_CFA_EXPRESSION 0x0f
#define VALUE_EXPRESSION 0x16
#define VERSION 1
#define POINTER_ABSOLUTE 0
#define ALIGNMENT_OF_DATA 0x78

#define SIGN_BIT 63

#define BRA EXPRESSION_BRA
#define SKIP EXPRESSION_SKIP

enum {
    DEREF = EXPRESSION_DEREF,
    DUP = EXPRESSION_DUP,
    DROP = EXPRESSION_DROP,
    OVER = EXPRESSION_OVER,
    SWAP = EXPRESSION_SWAP,
    ROT = EXPRESSION_ROT,
    AND = EXPRESSION_AND,
    MINUS = EXPRESSION_MINUS,
    MUL = EXPRESSION_MUL,
    OR = EXPRESSION_OR,
    PLUS = EXPRESSION_PLUS,
};

struct rules {
    struct expression out;
    const struct hot_index *index;
    uint64_t table_at;
};

/* number -> address: the entry of that number, from 1 on, in a table. */
static void entry(struct expression *out, const void *table, size_t size)
{
    DO(out, EXPRESSION_LIT0 + 1, MINUS);
    expression_constant(out, size);
    DO(out, MUL);
    expression_constant(out, (uint64_t)(uintptr_t)table);
    DO(out, PLUS);
}

/* offset size -> offset outside: whether the offset is outside [0, size). */
static void is_outside(struct expression *out)
{
    DO(out, OVER, MINUS, EXPRESSION_LIT0 + 1, MINUS, OVER, OR);
    expression_right(out, SIGN_BIT);
}

/* -> pc page pages: the first page in which the body may begin, and how many pages before it exist and may be, too.
 * Returns the place of a jump with pc and another value, if the program counter is in no chunk. */
static uint32_t find_page(struct rules *rules)
{
    struct expression *out = &rules->out;
    const struct hot_index *index = rules->index;
    expression_register(out, RETURN_ADDRESS);
    DO(out, DUP);
    expression_right(out, CHUNK_BITS);
    expression_constant(out, CHUNK_HASH);
    DO(out, MUL);
    expression_right(out, CHUNK_HASH_SHIFT);
    expression_left(out, 2);
    expression_constant(out, (uint64_t)(uintptr_t)index->buckets);
    DO(out, PLUS);
    expression_load(out, 0, sizeof *index->buckets);
    /* pc number */
    uint32_t chain = out->used;
    DO(out, DUP);
    uint32_t exists = expression_jump(out, BRA), nowhere = expression_jump(out, SKIP);
    expression_land(out, exists);
    DO(out, DUP);
    entry(out, index->chunks, sizeof(struct chunk));
    /* pc number chunk */
    expression_pick(out, 2);
    DO(out, OVER);
    expression_load(out, offsetof(struct chunk, start), sizeof(uint64_t));
    DO(out, MINUS, OVER);
    expression_load(out, offsetof(struct chunk, size), sizeof(uint64_t));
    /* pc number chunk offset size */
    is_outside(out);
    uint32_t outside = expression_jump(out, BRA), inside = expression_jump(out, SKIP);
    expression_land(out, outside);
    DO(out, DROP, SWAP, DROP);
    expression_load(out, offsetof(struct chunk, next), sizeof(uint32_t));
    expression_jump_back(out, SKIP, chain);
    expression_land(out, inside);
    expression_right(out, PAGE_BITS);
    DO(out, SWAP, DROP, SWAP);
    /* pc pages number */
    DO(out, EXPRESSION_LIT0 + 1, MINUS);
    expression_left(out, CHUNK_BITS - PAGE_BITS);
    DO(out, OVER, PLUS);
    expression_left(out, 2);
    expression_constant(out, (uint64_t)(uintptr_t)index->pages);
    DO(out, PLUS, SWAP, DUP);
    /* pc page pages pages */
    expression_constant(out, HOT_PAGES_BEFORE);
    DO(out, SWAP, MINUS);
    expression_right(out, SIGN_BIT);
    uint32_t many = expression_jump(out, BRA), few = expression_jump(out, SKIP);
    expression_land(out, many);
    DO(out, DROP);
    expression_constant(out, HOT_PAGES_BEFORE);
    expression_land(out, few);
    return nowhere;
}

/* -> ... offset table: the body's table, and the program counter's offset in the body; 0 if there is no body. */
static void find_body(struct rules *rules)
{
    struct expression *out = &rules->out;
    const struct hot_index *index = rules->index;
    uint32_t nowhere = find_page(rules), page = out->used;
    DO(out, OVER);
    expression_load(out, 0, sizeof *index->pages);
    /* pc page pages number */
    uint32_t chain = out->used;
    DO(out, DUP);
    uint32_t exists = expression_jump(out, BRA);
    DO(out, DROP, DUP);
    uint32_t more = expression_jump(out, BRA);
    DO(out, DROP);
    uint32_t none = expression_jump(out, SKIP);
    expression_land(out, more);
    DO(out, EXPRESSION_LIT0 + 1, MINUS, SWAP);
    expression_constant(out, sizeof *index->pages);
    DO(out, MINUS, SWAP);
    expression_jump_back(out, SKIP, page);
    expression_land(out, exists);
    entry(out, index->bodies, sizeof(struct hot_body));
    /* pc page pages body */
    expression_pick(out, 3);
    DO(out, OVER);
    expression_load(out, offsetof(struct hot_body, address), sizeof(uint64_t));
    DO(out, MINUS, OVER);
    expression_load(out, offsetof(struct hot_body, size), sizeof(uint32_t));
    /* pc page pages body offset size */
    is_outside(out);
    uint32_t outside = expression_jump(out, BRA);
    DO(out, SWAP);
    expression_load(out, offsetof(struct hot_body, cookie), sizeof(uint64_t));
    expression_add(out, rules->table_at);
    uint32_t found = expression_jump(out, SKIP);
    expression_land(out, outside);
    DO(out, DROP);
    expression_load(out, offsetof(struct hot_body, next), sizeof(uint32_t));
    expression_jump_back(out, SKIP, chain);
    expression_land(out, nowhere);
    expression_land(out, none);
    DO(out, EXPRESSION_LIT0, EXPRESSION_LIT0);
    expression_land(out, found);
}

/* offset table -> table piece: where the piece is (instruction << 8 | state), with BODY_AT_INSTRUCTION or without. */
static void find_piece(struct rules *rules)
{
    struct expression *out = &rules->out;
    /* What is left of the offset is above the piece. */
    DO(out, SWAP);
    expression_left(out, 16);
    DO(out, OVER, DUP);
    expression_load(out, offsetof(struct body_table, bytes), sizeof(uint16_t));
    DO(out, PLUS);
    expression_pick(out, 2);
    DO(out, DUP);
    expression_load(out, offsetof(struct body_table, instructions), sizeof(uint8_t));
    expression_left(out, 2);
    DO(out, PLUS);
    expression_add(out, offsetof(struct body_table, offsets));
    DO(out, ROT, ROT, SWAP);
    /* table end piece at */
    uint32_t next = out->used;
    DO(out, DUP);
    expression_pick(out, 3);
    DO(out, MINUS);
    expression_right(out, SIGN_BIT);
    uint32_t exists = expression_jump(out, BRA), ended = expression_jump(out, SKIP);
    expression_land(out, exists);
    DO(out, DUP);
    expression_load(out, 0, 1);
    expression_left(out, 16);
    expression_pick(out, 2);
    DO(out, SWAP, MINUS, DUP);
    expression_right(out, SIGN_BIT);
    uint32_t behind = expression_jump(out, BRA);
    DO(out, ROT, SWAP, DROP);
    expression_add(out, 1);
    DO(out, SWAP);
    expression_right(out, 8);
    expression_left(out, 8);
    DO(out, OVER);
    expression_load(out, 0, 1);
    DO(out, DUP);
    /* table end at piece state state */
    expression_constant(out, BODY_AT_INSTRUCTION);
    DO(out, AND);
    uint32_t has_instruction = expression_jump(out, BRA);
    DO(out, PLUS, SWAP);
    expression_add(out, 1);
    expression_jump_back(out, SKIP, next);
    expression_land(out, has_instruction);
    DO(out, SWAP);
    expression_right(out, 16);
    expression_left(out, 16);
    DO(out, PLUS, OVER);
    expression_load(out, 1, 1);
    expression_left(out, 8);
    DO(out, PLUS, SWAP);
    expression_add(out, 2);
    expression_jump_back(out, SKIP, next);
    expression_land(out, behind);
    DO(out, DROP);
    expression_land(out, ended);
    DO(out, DROP, SWAP, DROP);
}

/* table instruction -> ... address */
static void find_address(struct rules *rules)
{
    struct expression *out = &rules->out;
    expression_left(out, 2);
    DO(out, OVER, PLUS);
    expression_load(out, offsetof(struct body_table, offsets), sizeof(uint32_t));
    DO(out, SWAP);
    expression_load(out, offsetof(struct body_table, site), sizeof(uint64_t));
    DO(out, PLUS);
    expression_constant(out, BODY_TABLE_BIAS);
    DO(out, MINUS);
}

/* ---- rules ---- */

static void return_address(struct rules *rules)
{
    struct expression *out = &rules->out;
    find_body(rules);
    DO(out, DUP);
    uint32_t found = expression_jump(out, BRA), none = expression_jump(out, SKIP);
    expression_land(out, found);
    find_piece(rules);
    expression_right(out, 8);
    expression_constant(out, UINT8_MAX);
    DO(out, AND);
    find_address(rules);
    expression_land(out, none);
}

/* piece -> piece distance: if the state has the bit. */
static void lowered(struct expression *out, unsigned bit, unsigned distance)
{
    DO(out, DUP);
    expression_right(out, (unsigned)__builtin_ctz(bit));
    DO(out, EXPRESSION_LIT0 + 1, AND);
    expression_constant(out, distance);
    DO(out, MUL);
}

static void stack_pointer(struct rules *rules)
{
    struct expression *out = &rules->out;
    find_body(rules);
    DO(out, DUP);
    uint32_t found = expression_jump(out, BRA);
    expression_register(out, RSP);
    uint32_t none = expression_jump(out, SKIP);
    expression_land(out, found);
    find_piece(rules);
    lowered(out, BODY_AT_FRAME, BODY_FRAME);
    DO(out, SWAP);
    lowered(out, BODY_AT_PUSHED, sizeof(uint64_t));
    DO(out, SWAP, DROP, PLUS);
    expression_register(out, RSP);
    DO(out, PLUS);
    expression_land(out, none);
}

/* A register that may be in a slot: RAX, or the body's scratch register. `number` is that of enum segue_register. */
static void saved(struct rules *rules, unsigned dwarf, unsigned number, unsigned bit, unsigned slot)
{
    struct expression *out = &rules->out;
    find_body(rules);
    DO(out, DUP);
    uint32_t found = expression_jump(out, BRA), same = out->used;
    expression_register(out, dwarf);
    uint32_t none = expression_jump(out, SKIP);
    expression_land(out, found);
    if (dwarf != RAX) {
        DO(out, DUP);
        expression_load(out, offsetof(struct body_table, scratch_register), sizeof(uint8_t));
        expression_constant(out, number);
        DO(out, MINUS);
        expression_jump_back(out, BRA, same);
    }
    find_piece(rules);
    expression_constant(out, bit);
    DO(out, AND);
    uint32_t is_saved = expression_jump(out, BRA);
    expression_jump_back(out, SKIP, same);
    expression_land(out, is_saved);
    expression_register(out, RSP);
    expression_load(out, slot, sizeof(uint64_t));
    expression_land(out, none);
}

static uint32_t begin_value(struct rules *rules, unsigned dwarf)
{
    expression_byte(&rules->out, VALUE_EXPRESSION);
    expression_number(&rules->out, dwarf);
    return expression_length(&rules->out);
}

static void all_rules(struct rules *rules)
{
    static const uint8_t numbers[] = {SEGUE_RAX, SEGUE_RDX, SEGUE_RCX, SEGUE_RBX,
                                      SEGUE_RSI, SEGUE_RDI, SEGUE_RBP, SEGUE_RSP};
    struct expression *out = &rules->out;
    expression_byte(out, DEFINE_CFA_EXPRESSION);
    uint32_t length = expression_length(out);
    stack_pointer(rules);
    expression_set_length(out, length);
    length = begin_value(rules, RETURN_ADDRESS);
    return_address(rules);
    expression_set_length(out, length);
    for (unsigned i = 0; i < REGISTERS; i++) {
        if (i == RSP)
            continue;
        length = begin_value(rules, i);
        saved(rules, i, i < sizeof numbers ? numbers[i] : i, i == RAX ? BODY_AT_RAX_SAVED : BODY_AT_SCRATCH_SAVED,
              i == RAX ? BODY_RAX : BODY_SCRATCH);
        expression_set_length(out, length);
    }
}

/* ---- the section ---- */

static void end_record(struct expression *out, uint32_t begin)
{
    while (out->used % sizeof(uint64_t))
        expression_byte(out, 0);
    uint32_t length = out->used - begin - (uint32_t)sizeof length;
    if (out->used <= out->room)
        memcpy(out->bytes + begin, &length, sizeof length);
}

uint32_t rules_write(const struct hot_index *index, uint64_t table_at, uint64_t start, uint64_t size, uint8_t *section,
                     uint32_t room)
{
    static const uint8_t augmentation[] = "zRS";
    struct rules rules = {.out = {.bytes = section, .room = room}, .index = index, .table_at = table_at};
    struct expression *out = &rules.out;
    expression_fixed(out, 0, 8);
    DO(out, VERSION);
    expression_operations(out, augmentation, sizeof augmentation);
    DO(out, 1, ALIGNMENT_OF_DATA, RETURN_ADDRESS, 1, POINTER_ABSOLUTE);
    all_rules(&rules);
    end_record(out, 0);
    uint32_t description = out->used;
    expression_fixed(out, 0, 4);
    expression_fixed(out, out->used, 4);
    expression_fixed(out, start, 8);
    expression_fixed(out, size, 8);
    expression_byte(out, 0);
    end_record(out, description);
    expression_fixed(out, 0, 8);
    return out->used <= room ? out->used : 0;
}

uint32_t rules_description(const uint8_t *section)
{
    uint32_t length;
    memcpy(&length, section, sizeof length);
    return length + (uint32_t)sizeof length;
}

void rules_set_range(uint8_t *section, uint64_t start, uint64_t size)
{
    uint8_t *range = section + rules_description(section) + 2 * sizeof(uint32_t);
    memcpy(range, &start, sizeof start);
    memcpy(range + sizeof start, &size, sizeof size);
}
