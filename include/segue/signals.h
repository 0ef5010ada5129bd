/* signals.h: the handler that a process installs, the regions it serves, and what it counted.
 *
 * A region is a page-aligned range of addresses with a window (where its bytes can really be reached) and a policy.
 * When a thread faults in it, the policy is asked, and the instruction is stepped, tried again, or passed to whoever
 * handled the signal before.
 *
 * SOURCES: sigaction(2), sigaltstack(2), POSIX.1-2017 2.4; MPS design/prmc (fault address, access, step); notes on
 * chaining in docs/signals.md. */
#ifndef SEGUE_SIGNALS_H
#define SEGUE_SIGNALS_H

#include <segue/emulate.h>
#include <segue/needs_posix.h>

#ifndef SEGUE_WITHOUT_POSIX_
SEGUE_BEGIN

/* How to install; a bit set. */
enum segue_install_flags {
    /* Run on the faulting thread's own stack, never on an alternate one. A thread whose stack has run out then dies.
     * Not for Go's threads. Asynchronous signals come while a fault is served, as they would to the program. */
    SEGUE_INSTALL_OWN_STACK = 1,
    /* Do not take SIGBUS. */
    SEGUE_INSTALL_NO_SIGBUS = 2,
    /* Keep all asynchronous signals waiting while a fault is served, on the thread's own stack, too. */
    SEGUE_INSTALL_BLOCK_SIGNALS = 4,
    /* Take SIGTRAP too: for who has code changed by more than a byte while other threads run it. A thread that meets
     * the breakpoint that stands there meanwhile goes on when the change is done; every other trap goes to the guest
     * that it happened in, or to the handler that was there. */
    SEGUE_INSTALL_SIGTRAP = 8,
    /* Give the calling thread no alternate stack. */
    SEGUE_INSTALL_NO_ATTACH = 32,
    /* Let asynchronous signals come on the alternate stack while a fault is served: the fastest way out, and fatal
     * under a collector that stops threads by a signal and takes the stack pointer that it finds for the thread's own.
     * A handler of theirs may leave by siglongjmp, but not switch to another context and come back later. Without this
     * flag they wait until the thread is back on its own stack; the one that suspends threads (<segue/mutator.h>)
     * comes. Not together with SEGUE_INSTALL_BLOCK_SIGNALS. */
    SEGUE_INSTALL_OPEN_SIGNALS = 64,
    /* For a collector's own process (MPS): faults and policies are served on the thread's own stack, so that a scan
     * from the stack pointer up meets all of it. */
    SEGUE_INSTALL_COLLECTOR = SEGUE_INSTALL_OWN_STACK | SEGUE_INSTALL_NO_ATTACH,
};

/* What segue_install may be told; all zero bytes are the defaults. */
struct segue_options {
    /* enum segue_install_flags. */
    uint32_t flags;
    /* Bytes of alternate stack that policies and devices may use, beside the kernel's frame and our own need;
     * 0 means 256 KiB. */
    size_t policy_stack_size;
};

/* Installs the handler for SIGSEGV, SIGBUS and SIGFPE (which instructions that are replayed may raise; see the flags
 * for SIGBUS and SIGTRAP), makes the replay engine ready, and gives the calling thread its alternate stack as
 * segue_thread_attach does. `options` may be NULL. The handlers that were there are remembered: what is not ours goes
 * to them. Where the system gives no executable memory the handler is installed without the replay engine, and serves
 * plain moves and what moves the stack: ask segue_feature_check(SEGUE_FEATURE_REPLAY). Returns SEGUE_OK; SEGUE_EXISTS
 * when it is installed; SEGUE_INVALID for unknown flags, and for those that contradict each other; SEGUE_UNSUPPORTED
 * under Valgrind; SEGUE_BUSY inside a fault; SEGUE_NO_MEMORY; SEGUE_SYSTEM. Not async-signal-safe; thread-safe. */
SEGUE_API enum segue_status segue_install(const struct segue_options *options);

