/* emulate.h: an instruction, registers and where its memory really is become the registers after it.
 *
 * Plan, then step. segue_plan is pure and tells the whole footprint before anything happens; segue_step carries a plan
 * out, all or nothing. Nothing here knows of signals: who has a handler of their own can use this alone,
 * with segue_recover as the handler's first act.
 *
 * SOURCES: Intel SDM volume 2 (MOV, MOVSX, MOVSXD, MOVZX) and volume 1, 3.4.1.1 (upper halves of registers), volume 3,
 * 9.1.1 (which accesses are atomic); MPS design/prmc (can-step and step). */
#ifndef SEGUE_EMULATE_H
#define SEGUE_EMULATE_H

#include <segue/decode.h>
#include <segue/value.h>

SEGUE_BEGIN

/* How the bytes of a protected range can be reached. */
enum segue_window_kind {
    /* Through a second mapping of the same memory: atomic where the instruction is, and open to no one else. */
    SEGUE_WINDOW_ALIAS,
    /* At their own address: the embedder has made them accessible for now. */
    SEGUE_WINDOW_EXPOSED,
    /* Through two functions: a device. Each access is one call. */
    SEGUE_WINDOW_CALLBACK,
    /* Through the kernel, past the protection, for private memory that has no second mapping. Slower; not atomic:
     * another thread may see an access half done, and a plan that goes through it says so. */
    SEGUE_WINDOW_FORCED,
};

/* A device's side of one load or store of `size` bytes at `address`, the address that the program used: `bytes` is to
 * be filled, or holds what was stored, lowest address first. Returns SEGUE_OK, or anything else to refuse: then the
 * instruction has not happened. Called in the context of segue_step's caller. */
typedef enum segue_status segue_device_read(void *context, uint64_t address, void *bytes, size_t size);
typedef enum segue_status segue_device_write(void *context, uint64_t address, const void *bytes, size_t size);

/* Where the bytes of one range of addresses can be reached. */
struct segue_window {
    /* First address of the range, and its length in bytes. */
    uint64_t base;
    uint64_t size;
    enum segue_window_kind kind;
    /* SEGUE_WINDOW_ALIAS: where the byte at `base` can be reached. */
    void *alias;
    /* SEGUE_WINDOW_CALLBACK: the device, and what its functions are given. A NULL function refuses that direction. */
    segue_device_read *read;
    segue_device_write *write;
    void *context;
};

/* A fault as the processor reported it. */
struct segue_fault {
    /* The linear address that could not be accessed. Valid only if `address_known`. An access that straddles two pages
     * may report the second page's first byte. */
    uint64_t address;
    /* enum segue_direction: one bit; 0 when not known. */
    uint8_t direction;
    bool address_known;
    /* The processor's exception number, 14 for a page fault, 13 for a general protection fault. */
    uint8_t trap;
    /* The page-fault error code. */
    uint32_t error_code;
};

/* Who carries a plan out. */
enum segue_engine {
    SEGUE_ENGINE_NONE,
    /* Plain moves, in straight C: one native access. */
    SEGUE_ENGINE_MOVE,
    /* The instruction itself, run on the processor with its memory led elsewhere. Needs segue_replay_prepare. */
    SEGUE_ENGINE_REPLAY,
    /* What moves the stack or the instruction pointer, in straight C. */
    SEGUE_ENGINE_STACK,
};

/* What a plan needs or cannot promise; a bit set. */
enum segue_plan_flags {
    /* An access goes through a forced window, or over a window's edge: other threads may see it half done. */
    SEGUE_PLAN_NOT_ATOMIC = 1,
    /* The instruction runs on a copy of its memory, which windows cannot show to it in one piece. */
    SEGUE_PLAN_COPIED = 2,
    /* The thread runs with alignment checks on. */
    SEGUE_PLAN_ALIGNMENT_CHECKED = 4,
    /* The thread traps behind each instruction (TF): of a repeated string a step does one element. */
    SEGUE_PLAN_TRAPS = 8,
};

/* The most accesses in a plan, and the most pieces that windows' edges may cut them into. Windows of whole pages cut no
 * instruction into so many; of a repeated string a step does what few pieces hold. */
#define SEGUE_PLAN_ACCESSES SEGUE_ACCESSES_MOST
#define SEGUE_PLAN_PIECES (SEGUE_ACCESSES_MOST + 15)

/* A part of an access that lies in one window, or in none. Of a repeated string: in the order in which it is reached,
 * and only what the step does. */
struct segue_piece {
    /* The address that the program used. */
    uint64_t address;
    /* Where those bytes can be reached; for callback and forced windows, nothing. */
    void *host;
    /* The window, NULL for memory that is reached at its own address. */
    const struct segue_window *window;
    uint32_t size;
    /* Which of the plan's accesses it is a part of. */
    uint32_t access;
};

