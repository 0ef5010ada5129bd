/* none.c: no sanitizer, no Valgrind and no C++ runtime is looked for. */
#include "ctx/context/exceptions.h"
#include "ctx/context/instrument.h"

bool instrument_is_valgrind(void)
{
    return false;
}

bool instrument_wanted(void)
{
    return false;
}

void instrument_clean(void *stack, size_t size)
{
    (void)stack;
    (void)size;
}

void instrument_create(struct segue_context *context)
{
    context->flags |= SEGUE_CONTEXT_REGISTERED_;
}

void instrument_destroy(struct segue_context *context)
{
    (void)context;
}

void instrument_leave(struct segue_context *from, struct segue_context *to)
{
    (void)from;
    (void)to;
}

void instrument_leave_by_return(struct segue_context *to)
{
    (void)to;
}

void instrument_arrive(struct segue_context *to)
{
    (void)to;
}

bool exceptions_known(void)
{
    return false;
}

void exceptions_exchange(struct segue_context *from, struct segue_context *to)
{
    (void)from;
    (void)to;
}