/* Who handles a signal. */
struct segue_owner {
    int signal;
    /* The handler's address. */
    void *handler;
    /* The object file that holds it, and the symbol nearest below it; NULL where not known. Both live as long as that
     * object is loaded. */
    const char *object;
    const char *symbol;
};

/* Tells whether the handler is installed, and the first that the kernel calls for all of its signals: another that was
 * installed later sees the faults of our regions before us, or in our place. Returns SEGUE_OK; SEGUE_NOT_FOUND when it
 * is not installed; SEGUE_NOT_LAST, and in `owner` (may be NULL) whose handler is before ours. Not async-signal-safe;
 * thread-safe. */
SEGUE_API enum segue_status segue_install_check(struct segue_owner *owner);

/* Puts back the handlers that were there before, and takes the calling thread's alternate stack away if segue_install
 * gave it. Returns SEGUE_OK; SEGUE_NOT_FOUND when it is not installed; SEGUE_NOT_LAST when another handler was
 * installed over ours: `owner` (may be NULL) tells whose; SEGUE_BUSY while there are regions, or inside a fault. Waits
 * for faults on other threads to end. Not async-signal-safe; thread-safe. */
SEGUE_API enum segue_status segue_uninstall(struct segue_owner *owner);

/* Gives the calling thread an alternate signal stack with a guard page below it, so that it can fault with its own
 * stack exhausted. It is taken away when the thread ends. A thread that has a stack large enough keeps it. Threads that
 * never call this are served all the same, on whatever stack they have. Returns SEGUE_OK; SEGUE_EXISTS when it was
 * called before; SEGUE_BUSY inside a fault or on an alternate stack; SEGUE_NOT_FOUND when no handler is installed;
 * SEGUE_NO_MEMORY; SEGUE_SYSTEM. Not async-signal-safe; thread-safe. */
SEGUE_API enum segue_status segue_thread_attach(void);

/* The smallest alternate stack, in bytes, on which every fault is served on this processor: the kernel's frame, our own
 * need of 1.5 KiB at most, and a second frame for a step that faults in its turn. What policies and devices use comes
 * on top. On a smaller one faults are served as long as the room that is left lasts; where it does not, they end as
 * without us. Async-signal-safe, thread-safe. */
SEGUE_API size_t segue_handler_stack(void);

/* Takes the calling thread's alternate stack away again and puts back the one it had.
 * Returns SEGUE_OK; SEGUE_NOT_FOUND when it has none of ours; SEGUE_BUSY inside a fault or on that stack; SEGUE_SYSTEM.
 * Not async-signal-safe; thread-safe. */
SEGUE_API enum segue_status segue_thread_detach(void);

/* What a policy wants done. Any other number is SEGUE_PASS. */
enum segue_verdict {
    /* Do the instruction's work, with the pages as they are. If it cannot be done the fault is passed on. */
    SEGUE_STEP,
    /* Run the instruction again: the policy has opened the page, or wants another look. */
    SEGUE_RETRY,
    /* It is none of ours: the handler that was there before sees it. */
    SEGUE_PASS,
    /* The policy has done it: the thread goes on with event->regs and event->xstate as they are now. After a
     * segue_event_step, after work of the policy's own, or to go on elsewhere. Where it has left them as they were, the
     * instruction runs again. */
    SEGUE_DONE,
};

struct segue_region;

/* What a policy is told. All of it lives only until the policy returns. */
struct segue_event {
    /* The fault as the processor reported it. */
    const struct segue_fault *fault;
    /* The access that is asked about, as far as it lies in this policy's region and the step does it (of a repeated
     * string that may be less than all): its first address there, how many bytes, and what for (enum segue_direction
     * bits). When no access of the instruction is known to lie there, as when
     * it could not be decoded: the fault's own address, 0 and direction. */
    uint64_t address;
    uint64_t size;
    uint8_t direction;
    /* The thread's registers; regs->rip is the instruction. */
    struct segue_regs *regs;
    /* The thread's vector and other extended state. Changes of both count with SEGUE_DONE alone; but that of a thread
     * with tiles is its own, not a copy. */
    struct segue_xstate *xstate;
    /* The plan: the instruction and all that it will access. With `can_step` other than SEGUE_OK its accesses are given
     * as far as they are known. */
    const struct segue_plan *plan;
    /* SEGUE_OK when a verdict of SEGUE_STEP can be carried out; else why not, in words in plan->refusal. */
    enum segue_status can_step;
    /* The kernel's number of the thread. */
    int thread;
    /* The access's number in plan->accesses; plan->access_count if none is known to lie here. */
    uint32_t access;
    /* How often policies were asked about this fault before: 0 for the first question. */
    uint32_t question;
    /* The region, as it was added. */
    const struct segue_region *region;
};

