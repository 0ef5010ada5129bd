/* windows.h: the functions that take Windows' types. segue.h does not include it.
 *
 * SOURCES: Microsoft, AddVectoredExceptionHandler, EXCEPTION_POINTERS, CONTEXT,
 * LocateXStateFeature. */
#ifndef SEGUE_WINDOWS_H
#define SEGUE_WINDOWS_H

#ifndef _WIN32
#error "segue/windows.h: this is not Windows; include segue/posix.h"
#endif

#include <segue/frame.h>

struct _EXCEPTION_POINTERS;

SEGUE_BEGIN

/* Opens the frame of an exception; a vectored handler calls it first. The frame's vector state is
 * in several parts: segue_frame_gather must follow before a step, since the system has put some of
 * it where an instruction pushes. The handler returns EXCEPTION_CONTINUE_EXECUTION after
 * segue_frame_step or segue_frame_write, and EXCEPTION_CONTINUE_SEARCH for what it does not serve:
 * that is chaining here. The frame must stay where it is until then. Returns SEGUE_OK: a fault,
 * described by frame->fault; SEGUE_HANDLED: a guarded access of the library, and the handler must
 * return EXCEPTION_CONTINUE_EXECUTION at once; SEGUE_NOT_FOUND: another exception, and the frame is
 * not open; SEGUE_INVALID for NULL. MT-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_frame_open(struct segue_frame *frame,
                                                         struct _EXCEPTION_POINTERS *exception);

SEGUE_END

#endif
