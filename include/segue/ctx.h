/* ctx.h: contexts (a flow of control with a stack of its own), the stacks that they run on, the way out of a signal
 * handler, blocks that may fault, guests, and clones.
 *
 * SOURCES: Lucet's Context; Shadow's shim; trapframe-rs's fncall; System V ABI for x86-64, 3.2 (registers, passing of
 * arguments, the red zone); Intel SDM volume 1, 10.2.3 (MXCSR) and 8.1.5 (x87 control word). */
#ifndef SEGUE_CTX_H
#define SEGUE_CTX_H

#include <segue/needs_posix.h>
#include <segue/regs.h>
#include <segue/value.h>

#ifndef SEGUE_WITHOUT_POSIX_
SEGUE_BEGIN

/* ---- arguments ---- */

/* Arguments from C values. A variadic entry needs what C would have promoted them to: double in place of float.
 * Async-signal-safe, thread-safe. */
static inline struct segue_value segue_value_unsigned(uint64_t value)
{
    struct segue_value made = {{{SEGUE_VALUE_INTEGER, value}}};
    return made;
}
static inline struct segue_value segue_value_signed(int64_t value)
{
    struct segue_value made = {{{SEGUE_VALUE_INTEGER, (uint64_t)value}}};
    return made;
}
static inline struct segue_value segue_value_u8(uint8_t value)
{
    return segue_value_unsigned(value);
}
static inline struct segue_value segue_value_u16(uint16_t value)
{
    return segue_value_unsigned(value);
}
static inline struct segue_value segue_value_u32(uint32_t value)
{
    return segue_value_unsigned(value);
}
static inline struct segue_value segue_value_u64(uint64_t value)
{
    return segue_value_unsigned(value);
}
static inline struct segue_value segue_value_i8(int8_t value)
{
    return segue_value_signed(value);
}
static inline struct segue_value segue_value_i16(int16_t value)
{
    return segue_value_signed(value);
}
static inline struct segue_value segue_value_i32(int32_t value)
{
    return segue_value_signed(value);
}
static inline struct segue_value segue_value_i64(int64_t value)
{
    return segue_value_signed(value);
}
static inline struct segue_value segue_value_size(size_t value)
{
    return segue_value_unsigned(value);
}
static inline struct segue_value segue_value_bool(bool value)
{
    return segue_value_unsigned(value ? 1u : 0u);
}
static inline struct segue_value segue_value_pointer(const volatile void *value)
{
    return segue_value_unsigned((uint64_t)(uintptr_t)value);
}
static inline struct segue_value segue_value_float(float value)
{
    struct segue_value made = {{{SEGUE_VALUE_FLOAT, 0}}};
    __builtin_memcpy(&made.bits, &value, sizeof value);
    return made;
}
static inline struct segue_value segue_value_double(double value)
{
    struct segue_value made = {{{SEGUE_VALUE_DOUBLE, 0}}};
    __builtin_memcpy(&made.bits, &value, sizeof value);
    return made;
}

/* ---- stacks ---- */

/* A mapping to run on, with a closed page below it. */
struct segue_stack {
    /* The usable bytes: lowest address and length. */
    void *base;
    size_t size;
    /* With the guard page. */
    void *mapping;
    size_t mapping_size;
};

/* Maps a stack of at least `size` usable bytes (rounded up to whole pages) above a guard page: running over its end
 * is a fault. Returns SEGUE_OK; SEGUE_INVALID for NULL, 0 or a size that cannot be; SEGUE_NO_MEMORY. Not
 * async-signal-safe; thread-safe. */
SEGUE_API enum segue_status segue_stack_new(size_t size, struct segue_stack *stack);

/* Unmaps it; all is zero after. Nothing may run on it. SEGUE_OK, or SEGUE_INVALID for NULL. Not async-signal-safe;
 * thread-safe. */
SEGUE_API enum segue_status segue_stack_free(struct segue_stack *stack);

/* How many bytes of the stack, counted from its top, were ever written with anything but zero since segue_stack_new:
 * the high-water mark. 0 for NULL or a stack never used. Async-signal-safe; thread-safe. */
