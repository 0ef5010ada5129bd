/* none.c: refuses contexts: none is ever made, so the others have nothing to do. */
#include <segue/context.h>
#include <segue/frame.h>
#include <string.h>

#include "instrument.h"
#include "platform/reason.h"

static enum segue_status refuse(void)
{
    return reason_give(SEGUE_UNSUPPORTED, "contexts are not there on this system");
}

enum segue_status segue_context_init(struct segue_context *context, struct segue_context *parent, void *stack,
                                     size_t size, void (*entry)(void), const struct segue_argument *arguments,
                                     size_t count, const struct segue_context_options *options)
{
    (void)context, (void)parent, (void)stack, (void)size, (void)entry, (void)arguments, (void)count, (void)options;
    return refuse();
}

enum segue_status segue_context_make(struct segue_context *context, const struct segue_stack *stack,
                                     void (*entry)(void *data), void *data)
{
    (void)context, (void)stack, (void)entry, (void)data;
    return refuse();
}

enum segue_status segue_context_swap(struct segue_context *from, struct segue_context *to)
{
    (void)from, (void)to;
    return SEGUE_INVALID;
}

void segue_context_set(struct segue_context *to)
{
    (void)to;
    __builtin_trap();
}

void segue_context_destroy(struct segue_context *context)
{
    if (context)
        memset(context, 0, sizeof *context);
}

enum segue_status segue_frame_set_context(struct segue_frame *frame, struct segue_context *to)
{
    (void)frame, (void)to;
    return SEGUE_INVALID;
}

bool segue_context_is_finished(const struct segue_context *context)
{
    (void)context;
    return false;
}

enum segue_status segue_context_returned(const struct segue_context *context, struct segue_returned *returned)
{
    if (!context || !returned)
        return SEGUE_INVALID;
    memset(returned, 0, sizeof *returned);
    return SEGUE_OK;
}

void segue_context_clear_returned(struct segue_context *context)
{
    (void)context;
}

uint64_t segue_context_returned_integer(const struct segue_context *context, unsigned number)
{
    (void)context, (void)number;
    return 0;
}

double segue_context_returned_double(const struct segue_context *context, unsigned number)
{
    (void)context, (void)number;
    return 0;
}

float segue_context_returned_float(const struct segue_context *context, unsigned number)
{
    (void)context, (void)number;
    return 0;
}

bool instrument_is_valgrind(void)
{
    return false;
}
