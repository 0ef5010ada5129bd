/* restore.c: the ways out of a signal handler.
 *
 * SOURCES: Intel SDM volume 1, 13.4 (XSAVE area), 13.8 (XRSTOR, its faults) and volume 2, IRETQ; Linux
 * arch/x86/kernel/signal_64.c (which flags a frame may set, and that sigreturn puts back mask and alternate stack). */
#include <string.h>

#include "ctx/handling.h"
#include "ctx/state/control_x86_64.h"
#include "decode/x86/canonical.h"
#include "decode/x86/flags.h"
#include "platform/frame.h"
#include "decode/x86/xsave.h"
#include "ctx/state/keys.h"
#include "landing.h"
#include "decode/x86/selectors.h"
#include "platform/thread.h"
#include "restore.h"
#include "shortcut.h"
#include <segue/posix.h>

/* The kernel's frame begins with it, and goes on with the ucontext. */
#define RETURN_ADDRESS_SIZE 8

static bool is_empty(const sigset_t *mask)
{
    uint64_t word;
    memcpy(&word, mask, sizeof word);
    return word == 0;
}

const char *restore_obstacle(void)
{
    if (!xsave_enabled())
        return "the processor or the system has no XSAVE";
    if (control_has_shadow_stack())
        return "a shadow stack is in force, and only the kernel takes the handler's frame off it";
    return NULL;
}

enum segue_restore_method segue_restore_choose(const struct sigaction *action, const char **reason)
{
    const char *why = "all that the kernel would do is done", *obstacle = restore_obstacle();
    enum segue_restore_method method = SEGUE_RESTORE_RETURN;
    if (!action)
        why = "there is no action to tell for";
    else if (obstacle)
        why = obstacle;
    else if ((action->sa_flags & SA_NODEFER) && is_empty(&action->sa_mask))
        method = SEGUE_RESTORE_DIRECT;
    else {
        method = SEGUE_RESTORE_DIRECT_MASK;
        why = "the handler blocks signals, and the mask has to be put back";
    }
    if (reason)
        *reason = why;
    return method;
}

/* POPFQ loads neither the resume flag nor segments, and with the trap flag it would trap before it is done. */
static const void *find_shortcut(const struct landing *landing)
{
    if ((landing->rflags & (FLAG_TRAP | FLAG_RESUME | FLAG_NESTED_TASK)) || landing->cs != selectors_code() ||
        landing->ss != selectors_stack() || landing->rip == 0)
        return NULL;
    return shortcut_to(landing->rip);
}

bool landing_prepare(struct landing *landing, const struct segue_regs *regs, uint64_t code_segment,
                     uint64_t stack_segment)
{
    /* Field by field: a compound literal would be cleared first, by a string instruction that is slow to begin. */
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

/* Whether XRSTOR would take it, and the kernel put it into the frame. */
static bool is_sound(const struct segue_xstate *xstate, const struct segue_xstate *frame)
{
    const char *area = xstate->area;
    uint64_t header[8];
    uint32_t mxcsr, mask;
    uint32_t least = frame->size == XSAVE_LEGACY_SIZE ? XSAVE_LEGACY_SIZE : XSAVE_HEADER_END;
    if ((uint64_t)(uintptr_t)area % XSAVE_ALIGNMENT || xstate->size < least || (xstate->features & ~frame->features))
        return false;
    memset(header, 0, sizeof header);
    /* Without XSAVE there is none. */
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

/* The frame keeps the kernel's own words, which say what is in it. */
static void copy_xstate(const struct segue_xstate *from, const struct segue_xstate *frame)
{
    char *to = frame->area;
    memcpy(to, from->area, XSAVE_SOFTWARE);
    memcpy(to + XSAVE_LEGACY_SIZE, (const char *)from->area + XSAVE_LEGACY_SIZE, from->size - XSAVE_LEGACY_SIZE);
}

/* Whether XRSTOR and what comes after it do all that the kernel would. It loads the target's protection keys, and the
 * landing is read after it: so they may not close what the handler's own leave open. A component that the frame has no
 * room for, as tiles that nobody had used before the handler did, is to be in its initial state, and would stay as it
 * is. XRSTOR touches all of an area, what is not in use too. `*features` is what it has to load. */
static bool allows_direct_restore(const struct segue_xstate *image, const struct segue_xstate *frame,
                                  uint64_t *features)
{
    *features = frame->features;
    if (image->size < frame->size || xsave_exceeds(frame->features))
        return false;
    if (!keys_in_use())
        return true;
    uint32_t now = keys_now(), target = keys_of(image);
    /* What is in force already need not be loaded. */
    if (now == target)
        *features &= ~COMPONENT_PKRU;
    return now == target || ((frame->features & COMPONENT_PKRU) && keys_allow(target, now));
}

enum segue_status segue_restore(void *ucontext, const struct segue_regs *regs, const struct segue_xstate *xstate,
                                enum segue_restore_method method)
{
    struct segue_regs of_frame;
    struct segue_xstate frame;
    struct landing landing;
    uint64_t code, stack, features;
    if (!ucontext)
        return SEGUE_INVALID;
    frame_get_xstate(ucontext, &frame);
    bool is_other = xstate && xstate->area && xstate->area != frame.area;
    const struct segue_xstate *image = is_other ? xstate : &frame;
    if (is_other && (!frame.area || !is_sound(xstate, &frame)))
        return SEGUE_INVALID;

    if (!regs)
        frame_get_general(ucontext, &of_frame);
    frame_get_segments(ucontext, &code, &stack);
    if (method != SEGUE_RESTORE_RETURN && landing_prepare(&landing, regs ? regs : &of_frame, code, stack) &&
        frame_allows_direct_restore(ucontext) && allows_direct_restore(image, &frame, &features)) {
        uint64_t mask = frame_get_mask(ucontext);
        if (method == SEGUE_RESTORE_DIRECT_MASK)
            platform_mask_exchange(&mask);
        landing_go(&landing, image->area, features);
    }
    if (regs)
        frame_set_registers(ucontext, regs);
    if (is_other)
        copy_xstate(xstate, &frame);
    return SEGUE_OK;
}

__thread struct handling *handling_innermost;

/* Not by the list: before ours on it may be one that was left for good, in a policy, and what that one says of the next
 * may be overwritten. */
const struct handling *handling_record_of(const void *ucontext)
{
    uint64_t frame = (uint64_t)(uintptr_t)ucontext - RETURN_ADDRESS_SIZE;
    const struct handling *record = (const void *)(uintptr_t)(frame - sizeof *record);
    return record->self == record && record->ucontext == ucontext ? record : NULL;
}

bool departure_prepare(struct departure *departure, const struct fault_frame *frame, enum segue_restore_method method,
                       struct landing *landing)
{
    uint64_t code, stack;
    /* A policy may have changed those of frame->regs, which no return loads. */
    frame_get_segments(frame->native.context, &code, &stack);
    if (!landing_prepare(landing, &frame->regs, code, stack) ||
        !frame_allows_direct_restore(frame->native.context) ||
        !allows_direct_restore(&frame->xstate, &frame->xstate, &departure->features))
        return false;
    if (method == SEGUE_RESTORE_DIRECT_MASK) {
        landing->frame = frame->native.context;
        landing->mask = frame->mask;
    }
    landing->handling = handling_record_of(frame->native.context);
    departure->landing = landing;
    departure->area = frame->xstate.area;
    return true;
}

void departure_go(const struct departure *departure)
{
    landing_go(departure->landing, departure->area, departure->features);
}
