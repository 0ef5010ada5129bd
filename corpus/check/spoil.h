/* spoil.h: the mutation test: makes right answers wrong, and sees whether a class of known disagreements explains
 * them. */
#ifndef SEGUE_CORPUS_SPOIL_H
#define SEGUE_CORPUS_SPOIL_H

#include "judge.h"

/* Makes each answer to the current row that agrees with Zydis' wrong, in one respect after the other, and counts the
 * wrong answers that a class explains. Restores the row afterwards. */
void corpus_spoil(struct corpus_judge *judge);

#endif
