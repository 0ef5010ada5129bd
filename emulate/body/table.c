/* table.c: writes a table of pieces (see table.h). */
#include "table.h"

#include <stddef.h>
#include <string.h>

#define MOST_DELTA 255u
#define PIECES_BEHIND(instructions)                                                                                    \
    ((uint32_t)(offsetof(struct body_table, offsets) + (instructions) * sizeof(uint32_t)))

void body_table_begin(struct body_table_writer *writer, uint8_t *bytes, unsigned instructions)
{
    *writer = (struct body_table_writer){.bytes = bytes, .used = PIECES_BEHIND(instructions), .state = 0xff};
}

uint32_t body_table_end(struct body_table_writer *writer, unsigned most, unsigned instructions)
{
    uint32_t from = PIECES_BEHIND(most), to = PIECES_BEHIND(instructions);
    memmove(writer->bytes + to, writer->bytes + from, writer->used - from);
    return writer->used - from + to;
}

static void append(struct body_table_writer *writer, unsigned byte)
{
    if (writer->used == BODY_TABLE_MOST)
        writer->is_full = true;
    else
        writer->bytes[writer->used++] = (uint8_t)byte;
}

void body_table_note(struct body_table_writer *writer, uint32_t offset, unsigned instruction, unsigned state)
{
    if (writer->state == state && writer->instruction == instruction)
        return;
    for (; offset - writer->offset > MOST_DELTA; writer->offset += MOST_DELTA) {
        append(writer, MOST_DELTA);
        append(writer, writer->state);
    }
    append(writer, offset - writer->offset);
    append(writer, state | (writer->instruction == instruction ? 0 : BODY_AT_INSTRUCTION));
    if (writer->instruction != instruction)
        append(writer, instruction);
    writer->offset = offset;
    writer->instruction = (uint8_t)instruction;
    writer->state = (uint8_t)state;
}
