/* masked.h: the mask of signals that a call gives to the kernel, with what leads to it: a copy, to be changed and
 * passed in its place. All functions are async-signal-safe and thread-safe. */
#ifndef SEGUE_LINUX_CALLS_MASKED_H
#define SEGUE_LINUX_CALLS_MASKED_H

#if !defined(__linux__) || !defined(__x86_64__)
#error "masked.h is specific to Linux on x86-64"
#endif

#include "platform/calls/calls.h"

#define MASKED_WORDS 4

struct masked {
    uint64_t words[MASKED_WORDS];
    /* The mask is that word; the argument leads to the first one. */
    uint8_t mask, argument;
    /* The first word is the mask's address. */
    bool is_led;
};

/* Copies what the call's argument leads to. False if the call has no mask, if it cannot be read, or if its size is
 * wrong: then the kernel fails the call. Also for a mask in memory that is registered with a ring. */
bool masked_read(uint64_t number, const uint64_t *arguments, calls_peek *peek, struct masked *masked);

/* The words will be at that address: they and the argument lead there. */
void masked_place(struct masked *masked, uint64_t address, uint64_t *arguments);

/* rt_sigprocmask: the mask behind the call, of a thread that had `mask`. Returns 0, or a negative error number. */
long masked_change(const uint64_t *arguments, calls_peek *peek, uint64_t *mask);

#endif
