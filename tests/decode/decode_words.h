/* decode_words.h: registers, state and lists of accesses, written in words, for the tests of decode. */
#ifndef SEGUE_TESTS_DECODE_WORDS_H
#define SEGUE_TESTS_DECODE_WORDS_H

#include <segue/decode.h>

#include "tests/support/test.h"

/* The extended state that set_all fills. */
extern struct segue_xstate xstate;

/* Puts `size` bytes of `value` at a place of its area. */
void store(size_t offset, uint64_t value, size_t size);

/* Everything as it is by default, then what the words say: "rbx=1000 k1=1"; decode_words.c says how they are written.
 */
void set_all(struct segue_regs *regs, const char *words);

/* The bytes that hexadecimal digits say; blanks count for nothing. Returns how many. */
size_t bytes_of(const char *hex, uint8_t bytes[SEGUE_INSN_BYTES]);

/* Decodes what must be an instruction. */
void decode_hex(enum segue_mode mode, const char *hex, struct segue_insn *insn);

/* The list of accesses, or the reason for its absence, in words. */
void list(const struct segue_insn *insn, const struct segue_regs *regs, char *text);

/* Skips the test where the processor lacks it. */
void need_avx(void);
void need_avx512(void);

#endif
