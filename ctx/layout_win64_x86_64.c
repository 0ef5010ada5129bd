/* layout_win64_x86_64.c: checks the parts of layout.h against the fields that only the calling convention of Windows
 * needs. */
#if !defined(__x86_64__)
#error "layout_win64_x86_64.c is specific to x86-64"
#endif

#include "layout.h"

#include "ctx/context/record.h"

#include <segue/try.h>

#define AT(type, field, offset)                                                                                        \
    _Static_assert(offsetof(type, field) == (offset), "the assembly finds " #type "." #field " elsewhere")

AT(struct segue_trial, more_registers[0], TRIAL_RDI);
AT(struct segue_trial, more_registers[1], TRIAL_RSI);
AT(struct segue_trial, vectors, TRIAL_VECTORS);
AT(struct segue_context, private_, CONTEXT_BOUNDS);
AT(struct record, integers, RECORD_INTEGERS);
