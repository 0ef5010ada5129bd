/* relay_linux_x86_64.c: handlers, entered as Linux on x86-64 enters them.
 *
 *      lowest address      pretcode        <- rsp at the handler's first instruction; its return address
 *                          ucontext        <- rdx; 304 bytes, ends with the 8 bytes of the signal mask
 *                          siginfo         <- rsi; 128 bytes
 *                          extended state  at a multiple of 64; the ucontext points to it
 *
 * SOURCES: Linux arch/x86/kernel/signal.c (get_sigframe: red zone, alternate stack, alignment, and that a frame which
 * does not fit the alternate stack is not made), signal_64.c (x64_setup_rt_frame: registers, flags),
 * kernel/signal.c (sas_ss_flags); Intel SDM volume 1, 13.8 (XRSTOR of a component that is not in use). */
#if !defined(__linux__) || !defined(__x86_64__)
#error "relay_linux_x86_64.c is specific to Linux on x86-64"
#endif

#include "relay.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <ucontext.h>

#include "platform/linux/abi.h"
#include "decode/x86/abi_sysv.h"
#include "ctx/state/control_x86_64.h"
#include "decode/x86/xsave.h"
#include "platform/frame.h"
#include "ctx/guest/gate.h"
#include "decode/x86/flags.h"
#include "ctx/handling.h"
#include "ctx/state/keys.h"
#include "ctx/restore/landing.h"
#include "decode/x86/selectors.h"
#include "platform/thread.h"
#include "emulate/windows/guard.h"
#include "signals/sigchain/believed.h"
#include "relay_layout.h"
#include "restorer.h"

#define FRAME_ALIGNMENT 16
#define PRETCODE_SIZE 8
/* Far more than any processor has. */
#define FRAME_SIZE_MAX 65536


/* What a handler begins with: everything as after a reset, in an area of the compacted format, which has room for
 * nothing; where the processor does not know that, x87, SSE and AVX, which is all that our own code may have used.
 * Without XSAVE the legacy part alone is loaded (FXRSTOR); it holds the initial control words for that. */
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

/* On the handler's stack, right below the frame, for relay_gate. */
struct gate_words {
    uint64_t rflags, rcx, r10, r11, rdx, rsi, rdi, mask;
    /* The address of `stack` if that is to come into force; else 0. */
    uint64_t lent;
    stack_t stack;
    uint64_t handler;
};
_Static_assert(offsetof(struct gate_words, rflags) == RELAY_RFLAGS, "the assembly pops them first");
_Static_assert(offsetof(struct gate_words, rcx) == RELAY_RCX, "the assembly finds rcx elsewhere");
_Static_assert(offsetof(struct gate_words, r10) == RELAY_R10, "the assembly finds r10 elsewhere");
_Static_assert(offsetof(struct gate_words, r11) == RELAY_R11, "the assembly finds r11 elsewhere");
_Static_assert(offsetof(struct gate_words, rdx) == RELAY_RDX, "the assembly finds rdx elsewhere");
_Static_assert(offsetof(struct gate_words, rsi) == RELAY_RSI, "the assembly finds rsi elsewhere");
_Static_assert(offsetof(struct gate_words, rdi) == RELAY_RDI, "the assembly finds rdi elsewhere");
_Static_assert(offsetof(struct gate_words, mask) == RELAY_MASK, "the assembly finds the mask elsewhere");
_Static_assert(offsetof(struct gate_words, lent) == RELAY_STACK, "the assembly finds the stack elsewhere");
_Static_assert(offsetof(struct gate_words, handler) == RELAY_HANDLER, "the assembly finds the handler elsewhere");
_Static_assert(sizeof(struct gate_words) == RELAY_SIZE, "the assembly takes another number of words off");

extern const char relay_gate[], relay_gate_popped[], relay_gate_last[], relay_gate_end[];

/* Where the parts of the kernel's frame are. */
struct extent {
    char *begin;
    size_t size;
    /* From `begin`. */
    size_t area;
};