SEGUE_API size_t segue_stack_high_water(const struct segue_stack *stack);

/* ---- contexts ---- */

/* What a context promises or asks for; a bit set. */
enum segue_context_flags {
    /* It never changes the control bits of MXCSR or the x87 control word: a swap does not keep these registers for it,
     * and it runs with those in force when it is swapped to. */
    SEGUE_CONTEXT_FIXED_CONTROL = 1,
    /* It has a signal mask of its own: a swap to or from it makes one system call. */
    SEGUE_CONTEXT_OWN_MASK = 2,
    /* Each swap to or from it checks first that neither context was moved, that it is the one running that is left, and
     * that there is something to go on with. */
    SEGUE_CONTEXT_CHECKED = 4,
    /* C++: which exceptions it is handling, and how many it has thrown that nobody has caught yet
     * (std::current_exception, `throw;`, std::uncaught_exceptions) are its own, none to begin with. So it may be left
     * inside a catch block or a destructor, whatever the others do meanwhile. */
    SEGUE_CONTEXT_OWN_EXCEPTIONS = 256,
};

struct segue_context;

/* Called on the context's own stack. */
typedef void segue_context_callback(struct segue_context *context, void *data);

/* A flow of control that is not running: where it goes on, and what it needs for that.
 *
 * All zero bytes are an empty context, fit to be the `from` of a swap. The fields are private. A context must not be
 * moved or copied between segue_context_init and its end, nor while it is suspended: its stack and its children point
 * to it. SEGUE_CONTEXT_CHECKED finds that out; a library built for debugging sets it on every context. */
struct segue_context {
    /* Where it goes on. */
    uint64_t stack_pointer, frame_pointer, instruction;
    uint32_t flags;
    uint32_t mxcsr;
    uint16_t x87_control;
    /* Who goes on when its entry returns: whoever swapped to it last. */
    struct segue_context *parent;
    /* Whom unwinders and debuggers are shown as its caller: so too, its own children aside. */
    struct segue_context *caller;
    /* Its own address, for the check. */
    struct segue_context *self;
    uint64_t mask;
    /* What its entry returned. */
    uint64_t rax, rdx;
    unsigned char xmm0[16], xmm1[16];
    segue_context_callback *on_enter, *on_return;
    void *data;
    void *stack;
    size_t stack_size;
    /* What the sanitizers and Valgrind know it by, and who switched to it last. */
    void *fake_stack, *fiber;
    struct segue_context *previous;
    unsigned valgrind_stack;
    /* The C++ runtime's words. */
    uint64_t exceptions[2];
} __attribute__((aligned(64)));

/* What segue_context_init may be told; all zero bytes are the defaults. */
struct segue_context_options {
    /* enum segue_context_flags. */
    uint32_t flags;
    /* Called before the entry, and after it returned, when its return values can be read already. */
    segue_context_callback *on_enter, *on_return;
    void *data;
    /* With SEGUE_CONTEXT_OWN_MASK: the mask to begin with; NULL: the one in force now. */
    const sigset_t *mask;
};

/* The least stack that the entry itself is left with. */
#define SEGUE_CONTEXT_STACK_MIN 1024

/* Makes `context` empty, whatever it held. Async-signal-safe, thread-safe. */
SEGUE_API void segue_context_create(struct segue_context *context);

/* Prepares `context` to call `entry` with `count` arguments when it is first swapped to, on the `size` bytes at
 * `stack`. `context` must be empty or have been initialized before: then all of its past is forgotten. When `entry`
 * returns, its results are kept, on_return is called, and its parent goes on: whoever swapped to the context last;
 * `parent`, which may be NULL, if nobody did (segue_context_set was used). An exception that `entry` lets out ends in
 * std::terminate. MXCSR and x87 control word begin as the caller's. A variadic entry gets AL. The entry's type must fit
 * the arguments. Returns SEGUE_OK; SEGUE_INVALID for a NULL context, stack or entry, NULL arguments with a count, a
 * stack of no bytes or whose end is not a multiple of 16, an unknown flag or kind of value; SEGUE_TOO_SMALL when the
 * arguments and SEGUE_CONTEXT_STACK_MIN do not fit the stack; SEGUE_UNSUPPORTED under a shadow stack, which has to be
 * switched too, and for SEGUE_CONTEXT_OWN_EXCEPTIONS when no C++ runtime was there when the library was loaded. Not
 * async-signal-safe; thread-safe. */
