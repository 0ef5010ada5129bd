/* context.h: a context is a flow of control with a stack of its own; and the stacks that they
 * run on.
 *
 * SOURCES: Lucet's Context; System V ABI for x86-64, 3.2 (registers, passing of arguments, the
 * red zone); Intel SDM volume 1, 10.2.3 (MXCSR) and 8.1.5 (x87 control word). */
#ifndef SEGUE_CONTEXT_H
#define SEGUE_CONTEXT_H

#include <segue/regs.h>

SEGUE_BEGIN

/* ---- arguments ---- */

/* Where an argument travels. */
enum segue_argument_kind {
    /* In a general register: integers of 8 to 64 bits, pointers, sizes, booleans. */
    SEGUE_ARGUMENT_INTEGER,
    /* In a vector register. */
    SEGUE_ARGUMENT_FLOAT,
    SEGUE_ARGUMENT_DOUBLE,
};

/* One argument of a context's entry. Made by the functions below. */
struct segue_argument {
    enum segue_argument_kind kind;
    /* An integer extended to 64 bits by its own signedness; or the bits of the float or double,
     * above them zero. */
    uint64_t bits;
};

/* Arguments from C values. A variadic entry needs what C would have promoted them to: double in
 * place of float. MT-Safe, AS-Safe. */
SEGUE_INLINE struct segue_argument segue_argument_unsigned(uint64_t value)
{
    struct segue_argument made = {SEGUE_ARGUMENT_INTEGER, value};
    return made;
}
SEGUE_INLINE struct segue_argument segue_argument_signed(int64_t value)
{
    struct segue_argument made = {SEGUE_ARGUMENT_INTEGER, (uint64_t)value};
    return made;
}
SEGUE_INLINE struct segue_argument segue_argument_u8(uint8_t value)
{
    return segue_argument_unsigned(value);
}
SEGUE_INLINE struct segue_argument segue_argument_u16(uint16_t value)
{
    return segue_argument_unsigned(value);
}
SEGUE_INLINE struct segue_argument segue_argument_u32(uint32_t value)
{
    return segue_argument_unsigned(value);
}
SEGUE_INLINE struct segue_argument segue_argument_u64(uint64_t value)
{
    return segue_argument_unsigned(value);
}
SEGUE_INLINE struct segue_argument segue_argument_i8(int8_t value)
{
    return segue_argument_signed(value);
}
SEGUE_INLINE struct segue_argument segue_argument_i16(int16_t value)
{
    return segue_argument_signed(value);
}
SEGUE_INLINE struct segue_argument segue_argument_i32(int32_t value)
{
    return segue_argument_signed(value);
}
SEGUE_INLINE struct segue_argument segue_argument_i64(int64_t value)
{
    return segue_argument_signed(value);
}
SEGUE_INLINE struct segue_argument segue_argument_size(size_t value)
{
    return segue_argument_unsigned(value);
}
SEGUE_INLINE struct segue_argument segue_argument_bool(bool value)
{
    return segue_argument_unsigned(value ? 1u : 0u);
}
SEGUE_INLINE struct segue_argument segue_argument_pointer(const volatile void *value)
{
    return segue_argument_unsigned((uint64_t)(uintptr_t)value);
}
SEGUE_INLINE struct segue_argument segue_argument_float(float value)
{
    union {
        float value;
        uint32_t bits;
    } both = {value};
    struct segue_argument made = {SEGUE_ARGUMENT_FLOAT, both.bits};
    return made;
}
SEGUE_INLINE struct segue_argument segue_argument_double(double value)
{
    union {
        double value;
        uint64_t bits;
    } both = {value};
    struct segue_argument made = {SEGUE_ARGUMENT_DOUBLE, both.bits};
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
    uint64_t reserved[2];
};

/* Maps a stack of at least `size` usable bytes (rounded up to whole pages) above a guard page:
 * running over its end is a fault. Returns SEGUE_OK; SEGUE_INVALID for NULL, 0 or a size that
 * cannot be; SEGUE_NO_MEMORY. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_stack_new(size_t size, struct segue_stack *stack);

/* Unmaps it; all is zero after. Nothing may run on it. SEGUE_OK, or SEGUE_INVALID for NULL.
 * MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_stack_free(struct segue_stack *stack);

/* How many bytes of the stack, counted from its top, were ever written with anything but zero since
 * segue_stack_new: the high-water mark. 0 for NULL or a stack never used. MT-Safe, AS-Safe. */
SEGUE_API size_t segue_stack_high_water(const struct segue_stack *stack);

/* ---- contexts ---- */

/* What a context promises or asks for; a bit set. */
enum segue_context_flags {
    /* It never changes the control bits of MXCSR or the x87 control word: a swap does not keep
     * these registers for it, and it runs with those in force when it is swapped to. */
    SEGUE_CONTEXT_FIXED_CONTROL = 1,
    /* It has a signal mask of its own: a swap to or from it makes one system call. */
    SEGUE_CONTEXT_OWN_MASK = 2,
    /* Each swap to or from it checks first that neither context was moved, that it is the one
     * running that is left, and that there is something to go on with. */
    SEGUE_CONTEXT_CHECKED = 4,
    /* C++: which exceptions it is handling, and how many it has thrown that nobody has caught yet
     * (std::current_exception, `throw;`, std::uncaught_exceptions) are its own, none to begin with.
     * So it may be left inside a catch block or a destructor, whatever the others do meanwhile. */
    SEGUE_CONTEXT_OWN_EXCEPTIONS = 256,
};

struct segue_context;

