/* interrupted_linux_x86_64.c: finds the application's context, at any instruction between the kernel's entry into our
 * handler and the last one of the way out.
 *
 *   signal_entry .. signal_recorded        no record yet: rdx is the frame
 *   the handler                            the thread's list of records (../ctx/handling.h)
 *   signal_forgotten .. return, restorer   the stack pointer is right below the frame
 *   landing_off_list                       the landing is in rdi, and has the registers
 *   landing_forgotten .. landing_shortcut  the landing has the registers, the processor the extended state
 *   landing_shortcut, shortcut_code        the processor has all but what the landing has on top of the stack
 *   pad_rcx_exits, pad_word_exits          the processor has all but the instruction of a clone that goes on
 *   landing_refused .. its end             as in the restorer
 *
 * Not found: the few instructions of C between a guest's interruption and the record, where the guest is told as the
 * signal finds it; and a frame of ours that has no record yet when the program's own handler interrupts it and faults.
 *
 * SOURCES: Linux arch/x86/include/asm/sigframe.h (struct rt_sigframe: the restorer's address, then the ucontext, which
 * rdx holds at a handler's entry). ASSUMPTIONS: restorers are `mov $15, %rax; syscall`, as ours, as in glibc and musl.
 */
#if !defined(__linux__) || !defined(__x86_64__)
#error "interrupted_linux_x86_64.c is specific to Linux on x86-64"
#endif

#include "interrupted.h"

#include <string.h>
#include <ucontext.h>

#include "decode/x86/abi_sysv.h"
#include "ctx/guest/gate.h"
#include "ctx/restore/landing.h"
#include "ctx/clone/pad.h"
#include "ctx/restore/shortcut.h"
#include "signals/handler/dispatch.h"
#include "signals/fault/fault.h"
#include "signals/chain/restorer.h"
#include "signals/threads/thread.h"

#define RESTORER_SIZE 9

extern const char signal_entry_end[], suspend_entry_end[];
extern const char signal_begin[], signal_recorded[], signal_forgotten[], signal_return[];

static bool is_within(uint64_t rip, const void *begin, const void *end)
{
    return rip - (uint64_t)(uintptr_t)begin < (uint64_t)((uintptr_t)end - (uintptr_t)begin);
}

static bool is_at(uint64_t rip, const void *place)
{
    return rip == (uint64_t)(uintptr_t)place;
}

/* Where the kernel has put the address that a handler returns to, right below the ucontext. */
static uint64_t restorer_of(const void *ucontext)
{
    return ((const uint64_t *)ucontext)[-1];
}

/* The frame's address by the registers alone, where there is no record: on the way in, and on the way out. 0 if it is
 * neither. `*ours` tells whether the handler is known for the library's. */
static uint64_t frame_by_registers(const struct segue_regs *regs, uint64_t restorer, bool *ours)
{
    uint64_t rip = regs->rip;
    *ours = true;
    if (is_within(rip, (const void *)(uintptr_t)signal_entry, signal_entry_end) ||
        is_within(rip, guest_run_handler, guest_run_handler_pushed) || is_within(rip, signal_begin, signal_recorded))
        return regs->rdx;
    if (is_at(rip, guest_run_handler_pushed))
        return regs->rsp + 16;
    if (is_within(rip, guest_run_handler_framed, guest_run_handler_popped))
        return regs->rbp + 16;
    if (is_at(rip, guest_run_handler_popped) || is_at(rip, signal_return))
        return regs->rsp + 8;
    if (is_at(rip, signal_forgotten))
        return regs->rsp + HANDLING_SIZE + 8;
    if (is_within(rip, restorer_plain, restorer_plain + RESTORER_SIZE) ||
        is_within(rip, landing_refused, landing_refused_end))
        return regs->rsp;
    *ours = false;
    return rip - restorer < RESTORER_SIZE ? regs->rsp : 0;
}

/* The record may be of a handler that was left long ago, on a stack that is gone: looked at through a guarded access,
 * which in turn may come in the middle of a fault that needs what the last one left. */
static bool peek(void *to, const void *from, size_t size)
{
    struct kept_info recovered = thread_self.recovered;
    struct frame_exception exception = thread_self.recovered_exception;
    bool whole = segue_peek(to, (uint64_t)(uintptr_t)from, size) == size;
    thread_self.recovered = recovered;
    thread_self.recovered_exception = exception;
    return whole;
}

static bool is_on(const stack_t *stack, uint64_t address)
{
    return address - (uint64_t)(uintptr_t)stack->ss_sp - 1 < stack->ss_size;
}

/* Stacks grow down. A record on the alternate stack is left when the thread is on its own; a thread on the alternate
 * stack may have come there from a handler on its own. */
static bool is_left(const struct handling *record, const stack_t *alternate, uint64_t stack_pointer)
{
    uint64_t place = (uint64_t)(uintptr_t)record->self;
    if (is_on(alternate, place) != is_on(alternate, stack_pointer))
        return is_on(alternate, place);
    return stack_pointer > place;
}

