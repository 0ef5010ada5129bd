/* embedder.c: the function of <segue/windows.h>, for an embedder's own vectored handler. What the library's handler has
 * on its stack is in the embedder's frame; the area of the extended state is the embedder's (segue_frame_gather). */
#if !defined(_WIN32)
#error "platform/windows/frame/embedder.c is specific to Windows"
#endif

#include <segue/windows.h>

#include "native.h"
#include "platform/frame/embedder.h"

enum segue_status segue_frame_open(struct segue_frame *frame, EXCEPTION_POINTERS *exception)
{
    _Static_assert(sizeof(struct native) <= sizeof frame->private_, "the frame has room for it");
    if (!frame || !exception)
        return SEGUE_INVALID;
    struct native *native = (struct native *)frame->private_;
    if (!native_open(native, NULL, exception))
        return SEGUE_NOT_FOUND;
    return embedder_frame_open(frame, (struct native_frame){native, native});
}
