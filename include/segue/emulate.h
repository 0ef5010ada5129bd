/* emulate.h: carries out one instruction, given its registers and windows.
 *
 * Plan, then step. segue_plan is pure and lists the whole footprint before anything happens;
 * segue_step carries a plan out, all or nothing. Nothing here depends on signals: a program with
 * its own handler can use this header alone, and that handler calls segue_recover first
 * (segue_frame_open does it too).
 *
 * SOURCES: Intel SDM volume 1, 3.4.1.1, volume 2, volume 3, 9.1.1 (which accesses are atomic); MPS
 * design/prmc. */
#ifndef SEGUE_EMULATE_H
#define SEGUE_EMULATE_H

#include <segue/decode.h>
#include <segue/window.h>

SEGUE_BEGIN

/* The engine that carries a plan out. */
enum segue_engine {
    SEGUE_ENGINE_NONE,
    /* Plain moves, in C: one native access. */
    SEGUE_ENGINE_MOVE,
    /* Runs the instruction out of line, with its memory operand relocated. Needs
     * segue_replay_prepare. */
    SEGUE_ENGINE_REPLAY,
    /* Instructions that change the stack pointer or the instruction pointer, in C. */
    SEGUE_ENGINE_STACK,
};

/* What a plan needs or cannot guarantee; a bit set. */
enum segue_plan_flags {
    /* An access goes through a forced window, or crosses a window's edge: other threads may see it
     * half done. */
    SEGUE_PLAN_NOT_ATOMIC = 1,
    /* The instruction runs on a copy of its memory, because the windows do not give it one
     * contiguous mapping. */
    SEGUE_PLAN_COPIED = 2,
    /* The thread has alignment checks enabled (EFLAGS.AC). */
    SEGUE_PLAN_ALIGNMENT_CHECKED = 4,
    /* The thread traps after each instruction (TF): a step does one element of a repeated
     * string. */
    SEGUE_PLAN_TRAPS = 8,
};

/* The bytes of a struct segue_plan, which holds at least eight accesses; and the most that
 * segue_plan_in uses. */
#define SEGUE_PLAN_SIZE 1024
#define SEGUE_PLAN_SIZE_MOST 8192

/* What a step will do. segue_plan fills it; it holds nothing to release. It cannot be copied, since
 * `accesses` points into it. */
struct segue_plan {
    struct segue_insn insn;
    enum segue_engine engine;
    /* enum segue_plan_flags. */
    uint32_t flags;
    /* The whole footprint, in order. A refused plan has the accesses that are known, as far as it
     * has room. */
    uint32_t access_count;
    const struct segue_access *accesses;
    /* Why the plan was refused, as a static string; NULL if it was not. */
    const char *refusal;
    /* For the engines. */
    uint64_t private_[(SEGUE_PLAN_SIZE - sizeof(struct segue_insn) - 16 - 2 * sizeof(void *)) / 8];
};

