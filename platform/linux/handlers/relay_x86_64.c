/* relay_x86_64.c: moves a signal frame to where Linux on x86-64 would have put it.
 *
 *      lowest address      pretcode        <- rsp at the handler's first instruction; its return address
 *                          ucontext        <- rdx; 304 bytes, ends with the 8 bytes of the signal mask
 *                          siginfo         <- rsi; 128 bytes
 *                          extended state  at a multiple of 64; the ucontext points to it
 *
 * SOURCES: Linux arch/x86/kernel/signal.c (get_sigframe: red zone, alternate stack, alignment, and that a frame which
 * does not fit the alternate stack is not made), signal_64.c (x64_setup_rt_frame: registers, flags),
 * kernel/signal.c (sas_ss_flags). */
#if !defined(__linux__) || !defined(__x86_64__)
#error "platform/linux/handlers/relay_x86_64.c is specific to Linux on x86-64"
#endif

#include "platform/handlers/relay.h"

#include <stddef.h>
#include <string.h>
#include <ucontext.h>

#include "decode/x86/abi_sysv.h"
#include "decode/x86/flags.h"
#include "decode/x86/xsave.h"
#include "platform/linux/abi.h"
#include "platform/linux/alternate_stack.h"

#define PRETCODE_SIZE 8
/* Far more than on any processor. */
#define FRAME_SIZE_MAX 65536

_Static_assert(offsetof(struct relay_words, rflags) == RELAY_RFLAGS, "the assembly pops them first");
_Static_assert(offsetof(struct relay_words, rcx) == RELAY_RCX, "the assembly finds rcx elsewhere");
_Static_assert(offsetof(struct relay_words, r10) == RELAY_R10, "the assembly finds r10 elsewhere");
_Static_assert(offsetof(struct relay_words, r11) == RELAY_R11, "the assembly finds r11 elsewhere");
_Static_assert(offsetof(struct relay_words, rdx) == RELAY_RDX, "the assembly finds rdx elsewhere");
_Static_assert(offsetof(struct relay_words, rsi) == RELAY_RSI, "the assembly finds rsi elsewhere");
_Static_assert(offsetof(struct relay_words, rdi) == RELAY_RDI, "the assembly finds rdi elsewhere");
_Static_assert(offsetof(struct relay_words, mask) == RELAY_MASK, "the assembly finds the mask elsewhere");
_Static_assert(offsetof(struct relay_words, lent) == RELAY_STACK, "the assembly finds the stack elsewhere");
_Static_assert(sizeof(stack_t) == sizeof((struct relay_words *)NULL)->stack, "the system call reads another size");
_Static_assert(offsetof(struct relay_words, handler) == RELAY_HANDLER, "the assembly finds the handler elsewhere");
_Static_assert(sizeof(struct relay_words) == RELAY_SIZE, "the assembly takes another number of words off");

/* The extent of the kernel's frame and its parts. */
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

/* As the kernel checks: a stack with SS_AUTODISARM never counts as the one in use. */
static bool is_on(const struct alternate_stack *stack, uint64_t address)
{
    uint64_t bottom = (uint64_t)(uintptr_t)stack->lowest;
    return !(stack->flags & STACK_AUTODISARM) && address > bottom && address - bottom <= stack->size;
}

static bool is_inside(const struct alternate_stack *stack, uint64_t address)
{
    uint64_t bottom = (uint64_t)(uintptr_t)stack->lowest;
    return address > bottom && address - bottom <= stack->size;
}

/* The address of the relocated frame; 0 if the kernel would not have made one. */
static uint64_t place_frame(const struct extent *extent, uint64_t stack_pointer, bool wants_alternate,
                            const struct alternate_stack *stack)
{
    bool nested = is_on(stack, stack_pointer), entering = false;
    uint64_t top = stack_pointer - RED_ZONE;
    if (wants_alternate && stack->size && !is_on(stack, top)) {
        top = (uint64_t)(uintptr_t)stack->lowest + stack->size;
        entering = true;
    }
    uint64_t area = (top - (extent->size - extent->area)) & ~(uint64_t)(XSAVE_ALIGNMENT - 1);
    uint64_t begin = area - extent->area;
    return (nested || entering) && !is_inside(stack, begin) ? 0 : begin;
}