SEGUE_API enum segue_status segue_context_init(struct segue_context *context, struct segue_context *parent, void *stack,
                                               size_t size, void (*entry)(void), const struct segue_value *arguments,
                                               size_t count, const struct segue_context_options *options);

/* Gives back what the sanitizers or Valgrind hold for the context, and makes it empty; its stack may then be freed.
 * Needed only where those run. `context` must not be running. Not async-signal-safe; thread-safe. */
SEGUE_API void segue_context_destroy(struct segue_context *context);

/* The part of segue_context_swap for contexts with flags that need more than registers; as async-signal-safe as it. */
SEGUE_API enum segue_status segue_context_swap_slowly(struct segue_context *from, struct segue_context *to);

/* Goes on with `to`, and forgets the flow that called. Traps if there is nothing in `to` to go on with. The caller's
 * destructors and cleanups do not run. Async-signal-safe where the embedder may leave the handler so (Linux: yes, but
 * the mask and the alternate stack stay a handler's: segue_context_set_from_signal is the way out of one). Thread-safe.
 */
SEGUE_API __attribute__((noreturn)) void segue_context_set(struct segue_context *to);

/* In a handler: arranges that its return goes on with `to`, in place of what the signal interrupted. The kernel puts
 * back what it must on the way: the alternate stack, and the signal mask, which is `to`'s if it has one of its own and
 * else the interrupted thread's. Nothing is written to the interrupted stack. `ucontext` is the handler's third
 * argument. Returns SEGUE_OK; SEGUE_INVALID for NULL or when there is nothing in `to` to go on with.
 * Async-signal-safe, thread-safe. */
SEGUE_API enum segue_status segue_context_set_from_signal(struct segue_context *to, void *ucontext);

/* Whether the entry has returned. Async-signal-safe, thread-safe. */
SEGUE_API bool segue_context_is_finished(const struct segue_context *context);

/* What a context's entry returned. All zero before. */
struct segue_returned {
    /* Integers and pointers: the first is in rax, a second in rdx. */
    uint64_t rax, rdx;
    /* Floats and doubles: the first is in xmm0, a second in xmm1. */
    unsigned char xmm0[16], xmm1[16];
};

/* All of it, whatever the entry's type. SEGUE_OK, or SEGUE_INVALID for NULL. Async-signal-safe, thread-safe. */
SEGUE_API enum segue_status segue_context_returned(const struct segue_context *context,
                                                   struct segue_returned *returned);

/* Makes it all zero. Async-signal-safe, thread-safe. */
SEGUE_API void segue_context_clear_returned(struct segue_context *context);

/* The integer at `number`, 0 or 1; the float or double at `number`, 0 or 1. Any other number gives 0.
 * Async-signal-safe, thread-safe. */
SEGUE_API uint64_t segue_context_returned_integer(const struct segue_context *context, unsigned number);
SEGUE_API double segue_context_returned_double(const struct segue_context *context, unsigned number);
SEGUE_API float segue_context_returned_float(const struct segue_context *context, unsigned number);

/* ---- the swap itself, inline: a call and the registers that a call keeps are most of what a swap costs ---- */