/* Plans the step of `insn` with `regs`. Pure: it writes only `plan`, so the page may be protected
 * and other threads may run. `windows` and `window_count` say where memory can be accessed; bytes
 * outside all windows are accessed at their own address. The windows must live until the step.
 * `fault` may be NULL; otherwise one of the accesses must cover its address, in its direction.
 * `xstate` may be NULL. Returns SEGUE_OK: segue_step will succeed unless the memory goes away or a
 * device refuses; SEGUE_UNSUPPORTED, with the reason in `plan->refusal`; SEGUE_MISMATCH: this
 * instruction did not cause the fault; SEGUE_TOO_SMALL: it makes more accesses than fit into a
 * struct segue_plan (a gather of 16 lanes, ENTER with many levels), or the windows cut them into
 * more parts: segue_plan_in has room; SEGUE_INVALID for a NULL pointer. MT-Safe, AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status
segue_plan(const struct segue_insn *insn, const struct segue_regs *regs,
           const struct segue_xstate *xstate, const struct segue_fault *fault,
           const struct segue_window *windows, size_t window_count, struct segue_plan *plan);

/* As segue_plan, with a plan in the caller's `memory`: `size` bytes, from SEGUE_PLAN_SIZE on.
 * SEGUE_PLAN_SIZE_MOST bytes hold the plan of every instruction that can be stepped; what is beyond
 * them stays unused. `memory` is aligned to 64 bytes. `*plan` is the plan, also of a refusal, and
 * lives as long as the memory; NULL with SEGUE_INVALID. `insn` may be the `insn` of another plan,
 * but not of one in the same memory. Returns as segue_plan; SEGUE_INVALID also for memory that is
 * too small, or not aligned. MT-Safe, AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status
segue_plan_in(void *memory, size_t size, const struct segue_insn *insn,
              const struct segue_regs *regs, const struct segue_xstate *xstate,
              const struct segue_fault *fault, const struct segue_window *windows,
              size_t window_count, const struct segue_plan **plan);

/* Prepares the replay engine: maps executable memory for out-of-line slots, which is never writable
 * at the address where it is executed. Without it, plans refuse what only that engine can do.
 * segue_install calls this. A child made by fork, or by a bare system call, maps its own memory
 * when it first needs some, with mmap, mremap, madvise and mprotect. A child calls this function
 * before it installs a seccomp filter that forbids these calls. It needs no file descriptor, and no
 * limit on files applies. A second call does nothing. Returns SEGUE_OK; SEGUE_UNSUPPORTED if the
 * system refuses executable memory; SEGUE_NO_MEMORY. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_replay_prepare(void);

/* Prepares forced windows: opens the kernel's way past this process's page protection
 * (/proc/thread-self/mem), and verifies it. Without it, plans refuse forced windows.
 * segue_region_add calls this for a forced window. A child made by fork, or by a bare system call,
 * opens its own. A child that cannot (its parent changed its user before the fork, or has no /proc
 * after chroot) can use forced windows as long as it has one thread. A second call does nothing.
 * Returns SEGUE_OK; SEGUE_UNSUPPORTED if the kernel does not let this process past its own
 * protection; SEGUE_NO_MEMORY. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_forced_prepare(void);

/* Carries the plan out, all or nothing. `regs` must be the registers of segue_plan; afterwards they
 * are the registers after the instruction. A repeated string may stop between elements, a gather or
 * scatter between lanes: executing the instruction again then does the rest. If memory that the
 * plan accesses natively may be inaccessible, the program needs a handler for SIGSEGV and SIGBUS,
 * both unblocked, that calls segue_recover first; with SEGUE_ENGINE_REPLAY for SIGFPE too, if the
 * instruction can raise it.
 *
 * Returns SEGUE_OK; SEGUE_FAULT: memory was inaccessible, and `fault` (may be NULL) has the address
 * and direction, or the instruction raised another exception, and `fault` has no address;
 * SEGUE_UNSUPPORTED: a device refused, a POPF or IRET would change NT or ID, or the instruction
 * would load a selector that differs from the thread's; SEGUE_BUSY: all out-of-line slots are in
 * use; SEGUE_INVALID for a NULL pointer, and for a plan that was refused or copied.
 *
 * With every status but SEGUE_OK, registers and memory are unchanged, except for what the processor
 * itself leaves behind after a fault: the preceding elements of a string, lanes of a gather and
 * words of an ENTER, exception flags in MXCSR, and on some processors the return address of a CALL
 * to a non-canonical address and the first eight bytes of an FSTP or FBSTP. `xstate` is changed if
 * the instruction changes it. MT-Safe, AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_step(const struct segue_plan *plan,
                                                   struct segue_regs *regs,
                                                   struct segue_xstate *xstate,
                                                   struct segue_fault *fault);

/* An iterator over aligned words (8 bytes; 4 in 32-bit code). It visits each word once, lowest
 * first, however many accesses touch it:
 *   struct segue_words words = segue_plan_words(plan, base, size);
 *   while (segue_words_next(&words))
 *       settle(words.at, words.direction); */
