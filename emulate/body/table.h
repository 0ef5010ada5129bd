/* table.h: what translation knows of a body: for each place of its code the original instruction, and where the
 * application's registers and flags are.
 *
 * A table is a header, where the original instructions are, and pieces: a piece is a run of code with one
 * instruction and one state.
 *
 *      bytes from the piece before      0 to 255
 *      state                            BODY_AT_...
 *      instruction                      only with BODY_AT_INSTRUCTION: else that of the piece before */
#ifndef SEGUE_EMULATE_BODY_TABLE_H
#define SEGUE_EMULATE_BODY_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"

/* A state: 0 if every register and flag is the application's. The slots are those of the frame. */
enum body_at {
    BODY_AT_RAX_SAVED = 1,
    BODY_AT_SCRATCH_SAVED = 2,
    /* The flags are in AX, where AL is 0 or 1, or 127 more, by OF; or in their slot. */
    BODY_AT_FLAGS_IN_AX = 4,
    BODY_AT_FLAGS_SAVED = 8,
    /* RSP is lower, by BODY_FRAME. */
    BODY_AT_FRAME = 0x10,
    BODY_AT_COUNTED = 0x20,
    /* RSP is lower, by a return address. */
    BODY_AT_PUSHED = 0x40,
    BODY_AT_INSTRUCTION = 0x80,
};

struct body_table {
    /* The address of the first original instruction. */
    uint64_t site;
    /* Bit N: the access of instruction N has a record. */
    uint64_t recorded;
    uint32_t size;
    /* Where the plain entries begin, from the last instruction's to the first one's. */
    uint16_t plain;
    /* Bytes of this table. */
    uint16_t bytes;
    uint8_t instructions;
    /* The scratch register, enum segue_register. */
    uint8_t scratch_register;
    /* Their addresses, from the first one's; modulo 2^32, plus BODY_TABLE_BIAS. */
    uint32_t offsets[];
};
#define BODY_TABLE_BIAS (UINT32_C(1) << 31)

/* A table that is being written. */
struct body_table_writer {
    uint8_t *bytes;
    uint32_t used;
    uint32_t offset;
    uint8_t instruction, state;
    bool is_full;
};

/* There will be at most so many instructions. */
void body_table_begin(struct body_table_writer *writer, uint8_t *bytes, unsigned instructions);

/* The pieces are put behind so many instructions. Returns the size. */
uint32_t body_table_end(struct body_table_writer *writer, unsigned most, unsigned instructions);

/* From `offset` on the code belongs to that instruction and state. */
void body_table_note(struct body_table_writer *writer, uint32_t offset, unsigned instruction, unsigned state);

#endif
