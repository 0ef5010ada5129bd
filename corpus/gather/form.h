/* form.h: the form of an instruction, which is its encoding without its numbers; and a set that keeps a few rows of
 * each form. */
#ifndef SEGUE_CORPUS_FORM_H
#define SEGUE_CORPUS_FORM_H

#include "corpus/decoders/decoders.h"

/* Two instructions have one form if they agree in: mnemonic, encoding, opcode and map; legacy prefixes, REX, W, vector
 * length and mandatory prefix; operand and address width; the shape of ModRM and SIB; register extensions; masking,
 * zeroing, broadcast and rounding; the sizes of displacement and immediates, and whether these lie at a boundary (0,
 * -1, the least, the most). */
uint64_t corpus_form_key(const struct corpus_zydis *zydis);

/* The form of bytes that are no instruction: their encoding, opcode and map, W, mandatory and LOCK prefixes, whether
 * mod is 3, and Zydis' reason. */
uint64_t corpus_form_refused(const uint8_t slot[CORPUS_SLOT_BYTES]);

/* Up to `most` rows of each form, the first in the rows' order, so that the set does not depend on the order in which
 * rows are added. */
struct corpus_forms {
    unsigned most;
    struct corpus_form *forms;
    size_t count, place_count;
};

/* False when memory has run out. */
bool corpus_forms_add(struct corpus_forms *forms, uint64_t key, const struct corpus_row *row);
bool corpus_forms_add_all(struct corpus_forms *forms, const struct corpus_forms *from);
/* Adds all rows of all forms to `rows`. */
bool corpus_forms_rows(const struct corpus_forms *forms, struct corpus_rows *rows);
void corpus_forms_free(struct corpus_forms *forms);

#endif
