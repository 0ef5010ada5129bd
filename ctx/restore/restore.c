/* restore.c: the return paths of a signal handler.
 *
 * SOURCES: Intel SDM volume 1, 13.4 (XSAVE area), 13.8 (XRSTOR, its faults) and volume 2, IRETQ; Linux
 * arch/x86/kernel/signal_64.c (which flags a frame may set, and that sigreturn restores mask and alternate stack). */
#include <string.h>

#include "ctx/handling.h"
#include "ctx/state/control_x86_64.h"
#include "ctx/state/keys.h"
#include "decode/x86/canonical.h"
#include "decode/x86/flags.h"
#include "decode/x86/selectors.h"
#include "decode/x86/xsave.h"
#include "landing.h"
#include "platform/frame/frame.h"
#include "platform/posix.h"
#include "platform/threads/thread.h"
#include "restore.h"
#include "shortcut.h"

/* The kernel's frame begins with the restorer's address; the ucontext follows. */
#define RETURN_ADDRESS_SIZE 8

const char *restore_obstacle(void)
{
    if (!xsave_enabled())
        return "the processor or the system has no XSAVE";
    if (control_has_shadow_stack())
        return "a shadow stack is in force, and only the kernel takes the handler's frame off it";
    return NULL;
}

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

/* POPFQ loads neither the resume flag nor segments; and with the trap flag set it would trap before the jump. */
static const void *find_shortcut(const struct landing *landing)
{
    if ((landing->rflags & (FLAG_TRAP | FLAG_RESUME | FLAG_NESTED_TASK)) || landing->cs != selectors_code() ||
        landing->ss != selectors_stack() || landing->rip == 0)
        return NULL;
    return shortcut_to(landing->rip);
}

__attribute__((hot)) bool landing_prepare(struct landing *landing, const struct segue_regs *regs, uint64_t code_segment,
                                          uint64_t stack_segment)
{
    /* Field by field: a compound literal would be cleared first, by a string instruction with a slow start. */
    landing->rax = regs->rax;
    landing->rbx = regs->rbx;
    landing->rcx = regs->rcx;
    landing->rdx = regs->rdx;
    landing->rsi = regs->rsi;
    landing->rdi = regs->rdi;
    landing->rbp = regs->rbp;
    landing->r8 = regs->r8;
    landing->r9 = regs->r9;
    landing->r10 = regs->r10;
    landing->r11 = regs->r11;
    landing->r12 = regs->r12;
    landing->r13 = regs->r13;
    landing->r14 = regs->r14;
    landing->r15 = regs->r15;
    landing->rip = regs->rip;
    landing->cs = code_segment;
    landing->rflags = (regs->rflags & SETTABLE_FLAGS) | FIXED_FLAGS;
    landing->rsp = regs->rsp;
    landing->ss = stack_segment;
    landing->shortcut = NULL;
    landing->handling = NULL;
    landing->frame = NULL;
    landing->mask = 0;
    const uint64_t end = canonical_user_end();
    if (regs->rip >= end || regs->rsp >= end)
        return false;
    landing->shortcut = find_shortcut(landing);
    return true;
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

/* Whether XRSTOR and the code after it do all that the kernel would. XRSTOR loads the target's protection keys, and
 * the restore image is read after it: so the target's keys may not forbid what the handler's allow. A component that
 * the frame has no room for (tiles, if the thread had not used them before the handler did) must be in its initial
 * state: XRSTOR would leave it as it is. XRSTOR touches the whole area, also components that are not in use.
 * `*features` gets the components to load. */
__attribute__((hot)) static bool allows_direct_restore(const struct segue_xstate *image,
                                                       const struct segue_xstate *frame, uint64_t *features)
{
    *features = frame->features;
    if (image->size < frame->size || xsave_exceeds(frame->features))
        return false;
    if (!keys_in_use())
        return true;
    uint32_t now = keys_now(), target = keys_of(image);
    /* Rights that are already in force need not be loaded. */
    if (now == target)
        *features &= ~COMPONENT_PKRU;
    return now == target || ((frame->features & COMPONENT_PKRU) && keys_allow(target, now));
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
    struct landing landing;
    uint64_t code, stack, features;
    if (!frame || !find_image(frame, &image))
        return SEGUE_INVALID;
    const void *context = frame->native[1];
    const struct segue_xstate *xstate = image.is_other ? &frame->xstate : &image.of_frame;
    frame_get_segments(context, &code, &stack);
    if (method != SEGUE_RESTORE_RETURN && landing_prepare(&landing, &frame->regs, code, stack) &&
        frame_allows_direct_restore(context) && allows_direct_restore(xstate, &image.of_frame, &features)) {
        uint64_t mask = frame_get_mask(context);
        if (method == SEGUE_RESTORE_DIRECT_MASK)
            platform_mask_set(mask);
        landing_go(&landing, xstate->area, features);
    }
    write_frame(frame, &image);
    return SEGUE_OK;
}

__thread struct handling *handling_innermost;

/* Not by the list: an inner record on it may be that of a handler abandoned in a policy, and its link may be
 * overwritten. */
const struct handling *handling_record_of(const void *ucontext)
{
    uint64_t frame = (uint64_t)(uintptr_t)ucontext - RETURN_ADDRESS_SIZE;
    const struct handling *record = (const void *)(uintptr_t)(frame - sizeof *record);
    return record->self == record && record->ucontext == ucontext ? record : NULL;
}

bool departure_prepare(struct departure *departure, const struct fault_frame *frame, enum segue_restore_method method,
                       struct landing *landing)
{
    const struct segue_frame *public = &frame->public;
    void *context = public->native[1];
    uint64_t code, stack;
    /* A policy may have changed those of frame->regs, which the kernel's return ignores. */
    frame_get_segments(context, &code, &stack);
    if (!landing_prepare(landing, &public->regs, code, stack) || !frame_allows_direct_restore(context) ||
        !allows_direct_restore(&public->xstate, &public->xstate, &departure->features))
        return false;
    if (method == SEGUE_RESTORE_DIRECT_MASK) {
        landing->frame = context;
        landing->mask = frame->mask;
    }
    landing->handling = handling_record_of(context);
    departure->landing = landing;
    departure->area = public->xstate.area;
    return true;
}

void departure_go(const struct departure *departure)
{
    landing_go(departure->landing, departure->area, departure->features);
}
