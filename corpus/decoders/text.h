/* text.h: reads an instruction in Intel's syntax, as objdump and LLVM write it. */
#ifndef SEGUE_CORPUS_TEXT_H
#define SEGUE_CORPUS_TEXT_H

#include "answer.h"

/* Fills status, mnemonic and operands of `answer`; its length is the caller's. `address` is where the decoder was told
 * that the instruction stands. A text that says "(bad)" or the like, or that is nothing but prefixes, is a refusal. */
void corpus_text_read(const char *text, size_t length, uint64_t address, struct corpus_answer *answer);

#endif
