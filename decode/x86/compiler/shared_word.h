/* shared_word.h: a word of 64 bits that threads share without a lock, or the kernel with them.
 *
 * On i386 uint64_t has an alignment of 4 in structures and arrays. A word of it may lie across two cache lines: then no
 * plain load or store of it is atomic, and clang calls a function for each (__atomic_load_8 and the like), which may
 * take a lock. Elsewhere this is uint64_t.
 *
 * SOURCES: Intel SDM volume 3, 9.1.1 (a quadword on a 64-bit boundary); System V ABI for i386 (alignments). */
#ifndef SEGUE_X86_SHARED_WORD_H
#define SEGUE_X86_SHARED_WORD_H

#include <stdint.h>

typedef uint64_t shared_word __attribute__((aligned(8)));

#endif