static bool is_same_stack(const struct alternate_stack *left, const struct alternate_stack *right)
{
    return left->lowest == right->lowest && left->size == right->size && left->flags == right->flags;
}

static bool overlaps(uint64_t begin, const struct extent *extent)
{
    uint64_t distance = begin - (uint64_t)(uintptr_t)extent->begin;
    return distance < extent->size || -distance < extent->size;
}

/* False if the words do not fit. */
static bool write_gate_words(const struct relay *relay, const struct relay_frame *place)
{
    const ucontext_t *there = place->ucontext;
    const greg_t *regs = there->uc_mcontext.gregs;
    char *at = (char *)place->ucontext - PRETCODE_SIZE - RELAY_SIZE;
    struct relay_words words = {
        .rflags = (uint64_t)regs[REG_EFL] & ~(uint64_t)(FLAG_TRAP | FLAG_DIRECTION | FLAG_RESUME),
        .rcx = (uint64_t)regs[REG_RCX],
        .r10 = (uint64_t)regs[REG_R10],
        .r11 = (uint64_t)regs[REG_R11],
        .rdx = (uint64_t)(uintptr_t)there,
        .rsi = (uint64_t)(uintptr_t)place->info,
        .rdi = (uint64_t)relay->number,
        .mask = relay->mask,
        .lent = place->lends_stack ? (uint64_t)(uintptr_t)at + RELAY_STACK + sizeof words.lent : 0,
        .handler = relay->action->handler,
    };
    const stack_t stack = stack_to_system(relay->stack);
    memcpy(words.stack, &stack, sizeof stack);
    return relay->copy(at, &words, sizeof words) == 0;
}

enum relay_status relay_prepare(const struct relay *relay, struct native_frame native, struct relay_frame *place)
{
    const ucontext_t *frame = native.context;
    const struct platform_action *action = relay->action;
    uint64_t stack_pointer = (uint64_t)frame->uc_mcontext.gregs[REG_RSP];
    struct extent extent;
    if (!measure(native.info, native.context, &extent))
        return RELAY_IMPOSSIBLE;
    /* The frame of code that was interrupted on the stack really in force must not be overwritten. */
    const struct alternate_stack in_force = frame_stack_in_force(frame);
    const struct alternate_stack *stack = is_on(&in_force, stack_pointer) ? &in_force : relay->stack;
    uint64_t begin = place_frame(&extent, stack_pointer, action->flags & SA_ONSTACK, stack);
    if (begin == 0)
        return RELAY_NO_ROOM;
    bool is_elsewhere = begin != (uint64_t)(uintptr_t)extent.begin;
    if (is_elsewhere) {
        if (overlaps(begin, &extent))
            return RELAY_IMPOSSIBLE;
        if (relay->copy((void *)(uintptr_t)begin, extent.begin, extent.size) != 0)
            return RELAY_NO_ROOM;
    }
    char *to = (char *)(uintptr_t)begin;
    ucontext_t *there = (void *)(to + PRETCODE_SIZE);
    there->uc_mcontext.fpregs = (void *)(to + extent.area);
    const void *restorer = (const void *)(uintptr_t)action->restorer;
    if (!is_same_stack(&in_force, relay->stack) || relay->is_restored_by_us) {
        there->uc_stack = stack_to_system(relay->stack);
        frame_set_mask(there, frame_get_mask(there) | relay->believed);
        restorer = relay->restorer;
    }
    if (restorer)
        memcpy(to, &restorer, sizeof restorer);
    *place = (struct relay_frame){
        .info = (void *)(to + (PRETCODE_SIZE + KERNEL_UCONTEXT_SIZE)), .ucontext = there, .stack_pointer = begin};
    place->by_gate = is_elsewhere;
    /* The program believes that its own alternate stack is in force, but another one is. */
    place->lends_stack =
        is_elsewhere && stack == relay->stack && is_inside(stack, begin) && !is_same_stack(&in_force, stack);
    return !is_elsewhere || write_gate_words(relay, place) ? RELAY_READY : RELAY_NO_ROOM;
}
