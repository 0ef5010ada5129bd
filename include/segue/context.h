/* context.h: contexts (flows of control with their own stacks) and the stacks that they run on.
 *
 * SOURCES: Lucet's Context; System V ABI for x86-64, 3.2 (registers, passing of arguments, the red
 * zone); Intel SDM volume 1, 10.2.3 (MXCSR) and 8.1.5 (x87 control word). */
#ifndef SEGUE_CONTEXT_H
#define SEGUE_CONTEXT_H

#include <segue/regs.h>

SEGUE_BEGIN

/* ---- arguments ---- */

/* The class of an argument. */
enum segue_argument_kind {
    /* Passed in a general register: integers of 8 to 64 bits, pointers, sizes, booleans. */
    SEGUE_ARGUMENT_INTEGER,
    /* Passed in a vector register. */
    SEGUE_ARGUMENT_FLOAT,
    SEGUE_ARGUMENT_DOUBLE,
#ifdef __i386__
    /* An integer of 64 bits, which takes two words. (On i386 all arguments are on the stack.) */
    SEGUE_ARGUMENT_INTEGER_64,
#endif
};

/* One argument of a context's entry. The functions below make it. */
struct segue_argument {
    enum segue_argument_kind kind;
    /* An integer, extended to 64 bits by its own signedness; or the bits of the float or double,
     * with zeros above them. */
    uint64_t bits;
};

/* Make arguments from C values. A variadic entry needs the types of C's default promotions: double
 * instead of float. MT-Safe, AS-Safe. */
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
#ifdef __i386__
    struct segue_argument made = {SEGUE_ARGUMENT_INTEGER_64, value};
    return made;
#else
    return segue_argument_unsigned(value);
#endif
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
    return segue_argument_u64((uint64_t)value);
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

/* A stack for a context, with a guard page below it. */
struct segue_stack {
    /* The usable bytes: lowest address and length. */
    void *base;
    size_t size;
    /* With the guard page. */
    void *mapping;
    size_t mapping_size;
    uint64_t reserved[2];
};

/* Maps a stack of at least `size` usable bytes (rounded up to whole pages) above a guard page: an
 * overflow is a fault. Returns SEGUE_OK; SEGUE_INVALID for NULL, 0 or an impossible size;
 * SEGUE_NO_MEMORY. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_stack_new(size_t size, struct segue_stack *stack);

/* Unmaps the stack and zeroes the struct. Nothing may run on the stack. Returns SEGUE_OK, or
 * SEGUE_INVALID for NULL. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_stack_free(struct segue_stack *stack);

/* The stack's high-water mark: how many bytes, counted from its top, have held anything but zero
 * since segue_stack_new. 0 for NULL or an unused stack. MT-Safe, AS-Safe. */
SEGUE_API size_t segue_stack_high_water(const struct segue_stack *stack);

/* ---- contexts ---- */

/* What a context guarantees or requests; a bit set. */
enum segue_context_flags {
    /* The context never changes the control bits of MXCSR or the x87 control word: a swap does not
     * save these registers for it, and it runs with the current ones. */
    SEGUE_CONTEXT_FIXED_CONTROL = 1,
    /* The context has its own signal mask: a swap to or from it makes one system call. */
    SEGUE_CONTEXT_OWN_MASK = 2,
    /* Each swap to or from the context first checks that neither context was moved, that `from` is
     * the running context, and that `to` can be continued. */
    SEGUE_CONTEXT_CHECKED = 4,
    /* C++: the context has its own exception state, empty at first: the exceptions that it handles,
     * and the number of its uncaught ones (std::current_exception, `throw;`,
     * std::uncaught_exceptions). So a swap may leave it inside a catch block or a destructor,
     * whatever the other contexts do meanwhile. */
    SEGUE_CONTEXT_OWN_EXCEPTIONS = 256,
};

struct segue_context;

/* Called on the context's own stack. */
typedef void segue_context_callback(struct segue_context *context, void *data);