/* What a step will do. Made by segue_plan; may be thrown away. */
struct segue_plan {
    struct segue_insn insn;
    enum segue_engine engine;
    /* enum segue_plan_flags. */
    uint32_t flags;
    /* The whole footprint, in order. Also filled where the plan was refused, as far as it is known. */
    uint32_t access_count;
    struct segue_access accesses[SEGUE_PLAN_ACCESSES];
    /* With SEGUE_ENGINE_REPLAY: the linear address of the memory operand, wherever in it the accesses begin. */
    uint64_t operand;
    /* With a repeat prefix: how many elements of each operand, the first of them first, the step does at most. The
     * accesses list all of them; the thread comes back to the instruction for the others. Else 0. */
    uint64_t elements;
    uint32_t piece_count;
    struct segue_piece pieces[SEGUE_PLAN_PIECES];
    /* Why the plan was refused, as a static string; NULL if it was not. */
    const char *refusal;
};

/* Plans the step of `insn` with `regs`. Pure: touches nothing but `plan`, so the page may be closed and other
 * threads may run. `windows`, `window_count` tell where memory can be reached; bytes in none of them are reached at
 * their own address. The windows must live until the step. `fault` may be NULL; otherwise one of the accesses must
 * cover its address, in its direction. `xstate` may be NULL. Returns SEGUE_OK: segue_step will succeed unless memory is
 * taken away or a device refuses; SEGUE_UNSUPPORTED: `plan->refusal` tells why; SEGUE_MISMATCH: the fault is not this
 * instruction's; SEGUE_INVALID for a NULL pointer. Async-signal-safe, thread-safe. */
SEGUE_API enum segue_status segue_plan(const struct segue_insn *insn, const struct segue_regs *regs,
                                       const struct segue_xstate *xstate, const struct segue_fault *fault,
                                       const struct segue_window *windows, size_t window_count,
                                       struct segue_plan *plan);

/* Makes the replay engine ready: executable memory of the library's own, which is never writable at the address where
 * it is executed. Without it, plans refuse what only that engine does. segue_install calls this. A child made by fork,
 * or by a bare system call, makes memory of its own when it first needs some, by mmap, mremap, madvise and mprotect:
 * who forbids a child these calls this before. No descriptor is needed, and no limit on files concerns it. Calling it
 * again does nothing. Returns SEGUE_OK; SEGUE_UNSUPPORTED when the system gives no executable memory; SEGUE_NO_MEMORY.
 * Not async-signal-safe; thread-safe. */
SEGUE_API enum segue_status segue_replay_prepare(void);

/* Makes forced windows ready: opens the kernel's way past this process's own protection, and proves it. Without it,
 * plans refuse forced windows. segue_region_add calls this for a forced window; a child made by fork, or by a bare
 * system call, gets a way of its own. In a child that may not open one (its parent changed its user before the fork, or
 * has no /proc after chroot), plans go through forced windows as long as it has one thread. Calling it again does
 * nothing. Returns SEGUE_OK; SEGUE_UNSUPPORTED when the kernel does not let this process past its own protection;
 * SEGUE_NO_MEMORY. Not async-signal-safe; thread-safe. */
SEGUE_API enum segue_status segue_forced_prepare(void);

/* Carries the plan out, all or nothing, with the registers that it was made with; they then are those after the
 * instruction, which with a repeat prefix may have stopped between elements, a gather or scatter between lanes, to be
 * executed again for the others. Needs a handler that calls segue_recover first for SIGSEGV and SIGBUS, and does not
 * block them, if memory that the plan reaches natively might be inaccessible; with SEGUE_ENGINE_REPLAY for SIGFPE too,
 * if the instruction can raise it. Returns SEGUE_OK; SEGUE_FAULT: memory could not be reached, and `fault` (may be
 * NULL) tells where and in what direction, or the instruction raised another exception, and `fault` has no address;
 * SEGUE_UNSUPPORTED: a device refused, a POPF or IRET would change NT or ID, or a selector would be loaded that is not
 * the thread's; SEGUE_BUSY: every place for executable code is in use; SEGUE_INVALID for a NULL pointer or a refused
 * plan. With all but SEGUE_OK registers and memory are as they were, but for what the processor itself leaves with a
 * fault: elements of a string, lanes of a gather and words of an ENTER that came before, exceptions noted in MXCSR, and
 * on some processors the return address of a CALL to what is no address and the first eight bytes of an FSTP or FBSTP.
 * `xstate` is changed where the instruction changes it. Async-signal-safe, thread-safe. */
SEGUE_API enum segue_status segue_step(const struct segue_plan *plan, struct segue_regs *regs,
                                       struct segue_xstate *xstate, struct segue_fault *fault);

/* A walk over aligned words (8 bytes; 4 in 32-bit code), each once, lowest first, whatever the number of accesses to
 * it: struct segue_words words = segue_plan_words(plan, base, size); while (segue_words_next(&words)) settle(words.at,
 * words.direction); */
