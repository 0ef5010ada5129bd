/* emulate.h: from an instruction, registers and windows to the registers after it.
 *
 * Plan, then step. segue_plan is pure and tells the whole footprint before anything happens;
 * segue_step carries a plan out, all or nothing. Nothing here knows of signals: a program with a
 * handler of its own uses this alone, with segue_recover as its first act.
 *
 * SOURCES: Intel SDM volume 1, 3.4.1.1, volume 2, volume 3, 9.1.1 (which accesses are atomic);
 * MPS design/prmc. */
#ifndef SEGUE_EMULATE_H
#define SEGUE_EMULATE_H

#include <segue/decode.h>
#include <segue/window.h>

SEGUE_BEGIN

/* Who carries a plan out. */
enum segue_engine {
    SEGUE_ENGINE_NONE,
    /* Plain moves, in straight C: one native access. */
    SEGUE_ENGINE_MOVE,
    /* The instruction itself, run on the processor with its memory led elsewhere. Needs
     * segue_replay_prepare. */
    SEGUE_ENGINE_REPLAY,
    /* What moves the stack or the instruction pointer, in straight C. */
    SEGUE_ENGINE_STACK,
};

/* What a plan needs or cannot promise; a bit set. */
enum segue_plan_flags {
    /* An access goes through a forced window, or over a window's edge: other threads may see it
     * half done. */
    SEGUE_PLAN_NOT_ATOMIC = 1,
    /* The instruction runs on a copy of its memory, which windows cannot show to it in one piece. */
    SEGUE_PLAN_COPIED = 2,
    /* The thread runs with alignment checks on. */
    SEGUE_PLAN_ALIGNMENT_CHECKED = 4,
    /* The thread traps behind each instruction (TF): of a repeated string a step does one element. */
    SEGUE_PLAN_TRAPS = 8,
};

/* What a step will do. Made by segue_plan; may be thrown away. */
struct segue_plan {
    struct segue_insn insn;
    enum segue_engine engine;
    /* enum segue_plan_flags. */
    uint32_t flags;
    /* The whole footprint, in order. Also filled where the plan was refused, as far as it is known. */
    uint32_t access_count;
    struct segue_access accesses[SEGUE_ACCESSES_MOST];
    /* Why the plan was refused, as a static string; NULL if it was not. */
    const char *refusal;
    /* What the engines need. */
    uint64_t private_[320];
};

/* Plans the step of `insn` with `regs`. Pure: touches nothing but `plan`, so the page may be closed
 * and other threads may run. `windows`, `window_count` tell where memory can be reached; bytes in
 * none of them are reached at their own address. The windows must live until the step. `fault` may
 * be NULL; otherwise one of the accesses must cover its address, in its direction. `xstate` may be
 * NULL. Returns SEGUE_OK: segue_step will succeed unless memory is taken away or a device refuses;
 * SEGUE_UNSUPPORTED: `plan->refusal` tells why; SEGUE_MISMATCH: the fault is not this
 * instruction's; SEGUE_INVALID for a NULL pointer. MT-Safe, AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_plan(const struct segue_insn *insn, const struct segue_regs *regs,
                                                   const struct segue_xstate *xstate, const struct segue_fault *fault,
                                                   const struct segue_window *windows, size_t window_count,
                                                   struct segue_plan *plan);

/* Makes the replay engine ready: executable memory of the library's own, which is never writable at
 * the address where it is executed. Without it, plans refuse what only that engine does.
 * segue_install calls this. A child made by fork, or by a bare system call, makes memory of its own
 * when it first needs some, by mmap, mremap, madvise and mprotect: who forbids a child these calls
 * this before. No descriptor is needed, and no limit on files concerns it. Calling it again does
 * nothing. Returns SEGUE_OK; SEGUE_UNSUPPORTED when the system gives no executable memory;
 * SEGUE_NO_MEMORY. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_replay_prepare(void);

/* Makes forced windows ready: opens the kernel's way past this process's own protection, and proves
 * it. Without it, plans refuse forced windows. segue_region_add calls this for a forced window; a
 * child made by fork, or by a bare system call, gets a way of its own. In a child that may not open
 * one (its parent changed its user before the fork, or has no /proc after chroot), plans go through
 * forced windows as long as it has one thread. Calling it again does nothing. Returns SEGUE_OK;
 * SEGUE_UNSUPPORTED when the kernel does not let this process past its own protection;
 * SEGUE_NO_MEMORY. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_forced_prepare(void);

/* Carries the plan out, all or nothing, with the registers that it was made with; they then are
 * those after the instruction, which with a repeat prefix may have stopped between elements, a
 * gather or scatter between lanes, to be executed again for the others. Needs a handler that calls
 * segue_recover first for SIGSEGV and SIGBUS, and does not block them, if memory that the plan
 * reaches natively might be inaccessible; with SEGUE_ENGINE_REPLAY for SIGFPE too, if the
 * instruction can raise it. Returns SEGUE_OK; SEGUE_FAULT: memory could not be reached, and `fault`
 * (may be NULL) tells where and in what direction, or the instruction raised another exception, and
 * `fault` has no address; SEGUE_UNSUPPORTED: a device refused, a POPF or IRET would change NT or
 * ID, or a selector would be loaded that is not the thread's; SEGUE_BUSY: every place for
 * executable code is in use; SEGUE_INVALID for a NULL pointer or a refused plan. With all but
 * SEGUE_OK registers and memory are as they were, but for what the processor itself leaves with a
 * fault: elements of a string, lanes of a gather and words of an ENTER that came before, exceptions
 * noted in MXCSR, and on some processors the return address of a CALL to what is no address and the
 * first eight bytes of an FSTP or FBSTP. `xstate` is changed where the instruction changes it.
 * MT-Safe, AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_step(const struct segue_plan *plan, struct segue_regs *regs,
                                                   struct segue_xstate *xstate, struct segue_fault *fault);

/* A walk over aligned words (8 bytes; 4 in 32-bit code), each once, lowest first, whatever the
 * number of accesses to it: struct segue_words words = segue_plan_words(plan, base, size); while
 * (segue_words_next(&words)) settle(words.at, words.direction); */
