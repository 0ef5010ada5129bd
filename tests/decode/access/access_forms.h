/* access_forms.h: every form of every instruction that the decoder knows, found by decoding: all opcodes of all maps,
 * under every prefix, VEX and EVEX field that can change what memory an instruction accesses. */
#ifndef SEGUE_TESTS_ACCESS_FORMS_H
#define SEGUE_TESTS_ACCESS_FORMS_H

#include <segue/decode.h>

/* Called for each form once: one mnemonic with one set of memory operands, registers and displacements aside. */
typedef void access_form_visitor(const struct segue_insn *insn, void *context);

/* Returns how many encodings were decoded to find the forms. */
uint64_t access_forms(enum segue_mode mode, access_form_visitor *visit, void *context);

#endif
