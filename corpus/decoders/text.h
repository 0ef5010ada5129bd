/* text.h: reads an instruction in Intel's syntax, as objdump and LLVM write it. */
#ifndef SEGUE_CORPUS_TEXT_H
#define SEGUE_CORPUS_TEXT_H

#include "answer.h"

/* Fills status, mnemonic and operands of `answer`; the caller sets its length. `address` is the instruction's address
 * as the decoder knew it. A text that contains "(bad)" or the like, or nothing but prefixes, is a refusal. */
void corpus_text_read(const char *text, size_t length, uint64_t address, struct corpus_answer *answer);

#endif