/* A suspended flow of control: where it continues, and the state that it needs.
 *
 * All zero bytes are an empty context, which may be the `from` of a swap. Every field is private. A
 * context must not be moved or copied between segue_context_init and its end, nor while it is
 * suspended: its stack and its children point to it. SEGUE_CONTEXT_CHECKED detects that; a library
 * built for debugging sets it for every context. */
struct SEGUE_ALIGNED(64) segue_context {
    /* All fields are private. Where the context continues: */
    uint64_t stack_pointer, frame_pointer, instruction;
    uint32_t flags;
    uint32_t mxcsr;
    uint16_t x87_control;
    /* The context that continues when the entry returns: the last one that swapped to this one. */
    struct segue_context *parent;
    /* The caller that unwinders and debuggers see: the same, except that a swap back from a child
     * of this context does not change it. */
    struct segue_context *caller;
    /* Its own address, for the check. */
    struct segue_context *self;
    uint64_t mask;
    /* The entry's return values. */
    uint64_t rax, rdx;
    unsigned char xmm0[16], xmm1[16];
    segue_context_callback *on_enter, *on_return;
    void *data;
    void *stack;
    size_t stack_size;
    /* The handles of the sanitizers and Valgrind, and the context that last switched to this
     * one. */
    void *fake_stack, *fiber;
    struct segue_context *previous;
    unsigned valgrind_stack;
    /* The C++ runtime's exception state. */
    uint64_t exceptions[2];
    uint64_t private_[6];
};

/* The options of segue_context_init; all zero bytes are the defaults. */
struct segue_context_options {
    /* enum segue_context_flags. */
    uint32_t flags;
    /* Called before the entry, and after it returned, when its return values can already be
     * read. */
    segue_context_callback *on_enter, *on_return;
    void *data;
    uint64_t reserved[4];
};

/* The minimum stack in bytes that remains for the entry. */
#define SEGUE_CONTEXT_STACK_MIN 1024

/* Prepares `context` to call `entry` with `count` arguments on the `size` bytes at `stack`, at the
 * first swap to it. `context` must be empty or initialized before; in the latter case its past is
 * discarded. When `entry` returns, the library keeps its results and calls on_return, and the
 * parent continues: the context that last swapped to this one, or `parent`, which may be NULL, if
 * no swap did (segue_context_set was used). An exception that leaves `entry` ends in
 * std::terminate. MXCSR and the x87 control word are the caller's at first. A variadic entry gets
 * AL. The entry's type must fit the arguments. Returns SEGUE_OK; SEGUE_INVALID for a NULL context,
 * stack or entry, NULL arguments with a count, an empty stack or one whose end is not a multiple of
 * 16, an unknown flag or kind of argument; SEGUE_TOO_SMALL if the arguments and
 * SEGUE_CONTEXT_STACK_MIN do not fit the stack; SEGUE_UNSUPPORTED under a shadow stack, which would
 * have to be switched too, and for SEGUE_CONTEXT_OWN_EXCEPTIONS if no C++ runtime was present when
 * the library was loaded. MT-Safe, AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status
segue_context_init(struct segue_context *context, struct segue_context *parent, void *stack,
                   size_t size, void (*entry)(void), const struct segue_argument *arguments,
                   size_t count, const struct segue_context_options *options);

/* The common case: a context that calls entry(data) on the whole of `stack`. Returns as
 * segue_context_init. MT-Safe, AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_context_make(struct segue_context *context,
                                                           const struct segue_stack *stack,
                                                           void (*entry)(void *data), void *data);

/* Releases what the sanitizers or Valgrind hold for the context, and makes it empty; its stack may
 * then be freed. Needed only under those tools. `context` must not be running. MT-Safe,
 * AS-Unsafe. */
SEGUE_API void segue_context_destroy(struct segue_context *context);

