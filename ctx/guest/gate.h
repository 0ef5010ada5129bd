/* gate.h: between a host and a guest.
 *
 * A gate is two pages, one of code and one of data. The code reaches the data by its distance, so that it needs no
 * register and no thread-local storage to find what a guest's call must find: where to keep the guest's registers, and
 * the host's stack. Each guest has its own. */
#ifndef SEGUE_CTX_GATE_H
#define SEGUE_CTX_GATE_H

#include <segue/guest.h>

#include "ctx/layout.h"
#include "platform/code_range.h"
#include "platform/frame.h"
#include "platform/guest.h"

/* Whose bases are in force, as far as a signal handler's first instructions have to know. */
enum gate_place {
    GATE_PLACE_HOST = PLACE_HOST,
    /* The guest's, perhaps: from before they are loaded until after they are not. */
    GATE_PLACE_GUEST = PLACE_GUEST,
    /* The host's, in a handler that has interrupted the guest. */
    GATE_PLACE_HANDLER = PLACE_HANDLER,
};

struct gate {
    /* The guest's, as they are loaded and stored. */
    struct segue_regs regs;
    /* For IRETQ, where POPFQ will not do: rip, cs, rflags, rsp, ss. */
    uint64_t iret[5];
    uint64_t host_rsp, host_fs, host_gs;
    uint32_t host_mxcsr;
    uint16_t host_x87;
    /* enum gate_place. */
    uint32_t place;
    uint32_t stop;
    /* The bases are set by arch_prctl, not by instructions. */
    uint32_t by_system_call;
    /* Why the guest was left; when by a call or before it began, set by the assembly. */
    uint32_t reason;
    void *area;
    uint64_t features;
    /* Where the way in ends, in the page of code; where the way out goes on, outside of it. */
    uint64_t in, out;
    /* The bases that a handler found in force. */
    uint64_t now_fs, now_gs;
    /* The area is loaded and stored by moves; where its components stand. */
    uint32_t by_moves;
    void *ymm_upper, *opmask, *zmm_upper, *zmm_high;
    /* The rest is C's alone. */
    /* The signal frame of the handler that has interrupted the guest; 0 for none. */
    uint64_t frame;
    /* That of the innermost handler that found the guest's bases in force, there or on the way; NULL for none. */
    const void *entered;
    struct segue_guest *guest;
    /* The thread that runs it, 0 for none. */
    int thread;
    /* What stands in for a base that cannot be loaded; 0 where it is loaded as it is. */
    uint64_t substitute_fs, substitute_gs;
    uint64_t fault_address, error_code;
    /* The extended state's area is ours to free. */
    size_t area_size;
};

/* A thread that has run guests: found by its number, for want of anything else, when a guest's bases are in force. */
struct guest_thread {
    int32_t number;
    struct gate *gate;
};
extern struct guest_thread guest_threads[THREAD_COUNT] __attribute__((visibility("hidden")));
extern uint32_t guest_thread_count __attribute__((visibility("hidden")));

/* Where gate_entry leads: guest_nobody; the page of the guest that the only thread with guests runs, or ran last; or,
 * as soon as there has been a second thread, guest_dispatch for good. */
extern const void *guest_way __attribute__((visibility("hidden")));

/* Assembly. guest_go enters and comes back; the others are addresses: the code to be copied, places in it, the parts of
 * the way in and out that must not be taken for the guest's code. */
void guest_go(struct gate *gate);
extern const char gate_code[], gate_code_end[], gate_call[], gate_enter[], gate_enter_iret[], gate_enter_end[];
extern const char guest_out[], guest_landed[], guest_go_commit[], guest_text_begin[], guest_text_end[];
/* What every guest calls; from guest_dispatch to guest_dispatch_begun nothing is changed but what is below the stack
 * pointer. guest_nobody ends in an undefined instruction. */
extern const char gate_entry[], guest_dispatch[], guest_dispatch_begun[], guest_nobody[];
extern const char guest_run_handler[], guest_run_handler_tail[], guest_run_handler_end[];
/* From its first instruction to `pushed` rsp is as the kernel left it, there 8 less; from `framed` to `popped` it is
 * rbp + 8. */
extern const char guest_run_handler_pushed[], guest_run_handler_framed[], guest_run_handler_popped[];

/* Where a thread counts as standing that is on the way between host, guest and handler (place.c). The first is wherever
 * the gate is that the calling thread runs. */
extern const struct code_range guest_page_range, guest_call_range, guest_handler_range, guest_entry_range;

/* Called by the assembly with the host's bases in force: runs the handler that interrupted a guest, or the way into or
 * out of one. */
void guest_handle(int number, void *info, void *ucontext, void (*handler)(int, void *, void *), struct gate *gate);

/* The segment bases that the code interrupted by `ucontext` had, if it was a guest's; else nothing is written. */
void guest_bases(const void *ucontext, uint64_t *fs_base, uint64_t *gs_base);

/* Whether the calling thread's handler has interrupted a guest: such a handler must be left by its return. */
bool guest_is_interrupted(void);

/* The gate of the calling thread, if it runs a guest; else NULL. Whatever the segment bases are. */
struct gate *guest_running(void);

/* On a child whose memory is a copy, made by a handler with the host's bases that has interrupted this guest: it is
 * this process's. If the guest's bases are to be in force when `ucontext` is returned to, they are from here on. */
void guest_goes_on(struct gate *gate, const void *ucontext);

#endif
