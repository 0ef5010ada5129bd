/* clone.h: the system call that makes a child in a handler (ctx/clone), in the form that this system requires. */
#ifndef SEGUE_PLATFORM_CLONE_H
#define SEGUE_PLATFORM_CLONE_H

#include <segue/linux.h>

/* A system call, ready to be made by clone_go. */
struct platform_clone_call {
    long number;
    uint64_t first, second, third, fourth, fifth;
};

/* Memory that a call may point to. */
struct platform_clone_room {
    uint64_t words[11];
};

/* False if one form of the system's call would refuse the request and another would accept it. The system checks the
 * rest when the call is made. Async-signal-safe. */
bool platform_clone_is_valid(const struct segue_clone *request);

/* Fills in the call; `room` must stay valid until the call is made. The child begins on `stack`, with that many
 * bytes. Precondition: platform_clone_is_valid. Async-signal-safe. */
void platform_clone_prepare(struct platform_clone_call *call, struct platform_clone_room *room,
                            const struct segue_clone *request, uint64_t stack, uint64_t stack_size);

#endif
