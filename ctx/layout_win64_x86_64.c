/* layout_win64_x86_64.c: checks the parts of layout.h against the fields that only the calling convention of Windows
 * needs. */
#if !defined(__x86_64__)
#error "layout_win64_x86_64.c is specific to x86-64"
#endif

#include "layout.h"

#include <segue/try.h>

#define AT(field, offset)                                                                                              \
    _Static_assert(offsetof(struct segue_trial, field) == (offset), "the assembly finds " #field " elsewhere")

AT(more_registers[0], TRIAL_RDI);
AT(more_registers[1], TRIAL_RSI);
AT(vectors, TRIAL_VECTORS);
