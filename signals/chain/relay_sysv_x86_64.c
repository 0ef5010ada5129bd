/* relay_sysv_x86_64.c: enters handlers with the arguments of the System V ABI for x86-64.
 *
 * SOURCES: Linux arch/x86/kernel/signal_64.c (x64_setup_rt_frame: registers, flags); Intel SDM volume 1, 13.8 (XRSTOR
 * of a component that is not in use). */
#if !defined(__x86_64__)
#error "relay_sysv_x86_64.c is specific to x86-64"
#endif

#include "relay.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "ctx/guest/gate.h"
#include "ctx/handling.h"
#include "ctx/restore/landing.h"
#include "ctx/state/control.h"
#include "ctx/state/keys.h"
#include "decode/x86/abi_sysv.h"
#include "decode/x86/flags.h"
#include "decode/x86/selectors.h"
#include "decode/x86/xsave.h"
#include "emulate/windows/guard.h"
#include "platform/frame/frame.h"
#include "platform/threads/thread.h"
#include "restorer.h"
#include "signals/sigchain/believed.h"

/* The extended state that a handler begins with: all components in their initial state. The area has the compacted
 * format, without room for any component; on a processor without XSAVEC it resets x87, SSE and AVX, which is all that
 * the library's code may have used. Without XSAVE only the legacy part is loaded (FXRSTOR); it holds the initial
 * control words for that. */
static const struct {
    _Alignas(XSAVE_ALIGNMENT) uint8_t legacy[XSAVE_LEGACY_SIZE];
    uint64_t in_use, format, reserved[6];
} initial_state = {.format = XSAVE_COMPACTED};
static const struct {
    _Alignas(XSAVE_ALIGNMENT) uint8_t legacy[XSAVE_LEGACY_SIZE];
    uint8_t header[XSAVE_HEADER_SIZE], avx[256];
} initial_standard = {.legacy = {[XSAVE_FCW] = FCW_INITIAL & 0xff,
                                 [XSAVE_FCW + 1] = FCW_INITIAL >> 8,
                                 [XSAVE_MXCSR] = MXCSR_INITIAL & 0xff,
                                 [XSAVE_MXCSR + 1] = MXCSR_INITIAL >> 8}};

extern const char relay_gate[], relay_gate_popped[], relay_gate_last[], relay_gate_end[];

enum relay_status relay_begin(struct relay *relay, struct native_frame native, struct relay_frame *place)
{
    if (guest_is_interrupted() || control_has_shadow_stack())
        return RELAY_IMPOSSIBLE;
    relay->is_restored_by_us = believed_signals();
    relay->restorer = restorer_of_relay;
    relay->copy = guard_copy;
    return relay_prepare(relay, native, place);
}

/* If the handler runs on the present stack, the gate is not needed, and has no room: the library's own frames are
 * there. */
static void lead_directly(const struct relay *relay, const struct relay_frame *place, struct segue_regs *regs)
{
    platform_mask_set(relay->mask);
    regs->rip = relay->action->handler;
    regs->rdi = (uint64_t)relay->number;
    regs->rsi = (uint64_t)(uintptr_t)place->info;
    regs->rdx = (uint64_t)(uintptr_t)place->ucontext;
    regs->rax = 0;
}

static void lead_through_gate(struct segue_regs *regs)
{
    regs->rip = (uint64_t)(uintptr_t)relay_gate;
    regs->rsp -= RELAY_SIZE;
    regs->rflags &= ~(uint64_t)FLAG_ALIGNMENT;
}

/* IRETQ faults while NT is set, which a handler inherits; so NT is cleared here, and set for the handler that is
 * entered. */
static void hand_on_nested_task(struct landing *landing)
{
    if (!frame_clear_flags(FLAG_NESTED_TASK))
        return;
    landing->rflags |= FLAG_NESTED_TASK;
    landing->shortcut = NULL;
}

void relay_enter(const struct relay *relay, const void *ucontext, const struct relay_frame *place)
{
    struct segue_regs regs;
    struct landing landing;
    frame_get_registers(place->ucontext, &regs);
    regs.rsp = place->stack_pointer;
    regs.rflags &= ~(uint64_t)(FLAG_TRAP | FLAG_DIRECTION | FLAG_RESUME);
    if (place->by_gate)
        lead_through_gate(&regs);
    else
        lead_directly(relay, place, &regs);
    landing_prepare(&landing, &regs, selectors_code(), selectors_stack());
    landing.handling = handling_record_of(ucontext);
    hand_on_nested_task(&landing);
    /* The handler's PKRU rights are in force. */
    if (xsave_can_compact())
        landing_go(&landing, &initial_state, xsave_enabled() & ~COMPONENT_PKRU);
    landing_go(&landing, &initial_standard, xsave_enabled() & COMPONENTS_LEGACY_AVX);
}

/* Until the last instruction except one, `words` holds the registers that are loaded next. The stack above them
 * begins with the handler's frame. */
static void take_words(struct segue_regs *regs, const struct relay_words *words)
{
    regs->rax = 0;
    regs->rcx = words->rcx;
    regs->r10 = words->r10;
    regs->r11 = words->r11;
    regs->rdx = words->rdx;
    regs->rsi = words->rsi;
    regs->rdi = words->rdi;
    regs->rflags = words->rflags;
    regs->rip = words->handler;
    regs->rsp = (uint64_t)(uintptr_t)(words + 1);
}

static enum code_range_result translate(const struct code_range *range, struct segue_regs *regs, const void **frame)
{
    (void)range;
    (void)frame;
    uint64_t words = regs->rsp;
    if (code_is_at(regs->rip, relay_gate_popped))
        words -= sizeof(uint64_t);
    else if (code_is_at(regs->rip, relay_gate_last))
        words -= offsetof(struct relay_words, handler);
    take_words(regs, (const struct relay_words *)(uintptr_t)words);
    return CODE_RANGE_SHOWN;
}

const struct code_range relay_range = {relay_gate, relay_gate_end, translate};
