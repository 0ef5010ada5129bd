/* keys.h: protection keys. A thread's rights to them (PKRU) are a part of its registers: a signal gives it those that a
 * program begins with, and the frame holds its own. The host has all rights while it runs, so that it finds the
 * program's code and stacks whatever key they have, also the one of code that may only be executed. Where it stands for
 * the kernel in a system call, the thread's own rights hold (memory.h). All are async-signal-safe. */
#ifndef SEGUE_RUN_KEYS_H
#define SEGUE_RUN_KEYS_H

#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

/* In the first handler, whose frame this is: learns whether there are keys, and the rights that a handler begins with.
 */
void keys_learn(const ucontext_t *frame);

/* The host's rights: all. */
void keys_open(void);

/* The rights in the frame but those of key 0, which the host's own memory has: these are always given. 0, all rights,
 * until the program has asked for a key. */
uint32_t keys_of(const ucontext_t *frame);

/* The program asks for a key. */
void keys_note_use(void);

/* Of the extended state of a frame nothing is left but the rights. */
void keys_keep(char *state);

/* The rights in the extended state of a frame become those that a program, and each handler of it, begins with. */
void keys_begin(char *state);

/* From here on, until keys_open, the caller has these rights. */
void keys_take(uint32_t rights);

#endif