/* The outermost frame that the thread, with its stack pointer there, is still in a handler of; NULL for none. */
static const ucontext_t *frame_by_records(uint64_t stack_pointer)
{
    const ucontext_t *outermost = NULL;
    const struct handling *at = handling_innermost;
    for (unsigned i = 0; at && i < HANDLING_DEPTH; i++) {
        struct handling record;
        stack_t alternate;
        if (!peek(&record, at, sizeof record) || record.self != at ||
            !peek(&alternate, &((const ucontext_t *)record.ucontext)->uc_stack, sizeof alternate))
            break;
        if (!is_left(&record, &alternate, stack_pointer)) {
            outermost = record.ucontext;
            stack_pointer = frame_stack_pointer(outermost);
        }
        at = record.outer;
    }
    return outermost;
}

/* A clone that goes on has everything but its instruction. */
static bool take_pad_exit(struct segue_regs *regs)
{
    return pad_exit_holds(regs->rip, regs->rcx, &regs->rip);
}

/* On the last steps of a way without IRETQ all else is loaded, and the landing may be overwritten in part. */
static bool take_shortcut(struct segue_regs *regs)
{
    const uint64_t *top = (const uint64_t *)(uintptr_t)regs->rsp;
    uint64_t target;
    unsigned step = SHORTCUT_FLAGS;
    if (!shortcut_holds(regs->rip, &target, &step) && !is_at(regs->rip, landing_shortcut))
        return false;
    if (step == SHORTCUT_FLAGS) {
        regs->rip = top[-2];
        regs->rflags = top[0];
        regs->rsp = top[1];
    } else {
        regs->rip = target;
        regs->rsp = step == SHORTCUT_STACK ? top[0] : regs->rsp;
    }
    return true;
}

static const struct landing *landing_at(const struct segue_regs *regs)
{
    if (is_at(regs->rip, landing_off_list))
        return (const struct landing *)(uintptr_t)regs->rdi;
    if (is_at(regs->rip, landing_last))
        return (const struct landing *)(uintptr_t)(regs->rsp - LANDING_RIP);
    if (is_within(regs->rip, landing_forgotten, landing_shortcut))
        return (const struct landing *)(uintptr_t)regs->rsp;
    return NULL;
}

/* All but the segment bases, and the selectors other than CS and SS. */
static void take_landing(struct segue_regs *regs, const struct landing *landing)
{
    const struct segue_regs kept = *regs;
    *regs = (struct segue_regs){
        .rax = landing->rax,
        .rbx = landing->rbx,
        .rcx = landing->rcx,
        .rdx = landing->rdx,
        .rsi = landing->rsi,
        .rdi = landing->rdi,
        .rbp = landing->rbp,
        .rsp = landing->rsp,
        .r8 = landing->r8,
        .r9 = landing->r9,
        .r10 = landing->r10,
        .r11 = landing->r11,
        .r12 = landing->r12,
        .r13 = landing->r13,
        .r14 = landing->r14,
        .r15 = landing->r15,
        .rip = landing->rip,
        .rflags = landing->rflags,
        .fs_base = kept.fs_base,
        .gs_base = kept.gs_base,
    };
    memcpy(regs->selectors, kept.selectors, sizeof regs->selectors);
    regs->selectors[SEGUE_SEGMENT_CS] = (uint16_t)landing->cs;
    regs->selectors[SEGUE_SEGMENT_SS] = (uint16_t)landing->ss;
}

/* From the handler's own stack pointer up to the frame that it serves. On two stacks: what is on the alternate one. */
static void take_handler_stack(struct segue_mutator *context, const ucontext_t *frame)
{
    uint64_t end = (uint64_t)(uintptr_t)frame, start = context->private_.regs.rsp - RED_ZONE;
    const stack_t *alternate = &frame->uc_stack;
    if (is_on(alternate, context->private_.regs.rsp) && !is_on(alternate, end))
        end = (uint64_t)(uintptr_t)alternate->ss_sp + alternate->ss_size;
    context->private_.stack = start & ~(uint64_t)7;
    context->private_.stack_end = end > start ? end & ~(uint64_t)7 : context->private_.stack;
}

void interrupted_read(const void *ucontext, struct segue_mutator *context)
{
    bool ours = false;
    *context = (struct segue_mutator){.red_zone = RED_ZONE};
    fault_get_registers(ucontext, &context->regs);
    frame_get_any_xstate(ucontext, &context->xstate);
    struct segue_regs interrupted = context->regs;
    const struct landing *landing = landing_at(&context->regs);
    bool is_leaving = landing || take_shortcut(&context->regs) || take_pad_exit(&context->regs);
    uint64_t behind = is_leaving ? 0 : frame_by_registers(&context->regs, restorer_of(ucontext), &ours);
    const ucontext_t *frame = (const ucontext_t *)(uintptr_t)behind;
    if (landing)
        take_landing(&context->regs, landing);
    const ucontext_t *outermost = frame_by_records(frame ? frame_stack_pointer(frame) : context->regs.rsp);
    context->in_fault = outermost || (frame && ours);
    frame = outermost ? outermost : frame;
    if (!frame)
        return;
    context->private_.regs = interrupted;
    context->private_.xstate = context->xstate;
    fault_get_registers(frame, &context->regs);
    frame_get_any_xstate(frame, &context->xstate);
    take_handler_stack(context, frame);
}
