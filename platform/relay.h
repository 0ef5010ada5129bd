/* relay.h: a signal frame taken to where the system would have put it for another handler (signals/chain/relay.h): for
 * systems that have signals. */
#ifndef SEGUE_PLATFORM_RELAY_H
#define SEGUE_PLATFORM_RELAY_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "action.h"
#include "frame.h"
#include "relay_layout.h"

/* One call of a handler. */
struct relay {
    int number;
    const struct platform_action *action;
    /* The signals that are blocked while it runs; and those that the program believes were blocked before. */
    uint64_t mask, believed;
    /* The alternate stack that the program believes to have, with the kernel's flags. */
    const stack_t *stack;
    /* The frame that the handler sees is not the one that is to be restored: what it has made of it is looked at in
     * `restorer`, which it returns to. */
    bool is_restored_by_us;
    const void *restorer;
    /* Copies to memory that may not be there; 0, or how many bytes are left. */
    uint64_t (*copy)(void *to, const void *from, uint64_t size);
};

/* The frame where the handler will find it. */
struct relay_frame {
    void *info, *ucontext;
    /* At the handler's first instruction: the frame begins with the address that it returns to. */
    uint64_t stack_pointer;
    /* It is on another stack than we are. */
    bool by_gate;
    /* The program's alternate stack is the one in force while the handler is on it, as without us: whoever leaves it by
     * longjmp asks (glibc's __longjmp_chk does). */
    bool lends_stack;
};

enum relay_status {
    RELAY_READY,
    /* There is no room where the kernel would have put it: the kernel would have sent the thread SIGSEGV. */
    RELAY_NO_ROOM,
    /* The handler can only be called: the frame is not laid out as it should be, or has to be returned through us. */
    RELAY_IMPOSSIBLE,
};

/* Puts the frame where the kernel would have put it. `*place` is what relay_enter wants (signals/chain/relay.h) if
 * RELAY_READY is returned. Async-signal-safe. */
enum relay_status relay_prepare(const struct relay *relay, struct native_frame native, struct relay_frame *place);

/* Right below a frame that is on another stack: what relay_gate loads. */
struct relay_words {
    uint64_t rflags, rcx, r10, r11, rdx, rsi, rdi, mask;
    /* The address of `stack` if that is to come into force; else 0. */
    uint64_t lent;
    stack_t stack;
    uint64_t handler;
};

#endif
