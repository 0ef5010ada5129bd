/* arguments_x86_64.c: see arguments.h. Floats and doubles are returned in XMM0.
 *
 * SOURCES: Microsoft, "x64 calling convention": the first four arguments are in registers, each in the general or the
 * vector register of its place (a variadic function takes it from the general one), with room for them on the stack;
 * the others follow, eight bytes each. */
#if !defined(__x86_64__)
#error "arguments_x86_64.c is specific to x86-64"
#endif

#include "ctx/context/arguments.h"

#include <string.h>

#define IN_REGISTERS 4u

bool arguments_are_known(const struct segue_argument *arguments, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((unsigned)arguments[i].kind > SEGUE_ARGUMENT_DOUBLE)
            return false;
    return true;
}

size_t arguments_size(const struct segue_argument *arguments, size_t count)
{
    (void)arguments;
    return (count > IN_REGISTERS ? count : IN_REGISTERS) * sizeof(uint64_t);
}

/* The assembly loads both registers of each place. */
void arguments_place(struct record *record, void *lowest, const struct segue_argument *arguments, size_t count)
{
    uint64_t *words = lowest;
    for (size_t i = 0; i < count; i++) {
        if (i < IN_REGISTERS)
            record->integers[i] = arguments[i].bits;
        words[i] = arguments[i].bits;
    }
}

double segue_context_returned_double(const struct segue_context *context, unsigned number)
{
    double value = 0;
    if (context && number == 0)
        memcpy(&value, context->xmm0, sizeof value);
    return value;
}

float segue_context_returned_float(const struct segue_context *context, unsigned number)
{
    float value = 0;
    if (context && number == 0)
        memcpy(&value, context->xmm0, sizeof value);
    return value;
}
