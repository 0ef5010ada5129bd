/* keys.h: protection keys: what a thread may do to pages, by the key that each page has. A handler begins with rights of
 * its own, which on Linux are none but to key 0; the thread's are in its frame, and the return puts them back.
 *
 * All are async-signal-safe. Where there are no keys everything is allowed, which is 0. */
#ifndef SEGUE_CTX_KEYS_H
#define SEGUE_CTX_KEYS_H

#include <segue/regs.h>

#include "decode/x86/xsave.h"

/* Whether the system uses them. */
bool keys_in_use(void);

/* The rights in force, and to change them. Precondition of the latter: keys_in_use. */
uint32_t keys_now(void);
void keys_set(uint32_t rights);

/* The rights in an image of the extended state. */
uint32_t keys_of(const struct segue_xstate *image);

/* Whether `rights` allow all that `others` allow. */
bool keys_allow(uint32_t rights, uint32_t others);

/* The rights that allow what either allows. */
uint32_t keys_either(uint32_t rights, uint32_t others);

#endif
