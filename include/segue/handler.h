/* handler.h: the handler that a process installs, its threads, and what it counted.
 *
 * SOURCES: sigaction(2), sigaltstack(2), POSIX.1-2017 2.4; AddVectoredExceptionHandler;
 * docs/signals.md (chaining). */
#ifndef SEGUE_HANDLER_H
#define SEGUE_HANDLER_H

#include <segue/region.h>

SEGUE_BEGIN

/* How to install; a bit set. */
enum segue_install_flags {
    /* Run on the faulting thread's own stack, never on an alternate one. A thread whose stack has
     * run out then dies. Not for Go's threads. Asynchronous signals come while a fault is served,
     * as they would to the program. */
    SEGUE_INSTALL_OWN_STACK = 1,
    /* Do not take SIGBUS. */
    SEGUE_INSTALL_NO_SIGBUS = 2,
    /* Keep all asynchronous signals waiting while a fault is served, on the thread's own stack,
     * too. */
    SEGUE_INSTALL_BLOCK_SIGNALS = 4,
    /* Take SIGTRAP too: for who has code changed by more than a byte while other threads run it. A
     * thread that meets the breakpoint that stands there meanwhile goes on when the change is done;
     * every other trap goes to the guest that it happened in, or to the handler that was there. */
    SEGUE_INSTALL_SIGTRAP = 8,
    /* Give the calling thread no alternate stack. */
    SEGUE_INSTALL_NO_ATTACH = 32,
    /* Let asynchronous signals come on the alternate stack while a fault is served: the fastest way
     * out, and fatal under a collector that stops threads by a signal and takes the stack pointer
     * that it finds for the thread's own. A handler of theirs may leave by siglongjmp, but not
     * switch to another context and come back later. Without this flag they wait until the thread
     * is back on its own stack; the one that suspends threads (<segue/mutator.h>) comes. Not
     * together with SEGUE_INSTALL_BLOCK_SIGNALS. */
    SEGUE_INSTALL_OPEN_SIGNALS = 64,
    /* For a collector's own process (MPS): faults and policies are served on the thread's own
     * stack, so that a scan from the stack pointer up meets all of it. */
    SEGUE_INSTALL_COLLECTOR = SEGUE_INSTALL_OWN_STACK | SEGUE_INSTALL_NO_ATTACH,
};

/* The options of segue_install; all zero bytes are the defaults. */
struct segue_options {
    /* enum segue_install_flags. */
    uint32_t flags;
    uint32_t reserved32;
    /* Bytes of alternate stack that policies and devices may use, beside the kernel's frame and our
     * own need; 0 means 256 KiB. */
    size_t policy_stack_size;
    uint64_t reserved[6];
};

/* Installs the handler for SIGSEGV, SIGBUS and SIGFPE (which instructions that are replayed may
 * raise; see the flags for SIGBUS and SIGTRAP), makes the replay engine ready, and gives the
 * calling thread its alternate stack as segue_thread_attach does. `options` may be NULL. The
 * handlers that were there are remembered: what is not ours goes to them. Where the system gives no
 * executable memory the handler is installed without the replay engine, and serves plain moves and
 * what moves the stack: ask segue_feature_check(SEGUE_FEATURE_REPLAY). Returns SEGUE_OK;
 * SEGUE_EXISTS when it is installed; SEGUE_INVALID for unknown flags, and for those that contradict
 * each other; SEGUE_UNSUPPORTED under Valgrind; SEGUE_BUSY inside a fault, and on an alternate
 * stack; SEGUE_NO_MEMORY; SEGUE_SYSTEM. MT-Safe, AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_install(const struct segue_options *options);

/* Who handles a signal. */
struct segue_owner {
    int signal;
    /* The handler's address. */
    void *handler;
    /* The object file that holds it, and the symbol nearest below it; NULL where not known. Both
     * live as long as that object is loaded. */
    const char *object;
    const char *symbol;
    uint64_t reserved[2];
};

/* Tells whether the handler is installed, and the first that the kernel calls for all of its
 * signals: another that was installed later sees the faults of our regions before us, or in our
 * place. Returns SEGUE_OK; SEGUE_NOT_FOUND when it is not installed; SEGUE_NOT_LAST, and in `owner`
 * (may be NULL) whose handler is before ours. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_install_check(struct segue_owner *owner);

/* Puts back the handlers that were there before, and takes the calling thread's alternate stack
 * away if segue_install gave it. Returns SEGUE_OK; SEGUE_NOT_FOUND when it is not installed;
 * SEGUE_NOT_LAST when another handler was installed over ours: `owner` (may be NULL) tells whose;
 * SEGUE_BUSY while there are regions, or inside a fault. Waits for faults on other threads to end.
 * MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_uninstall(struct segue_owner *owner);

/* Gives the calling thread an alternate signal stack with a guard page below it, so that it can
 * fault with its own stack exhausted. It is taken away when the thread ends. A thread that has a
 * stack large enough keeps it. Threads that never call this are served all the same, on whatever
 * stack they have. Returns SEGUE_OK; SEGUE_EXISTS when it was called before; SEGUE_BUSY inside a
 * fault or on an alternate stack; SEGUE_NOT_FOUND when no handler is installed; SEGUE_NO_MEMORY;
 * SEGUE_SYSTEM. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_thread_attach(void);

/* The smallest alternate stack, in bytes, on which every fault is served on this processor: the
 * kernel's frame, our own need of 1.5 KiB at most, and a second frame for a step that faults in its
 * turn. What policies and devices use comes on top. On a smaller one faults are served as long as
 * the room that is left lasts; where it does not, they end as without us. MT-Safe, AS-Safe. */
SEGUE_API size_t segue_handler_stack(void);

/* Takes the calling thread's alternate stack away again and puts back the one it had. Returns
 * SEGUE_OK; SEGUE_NOT_FOUND when it has none of ours; SEGUE_BUSY inside a fault or on that stack;
 * SEGUE_SYSTEM. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_thread_detach(void);

/* Whether the calling thread is in the middle of a fault: in a policy or a device, or in a handler
 * of another signal that has interrupted the library's. MT-Safe, AS-Safe. */
SEGUE_API bool segue_in_fault(void);

/* What the handler did so far in this process. Each is a number of faults; `faults` is the sum of
 * all others. */
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
    uint64_t reserved[10];
};

/* Reads the counters; each is exact, all together are as of about the same moment. SEGUE_OK, or
 * SEGUE_INVALID for NULL. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_counters_read(struct segue_counters *counters);

/* How often an instruction could not be stepped. */
struct segue_refusal {
    /* By its number; segue_mnemonic_name (decode.h) gives its name. */
    uint16_t mnemonic;
    uint64_t count;
};

/* Lists the mnemonics of the instructions that met a region and could not be stepped, whatever the
 * policy then did, the most frequent first. Stores how many there are in `count`, and as many as
 * fit in `refusals`. Returns SEGUE_OK, SEGUE_TOO_SMALL when not all fitted, SEGUE_INVALID for a
 * NULL pointer. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_refusals_read(struct segue_refusal *refusals, size_t capacity, size_t *count);

/* Never call it: the library does, before a fault goes to the signal's default action and the
 * process dies of it, for a breakpoint in a debugger that passes served faults on unseen. It does
 * nothing. Not where the thread has no room left for the call. `fault` has what the processor
 * reported. */
SEGUE_API void segue_debug_unhandled(const struct segue_fault *fault, const struct segue_regs *regs);

SEGUE_END

#endif
