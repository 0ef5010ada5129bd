/* keys.h: protection keys. A thread's rights to them (PKRU) are a part of its registers: at a signal the kernel loads
 * the initial rights, and the frame holds the thread's own. The host has all rights while it runs, so that it can
 * access the program's code and stacks whatever key they have, also that of execute-only code. Where it acts for the
 * kernel in a system call, the thread's own rights apply (memory.h). All are async-signal-safe. */
#ifndef SEGUE_RUN_KEYS_H
#define SEGUE_RUN_KEYS_H

#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

/* Called in the first handler, with its frame: finds out whether the processor has keys, and with which rights a
 * handler begins. */
void keys_learn(const ucontext_t *frame);

/* The host's rights: all. */
void keys_open(void);

/* The rights in the frame, always with those of key 0, which the host's own memory has. 0, all rights, until the
 * program has allocated a key. */
uint32_t keys_of(const ucontext_t *frame);

/* Notes that the program allocates a key. */
void keys_note_use(void);

/* Clears all of a frame's extended state except the rights. */
void keys_keep(char *state);

/* Sets the rights in the extended state of a frame to those with which a program, and each of its handlers, begins. */
void keys_begin(char *state);

/* Gives the caller these rights until keys_open. */
void keys_take(uint32_t rights);

#endif
