/* words.h: walks over the aligned words that a step touches. */
#ifndef SEGUE_EMULATE_WORDS_H
#define SEGUE_EMULATE_WORDS_H

#include <segue/emulate.h>

/* Moves `*from` up to the first address of a wanted span, and stores the span's last address in `*last`; false if no
 * span follows. */
typedef bool words_span(const void *context, uint64_t *from, uint64_t *last);

/* A walk over the words of the plan's accesses, of all or of one, as far as they lie in the spans. Its arguments must
 * outlive it. */
struct segue_words words_walk(const struct segue_plan *plan, uint32_t access, words_span *span, const void *context);

struct segue_words words_walk_range(const struct segue_plan *plan, uint32_t access, uint64_t base, uint64_t size);

#define WORDS_ALL UINT32_MAX

#endif