/* A region's policy. Runs on the faulting thread, inside the signal handler: it may call only what is
 * async-signal-safe, or what it knows the faulting code not to be in the middle of. It must return; it may not leave by
 * longjmp. errno is kept. What it does to the signal mask ends with the fault; it must not return with SIGSEGV, SIGBUS
 * or SIGFPE blocked. Asked once for each of the instruction's accesses in the region, in the order in which they are
 * made (and of an access over several regions, in the order of its bytes), before anything is done; the first answer
 * that is not SEGUE_STEP decides, and nobody is asked after it. An access that only probes is asked about where there
 * is no other. A verdict of SEGUE_STEP is good only as long as the thread is not suspended (<segue/mutator.h>): if it
 * was, all are asked again, and `question` counts on. From the last look at that to the end of the step a suspension
 * waits for the step. */
typedef enum segue_verdict segue_policy(void *context, const struct segue_event *event);

/* Options of a region; a bit set. */
enum segue_region_flags {
    /* Report a write to the policy as read and write (MPS wants it so: an answer with the wrong direction faults for
       ever). */
    SEGUE_REGION_WRITE_IS_READ_WRITE = 1,
    /* Serve faults for want of a protection key's rights too (SEGV_PKUERR): for who closes the region to some threads
       by a key. Otherwise they are the program's own, and handed on without a question. */
    SEGUE_REGION_PROTECTION_KEYS = 2,
};

/* A range of addresses that the handler serves. */
struct segue_region {
    /* base and size: whole pages. `base` names the region from then on. */
    struct segue_window window;
    /* NULL steps everything. */
    segue_policy *policy;
    void *context;
    /* enum segue_region_flags. */
    uint32_t flags;
};

/* Adds a region; the description is copied. Add it before the pages are closed. Any number of regions may be added,
 * from any thread, while others fault. Returns SEGUE_OK; SEGUE_INVALID for a zero or unaligned base or size, a range
 * that wraps around or leaves the user's addresses, an unknown flag or window kind, a window that lacks its parts;
 * SEGUE_OVERLAP when a page of it is in another region; SEGUE_UNSUPPORTED for a forced window where the kernel has
 * none; SEGUE_BUSY inside a fault; SEGUE_NO_MEMORY. Not async-signal-safe; thread-safe. */
SEGUE_API enum segue_status segue_region_add(const struct segue_region *region);

/* Removes the region whose first address is `base`. Open its pages first. Waits until no other thread is in a fault
 * that could know the region, its policy included: so do not hold a lock that a policy waits for. After it has
 * returned, neither the policy nor the window is used any more. Returns SEGUE_OK; SEGUE_NOT_FOUND; SEGUE_BUSY inside a
 * fault (a policy cannot wait for itself). Not async-signal-safe; thread-safe. */
SEGUE_API enum segue_status segue_region_remove(const void *base);

/* Finds the region that holds `address` and copies it to `region`. Returns SEGUE_OK, SEGUE_NOT_FOUND, or SEGUE_INVALID
 * for a NULL `region`. Async-signal-safe, thread-safe. */
SEGUE_API enum segue_status segue_region_find(const void *address, struct segue_region *region);

/* ---- for policies: async-signal-safe, and SEGUE_INVALID outside the event's policy ---- */

