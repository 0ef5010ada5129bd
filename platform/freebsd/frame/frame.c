/* frame.c: the system's half of a frame: which signal it is, exceptions, masks and stacks.
 *
 * The kernel alone chooses a signal's code: one that was sent has another than a fault. With the sysctl
 * machdep.prot_fault_translation, and for old programs, a closed page is SIGBUS with the exception's number as its
 * code; otherwise it is SIGSEGV. What the processor could not describe is SIGBUS.
 *
 * SOURCES: FreeBSD sys/sys/signal.h (SI_USER and the like), sys/amd64/amd64/trap.c and sys/i386/i386/trap.c (codes and
 * addresses), sys/x86/include/trap.h, sys/vm/vm_fault.c (vm_fault_trap: the translation); Intel SDM volume 3, 6.3.1
 * (vectors), 6.15 (page-fault error code). */
#if !defined(__FreeBSD__)
#error "platform/freebsd/frame/frame.c is specific to FreeBSD"
#endif

#include "platform/frame/frame.h"

#include <machine/trap.h>
#include <string.h>

#include "decode/x86/flags.h"
#include "decode/x86/traps.h"
#include "decode/x86/xsave.h"
#include "native.h"
#include "platform/frame/entry_layout.h"
#include "platform/frame/kept_info.h"

/* Codes from here on are those of signals that a program or a timer sent; 0 is one without a code. */
#define CODES_SENT 0x10000

static struct native_context *context_of(const void *context)
{
    return (struct native_context *)(uintptr_t)context;
}

static mcontext_t *machine_of(const void *context)
{
    return &context_of(context)->system->uc_mcontext;
}

/* ---- exceptions ---- */

/* The system's number, and the processor's. */
static const uint8_t vectors[][2] = {
    {T_DIVIDE, 0},
    {T_TRCTRAP, TRAP_DEBUG},
    {T_NMI, 2},
    {T_BPTFLT, 3},
    {T_OFLOW, 4},
    {T_BOUND, 5},
    {T_PRIVINFLT, 6},
    {T_DNA, 7},
    {T_DOUBLEFLT, 8},
    {T_TSSFLT, 10},
    {T_SEGNPFLT, 11},
    {T_STKFLT, TRAP_STACK},
    {T_PROTFLT, TRAP_GENERAL_PROTECTION},
    {T_PAGEFLT, TRAP_PAGE_FAULT},
    {T_ARITHTRAP, 16},
    {T_ALIGNFLT, TRAP_ALIGNMENT},
    {T_MCHK, 18},
    {T_XMMFLT, 19},
};
#define VECTORS (sizeof vectors / sizeof *vectors)

__attribute__((hot)) uint64_t native_vector(unsigned trap)
{
    if (trap == T_PAGEFLT)
        return TRAP_PAGE_FAULT;
    for (size_t i = 0; i < VECTORS; i++)
        if (vectors[i][0] == trap)
            return vectors[i][1];
    return 0;
}

unsigned native_trap(uint64_t vector)
{
    for (size_t i = 0; i < VECTORS; i++)
        if (vectors[i][1] == vector)
            return vectors[i][0];
    return 0;
}

void frame_get_exception(const void *context, struct frame_exception *exception)
{
    *exception = (struct frame_exception){native_vector((unsigned)machine_of(context)->mc_trapno),
                                          (uint32_t)machine_of(context)->mc_err, context_of(context)->address};
}

void frame_set_exception(void *context, const struct frame_exception *exception)
{
    machine_of(context)->mc_trapno = native_trap(exception->trap);
    machine_of(context)->mc_err = (register_t)exception->error_code;
    context_of(context)->address = exception->address;
#if defined(__x86_64__)
    machine_of(context)->mc_addr = (register_t)exception->address;
#endif
}

/* ---- whose it is ---- */

void native_begin(struct native_context *context, ucontext_t *system, struct gathered_room *room)
{
    const stack_t *stack = &system->uc_stack;
    unsigned flags = stack->ss_flags & SS_ONSTACK ? STACK_IN_USE : 0;
    context->self = context;
    context->outer = NULL;
    context->system = system;
    context->address = 0;
    context->stack = (struct alternate_stack){.lowest = stack->ss_sp,
                                              .flags = flags | (stack->ss_flags & SS_DISABLE ? STACK_DISABLED : 0),
                                              .size = stack->ss_size};
    context->was_on_stack = system->uc_mcontext.mc_onstack & 1;
    gathered_begin(&context->state, room);
}

