/* gate.h: the trampoline between a host and a guest.
 *
 * A gate is two pages, one of code and one of data. The code addresses the data relative to itself, so that a guest's
 * call needs no register and no thread-local storage to find where to store the guest's registers, and the host's
 * stack. Each guest has its own gate. */
#ifndef SEGUE_CTX_GATE_H
#define SEGUE_CTX_GATE_H

#include <segue/guest.h>

#include "ctx/layout.h"
#include "platform/code_range.h"
#include "platform/frame/frame.h"
#include "platform/guest.h"
#include "platform/lacks.h"

/* Whose segment bases are in force, as far as a signal handler's first instructions need to know. */
enum gate_place {
    GATE_PLACE_HOST = PLACE_HOST,
    /* Perhaps the guest's: from before they are loaded until after the host's are. */
    GATE_PLACE_GUEST = PLACE_GUEST,
    /* The host's, in a handler that has interrupted the guest. */
    GATE_PLACE_HANDLER = PLACE_HANDLER,
};

struct gate {
    /* The guest's registers, as they are loaded and stored. */
    struct segue_regs regs;
    /* For IRETQ, if POPFQ does not suffice: rip, cs, rflags, rsp, ss. */
    uint64_t iret[5];
    uint64_t host_rsp, host_fs, host_gs;
    uint32_t host_mxcsr;
    uint16_t host_x87;
    /* enum gate_place. */
    uint32_t place;
    uint32_t stop;
    /* The bases are set by arch_prctl, not by instructions. */
    uint32_t by_system_call;
    /* Why the guest was left; the assembly sets it if the guest called or had not begun. */
    uint32_t reason;
    void *area;
    uint64_t features;
    /* The end of the way in, in the page of code; the continuation of the way out, outside of it. */
    uint64_t in, out;
    /* The bases that a handler found in force. */
    uint64_t now_fs, now_gs;
    /* The area is loaded and stored by moves; the offsets of its components. */
    uint32_t by_moves;
    void *ymm_upper, *opmask, *zmm_upper, *zmm_high;
    /* The bases that were set last, or are about to be, if system calls set them: for systems that do not say which are
     * in force. */
    uint64_t set_fs, set_gs;
    /* Only C uses the rest. */
    /* The signal frame of the handler that has interrupted the guest; 0 if none. */
    uint64_t frame;
    /* That of the innermost handler that found the guest's bases in force, in or around the guest; NULL if none. */
    const void *entered;
    struct segue_guest *guest;
    /* The thread that runs the guest, 0 if none. */
    int thread;
    /* The substitute for a base that cannot be loaded; 0 if the base is loaded as it is. */
    uint64_t substitute_fs, substitute_gs;
    uint64_t fault_address, error_code;
    /* The size of the extended state's area, which the library frees. */
    size_t area_size;
    /* A handler has interrupted the guest, and its frame has not been opened yet (called.c). */
    bool is_pending;
};

/* A thread that has run guests. While a guest's bases are in force, only its TID identifies it. */
struct guest_thread {
    int32_t number;
    /* The number that signals are sent to. */
    int32_t thread;
    struct gate *gate;
};
extern struct guest_thread guest_threads[THREAD_COUNT] __attribute__((visibility("hidden")));
extern uint32_t guest_thread_count __attribute__((visibility("hidden")));

/* The target of gate_entry: guest_nobody; the page of the guest that the only thread with guests runs, or ran last;
 * or, once a second thread has run a guest, always guest_dispatch. */
extern const void *guest_way __attribute__((visibility("hidden")));

/* In assembly. guest_go enters the guest and returns; the others are addresses: the code to be copied, places in it,
 * the parts of the way in and out that must not be taken for the guest's code. */
void guest_go(struct gate *gate);
extern const char gate_code[], gate_code_end[], gate_call[], gate_enter[], gate_enter_iret[], gate_enter_end[];
extern const char guest_out[], guest_landed[], guest_go_commit[], guest_text_begin[], guest_text_end[];
/* The address that every guest calls; from guest_dispatch to guest_dispatch_begun only memory below the stack pointer
 * is changed. guest_nobody ends in an undefined instruction. */
extern const char gate_entry[], guest_dispatch[], guest_dispatch_begun[], guest_nobody[];
extern const char guest_run_handler[], guest_run_handler_tail[], guest_run_handler_end[];
/* From its first instruction to `pushed` rsp is as the kernel left it, at `pushed` 8 less; from `framed` to `popped`
 * it is rbp + 8. */
extern const char guest_run_handler_pushed[], guest_run_handler_framed[], guest_run_handler_popped[];

/* Fault-PC translation for a thread between host, guest and handler (place.c). The first range is wherever the gate
 * is that the calling thread runs. */
extern const struct code_range guest_page_range, guest_call_range, guest_handler_range, guest_entry_range;

/* The assembly calls it with the host's bases in force: runs the handler that interrupted a guest, or the way into or
 * out of one. */
void guest_handle(int number, void *info, void *ucontext, void (*handler)(int, void *, void *), struct gate *gate);

/* The same, with the frame as frame.h has it. */
void guest_handle_frame(int number, void *info, void *ucontext, void (*handler)(int, void *, void *),
                        struct gate *gate);

/* The segment bases of the code interrupted by `ucontext`, if it was a guest's; otherwise writes nothing. */
void guest_bases(const void *ucontext, uint64_t *fs_base, uint64_t *gs_base);

/* Whether there are guests here. */
static inline bool guest_is_possible(void)
{
    return PLATFORM_HAS_GUESTS;
}

/* From now on `begin` is called before a guest is prepared, after which code may run with bases that are not the
 * host's. If it returns false, the guest is not prepared. Returns whether one has been prepared before. */
bool guest_follow(bool (*begin)(void));

/* Whether the calling thread's handler has interrupted a guest: such a handler must return through the kernel. */
bool guest_is_interrupted(void);

/* The calling thread's gate, if it runs a guest; else NULL. Independent of the segment bases. */
struct gate *guest_running(void);

/* On a child whose memory is a copy, made by a handler with the host's bases that has interrupted this guest: makes
 * the guest this process's. Loads the guest's bases if they must be in force when `ucontext` is returned to. */
void guest_goes_on(struct gate *gate, const void *ucontext);

#endif
