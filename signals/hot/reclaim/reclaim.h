/* reclaim.h: gives back the memory of bodies that are not in use any more.
 *
 * A body that is retired is not jumped to any more. But a thread may stand in it, or come back to it from a handler
 * that has interrupted it, or from a hot policy: such bodies are held (held.h). If every thread of the process has been
 * looked at, the others are freed. If one cannot be, for example because it runs on an alternate stack or blocks the
 * library's signal, none is freed until more bodies are retired. */
#ifndef SEGUE_SIGNALS_HOT_RECLAIM_H
#define SEGUE_SIGNALS_HOT_RECLAIM_H

struct hot_body;

/* `freed` is called for each body before its memory is used again. Not async-signal-safe. */
void reclaim_begin(void (*freed)(void *context, const struct hot_body *body));

/* Looks at all threads, if enough bodies were retired since the last time; unless this thread is inside a fault. Not
 * async-signal-safe; thread-safe. */
void reclaim(void);

void reclaim_in_child(void);

#endif