/* Steps the event's instruction now, under whatever lock the policy holds, writes event->regs and xstate, and calls
 * `visit` (may be NULL) with what was read and written, exactly (segue_step_values). It does not ask regions whose
 * policy is this same function: the policy answers for all those accesses. Regions with another policy are asked first.
 * Returns SEGUE_OK: it is done, return SEGUE_DONE; SEGUE_UNSUPPORTED: as can_step, or what it reads and writes cannot
 * be told; SEGUE_FAULT: memory is not there, return SEGUE_PASS, and the step's own fault is handed on; SEGUE_BUSY:
 * another region's policy did not say SEGUE_STEP, or is itself in this call: return SEGUE_STEP, and that answer counts;
 * SEGUE_INVALID, also the second time. With all but SEGUE_OK nothing has happened. */
SEGUE_API enum segue_status segue_event_step(const struct segue_event *event, segue_value_visit *visit, void *context);

/* The aligned words (segue_words_next) of the access that is asked about; and of the whole footprint in all regions
 * with this policy function, which is what segue_event_step does at once. No words outside the event's policy. */
SEGUE_API struct segue_words segue_event_words(const struct segue_event *event);
SEGUE_API struct segue_words segue_event_footprint(const struct segue_event *event);

/* What the instruction would read and write, without doing it. Returns as segue_step_preview. */
SEGUE_API enum segue_status segue_event_preview(const struct segue_event *event, segue_value_visit *visit,
                                                void *context);

/* What the handler did so far in this process. Each is a number of faults; `faults` is the sum of all others. */
struct segue_counters {
    uint64_t faults;
    uint64_t stepped;
    uint64_t retried;
    /* In a region, and handed on because its policy said so, or because it could not be stepped. */
    uint64_t refused;
    /* In no region. */
    uint64_t passed;
    /* Done by a policy. */
    uint64_t done;
};

/* Reads the counters; each is exact, all together are as of about the same moment. SEGUE_OK, or SEGUE_INVALID for NULL.
 * Async-signal-safe, thread-safe. */
SEGUE_API enum segue_status segue_counters_read(struct segue_counters *counters);

/* How often an instruction could not be stepped. */
struct segue_refusal {
    /* By its number; segue_mnemonic_name (decode.h) gives its name. */
    uint16_t mnemonic;
    uint64_t count;
};

/* Lists the mnemonics of the instructions that met a region and could not be stepped, whatever the policy then did, the
 * most frequent first. Stores how many there are in `count`, and as many as fit in `refusals`. Returns SEGUE_OK,
 * SEGUE_TOO_SMALL when not all fitted, SEGUE_INVALID for a NULL pointer. Async-signal-safe, thread-safe. */
SEGUE_API enum segue_status segue_refusals_read(struct segue_refusal *refusals, size_t capacity, size_t *count);

/* Never call it: the library does, before a fault goes to the signal's default action and the process dies of it, for a
 * breakpoint in a debugger that passes served faults on unseen. It does nothing. Not where the thread has no room left
 * for the call. `fault` has what the processor reported. */
SEGUE_API void segue_debug_unhandled(const struct segue_fault *fault, const struct segue_regs *regs);

/* Reads a fault from what a SA_SIGINFO handler is given, for those who have a handler of their own: address and
 * direction from the processor's own report for a page fault; for other faults the address is the one that no access
 * can have (not canonical), found by decoding the instruction, where there is one. Returns SEGUE_OK; SEGUE_NOT_FOUND
 * when the signal was sent by a program and is no fault; SEGUE_INVALID for a NULL pointer. Async-signal-safe,
 * thread-safe. */
SEGUE_API enum segue_status segue_fault_read(const siginfo_t *info, const void *ucontext, struct segue_fault *fault);

/* Reads and writes the registers of a signal frame. regs->fs_base and gs_base are read, never written.
 * SEGUE_OK, or SEGUE_INVALID for a NULL pointer. Async-signal-safe, thread-safe. */
SEGUE_API enum segue_status segue_frame_read(const void *ucontext, struct segue_regs *regs,
                                             struct segue_xstate *xstate);
SEGUE_API enum segue_status segue_frame_write(void *ucontext, const struct segue_regs *regs);

SEGUE_END
#endif

#endif