static bool measure(const void *info, const void *ucontext, struct extent *extent)
{
    const char *begin = (const char *)ucontext - PRETCODE_SIZE;
    const char *area = (const char *)((const ucontext_t *)ucontext)->uc_mcontext.fpregs;
    const char *end_of_info = (const char *)ucontext + KERNEL_UCONTEXT_SIZE + sizeof(siginfo_t);
    if ((const char *)info != (const char *)ucontext + KERNEL_UCONTEXT_SIZE || area < end_of_info ||
        (uintptr_t)area % XSAVE_ALIGNMENT)
        return false;
    *extent = (struct extent){.begin = (char *)(uintptr_t)begin, .area = (size_t)(area - begin)};
    extent->size = extent->area + frame_area_size(ucontext);
    return extent->size < FRAME_SIZE_MAX;
}

/* As the kernel asks: a stack that disarms itself is never taken for the one in use. */
static bool is_on(const stack_t *stack, uint64_t address)
{
    uint64_t bottom = (uint64_t)(uintptr_t)stack->ss_sp;
    return !((unsigned)stack->ss_flags & SS_AUTODISARM) && address > bottom && address - bottom <= stack->ss_size;
}

static bool is_inside(const stack_t *stack, uint64_t address)
{
    uint64_t bottom = (uint64_t)(uintptr_t)stack->ss_sp;
    return address > bottom && address - bottom <= stack->ss_size;
}

/* Where the frame begins; 0 where the kernel would have made none. */
static uint64_t place_frame(const struct extent *extent, uint64_t stack_pointer, bool wants_alternate,
                            const stack_t *stack)
{
    bool nested = is_on(stack, stack_pointer), entering = false;
    uint64_t top = stack_pointer - RED_ZONE;
    if (wants_alternate && stack->ss_size && !is_on(stack, top)) {
        top = (uint64_t)(uintptr_t)stack->ss_sp + stack->ss_size;
        entering = true;
    }
    uint64_t area = (top - (extent->size - extent->area)) & ~(uint64_t)(XSAVE_ALIGNMENT - 1);
    uint64_t begin = area - extent->area;
    return (nested || entering) && !is_inside(stack, begin) ? 0 : begin;
}

static bool is_same_stack(const stack_t *left, const stack_t *right)
{
    return left->ss_sp == right->ss_sp && left->ss_size == right->ss_size && left->ss_flags == right->ss_flags;
}

static bool overlaps(uint64_t begin, const struct extent *extent)
{
    uint64_t distance = begin - (uint64_t)(uintptr_t)extent->begin;
    return distance < extent->size || -distance < extent->size;
}

/* False if there is no room for it. */
static bool write_gate_words(const struct relay *relay, const struct relay_frame *place)
{
    const ucontext_t *there = place->ucontext;
    const greg_t *regs = there->uc_mcontext.gregs;
    char *at = (char *)place->ucontext - PRETCODE_SIZE - RELAY_SIZE;
    struct gate_words words = {
        .rflags = (uint64_t)regs[REG_EFL] & ~(uint64_t)(FLAG_TRAP | FLAG_DIRECTION | FLAG_RESUME),
        .rcx = (uint64_t)regs[REG_RCX],
        .r10 = (uint64_t)regs[REG_R10],
        .r11 = (uint64_t)regs[REG_R11],
        .rdx = (uint64_t)(uintptr_t)there,
        .rsi = (uint64_t)(uintptr_t)place->info,
        .rdi = (uint64_t)relay->number,
        .mask = relay->mask,
        .lent = place->lends_stack ? (uint64_t)(uintptr_t)at + RELAY_STACK + sizeof words.lent : 0,
        .stack = *relay->stack,
        .handler = relay->action->handler,
    };
    return guard_copy(at, &words, sizeof words) == 0;
}

