/* keys.h: protection keys: a thread's rights to pages, by the key that each page has. A handler begins with PKRU rights
 * of its own, which on Linux permit only key 0; the thread's rights are in its frame, and sigreturn restores them.
 *
 * All functions are async-signal-safe. Without protection keys everything is allowed, which is 0. */
#ifndef SEGUE_CTX_KEYS_H
#define SEGUE_CTX_KEYS_H

#include <segue/regs.h>

#include "decode/x86/xsave.h"

/* Whether the system uses protection keys. */
bool keys_in_use(void);

/* Reads and sets the rights in force. Precondition of the latter: keys_in_use. */
uint32_t keys_now(void);
void keys_set(uint32_t rights);

/* The rights in an image of the extended state. */
uint32_t keys_of(const struct segue_xstate *image);

/* Whether `rights` allow all that `others` allow. */
bool keys_allow(uint32_t rights, uint32_t others);

/* The rights that allow what either allows. */
uint32_t keys_either(uint32_t rights, uint32_t others);

#endif
