/* decoders.h: the decoders in this process: Zydis, Capstone, and Segue's own.
 *
 * Every decoder gets a row in a slot: the row's bytes, then NOPs, so that a row that is shorter than its instruction
 * means the same to every decoder. */
#ifndef SEGUE_CORPUS_DECODERS_H
#define SEGUE_CORPUS_DECODERS_H

#include <Zydis/Zydis.h>

#include "answer.h"
#include "corpus/rows/rows.h"

#define CORPUS_SLOT_BYTES 32

/* Copies the row to the slot and fills it up with NOPs. */
void corpus_slot_fill(uint8_t slot[CORPUS_SLOT_BYTES], const struct corpus_row *row);

/* Everything that Zydis reported; valid if it accepted the row. */
struct corpus_zydis {
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

/* Zydis itself, without Segue's corrections. Thread-safe. */
void corpus_zydis_answer(const uint8_t slot[CORPUS_SLOT_BYTES], struct corpus_zydis *zydis,
                         struct corpus_answer *answer);

/* Zydis' text for a row, "" if it refuses. Thread-safe. */
void corpus_zydis_text(const uint8_t slot[CORPUS_SLOT_BYTES], char *text, size_t size);

/* segue_decode: status and length only. Thread-safe. */
void corpus_segue_answer(const uint8_t slot[CORPUS_SLOT_BYTES], struct corpus_answer *answer);

/* Capstone, one handle a thread. */
struct corpus_capstone;

/* Must be called once, after corpus_names_read and before there are threads. */
void corpus_capstone_prepare(void);
/* NULL when Capstone does not start. */
struct corpus_capstone *corpus_capstone_open(void);
void corpus_capstone_close(struct corpus_capstone *capstone);
void corpus_capstone_answer(struct corpus_capstone *capstone, const uint8_t slot[CORPUS_SLOT_BYTES],
                            struct corpus_answer *answer);
/* Decodes with all detail and keeps nothing: what Capstone costs by itself. */
bool corpus_capstone_decode(struct corpus_capstone *capstone, const uint8_t slot[CORPUS_SLOT_BYTES]);
/* Capstone's text for a row, "" if it refuses. */
void corpus_capstone_text(struct corpus_capstone *capstone, const uint8_t slot[CORPUS_SLOT_BYTES], char *text,
                          size_t size);

/* "4.0.2", of the library that is loaded. */
void corpus_capstone_version(char *text, size_t size);
void corpus_zydis_version(char *text, size_t size);

#endif
