/* arguments.h: where the arguments of a context's entry go, as the calling convention has it. */
#ifndef SEGUE_CTX_ARGUMENTS_H
#define SEGUE_CTX_ARGUMENTS_H

#include "record.h"

/* Whether each is of a kind that the convention has. */
bool arguments_are_known(const struct segue_argument *arguments, size_t count);

/* The bytes of those that are passed on the stack. */
size_t arguments_size(const struct segue_argument *arguments, size_t count);

/* Puts them into the record, and on the stack, whose lowest address is `lowest`. */
void arguments_place(struct record *record, void *lowest, const struct segue_argument *arguments, size_t count);

#endif
