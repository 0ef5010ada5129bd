/* bytes.h: the bytes of random instructions: legacy, VEX, EVEX and XOP encodings of every opcode map. */
#ifndef SEGUE_TESTS_BYTES_H
#define SEGUE_TESTS_BYTES_H

#include "tests/support/random.h"

#define BYTES_OF_CODE 15u

/* A random encoding of BYTES_OF_CODE bytes, of which an instruction may be the beginning. */
void bytes_random(struct random *random, uint8_t *code);

#endif