/* What is in `flags` beside enum segue_context_flags; private. */
#define SEGUE_CONTEXT_MASK_SAVED_ 8u
#define SEGUE_CONTEXT_INSTRUMENTED_ 16u
#define SEGUE_CONTEXT_FINISHED_ 32u
#define SEGUE_CONTEXT_REGISTERED_ 64u
/* The highest bit of its byte: a test of the sign finds it. */
#define SEGUE_CONTEXT_COMPARED_ 128u
#define SEGUE_CONTEXT_EXCEPTIONS_SAVED_ 512u
#define SEGUE_CONTEXT_SLOW_                                                                                            \
    (SEGUE_CONTEXT_OWN_MASK | SEGUE_CONTEXT_CHECKED | SEGUE_CONTEXT_MASK_SAVED_ | SEGUE_CONTEXT_INSTRUMENTED_ |        \
     SEGUE_CONTEXT_FINISHED_ | SEGUE_CONTEXT_OWN_EXCEPTIONS | SEGUE_CONTEXT_EXCEPTIONS_SAVED_)

/* Unwind information between the registers' change and the jump. There is none where the compiler keeps none. */
#ifdef __GCC_HAVE_DWARF2_CFI_ASM
#define SEGUE_CFI_(text) text
#else
#define SEGUE_CFI_(text)
#endif
#ifdef __AVX512F__
#define SEGUE_CLOBBERS_512_                                                                                            \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",      \
        "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define SEGUE_CLOBBERS_512_
#endif

/* Leaves `from` and goes on with `to`; private. The compiler keeps what it has in registers on its own stack, as around
 * a call, so that three words are the whole of a context:
 *
 *      struct segue_context       0 stack_pointer   8 frame_pointer   16 instruction
 *      rdi from   rsi to          24 flags   28 mxcsr   32 x87_control   40 parent   48 caller
 *      rax, rdx                   where `to` goes on, and its frame pointer
 *
 * The order of the control words is the fastest of those measured; FLDCW costs more than its comparison, LDMXCSR less,
 * but not where STMXCSR waits for it: contexts that were prepared there say so (COMPARED_).
 * The jump stands twice, so that two contexts that take turns have one each, which the processor predicts by its
 * address. The NOP separates what a caller's frame is unwound by (the byte before the return address) from the jump. */