/* On i386 the page fault's address is in siginfo alone. */
static uint64_t fault_address(const siginfo_t *told, const ucontext_t *system)
{
#if defined(__x86_64__)
    (void)told;
    return (uint64_t)system->uc_mcontext.mc_addr;
#else
    (void)system;
    return told->si_trapno == T_PAGEFLT ? (uintptr_t)told->si_addr : 0;
#endif
}

void native_open(struct native_info *info, struct native_context *context, const siginfo_t *told, ucontext_t *system,
                 struct gathered_room *room)
{
    *info = (struct native_info){.number = told->si_signo,
                                 .code = told->si_code,
                                 .address = (uint64_t)(uintptr_t)told->si_addr,
                                 .trap = told->si_trapno};
    native_begin(context, system, room);
    context->address = fault_address(told, system);
    info->is_sent = !frame_is_fault((struct native_frame){info, context});
}

__attribute__((hot)) bool frame_is_fault(struct native_frame native)
{
    const struct native_info *info = native.info;
    if (info->code <= 0 || info->code >= CODES_SENT)
        return false;
    switch (info->number) {
    case SIGSEGV:
    case SIGBUS:
        return (unsigned)info->trap == (unsigned)machine_of(native.context)->mc_trapno &&
               (info->trap != T_PAGEFLT || info->address == context_of(native.context)->address);
    default:
        return true;
    }
}

void frame_set_step_trap(struct native_frame native)
{
    const struct frame_exception trap = {.trap = TRAP_DEBUG, .address = context_of(native.context)->address};
    *(struct native_info *)native.info = (struct native_info){
        .number = SIGTRAP, .code = TRAP_TRACE, .address = frame_instruction(native.context), .trap = T_TRCTRAP};
    frame_set_exception(native.context, &trap);
}

/* ---- the report ---- */

__attribute__((hot)) void frame_get_fault(struct native_frame native, struct segue_fault *fault)
{
    const struct native_info *info = native.info;
    struct frame_exception exception;
    frame_get_exception(native.context, &exception);
    *fault = (struct segue_fault){
        .trap = (uint8_t)exception.trap,
        .error_code = (uint32_t)exception.error_code,
        .instruction = frame_instruction(native.context),
        .signal = info->number,
        .code = info->code,
    };
    if (fault->trap != TRAP_PAGE_FAULT)
        return;
    fault->address_known = true;
    fault->address = exception.address;
    fault->direction = fault->error_code & ERROR_WRITE ? SEGUE_WRITE : SEGUE_READ;
    if (fault->error_code & ERROR_FETCH)
        fault->direction = SEGUE_FETCH;
}

void kept_info_keep(struct kept_info *kept, const void *info)
{
    const struct native_info *of = info;
    *kept = (struct kept_info){.si_signo = of->number, .address = (uintptr_t)of->address};
    kept->words[0] = of->code;
    kept->words[1] = of->trap;
}

void kept_info_give(const struct kept_info *kept, void *info)
{
    *(struct native_info *)info = (struct native_info){
        .number = kept->si_signo, .code = kept->words[0], .address = kept->address, .trap = kept->words[1]};
}

/* ---- masks: the library's have 64 signals; those above, which are real-time signals, stay as they are ---- */

__attribute__((hot)) uint64_t frame_get_mask(const void *context)
{
    uint64_t mask;
    memcpy(&mask, &context_of(context)->system->uc_sigmask, sizeof mask);
    return mask;
}

void frame_set_mask(void *context, uint64_t mask)
{
    memcpy(&context_of(context)->system->uc_sigmask, &mask, sizeof mask);
}

/* What the kernel writes on the handler's stack (a red zone, the extended state, the frame), what the C library's own
 * handler adds around the library's, which copies the context, and the library's two words. */
size_t frame_size_most(void)
{
    return 128 + xsave_area_size() + 64 + sizeof(void *) + sizeof(siginfo_t) + 3 * sizeof(ucontext_t) +
           sizeof(struct native_context) + sizeof(struct gathered_room) + sizeof(struct native_info);
}
