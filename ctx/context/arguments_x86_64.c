/* arguments_x86_64.c: see arguments.h. Floats and doubles are returned in XMM0 and XMM1.
 *
 * SOURCES: System V ABI for x86-64, 3.2.3: six integers and eight floats travel in registers, the others in the order
 * of the arguments on the stack, eight bytes each; the stack is a multiple of 16 at the call; AL bounds the vector
 * registers that a variadic call uses. */
#if !defined(__x86_64__)
#error "arguments_x86_64.c is specific to x86-64"
#endif

#include "arguments.h"

#include <string.h>

bool arguments_are_known(const struct segue_argument *arguments, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((unsigned)arguments[i].kind > SEGUE_ARGUMENT_DOUBLE)
            return false;
    return true;
}

/* The number of arguments that do not fit in registers. */
static size_t count_spilled(const struct segue_argument *arguments, size_t count)
{
    size_t integers = 0, vectors = 0;
    for (size_t i = 0; i < count; i++)
        (arguments[i].kind == SEGUE_ARGUMENT_INTEGER) ? integers++ : vectors++;
    return (integers > INTEGER_REGISTERS ? integers - INTEGER_REGISTERS : 0) +
           (vectors > VECTOR_REGISTERS ? vectors - VECTOR_REGISTERS : 0);
}

size_t arguments_size(const struct segue_argument *arguments, size_t count)
{
    return count_spilled(arguments, count) * sizeof(uint64_t);
}

void arguments_place(struct record *record, void *lowest, const struct segue_argument *arguments, size_t count)
{
    uint64_t *spilled = lowest;
    size_t integers = 0, vectors = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_integer = arguments[i].kind == SEGUE_ARGUMENT_INTEGER;
        if (is_integer && integers < INTEGER_REGISTERS)
            record->integers[integers++] = arguments[i].bits;
        else if (!is_integer && vectors < VECTOR_REGISTERS)
            record->vectors[vectors++] = arguments[i].bits;
        else
            *spilled++ = arguments[i].bits;
    }
    record->vector_count = vectors;
}

double segue_context_returned_double(const struct segue_context *context, unsigned number)
{
    double value = 0;
    if (context && number < 2)
        memcpy(&value, number ? context->xmm1 : context->xmm0, sizeof value);
    return value;
}

float segue_context_returned_float(const struct segue_context *context, unsigned number)
{
    float value = 0;
    if (context && number < 2)
        memcpy(&value, number ? context->xmm1 : context->xmm0, sizeof value);
    return value;
}
