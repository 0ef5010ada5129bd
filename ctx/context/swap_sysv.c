/* swap_sysv.c: what belongs to the inline swap: its exported form, and the end of unwinding. */
#include <segue/context.h>
#include <unwind.h>

/* The inline function again, exported for other languages, under another name in C since its own is taken. */
SEGUE_API enum segue_status exported_swap(struct segue_context *from,
                                          struct segue_context *to) __asm__("segue_context_swap");
enum segue_status exported_swap(struct segue_context *from, struct segue_context *to)
{
    return segue_context_swap(from, to);
}

_Unwind_Reason_Code context_personality(int version, _Unwind_Action actions, _Unwind_Exception_Class exception_class,
                                        struct _Unwind_Exception *exception, struct _Unwind_Context *place);

/* A context's first frame stops exceptions: they would unwind into another flow. If the search fails, C++ calls
 * std::terminate. A forced unwinding (a thread that exits) passes. */
_Unwind_Reason_Code context_personality(int version, _Unwind_Action actions, _Unwind_Exception_Class exception_class,
                                        struct _Unwind_Exception *exception, struct _Unwind_Context *place)
{
    (void)version, (void)exception_class, (void)exception, (void)place;
    return (actions & _UA_SEARCH_PHASE) ? _URC_FATAL_PHASE1_ERROR : _URC_CONTINUE_UNWIND;
}