enum relay_status relay_prepare(const struct relay *relay, struct native_frame native, struct relay_frame *place)
{
    const ucontext_t *frame = native.context;
    const struct platform_action *action = relay->action;
    uint64_t stack_pointer = (uint64_t)frame->uc_mcontext.gregs[REG_RSP];
    struct extent extent;
    /* With a shadow stack only the kernel can take a frame away. */
    if (guest_is_interrupted() || control_has_shadow_stack() || !measure(native.info, native.context, &extent))
        return RELAY_IMPOSSIBLE;
    /* Whoever was interrupted on the stack that is really in force must not be overwritten. */
    const stack_t *stack = is_on(&frame->uc_stack, stack_pointer) ? &frame->uc_stack : relay->stack;
    uint64_t begin = place_frame(&extent, stack_pointer, action->flags & SA_ONSTACK, stack);
    if (begin == 0)
        return RELAY_NO_ROOM;
    bool is_elsewhere = begin != (uint64_t)(uintptr_t)extent.begin;
    if (is_elsewhere) {
        if (overlaps(begin, &extent))
            return RELAY_IMPOSSIBLE;
        if (guard_copy((void *)(uintptr_t)begin, extent.begin, extent.size) != 0)
            return RELAY_NO_ROOM;
    }
    char *to = (char *)(uintptr_t)begin;
    ucontext_t *there = (void *)(to + PRETCODE_SIZE);
    there->uc_mcontext.fpregs = (void *)(to + extent.area);
    const void *restorer = (const void *)(uintptr_t)action->restorer;
    if (!is_same_stack(&there->uc_stack, relay->stack) || believed_signals()) {
        there->uc_stack = *relay->stack;
        frame_set_mask(there, frame_get_mask(there) | relay->believed);
        restorer = restorer_of_relay;
    }
    if (restorer)
        memcpy(to, &restorer, sizeof restorer);
    *place = (struct relay_frame){.info = (void *)(to + (PRETCODE_SIZE + KERNEL_UCONTEXT_SIZE)), .ucontext = there};
    place->by_gate = is_elsewhere;
    /* The program's stack, which it believes to be the one in force, and another one is. */
    place->lends_stack =
        is_elsewhere && stack == relay->stack && is_inside(stack, begin) && !is_same_stack(&frame->uc_stack, stack);
    return !is_elsewhere || write_gate_words(relay, place) ? RELAY_READY : RELAY_NO_ROOM;
}

/* On the stack that we are on already there is no need of the gate, and no room: our own frames are there. */
static void lead_directly(const struct relay *relay, const struct relay_frame *place, struct segue_regs *regs)
{
    uint64_t mask = relay->mask;
    platform_mask_exchange(&mask);
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

/* IRETQ refuses the flag while it is set, as a handler inherits it, and sets it for the handler that is entered. */
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
    regs.rsp = (uint64_t)(uintptr_t)place->ucontext - PRETCODE_SIZE;
    regs.rflags &= ~(uint64_t)(FLAG_TRAP | FLAG_DIRECTION | FLAG_RESUME);
    if (place->by_gate)
        lead_through_gate(&regs);
    else
        lead_directly(relay, place, &regs);
    landing_prepare(&landing, &regs, selectors_code(), selectors_stack());
    landing.handling = handling_record_of(ucontext);
    hand_on_nested_task(&landing);
    /* The handler's rights by protection keys are in force. */
    if (xsave_can_compact())
        landing_go(&landing, &initial_state, xsave_enabled() & ~COMPONENT_PKRU);
    landing_go(&landing, &initial_standard, xsave_enabled() & COMPONENTS_LEGACY_AVX);
}

/* Up to the last instruction but one `words` are what is loaded next. The stack above them begins with the frame that the
 * handler gets. */
static void take_words(struct segue_regs *regs, const struct gate_words *words)
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
        words -= offsetof(struct gate_words, handler);
    take_words(regs, (const struct gate_words *)(uintptr_t)words);
    return CODE_RANGE_SHOWN;
}

const struct code_range relay_range = {relay_gate, relay_gate_end, translate};