struct segue_words {
    uint64_t address;
    /* Where the word can be accessed now; NULL in a callback or forced window. */
    void *at;
    /* The enum segue_direction bits of all accesses to it. */
    uint8_t direction;
    uint64_t private_[6];
};

/* The words in [base, base + size) that the plan's step will touch, including words that an access
 * touches in part. No words for a NULL plan. The plan must outlive the iterator. MT-Safe,
 * AS-Safe. */
SEGUE_API struct segue_words segue_plan_words(const struct segue_plan *plan, uint64_t base,
                                              uint64_t size);

/* Advances to the next word; returns false after the last. MT-Safe, AS-Safe. */
SEGUE_API bool segue_words_next(struct segue_words *words);

/* Whether all accesses of the plan are within [base, base + size). False for a NULL plan. MT-Safe,
 * AS-Safe. */
SEGUE_API bool segue_plan_within(const struct segue_plan *plan, uint64_t base, uint64_t size);

/* What one access of a step read or wrote. It is valid until the callback returns. */
struct segue_value {
    /* The address that the program used, and the size in bytes. */
    uint64_t address;
    uint32_t size;
    /* enum segue_direction bits. */
    uint8_t direction;
    uint8_t reserved8[3];
    /* The bytes before the access and after it, lowest address first. What was read is exactly
     * `before`, what was written exactly `after`; with SEGUE_READ alone both are the same. With
     * SEGUE_WRITE alone `before` is the value right before the step; NULL for a device that was not
     * read. */
    const void *before;
    const void *after;
    uint64_t reserved[2];
};

/* Called for each access of a step. */
typedef void segue_value_visit(void *context, const struct segue_value *value);

/* As segue_step, and then calls `visit` (may be NULL) for each access that it made, in order. The
 * step works on copies: it reads the memory once, runs the instruction on the copy, and stores what
 * the instruction wrote. One compare-and-exchange publishes the result of a locked instruction. A
 * repeated string does at most 4 KiB of each operand, and stops between elements. Returns as
 * segue_step; SEGUE_UNSUPPORTED also for operands that this cannot serve: masked runs of one
 * operand, and state areas larger than 4 KiB. Needs 40 KiB of stack. MT-Safe, AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_step_values(const struct segue_plan *plan,
                                                          struct segue_regs *regs,
                                                          struct segue_xstate *xstate,
                                                          struct segue_fault *fault,
                                                          segue_value_visit *visit, void *context);

/* The same on copies alone: it changes nothing, and `visit` receives what a step would read and
 * write if memory stayed unchanged. `xstate` may be NULL; its area is copied, up to 4 KiB. Returns
 * SEGUE_OK; SEGUE_FAULT if memory is inaccessible or the instruction raises an exception;
 * SEGUE_UNSUPPORTED as segue_step_values, and for a device's window; SEGUE_BUSY; SEGUE_INVALID for
 * a NULL plan, regs or visit. Needs 44 KiB of stack. MT-Safe, AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_step_preview(const struct segue_plan *plan,
                                                           const struct segue_regs *regs,
                                                           const struct segue_xstate *xstate,
                                                           segue_value_visit *visit, void *context);

/* For a signal handler: whether one of the library's guarded accesses caused the fault. If so,
 * moves `*rip`, the interrupted thread's instruction pointer, to where that access reports its
 * failure, and the handler must return at once. MT-Safe, AS-Safe. */
SEGUE_API bool segue_recover(uint64_t *rip);

/* Copies up to `size` bytes from `address`, which may be inaccessible, to `to`; stops at the first
 * byte that cannot be read. Returns the number of bytes copied. Needs the handler that segue_step
 * needs. MT-Safe, AS-Safe. */
SEGUE_API size_t segue_peek(void *to, uint64_t address, size_t size);

SEGUE_END

#endif
