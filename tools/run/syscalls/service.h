/* service.h: a system call of the program's that the host may have to do with: one row of the table in
 * calls_linux_x86_64.c. */
#ifndef SEGUE_RUN_SERVICE_H
#define SEGUE_RUN_SERVICE_H

#include <signal.h>

#include "tools/run/host/thread.h"

/* What a service has made of a call. */
enum call_outcome {
    /* Nothing: it is made as it is. */
    CALL_PASSED,
    /* The frame is what the thread goes on by. */
    CALL_ARRANGED,
    /* The host has done it, with a result. */
    CALL_DONE,
    /* It is made again, behind a signal that comes first. */
    CALL_AGAIN,
};

enum call_flag {
    /* It may be one of several that load a module, whose code is rewritten before any other call. */
    CALL_LOADS_CODE = 1,
};

struct call;

/* Serves the call that the frame stands behind: does it on the program's behalf, or arranges that it is made with other
 * arguments. Async-signal-safe. */
typedef enum call_outcome call_service(struct thread *thread, ucontext_t *frame, const struct call *call, long *result);

struct call {
    uint16_t number;
    /* Which argument the service looks at. */
    uint8_t argument;
    /* enum call_flag, a bit set. */
    uint8_t flags;
    /* What the host does before it is made, whoever makes it; NULL for nothing. */
    void (*before)(struct thread *thread, const ucontext_t *frame);
    /* NULL for a call that is always made as it is. */
    call_service *serve;
};

#endif
