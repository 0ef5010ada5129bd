/* direct_x86_64.c: the direct restore from a signal handler: whether a frame allows it, and its image.
 *
 * SOURCES: Intel SDM volume 1, 13.8 (XRSTOR, its faults) and volume 2, IRETQ; Linux arch/x86/kernel/signal_64.c (which
 * flags a frame may set, and that sigreturn restores mask and alternate stack). */
#if !defined(__x86_64__)
#error "direct_x86_64.c is specific to x86-64"
#endif

#include "direct.h"

#include "ctx/handling.h"
#include "ctx/state/control.h"
#include "ctx/state/keys.h"
#include "decode/x86/canonical.h"
#include "decode/x86/flags.h"
#include "decode/x86/selectors.h"
#include "decode/x86/xsave.h"
#include "landing.h"
#include "platform/frame/frame.h"
#include "platform/threads/thread.h"
#include "shortcut.h"

const char *restore_obstacle(void)
{
    if (!xsave_enabled())
        return "the processor or the system has no XSAVE";
    if (control_has_shadow_stack())
        return "a shadow stack is in force, and only the kernel takes the handler's frame off it";
    return NULL;
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

__attribute__((hot)) void direct_restore(const struct segue_frame *frame, const struct segue_xstate *xstate,
                                         const struct segue_xstate *of_frame, enum segue_restore_method method)
{
    struct landing landing;
    uint64_t code, stack, features;
    const void *context = frame->native[1];
    frame_get_segments(context, &code, &stack);
    if (!landing_prepare(&landing, &frame->regs, code, stack) || !frame_allows_direct_restore(context) ||
        !allows_direct_restore(xstate, of_frame, &features))
        return;
    if (method == SEGUE_RESTORE_DIRECT_MASK)
        platform_mask_set(frame_get_mask(context));
    landing_go(&landing, xstate->area, features);
}

__attribute__((hot)) bool departure_prepare(struct departure *departure, const struct fault_frame *frame,
                                            enum segue_restore_method method, struct landing *landing)
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
