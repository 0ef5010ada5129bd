/* arguments_i386.c: see arguments.h. Floats and doubles are returned on the x87 stack, which the assembly has put into
 * the field for XMM1.
 *
 * SOURCES: System V ABI for i386, 2.2.3: all arguments are on the stack, in their order, each in as many words of 32
 * bits as it needs; the stack is a multiple of 16 at the call. */
#if !defined(__i386__)
#error "arguments_i386.c is specific to i386"
#endif

#include "arguments.h"

#include <string.h>

#define WORD 4u

bool arguments_are_known(const struct segue_argument *arguments, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((unsigned)arguments[i].kind > SEGUE_ARGUMENT_INTEGER_64)
            return false;
    return true;
}

static size_t size_of(const struct segue_argument *argument)
{
    return argument->kind == SEGUE_ARGUMENT_DOUBLE || argument->kind == SEGUE_ARGUMENT_INTEGER_64 ? 2 * WORD : WORD;
}

size_t arguments_size(const struct segue_argument *arguments, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += size_of(&arguments[i]);
    return size;
}

void arguments_place(struct record *record, void *lowest, const struct segue_argument *arguments, size_t count)
{
    char *at = lowest;
    (void)record;
    for (size_t i = 0; i < count; at += size_of(&arguments[i]), i++)
        memcpy(at, &arguments[i].bits, size_of(&arguments[i]));
}

#define EXTENDED_SIZE 10

static long double returned(const struct segue_context *context, unsigned number)
{
    long double value = 0;
    if (context && number == 0)
        memcpy(&value, context->xmm1, EXTENDED_SIZE);
    return value;
}

double segue_context_returned_double(const struct segue_context *context, unsigned number)
{
    return (double)returned(context, number);
}

float segue_context_returned_float(const struct segue_context *context, unsigned number)
{
    return (float)returned(context, number);
}
