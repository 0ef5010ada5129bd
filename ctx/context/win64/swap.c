/* swap.c: the swap as a function: the calling convention of Windows has so many callee-saved registers that an
 * inline one would save little. */
#include <segue/context.h>

#include "ctx/context/record.h"

enum segue_status segue_context_swap(struct segue_context *from, struct segue_context *to)
{
    if (__builtin_expect(((from->flags | to->flags) & SEGUE_CONTEXT_SLOW_) != 0, 0))
        return segue_context_swap_slow_(from, to);
    segue_context_switch_(from, to);
    return SEGUE_OK;
}
