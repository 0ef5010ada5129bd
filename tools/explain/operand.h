/* operand.h: a memory operand in words, and as JSON. The one place that knows how an access is printed. */
#ifndef SEGUE_TOOLS_OPERAND_H
#define SEGUE_TOOLS_OPERAND_H

#include <jansson.h>
#include <segue/decode.h>
#include <stdio.h>

/* Prints "reads 8 bytes at fs:[rbx + rcx*8 + 0x10]". `address` is where the instruction stands, NULL when that is not
 * known; with it, an address relative to the instruction pointer is printed in full: "[rip + 0x10] = 0x1234". */
void operand_print(FILE *out, const struct segue_insn *insn, const struct segue_memory_operand *operand,
                   const uint64_t *address);

/* The same as a JSON object; the caller owns it. */
json_t *operand_json(const struct segue_insn *insn, const struct segue_memory_operand *operand,
                     const uint64_t *address);

#endif
