/* service.h: a system call of the program's in which the host may have to take part: one row of the table in
 * calls_linux_x86_64.c. */
#ifndef SEGUE_RUN_SERVICE_H
#define SEGUE_RUN_SERVICE_H

#include <signal.h>

#include "tools/run/host/thread.h"

/* The result of a service. */
enum call_outcome {
    /* The call is made unchanged. */
    CALL_PASSED,
    /* The service has changed the frame; the thread goes on by it. */
    CALL_ARRANGED,
    /* The host has made the call; its result is stored. */
    CALL_DONE,
    /* The call is made again, after a signal that comes first. */
    CALL_AGAIN,
};

enum call_flag {
    /* The call may be one of several that load a module, whose code is rewritten before any other call. */
    CALL_LOADS_CODE = 1,
};

struct call;

/* Serves the call before the frame's instruction: makes it on the program's behalf, or arranges that it is made with
 * other arguments. Async-signal-safe. */
typedef enum call_outcome call_service(struct thread *thread, ucontext_t *frame, const struct call *call, long *result);

struct call {
    uint16_t number;
    /* enum call_flag, a bit set. */
    uint8_t flags;
    /* Called before the call is made, by whomever; NULL for nothing. */
    void (*before)(struct thread *thread, const ucontext_t *frame);
    /* NULL for a call that is always made unchanged. */
    call_service *serve;
};

#endif