struct segue_words {
    uint64_t address;
    /* Where the word can be reached now; NULL in a callback or forced window. */
    void *at;
    /* enum segue_direction bits of all accesses to it. */
    uint8_t direction;
    uint64_t private_[6];
};

/* The words in [base, base + size) that the plan's step will touch: all of a word that an access
 * touches in part, too. No words for a NULL plan. The plan must live as long as the walk. MT-Safe,
 * AS-Safe. */
SEGUE_API struct segue_words segue_plan_words(const struct segue_plan *plan, uint64_t base, uint64_t size);

/* Goes on to the next word; false behind the last. MT-Safe, AS-Safe. */
SEGUE_API bool segue_words_next(struct segue_words *words);

/* Whether all accesses of the plan lie in [base, base + size). False for a NULL plan. MT-Safe,
 * AS-Safe. */
SEGUE_API bool segue_plan_within(const struct segue_plan *plan, uint64_t base, uint64_t size);

/* What one access of a step read or wrote. It lives until the call returns. */
struct segue_value {
    /* The address that the program used, and how many bytes. */
    uint64_t address;
    uint32_t size;
    /* enum segue_direction bits. */
    uint8_t direction;
    uint8_t reserved8[3];
    /* The bytes before the access and after it, lowest address first. What was read is exactly
     * `before`, what was written exactly `after`; with SEGUE_READ alone both are the same. With
     * SEGUE_WRITE alone `before` is what was there right before the step; of a device that was not
     * read, NULL. */
    const void *before;
    const void *after;
    uint64_t reserved[2];
};

/* Called with what one access of a step read or wrote. */
typedef void segue_value_visit(void *context, const struct segue_value *value);

/* As segue_step, and calls `visit` (may be NULL) after it for each access that it made, in order.
 * The step is done by way of copies: memory is read once, the instruction is run on what was read,
 * and stored is what that has written. A locked instruction is published by one
 * compare-and-exchange. A repeated string does at most 4 KiB of each operand, and stops between
 * elements. SEGUE_UNSUPPORTED also where this cannot be done: masked runs of one operand and state
 * areas larger than 4 KiB. Needs 40 KiB of stack. MT-Safe, AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_step_values(const struct segue_plan *plan, struct segue_regs *regs,
                                                          struct segue_xstate *xstate, struct segue_fault *fault,
                                                          segue_value_visit *visit, void *context);

/* The same on copies alone: nothing happens, and `visit` receives what a step would read and write
 * if memory stayed as it is. `xstate` may be NULL; its area is copied, up to 4 KiB. Returns
 * SEGUE_OK; SEGUE_FAULT when memory cannot be reached or the instruction raises an exception;
 * SEGUE_UNSUPPORTED as segue_step_values, and through a device's window; SEGUE_BUSY; SEGUE_INVALID
 * for a NULL plan, regs or visit. Needs 44 KiB of stack. MT-Safe, AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_step_preview(const struct segue_plan *plan, const struct segue_regs *regs,
                                                           const struct segue_xstate *xstate, segue_value_visit *visit,
                                                           void *context);

/* Tells a signal handler whether the fault was taken by one of the library's own guarded accesses.
 * If so, moves `*rip`, the interrupted thread's instruction pointer, to where that access reports
 * its failure; the handler then has nothing to do but return. MT-Safe, AS-Safe. */
SEGUE_API bool segue_recover(uint64_t *rip);

/* Copies up to `size` bytes from `address`, which may be inaccessible, to `to`; stops at the first
 * byte that cannot be read. Returns how many bytes were copied. Needs the handler that segue_step
 * needs. MT-Safe, AS-Safe. */
SEGUE_API size_t segue_peek(void *to, uint64_t address, size_t size);

SEGUE_END

#endif
