/* readers.h: how a remover knows that no fault in progress can still see what it took out.
 *
 * A fault enters before it looks a region up and leaves when it needs it no more; neither ever waits. A remover takes
 * the region out of the table first, then waits. */
#ifndef SEGUE_SIGNALS_READERS_H
#define SEGUE_SIGNALS_READERS_H

/* Returns a token for readers_leave on the same thread. Async-signal-safe. */
unsigned readers_enter(void);
void readers_leave(unsigned token);

/* Returns when every reader that was inside at the call has left. Not async-signal-safe; not from inside. */
void readers_wait(void);

/* In a child made by fork: forgets all readers but the calling thread, which may have forked inside a policy. */
void readers_reset(void);

#endif
