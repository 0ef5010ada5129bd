/* record.h: the record at the top of a context's stack: what its first instructions need, and how to find it again
 * when the entry has returned. The frame pointer leads to it all the while. */
#ifndef SEGUE_CTX_RECORD_H
#define SEGUE_CTX_RECORD_H

#include <segue/context.h>

#include "platform/lacks.h"
#include "platform/threads/handler_chain.h"

#define INTEGER_REGISTERS 6
#define VECTOR_REGISTERS 8

struct record {
    /* Both zero: a walk along the frame pointers ends here. */
    uintptr_t next_frame, return_address;
    struct segue_context *context;
    void (*entry)(void);
#if defined(__x86_64__)
    /* rdi, rsi, rdx, rcx, r8, r9; xmm0 to xmm7; and for a variadic entry how many of the vector registers are in
     * use. */
    uint64_t integers[INTEGER_REGISTERS];
    uint64_t vectors[VECTOR_REGISTERS];
    uint64_t vector_count;
    uint64_t padding;
#else
    /* The outermost handler of exceptions of this stack, where a system has them in a chain. */
    struct handler_record handlers;
    uintptr_t padding[2];
#endif
};

/* The swap of a calling convention without an inline one; in assembly. */
#ifndef SEGUE_CONTEXT_INLINE_
/* What the object format puts before a C name. */
#define PREFIX_TEXT(prefix) #prefix
#define PREFIX_OF(prefix) PREFIX_TEXT(prefix)
void segue_context_switch_(struct segue_context *from,
                           struct segue_context *to) __asm__(PREFIX_OF(__USER_LABEL_PREFIX__) "context_switch");
enum segue_status segue_context_swap_slow_(struct segue_context *from, struct segue_context *to);
#endif

/* The bounds of the context's stack, where the system keeps those of the stack in use: from the end, the lowest address
 * that is in use, and the lowest. Then what leads to its handlers of exceptions. */
static inline void record_bounds(struct segue_context *context, struct record *record, const void *stack, size_t size)
{
    if (!PLATFORM_HAS_STACK_BOUNDS)
        return;
    context->private_[0] = (uint64_t)(uintptr_t)stack + size;
    context->private_[1] = context->private_[2] = (uint64_t)(uintptr_t)stack;
#if defined(__i386__)
    context->private_[3] = handler_chain_begin(&record->handlers);
#else
    (void)record;
#endif
}

/* In assembly. The first instruction of every new context; the resume address of one that must not resume. */
extern const char context_bootstrap[], context_orphan[];

/* Resumes `to`. Code that a signal handler's return leads to must not touch the stack: this does not. */
__attribute__((noreturn)) void context_load(struct segue_context *to);
/* The same for frame_call: the address that is given the argument. */
extern const char context_take[];

/* The assembly calls them on the context's own stack: before its entry, and after it. The latter returns the context
 * that runs next. */
void context_entered(struct segue_context *context);
struct segue_context *context_left(struct segue_context *context);

#endif
