/* stop.h: threads that are stopped from outside, for systems that can: the thread runs no code of the library for it.
 */
#ifndef SEGUE_PLATFORM_STOP_H
#define SEGUE_PLATFORM_STOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A stopped thread. */
struct stop;

/* The size in bytes of one, a multiple of 64. */
size_t stop_size(void);

enum stop_result {
    STOP_DONE,
    /* There is no such thread in this process. */
    STOP_GONE,
    /* The system refuses. */
    STOP_REFUSED,
};

/* Stops a thread other than the caller, as it is, and reads its registers. `*stop` is aligned to 64 bytes, and is the
 * thread's until stop_end. Async-signal-safe. */
enum stop_result stop_begin(struct stop *stop, int thread);
void stop_end(struct stop *stop);

/* Makes the thread continue with the registers and the extended state that stop_context has now. False if the system
 * refuses. */
bool stop_store(struct stop *stop);

/* The thread as a frame's second word (platform/frame/frame.h): as it was stopped; and as the outermost of the handlers
 * that it is in was entered, NULL if it is in none. */
void *stop_context(struct stop *stop);
void *stop_interrupted(const struct stop *stop);

/* Whether the thread is about to leave a handler in a way in which its registers are not to be found. It runs on in a
 * moment. */
bool stop_is_leaving(const struct stop *stop);

/* Where the thread has the thread-local variable that the caller has at `own`; NULL if it has none yet. */
void *stop_local(const struct stop *stop, const void *own);

#endif