static inline __attribute__((always_inline)) void segue_context_switch_(struct segue_context *from,
                                                                        struct segue_context *to)
{
    __asm__ volatile(
        "testb $1, 24(%%rdi)\n\t"
        "jnz 3f\n\t"
        "fnstcw 32(%%rdi)\n\t"
        "stmxcsr 28(%%rdi)\n"
        "3:\n\t"
        "leaq 1f(%%rip), %%rax\n\t"
        "movq %%rsp, 0(%%rdi)\n\t"
        "movq %%rbp, 8(%%rdi)\n\t"
        "movq %%rax, 16(%%rdi)\n\t"
        "movq %%rdi, 40(%%rsi)\n\t"
        "cmpq %%rsi, 48(%%rdi)\n\t"
        "je 7f\n\t"
        "movq %%rdi, 48(%%rsi)\n"
        "7:\n\t"
        "testb $1, 24(%%rsi)\n\t"
        "jnz 4f\n\t"
        "movzwl 32(%%rdi), %%eax\n\t"
        "testb $1, 24(%%rdi)\n\t"
        "jnz 5f\n\t"
        "cmpw 32(%%rsi), %%ax\n\t"
        "je 6f\n\t"
        "fldcw 32(%%rsi)\n"
        "6:\n\t"
        "movzbl 24(%%rdi), %%eax\n\t"
        "orb 24(%%rsi), %%al\n\t"
        "jns 8f\n\t"
        "movl 28(%%rdi), %%eax\n\t"
        "cmpl 28(%%rsi), %%eax\n\t"
        "je 4f\n"
        "8:\n\t"
        "ldmxcsr 28(%%rsi)\n"
        "4:\n\t"
        "movq 16(%%rsi), %%rax\n\t"
        "movq 8(%%rsi), %%rdx\n\t"
        "cmpq %%rsi, %%rdi\n\t"
        "movq 0(%%rsi), %%rsp\n\t" SEGUE_CFI_(".cfi_remember_state\n\t"
                                              ".cfi_def_cfa %%rsp, 0\n\t"
                                              ".cfi_register %%rip, %%rax\n\t"
                                              ".cfi_register %%rbp, %%rdx\n\t"
                                              ".cfi_undefined %%rbx\n\t"
                                              ".cfi_undefined %%r12\n\t"
                                              ".cfi_undefined %%r13\n\t"
                                              ".cfi_undefined %%r14\n\t"
                                              ".cfi_undefined %%r15\n\t")
        /* MOV leaves the flags of the comparison. */
        "movq %%rdx, %%rbp\n\t" SEGUE_CFI_(
            ".cfi_same_value %%rbp\n\t") "ja 2f\n\t"
                                         "jmp *%%rax\n"
                                         "2:\n\t"
                                         "jmp *%%rax\n\t" SEGUE_CFI_(".cfi_restore_state\n") "5:\n\t"
                                                                                             "fldcw 32(%%rsi)\n\t"
                                                                                             "jmp 8b\n\t"
                                                                                             "nop\n"
                                                                                             "1:\n\t"
                                                                                             "endbr64"
        : "+D"(from), "+S"(to)
        :
        : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2",
          "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
          "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "memory", "cc" SEGUE_CLOBBERS_512_);
}

/* Leaves the running flow, keeping it in `from`, and goes on with `to`, whose parent `from` becomes. Returns when
 * somebody goes on with `from`, which may be on another thread: do not keep the address of a thread-local variable
 * across it. Returns SEGUE_OK; at once, without a swap, SEGUE_INVALID when `to` has finished, and when a check fails
 * (SEGUE_CONTEXT_CHECKED on either). Async-signal-safe in that it allocates and locks nothing, also in a handler that
 * has interrupted another swap; thread-safe for different contexts. */
static inline __attribute__((always_inline)) enum segue_status segue_context_swap(struct segue_context *from,
                                                                                  struct segue_context *to)
{
    if (__builtin_expect(((from->flags | to->flags) & SEGUE_CONTEXT_SLOW_) != 0, 0))
        return segue_context_swap_slowly(from, to);
    segue_context_switch_(from, to);
    return SEGUE_OK;
}

/* ---- the way out of a handler ---- */

/* How a signal handler is left. */
enum segue_restore_method {
    /* By its return, with the frame edited: everywhere. */
    SEGUE_RESTORE_RETURN,
    /* By loading the state (XRSTOR, then IRETQ) without the kernel: faster. */
    SEGUE_RESTORE_DIRECT,
    /* So too, with one system call before for the signal mask. */
    SEGUE_RESTORE_DIRECT_MASK,
};

/* Chooses the fastest method that is safe on this machine and in this process, for a handler that is installed with
 * `action`: to be asked once, at install. It is by return under a shadow stack (only the kernel can take its frame
 * off), and without XSAVE. A handler that blocks signals, its own by the lack of SA_NODEFER included, needs the mask
 * put back. `reason` (may be NULL) is told why in words. Async-signal-safe, thread-safe. */
SEGUE_API enum segue_restore_method segue_restore_choose(const struct sigaction *action, const char **reason);

/* Leaves a handler: the interrupted thread goes on with `regs` (NULL: as the frame says; the segment bases are left
 * alone) and `xstate` (NULL or an area of NULL: as the frame says), and with the frame's signal mask. Nothing is
 * written to the stack that `regs` names, red zone and guard page included. With a direct `method` it does not return,
 * unless this one frame does not allow it: the thread was not in 64-bit code, its alternate stack has SS_AUTODISARM,
 * the address to go on at or the stack pointer is not one that a program can have, the state's protection keys close
 * what those in force leave open, the handler uses tiles and the frame has none, the area is shorter than the frame's.
 * Then, and with SEGUE_RESTORE_RETURN, the frame is edited and the caller has to return from its handler. Returns
 * SEGUE_OK in that case; SEGUE_INVALID for a NULL `ucontext` or an xstate that is not aligned to 64, lacks its header,
 * has reserved bits of MXCSR set or components that the frame has not: then nothing was changed. Called on the
 * handler's own stack. Async-signal-safe, thread-safe. */
SEGUE_API enum segue_status segue_restore(void *ucontext, const struct segue_regs *regs,
                                          const struct segue_xstate *xstate, enum segue_restore_method method);

/* ---- to try something that may fault ---- */

/* What ended a trial. */
struct segue_trial_fault {
    /* The signal: SIGSEGV, SIGBUS, ... */
    int signal;
    /* The signal's code, si_code. */
    int code;
    /* The address that could not be accessed; 0 unless address_known. The processor tells it for page faults alone. */
    uint64_t address;
    bool address_known;
    /* What for: enum segue_direction, 0 when not known. */
    uint8_t direction;
    /* The instruction. */
    uint64_t instruction;
};

/* A block under trial. The fields but `fault` are private. */
struct segue_trial {
    uint64_t registers[8];
    uint32_t mxcsr;
    uint16_t x87_control;
    struct segue_trial *outer;
    struct segue_trial_fault fault;
};

/* Begins a block: returns 0. If a fault happens before segue_try_end it returns again, 1, with what happened in
 * `trial->fault`, and the block has ended. As with setjmp: local variables that changed in between must be volatile,
 * and the function that called may not return before the block has ended. Blocks nest. The registers that a call keeps,
 * MXCSR and the x87 control word are as they were at the beginning; the signal mask is the interrupted code's. Costs no
 * system call. Only faults on this thread count, and those that a region of segue_install serves do not. Needs
 * segue_install, or a handler that calls segue_try_catch. A fault inside a function that holds a lock leaves it held.
 * Async-signal-safe, thread-safe. */
SEGUE_API int segue_try(struct segue_trial *trial) __attribute__((returns_twice));

/* Ends the innermost block, which must be `trial`. Returns SEGUE_OK, or SEGUE_NOT_FOUND if it is another one, or none:
 * then nothing is changed. Async-signal-safe, thread-safe. */
SEGUE_API enum segue_status segue_try_end(struct segue_trial *trial);

/* For a SA_SIGINFO handler: if the thread is in a block, ends the innermost one: the return from the handler will go on
 * there. Returns SEGUE_OK: return from the handler; SEGUE_NOT_FOUND: there is no block, or the signal was sent by a
 * program and is no fault; SEGUE_INVALID for NULL. Async-signal-safe, thread-safe. */
SEGUE_API enum segue_status segue_try_catch(const siginfo_t *info, void *ucontext);

/* For a handler that runs code of others, whose faults are not the interrupted code's: sets the thread's innermost
 * block aside, so that there is none, and puts it back. Async-signal-safe, thread-safe. */
SEGUE_API struct segue_trial *segue_try_set_aside(void);
SEGUE_API void segue_try_put_back(struct segue_trial *trial);

/* ---- guests: code with registers, and segment bases, of its own ---- */

/* In trap_num, beside the processor's exception numbers (0 to 31). */
enum segue_guest_reason {
    /* The guest called its entry. */
    SEGUE_GUEST_CALLED = 0x100,
    /* segue_guest_stop. */
    SEGUE_GUEST_STOPPED = 0x101,
};

/* A guest: `general`, `trap_num` and `error_code` are named, and follow each other, as in trapframe-rs's UserContext;
 * the selectors at the end of `general` are not in that. Between two runs all of it may be changed; selectors are
 * stored when the guest is left, and never loaded. */
struct segue_guest {
    struct segue_regs general;
    /* Why the guest was left: enum segue_guest_reason, or the processor's exception number; and its error code. */
    uint64_t trap_num, error_code;
    /* For a page fault the address that could not be accessed, else 0. */
    uint64_t fault_address;
    /* The guest's vector, x87 and control state: an area of the standard format with its components, loaded when the
     * guest is entered and stored when it is left. A component whose bit in the header is clear is in its initial
     * state, whatever its bytes. With an area of NULL none is kept: the guest begins with what is in the registers, and
     * its own is lost. */
    struct segue_xstate xstate;
    /* Where guest code calls in place of a system call: a call that clobbers nothing. It is the same for all guests of
     * a process, whatever thread runs them. It needs 56 writable bytes below the guest's stack pointer, of which eight
     * are for its return address; only these are written to as long as no second thread has run guests. What is missing
     * is the guest's page fault, at the entry. Called by code that is no guest's, it ends in an undefined instruction;
     * but by another thread, while the only one that has run guests runs one, it must not be. */
    uint64_t entry;
    /* Private. */
    void *gate;
};

/* Prepares a guest: all zero but for the entry, and an area for the extended state if `features` (as in XCR0, those
 * that the system offers; others, and the protection keys, are left out) are asked for, in its initial state. Needs two
 * pages, one of them executable. Returns SEGUE_OK; SEGUE_INVALID for NULL; SEGUE_UNSUPPORTED where no executable page
 * is to be had, under a shadow stack, or without XSAVE for features; SEGUE_NO_MEMORY. Not async-signal-safe;
 * thread-safe. */
SEGUE_API enum segue_status segue_guest_new(struct segue_guest *guest, uint64_t features);

/* Gives it all back. It must not be running. SEGUE_OK, or SEGUE_INVALID. Not async-signal-safe; thread-safe. */
SEGUE_API enum segue_status segue_guest_free(struct segue_guest *guest);

/* Runs the guest from `general` until it calls its entry, faults or traps, or is stopped; then all of it is in
 * `general` and `xstate`, and trap_num tells why. All sixteen registers, RIP, RFLAGS and both segment bases are the
 * guest's, to the bit; flags that a program cannot set are left out. A base that is not canonical, which the processor
 * would refuse to load, makes every access by it (to 2 GiB on both sides) a general protection fault of the guest.
 *
 * While the guest runs, handlers run on the thread's alternate stack, and those that were installed with
 * segue_guest_sigaction or segue_install find the host's bases. Others must not use thread-local storage, errno and
 * stack protectors included. Faults are told if their signals' handler is segue_install's, or calls segue_guest_catch.
 *
 * Returns SEGUE_OK; SEGUE_INVALID for NULL or a guest that was not made; SEGUE_BUSY when it is running, or the thread
 * is running another; SEGUE_UNSUPPORTED when the thread has no alternate stack; SEGUE_NO_MEMORY when too many threads
 * run guests (4,096). Not async-signal-safe; thread-safe for different guests. */
SEGUE_API enum segue_status segue_guest_enter(struct segue_guest *guest);

/* Asks the guest to be left with SEGUE_GUEST_STOPPED as soon as it can: by `signal`, sent to the thread that runs it,
 * or at once when it is next entered. Its handler must call segue_guest_catch. A request is used up by the one return
 * that tells of it. Returns SEGUE_OK; SEGUE_INVALID; SEGUE_SYSTEM when the signal could not be sent. Async-signal-safe,
 * thread-safe. */
SEGUE_API enum segue_status segue_guest_stop(struct segue_guest *guest, int signal);

/* As sigaction(2), but the handler always finds the host's segment bases in force, also when it interrupts a guest.
 * SA_SIGINFO and SA_ONSTACK are implied; SIG_DFL and SIG_IGN pass as they are. Returns 0, or -1 with errno. Not
 * async-signal-safe; thread-safe. */
SEGUE_API int segue_guest_sigaction(int number, const struct sigaction *action, struct sigaction *previous);

/* For a handler: if the signal interrupted a guest of this thread and is a fault or trap of its, or a request to stop,
 * arranges that the handler's return leads out of segue_guest_enter. Returns SEGUE_OK: return from the handler;
 * SEGUE_NOT_FOUND: no guest was interrupted, or it has nothing to do with it; SEGUE_INVALID for NULL.
 * Async-signal-safe, thread-safe. */
SEGUE_API enum segue_status segue_guest_catch(const siginfo_t *info, void *ucontext);

/* A handler made of segue_guest_catch, to be given to segue_guest_sigaction; what is no guest's gets the default
 * action. Async-signal-safe, thread-safe. */
SEGUE_API void segue_guest_handler(int number, siginfo_t *info, void *ucontext);

/* How the bases are set. */
enum segue_guest_method {
    /* By the instructions where the kernel allows them (AT_HWCAP2), else by arch_prctl. */
    SEGUE_GUEST_BEST,
    SEGUE_GUEST_INSTRUCTIONS,
    SEGUE_GUEST_SYSTEM_CALLS,
};

/* Chooses for guests that are made from now on. Returns SEGUE_OK; SEGUE_UNSUPPORTED for instructions that the kernel
 * does not allow; SEGUE_INVALID. Not async-signal-safe; thread-safe. */
SEGUE_API enum segue_status segue_guest_choose(enum segue_guest_method method);

/* ---- clones: a thread or a process made from inside a handler ---- */

/* Called on the child before it goes on: on a stack of its own, with all signals blocked, with `block`, a copy of the
 * bytes that the request gave. It may call only what needs no thread-local storage if the child shares the parent's
 * memory and CLONE_SETTLS was not asked for, since then it also shares the parent's. It arms the child's alternate
 * stack, if it is to have one: a child that shares memory begins without, CLONE_VFORK's too, whose parent may stand on
 * its own. It may not fail; it may end the child by a system call. */
typedef void segue_clone_start(void *block, size_t size);

/* What is to be made. All zero bytes and an exit signal are a fork. */
struct segue_clone {
    /* CLONE_*, as for clone3(2), without an exit signal: CLONE_NEWTIME has its bit, and CLONE_DETACHED is none. */
    uint64_t flags;
    /* Sent to the parent when the child ends; 0 for none. Not looked at with CLONE_THREAD and CLONE_PARENT, as in
     * clone(2). */
    uint64_t exit_signal;
    /* The child's stack pointer, of any alignment; 0: that of the frame. Nothing is written there. */
    uint64_t stack_pointer;
    /* CLONE_SETTLS: the child's FS base. */
    uint64_t tls;
    /* CLONE_PARENT_SETTID, CLONE_CHILD_SETTID and CLONE_CHILD_CLEARTID, CLONE_PIDFD. */
    int *parent_tid, *child_tid, *pidfd;
    /* clone3 alone: see there. With any of these, CLONE_NEWTIME, or flags beyond 32 bits, clone3 is what is called. */
    const int *set_tid;
    size_t set_tid_size;
    uint64_t cgroup;
    /* As clone(2) has it: AMX's tiles begin in their initial state, and take no room in the child's frames before it
     * uses one. False: it has the frame's. */
    bool initial_tiles;
    /* May be NULL. */
    segue_clone_start *start;
    /* Copied for the child before segue_clone returns. */
    const void *block;
    size_t block_size;
};

/* In a handler: makes a child that goes on where the frame `ucontext` says, as fork and clone do, with RAX 0, and else
 * with all of the frame's: general registers, flags, vector, x87 and control state, signal mask; its stack pointer is
 * the request's. `ucontext` is what the kernel gave the handler. Edit the frame first, where the child is to go on
 * elsewhere. The parent's frame is not changed: to store the result in it is the caller's. With CLONE_VM and
 * CLONE_VFORK it returns when the child has released its parent, and the handler's stack is as it was, whatever the
 * child did there; the handler must not have changed stacks itself. Returns, on the parent alone, the child's number,
 * or a negative error number; then nothing is left behind. -EINVAL for a NULL pointer, an exit signal in the flags or
 * beyond 64, CLONE_PIDFD and CLONE_PARENT_SETTID with one place for both, or what the kernel finds invalid; -ENOMEM;
 * -EOPNOTSUPP under a shadow stack, for a child that shares memory, is not waited for (CLONE_VFORK) and would go on
 * where the handler stands, and in a handler that has interrupted a guest: with CLONE_VM or CLONE_SETTLS, or if the
 * handler was not installed by segue_guest_sigaction or segue_install. Else such a child goes on in the guest, with its
 * bases, and has it as its own. Async-signal-safe, thread-safe; errno is kept. */
SEGUE_API long segue_clone(const void *ucontext, const struct segue_clone *request);

SEGUE_END
#endif

#endif