/* Called on the context's own stack. */
typedef void segue_context_callback(struct segue_context *context, void *data);

/* A flow of control that is not running: where it goes on, and what it needs for that.
 *
 * All zero bytes are an empty context, fit to be the `from` of a swap. The fields are private. A
 * context must not be moved or copied between segue_context_init and its end, nor while it is
 * suspended: its stack and its children point to it. SEGUE_CONTEXT_CHECKED finds that out; a
 * library built for debugging sets it on every context. */
struct SEGUE_ALIGNED(64) segue_context {
    /* Private, all of it. Where it goes on. */
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
    uint64_t private_[6];
};

/* The options of segue_context_init; all zero bytes are the defaults. */
struct segue_context_options {
    /* enum segue_context_flags. */
    uint32_t flags;
    /* Called before the entry, and after it returned, when its return values can be read already.
     */
    segue_context_callback *on_enter, *on_return;
    void *data;
    uint64_t reserved[4];
};

/* The least stack that the entry itself is left with. */
#define SEGUE_CONTEXT_STACK_MIN 1024

/* Prepares `context` to call `entry` with `count` arguments when it is first swapped to, on the
 * `size` bytes at `stack`. `context` must be empty or have been initialized before: then all of its
 * past is forgotten. When `entry` returns, its results are kept, on_return is called, and its
 * parent goes on: whoever swapped to the context last; `parent`, which may be NULL, if nobody did
 * (segue_context_set was used). An exception that `entry` lets out ends in std::terminate. MXCSR
 * and x87 control word begin as the caller's. A variadic entry gets AL. The entry's type must fit
 * the arguments. Returns SEGUE_OK; SEGUE_INVALID for a NULL context, stack or entry, NULL arguments
 * with a count, a stack of no bytes or whose end is not a multiple of 16, an unknown flag or kind
 * of value; SEGUE_TOO_SMALL when the arguments and SEGUE_CONTEXT_STACK_MIN do not fit the stack;
 * SEGUE_UNSUPPORTED under a shadow stack, which has to be switched too, and for
 * SEGUE_CONTEXT_OWN_EXCEPTIONS when no C++ runtime was there when the library was loaded. MT-Safe,
 * AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status
segue_context_init(struct segue_context *context, struct segue_context *parent, void *stack,
                   size_t size, void (*entry)(void), const struct segue_argument *arguments,
                   size_t count, const struct segue_context_options *options);

/* The common case: a context that calls entry(data) on the whole of `stack`. As
 * segue_context_init. MT-Safe, AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_context_make(struct segue_context *context,
                                                           const struct segue_stack *stack,
                                                           void (*entry)(void *data), void *data);

/* Gives back what the sanitizers or Valgrind hold for the context, and makes it empty; its stack
 * may then be freed. Needed only where those run. `context` must not be running. MT-Safe,
 * AS-Unsafe. */
SEGUE_API void segue_context_destroy(struct segue_context *context);

/* Goes on with `to`, and forgets the flow that called. Traps if there is nothing in `to` to go on
 * with. The caller's destructors and cleanups do not run. Async-signal-safe where the embedder may
 * leave the handler so (Linux: yes, but the mask and the alternate stack stay a handler's:
 * segue_frame_set_context is the way out of one). Thread-safe. */
SEGUE_NORETURN SEGUE_API void segue_context_set(struct segue_context *to);

/* Whether the entry has returned. MT-Safe, AS-Safe. */
SEGUE_API bool segue_context_is_finished(const struct segue_context *context);

/* What a context's entry returned. All zero before. */
struct segue_returned {
    /* Integers and pointers: the first is in rax, a second in rdx. */
    uint64_t rax, rdx;
    /* Floats and doubles: the first is in xmm0, a second in xmm1. */
    unsigned char xmm0[16], xmm1[16];
};

/* All of it, whatever the entry's type. SEGUE_OK, or SEGUE_INVALID for NULL. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_context_returned(const struct segue_context *context,
                                                   struct segue_returned *returned);

/* Makes it all zero. MT-Safe, AS-Safe. */
SEGUE_API void segue_context_clear_returned(struct segue_context *context);

/* The integer at `number`, 0 or 1; the float or double at `number`, 0 or 1. Any other number gives
 * 0. MT-Safe, AS-Safe. */
SEGUE_API uint64_t segue_context_returned_integer(const struct segue_context *context,
                                                  unsigned number);
SEGUE_API double segue_context_returned_double(const struct segue_context *context,
                                               unsigned number);
SEGUE_API float segue_context_returned_float(const struct segue_context *context, unsigned number);

/* Leaves the running flow, keeping it in `from`, and goes on with `to`, whose parent `from`
 * becomes. Returns when somebody goes on with `from`, which may be on another thread: do not keep
 * the address of a thread-local variable across it. Returns SEGUE_OK; at once, without a swap,
 * SEGUE_INVALID when `to` has finished, and when a check fails (SEGUE_CONTEXT_CHECKED on either).
 * Async-signal-safe in that it allocates and locks nothing, also in a handler that has interrupted
 * another swap; thread-safe for different contexts. */
#if defined(__GNUC__) && defined(__x86_64__) && !defined(_WIN32)
SEGUE_END
/* Inline: GNU C, x86-64, System V. For other languages the library exports it as well. */
#include <segue/context_sysv_x86_64.h>
SEGUE_BEGIN
#else
SEGUE_API enum segue_status segue_context_swap(struct segue_context *from,
                                               struct segue_context *to);
#endif

SEGUE_END

#endif