/* Continues with `to`, and discards the calling flow, whose destructors and cleanups do not run.
 * Executes an undefined instruction if `to` cannot be continued. MT-Safe. AS-Safe if the handler
 * may be left in this way (Linux: yes, but the thread keeps the handler's signal mask and alternate
 * stack; segue_frame_set_context leaves a handler with both restored). */
SEGUE_NORETURN SEGUE_API void segue_context_set(struct segue_context *to);

/* Whether the context's entry has returned. MT-Safe, AS-Safe. */
SEGUE_API bool segue_context_is_finished(const struct segue_context *context);

/* The return values of a context's entry. All zero before it returns. */
struct segue_returned {
    /* Integers and pointers: the first in rax, the second in rdx. */
    uint64_t rax, rdx;
    /* Floats and doubles: the first in xmm0, the second in xmm1. On i386 the first and only one is
     * in xmm1, in the x87's format of 80 bits. */
    unsigned char xmm0[16], xmm1[16];
};

/* Reads all return values, whatever the entry's type. Returns SEGUE_OK, or SEGUE_INVALID for NULL.
 * MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_context_returned(const struct segue_context *context,
                                                   struct segue_returned *returned);

/* Zeroes the context's return values. MT-Safe, AS-Safe. */
SEGUE_API void segue_context_clear_returned(struct segue_context *context);

/* One return value: integer, double or float number 0 or 1. Any other number gives 0. MT-Safe,
 * AS-Safe. */
SEGUE_API uint64_t segue_context_returned_integer(const struct segue_context *context,
                                                  unsigned number);
SEGUE_API double segue_context_returned_double(const struct segue_context *context,
                                               unsigned number);
SEGUE_API float segue_context_returned_float(const struct segue_context *context, unsigned number);

/* Private bits of `flags`, beside enum segue_context_flags. */
#define SEGUE_CONTEXT_MASK_SAVED_ 8u
#define SEGUE_CONTEXT_INSTRUMENTED_ 16u
#define SEGUE_CONTEXT_FINISHED_ 32u
#define SEGUE_CONTEXT_REGISTERED_ 64u
/* The highest bit of its byte, so that the sign flag tests it. */
#define SEGUE_CONTEXT_COMPARED_ 128u
#define SEGUE_CONTEXT_EXCEPTIONS_SAVED_ 512u
#define SEGUE_CONTEXT_SLOW_                                                                        \
    (SEGUE_CONTEXT_OWN_MASK | SEGUE_CONTEXT_CHECKED | SEGUE_CONTEXT_MASK_SAVED_ |                  \
     SEGUE_CONTEXT_INSTRUMENTED_ | SEGUE_CONTEXT_FINISHED_ | SEGUE_CONTEXT_OWN_EXCEPTIONS |        \
     SEGUE_CONTEXT_EXCEPTIONS_SAVED_)

/* Saves the running flow in `from`, and continues with `to`, whose parent becomes `from`. Returns
 * when another flow continues `from`, possibly on another thread: do not keep the address of a
 * thread-local variable across the call. Returns SEGUE_OK; SEGUE_INVALID at once, without a swap,
 * if `to` has finished, and if a check fails (SEGUE_CONTEXT_CHECKED on either). MT-Safe for
 * different contexts. AS-Safe: it neither allocates nor locks, and may run in a handler that
 * interrupted another swap. */
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__)) && !defined(_WIN32)
/* Unwind information for the instructions between the change of the stack pointer and the jump;
 * empty if the compiler emits no CFI. */
#ifdef __GCC_HAVE_DWARF2_CFI_ASM
#define SEGUE_CFI_(text) text
#else
#define SEGUE_CFI_(text)
#endif
SEGUE_END
/* Inline: GNU C, System V. The library also exports it, for other languages. */
#ifdef __x86_64__
#include <segue/context_sysv_x86_64.h>
#else
#include <segue/context_sysv_i386.h>
#endif
SEGUE_BEGIN
#else
SEGUE_API enum segue_status segue_context_swap(struct segue_context *from,
                                               struct segue_context *to);
#endif

SEGUE_END

#endif
