/* links.h: the links from body to body (emulate/body/body.h): their words, which lie near the bodies, and what each of
 * them leads to.
 *
 * A word leads to the body that its target's site has at present, or back to the program. To link, and to take that
 * back, is one store: a thread has jumped through the word before it, or does so after it. A body is retired only after
 * no word leads to it any more.
 *
 * One caller at a time, who holds the lock of patch/hot. Everything but links_prepare is async-signal-safe. */
#ifndef SEGUE_SIGNALS_HOT_LINKS_H
#define SEGUE_SIGNALS_HOT_LINKS_H

#include "kept.h"

/* False if the system has no memory. Not async-signal-safe. */
bool links_prepare(void);

/* Words for the links of a body at `at`; returns how many there are. */
uint32_t links_take(uint64_t at, uint64_t *words[BODY_LINKS_MOST]);

/* The body at `at`, which `built` describes, has links by the words that links_take has returned last, and entries. */
void links_use(struct kept *kept, uint64_t at, const struct body *built);

/* Where a link of the body leads to at present, from number 0 on; 0 behind the last one. */
uint64_t links_lead_to(const struct kept *kept, uint32_t number);

/* The body is not executed any more. */
void links_give_back(struct kept *kept);

#endif
