/* spoil.h: how much the known disagreements would hide: answers that are right are made wrong, and it is seen
 * whether a class takes them. */
#ifndef SEGUE_CORPUS_SPOIL_H
#define SEGUE_CORPUS_SPOIL_H

#include "judge.h"

/* Makes each answer to the row at hand that agrees with Zydis' wrong, in one thing after the other, and counts what
 * passes for known. The row is as before afterwards. */
void corpus_spoil(struct corpus_judge *judge);

#endif
