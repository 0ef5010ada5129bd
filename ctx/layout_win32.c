/* layout_win32.c: checks the parts of layout.h against the fields that only Windows for i386 needs. */
#if !defined(__i386__)
#error "layout_win32.c is specific to i386"
#endif

#include "layout.h"

#include "ctx/context/record.h"

#include <segue/try.h>

#define AT(type, field, offset)                                                                                        \
    _Static_assert(offsetof(type, field) == (offset), "the assembly finds " #type "." #field " elsewhere")

AT(struct segue_context, private_, CONTEXT_BOUNDS);
AT(struct segue_trial, registers[4], TRIAL_HANDLERS);
