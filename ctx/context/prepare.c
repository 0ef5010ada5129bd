/* prepare.c: lays out a new context's stack, so that its first instructions find the entry and its arguments. */
#include <string.h>

#include "arguments.h"
#include "ctx/state/control.h"
#include "exceptions.h"
#include "instrument.h"
#include "platform/reason.h"
#include "platform/threads/thread.h"
#include "record.h"

#define ALIGNMENT 16u
#define KNOWN_FLAGS                                                                                                    \
    (SEGUE_CONTEXT_FIXED_CONTROL | SEGUE_CONTEXT_OWN_MASK | SEGUE_CONTEXT_CHECKED | SEGUE_CONTEXT_OWN_EXCEPTIONS)

/* What a library built for debugging adds to every context's flags. */
#ifdef SEGUE_CHECK_CONTEXTS
#define FLAGS_ALWAYS SEGUE_CONTEXT_CHECKED
#else
#define FLAGS_ALWAYS 0u
#endif

/* Replaces a missing parent: all zero, so that a stack walk ends there. */
static struct segue_context nobody;

/* Resets the context as if it were new, except for what the preparation fills in. */
static void begin(struct segue_context *context, struct segue_context *parent, void *stack, size_t size,
                  const struct segue_context_options *options)
{
    *context = (struct segue_context){
        .mxcsr = control_mxcsr(),
        .x87_control = control_x87(),
        .flags = options->flags | FLAGS_ALWAYS | (control_flags_are_slow() ? SEGUE_CONTEXT_COMPARED_ : 0),
        .parent = parent ? parent : &nobody,
        .caller = parent ? parent : &nobody,
        .self = context,
        .on_enter = options->on_enter,
        .on_return = options->on_return,
        .data = options->data,
        .stack = stack,
        .stack_size = size,
    };
    if (options->flags & SEGUE_CONTEXT_OWN_MASK)
        context->mask = platform_mask_exchange(NULL);
    if (instrument_wanted())
        context->flags |= SEGUE_CONTEXT_INSTRUMENTED_;
}

enum segue_status segue_context_init(struct segue_context *context, struct segue_context *parent, void *stack,
                                     size_t size, void (*entry)(void), const struct segue_argument *arguments,
                                     size_t count, const struct segue_context_options *options)
{
    static const struct segue_context_options defaults;
    if (!options)
        options = &defaults;
    if (!context || !stack || size == 0 || !entry || (count && !arguments))
        return reason_give(SEGUE_INVALID, "context, stack, size, entry or arguments is NULL or 0");
    if (!RESERVED_IS_ZERO(options))
        return reason_give(SEGUE_INVALID, "options.reserved is not zero: was the struct initialised?");
    if (options->flags & ~(uint32_t)KNOWN_FLAGS)
        return reason_give(SEGUE_INVALID, "options.flags has a bit that enum segue_context_flags does not define");
    uint64_t low = (uint64_t)(uintptr_t)stack, end = low + size;
    if (end < low || end % ALIGNMENT)
        return reason_give(SEGUE_INVALID, "the stack's end is not a multiple of 16");
    if (!arguments_are_known(arguments, count))
        return reason_give(SEGUE_INVALID, "an argument's kind is not an enum segue_argument_kind");
    if (size < sizeof(struct record) + ALIGNMENT + SEGUE_CONTEXT_STACK_MIN ||
        arguments_size(arguments, count) > size - sizeof(struct record) - ALIGNMENT - SEGUE_CONTEXT_STACK_MIN)
        return reason_give(SEGUE_TOO_SMALL, "the arguments and SEGUE_CONTEXT_STACK_MIN do not fit the stack");
    if (control_has_shadow_stack())
        return reason_give(SEGUE_UNSUPPORTED, "a shadow stack is in force, and contexts do not switch it");
    if ((options->flags & SEGUE_CONTEXT_OWN_EXCEPTIONS) && !exceptions_known())
        return reason_give(SEGUE_UNSUPPORTED, "no C++ runtime was there when the library was loaded");

    struct record *record = (struct record *)(uintptr_t)(end - sizeof *record);
    uint64_t first = ((uint64_t)(uintptr_t)record - arguments_size(arguments, count)) / ALIGNMENT * ALIGNMENT;
    instrument_clean(stack, size);
    *record = (struct record){.context = context, .entry = entry};
    arguments_place(record, (void *)(uintptr_t)first, arguments, count);

    instrument_destroy(context);
    begin(context, parent, stack, size, options);
    record_bounds(context, record, stack, size);
    context->stack_pointer = first;
    context->frame_pointer = (uint64_t)(uintptr_t)record;
    context->instruction = (uint64_t)(uintptr_t)context_bootstrap;
    instrument_create(context);
    return SEGUE_OK;
}

enum segue_status segue_context_make(struct segue_context *context, const struct segue_stack *stack,
                                     void (*entry)(void *data), void *data)
{
    struct segue_argument argument = segue_argument_pointer(data);
    if (!stack)
        return reason_give(SEGUE_INVALID, "stack is NULL");
    return segue_context_init(context, NULL, stack->base, stack->size, (void (*)(void))entry, &argument, 1, NULL);
}

void segue_context_destroy(struct segue_context *context)
{
    if (!context)
        return;
    instrument_destroy(context);
    *context = (struct segue_context){.flags = 0};
}