struct segue_words {
    uint64_t address;
    /* Where the word can be reached now; NULL in a callback or forced window. */
    void *at;
    /* enum segue_direction bits of all accesses to it. */
    uint8_t direction;
    uint64_t private_[6];
};

/* The words in [base, base + size) that the plan's step will touch: all of a word that an access touches in part, too.
 * No words for a NULL plan. The plan must live as long as the walk. Async-signal-safe, thread-safe. */
SEGUE_API struct segue_words segue_plan_words(const struct segue_plan *plan, uint64_t base, uint64_t size);

/* Goes on to the next word; false behind the last. Async-signal-safe, thread-safe. */
SEGUE_API bool segue_words_next(struct segue_words *words);

/* Whether all accesses of the plan lie in [base, base + size). False for a NULL plan. Async-signal-safe, thread-safe.
 */
SEGUE_API bool segue_plan_within(const struct segue_plan *plan, uint64_t base, uint64_t size);

/* Called with what one access of a step read or wrote (<segue/value.h>). */
typedef void segue_value_visit(void *context, const struct segue_value *value);

/* As segue_step, and calls `visit` (may be NULL) after it for each access that it made, in order. The step is done by
 * way of copies: memory is read once, the instruction is run on what was read, and stored is what that has written. A
 * locked instruction is published by one compare-and-exchange. A repeated string does at most 4 KiB of each operand,
 * and stops between elements. SEGUE_UNSUPPORTED also where this cannot be done: masked runs of one operand and
 * state areas larger than 4 KiB. Needs 40 KiB of stack. Async-signal-safe, thread-safe. */
SEGUE_API enum segue_status segue_step_values(const struct segue_plan *plan, struct segue_regs *regs,
                                              struct segue_xstate *xstate, struct segue_fault *fault,
                                              segue_value_visit *visit, void *context);

/* The same on copies alone: nothing happens, and `visit` receives what a step would read and write if memory stayed as
 * it is. `xstate` may be NULL; its area is copied, up to 4 KiB. Returns SEGUE_OK; SEGUE_FAULT when memory cannot be
 * reached or the instruction raises an exception; SEGUE_UNSUPPORTED as segue_step_values, and through a device's
 * window; SEGUE_BUSY; SEGUE_INVALID for a NULL plan, regs or visit. Needs 44 KiB of stack. Async-signal-safe,
 * thread-safe. */
SEGUE_API enum segue_status segue_step_preview(const struct segue_plan *plan, const struct segue_regs *regs,
                                               const struct segue_xstate *xstate, segue_value_visit *visit,
                                               void *context);

/* Tells a signal handler whether the fault was taken by one of the library's own guarded accesses. If so, moves
 * `*rip`, the interrupted thread's instruction pointer, to where that access reports its failure; the handler then has
 * nothing to do but return. Async-signal-safe, thread-safe. */
SEGUE_API bool segue_recover(uint64_t *rip);

/* Copies up to `size` bytes from `address`, which may be inaccessible, to `to`; stops at the first byte that cannot be
 * read. Returns how many bytes were copied. Needs the handler that segue_step needs. Async-signal-safe, thread-safe. */
SEGUE_API size_t segue_peek(void *to, uint64_t address, size_t size);

/* Memory that is mapped twice. */
struct segue_mapping {
    /* The program's view. */
    void *memory;
    /* The second view, always readable and writable. */
    void *alias;
    /* Bytes, whole pages. */
    size_t size;
    /* The library's. */
    uint64_t private_;
};

/* Makes `size` bytes (rounded up to whole pages) of zeroed memory with two views, both readable and writable; it is the
 * caller who then protects `memory`. `at`, if not NULL, is where `memory` must stand; nothing may be mapped there yet.
 * The views stand apart at a random distance, below 2 GiB unless `at` or the size forbids it. The 64 KiB on each side
 * of a view are closed: an access there is a fault; but not those around `at`, which are the caller's. The alias is
 * left out of core dumps. RLIMIT_FSIZE does not limit the memory, unless the system accounts all memory in advance.
 * The memory is shared: a child made by fork sees and changes the same bytes.
 * Returns SEGUE_OK; SEGUE_INVALID for a zero size or an `at` within a page; SEGUE_EXISTS when something is mapped at
 * `at`; SEGUE_NO_MEMORY; SEGUE_SYSTEM. Not async-signal-safe; thread-safe. */
SEGUE_API enum segue_status segue_mapping_create(void *at, size_t size, struct segue_mapping *mapping);

/* Unmaps both views. Returns SEGUE_OK, or SEGUE_INVALID for a NULL pointer. Not async-signal-safe; thread-safe. */
SEGUE_API enum segue_status segue_mapping_destroy(struct segue_mapping *mapping);

SEGUE_END

#endif
