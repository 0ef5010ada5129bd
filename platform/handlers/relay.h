/* relay.h: signal-frame relocation: moves a signal frame to where the system would have put it for another handler
 * (signals/chain/relay.h). For systems that have signals. */
#ifndef SEGUE_PLATFORM_RELAY_H
#define SEGUE_PLATFORM_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "action.h"
#include "platform/frame/frame.h"
#include "platform/frame/stack.h"
#include "relay_layout.h"

/* One call of a handler. */
struct relay {
    int number;
    const struct platform_action *action;
    /* The signals that are blocked while it runs; and the virtual signal mask before. */
    uint64_t mask, believed;
    /* The alternate stack that the program believes it has, with the kernel's flags. */
    const struct alternate_stack *stack;
    /* The handler's frame is not the one to be restored: `restorer`, to which the handler returns, reads what the
     * handler has changed in it. */
    bool is_restored_by_us;
    const void *restorer;
    /* Copies to memory that may not be mapped; returns 0, or the number of bytes that were not copied. */
    uint64_t (*copy)(void *to, const void *from, uint64_t size);
};

/* The relocated frame. */
struct relay_frame {
    void *info, *ucontext;
    /* The stack pointer at the handler's first instruction: the frame begins with the handler's return address. */
    uint64_t stack_pointer;
    /* The frame is on another stack than the present one. */
    bool by_gate;
    /* The program's alternate stack is in force while the handler is on it, as without the library: a longjmp out of
     * the handler may check it (glibc's __longjmp_chk does). */
    bool lends_stack;
};

enum relay_status {
    RELAY_READY,
    /* The frame has no room where the kernel would have put it: the kernel would have sent the thread SIGSEGV. */
    RELAY_NO_ROOM,
    /* The handler can only be called: the frame's layout is unknown, or the handler must return to the library. */
    RELAY_IMPOSSIBLE,
};

/* Puts the frame where the kernel would have put it. If it returns RELAY_READY, `*place` is for relay_enter
 * (signals/chain/relay.h). Async-signal-safe. */
enum relay_status relay_prepare(const struct relay *relay, struct native_frame native, struct relay_frame *place);

/* The words right below a frame that is on another stack, which relay_gate loads. */
struct relay_words {
    uint64_t rflags, rcx, r10, r11, rdx, rsi, rdi, mask;
    /* The address of `stack`, the system's own record of an alternate stack, if that is to be set; else 0. */
    uint64_t lent;
    uint64_t stack[3];
    uint64_t handler;
};

#endif
