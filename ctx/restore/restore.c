/* restore.c: the return paths of a signal handler.
 *
 * SOURCES: Intel SDM volume 1, 13.4 (XSAVE area), 13.8 (XRSTOR, its faults) and volume 2, IRETQ; Linux
 * arch/x86/kernel/signal_64.c (which flags a frame may set, and that sigreturn restores mask and alternate stack). */
#include <string.h>

#include "ctx/handling.h"
#include "decode/x86/xsave.h"
#include "direct.h"
#include "platform/frame/entry_layout.h"
#include "platform/frame/frame.h"
#include "platform/posix.h"

enum segue_restore_method restore_choose(bool blocks_signals, const char **reason)
{
    *reason = restore_obstacle();
    if (*reason)
        return SEGUE_RESTORE_RETURN;
    if (!blocks_signals)
        return SEGUE_RESTORE_DIRECT;
    *reason = "the handler blocks signals, and the mask has to be put back";
    return SEGUE_RESTORE_DIRECT_MASK;
}

/* Whether XRSTOR would accept the state, and the kernel would have put it into the frame. */
static bool is_sound(const struct segue_xstate *xstate, const struct segue_xstate *frame)
{
    const char *area = xstate->area;
    uint64_t header[8];
    uint32_t mxcsr, mask;
    uint32_t least = frame->size == XSAVE_LEGACY_SIZE ? XSAVE_LEGACY_SIZE : XSAVE_HEADER_END;
    if ((uint64_t)(uintptr_t)area % XSAVE_ALIGNMENT || xstate->size < least || (xstate->features & ~frame->features))
        return false;
    memset(header, 0, sizeof header);
    /* Without XSAVE the frame has no header. */
    if (least == XSAVE_HEADER_END)
        memcpy(header, area + XSAVE_XSTATE_BV, sizeof header);
    memcpy(&mxcsr, area + XSAVE_MXCSR, sizeof mxcsr);
    memcpy(&mask, (const char *)frame->area + XSAVE_MXCSR_MASK, sizeof mask);
    for (unsigned i = 1; i < sizeof header / sizeof *header; i++)
        if (header[i])
            return false;
    return !(header[0] & ~xstate->features) && !(mxcsr & ~(mask ? mask : MXCSR_MASK_DEFAULT)) &&
           xstate->size <= frame->size;
}

/* The frame keeps the kernel's software bytes, which describe its content. */
static void copy_xstate(const struct segue_xstate *from, const struct segue_xstate *frame)
{
    char *to = frame->area;
    memcpy(to, from->area, XSAVE_SOFTWARE);
    memcpy(to + XSAVE_LEGACY_SIZE, (const char *)from->area + XSAVE_LEGACY_SIZE, from->size - XSAVE_LEGACY_SIZE);
}

/* The state with which a frame is left: its own, or an area of the embedder's. */
struct image {
    struct segue_xstate of_frame;
    bool is_other;
};

/* False if the kernel would not put such an area into the frame. */
__attribute__((hot)) static bool find_image(const struct segue_frame *frame, struct image *image)
{
    frame_get_any_xstate(frame->native[1], &image->of_frame);
    image->is_other = frame->xstate.area && frame->xstate.area != image->of_frame.area;
    return !image->is_other || (image->of_frame.area && is_sound(&frame->xstate, &image->of_frame));
}

static void write_frame(struct segue_frame *frame, const struct image *image)
{
    frame_set_registers(frame->native[1], &frame->regs);
    if (image->is_other)
        copy_xstate(&frame->xstate, &image->of_frame);
    frame_scatter(frame->native[1]);
}

enum segue_status segue_frame_write(struct segue_frame *frame)
{
    struct image image;
    if (!frame || !find_image(frame, &image))
        return SEGUE_INVALID;
    write_frame(frame, &image);
    return SEGUE_OK;
}

__attribute__((hot)) enum segue_status segue_frame_restore(struct segue_frame *frame, enum segue_restore_method method)
{
    struct image image;
    if (!frame || !find_image(frame, &image))
        return SEGUE_INVALID;
    if (method != SEGUE_RESTORE_RETURN)
        direct_restore(frame, image.is_other ? &frame->xstate : &image.of_frame, &image.of_frame, method);
    write_frame(frame, &image);
    return SEGUE_OK;
}

__thread struct handling *handling_innermost;

/* Not by the list: an inner record on it may be that of a handler abandoned in a policy, and its link may be
 * overwritten. */
const struct handling *handling_record_of(const void *ucontext)
{
    uint64_t frame = (uint64_t)(uintptr_t)ucontext - ENTRY_CONTEXT;
    const struct handling *record = (const void *)(uintptr_t)(frame - sizeof *record);
    return record->self == record && record->ucontext == ucontext ? record : NULL;
}
