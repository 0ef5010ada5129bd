/* guest.c: enters and leaves a guest, and decides which side a signal belongs to.
 *
 * SOURCES: trapframe-rs fncall; Intel SDM volume 3, 6.15 (error codes), volume 1, 3.3.7.1 (canonical addresses) and
 * 13.4 (XSAVE area).
 * ASSUMPTIONS: sigreturn leaves the segment bases unchanged (arch/x86/kernel/signal_64.c). */
#include "gate.h"

#include <segue/posix.h>
#include <string.h>

#include "ctx/state/vector.h"
#include "decode/x86/canonical.h"
#include "decode/x86/flags.h"
#include "decode/x86/selectors.h"
#include "decode/x86/traps.h"
#include "decode/x86/xsave.h"
#include "guest_system.h"
#include "platform/frame/frame.h"
#include "platform/threads/thread.h"

/* The calling thread's record in the table; NULL before its first guest. */
extern __thread struct guest_thread *guest_self __attribute__((tls_model("initial-exec"), visibility("hidden")));
__thread struct guest_thread *guest_self;

static struct gate *gate_of(const struct segue_guest *guest)
{
    return guest ? guest->private_ : NULL;
}

/* ---- in ---- */

/* The calls of the only thread with guests go to its page. */
static void lead_calls(const struct gate *gate)
{
    const void *own = (const char *)gate - GATE_CODE_SIZE + (gate_call - gate_code);
    const void *present = __atomic_load_n(&guest_way, __ATOMIC_RELAXED);
    if (present != own && present != guest_dispatch)
        __atomic_compare_exchange_n(&guest_way, &present, own, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* The base to load for a wanted one: the wanted base itself or, if it is not canonical, the middle of a guard
 * reservation. `substitute` is set to the latter. */
static uint64_t loadable(uint64_t wanted, uint64_t *substitute)
{
    *substitute = wanted < canonical_user_end() ? 0 : guest_hole();
    return *substitute ? *substitute : wanted;
}

static void load_gate(struct gate *gate, const struct segue_guest *guest)
{
    const struct segue_regs *regs = &guest->general;
    const char *page = (const char *)gate - GATE_CODE_SIZE;
    uint64_t flags = (regs->rflags & SETTABLE_FLAGS) | FIXED_FLAGS;
    gate->regs = *regs;
    gate->regs.rflags = flags;
    gate->regs.fs_base = loadable(regs->fs_base, &gate->substitute_fs);
    gate->regs.gs_base = loadable(regs->gs_base, &gate->substitute_gs);
    bool by_iret = flags & (FLAG_TRAP | FLAG_RESUME);
    if (by_iret) {
        const uint64_t iret[] = {regs->rip, selectors_code(), flags, regs->rsp, selectors_stack()};
        memcpy(gate->iret, iret, sizeof iret);
    }
    gate->in = (uint64_t)(uintptr_t)(page + ((by_iret ? gate_enter_iret : gate_enter) - gate_code));
    vector_place(gate, &guest->xstate);
    gate->set_fs = gate->host_fs;
    gate->set_gs = gate->host_gs;
    gate->fault_address = gate->error_code = 0;
    gate->frame = 0;
}

static void store_guest(struct segue_guest *guest, const struct gate *gate)
{
    uint64_t wanted_fs = guest->general.fs_base, wanted_gs = guest->general.gs_base;
    guest->general = gate->regs;
    /* The guest has the host's present selectors. */
    frame_get_selectors(&guest->general);
    /* A base that was never loaded is returned as it was given, unless the guest has set another. */
    if (gate->substitute_fs && gate->regs.fs_base == gate->substitute_fs)
        guest->general.fs_base = wanted_fs;
    if (gate->substitute_gs && gate->regs.gs_base == gate->substitute_gs)
        guest->general.gs_base = wanted_gs;
    guest->trap_num = gate->reason;
    guest->error_code = gate->error_code;
    guest->fault_address = gate->fault_address;
}

enum segue_status segue_guest_enter(struct segue_guest *guest)
{
    struct gate *gate = gate_of(guest);
    if (!gate || gate->guest != guest)
        return SEGUE_INVALID;
    if (!guest_self) {
        enum segue_status status = guest_thread_register(&guest_self);
        if (status != SEGUE_OK)
            return status;
    }
    if (!PLATFORM_SETS_FS && guest->general.fs_base)
        return SEGUE_UNSUPPORTED;
    if (guest_self->gate || __atomic_exchange_n(&gate->thread, guest_self->thread, __ATOMIC_ACQ_REL))
        return SEGUE_BUSY;
    guest_host_bases(gate);
    load_gate(gate, guest);
    guest_self->gate = gate;
    lead_calls(gate);
    guest_go(gate);
    guest_self->gate = NULL;
    if (gate->reason == SEGUE_GUEST_STOPPED)
        __atomic_store_n(&gate->stop, 0, __ATOMIC_RELAXED);
    store_guest(guest, gate);
    __atomic_store_n(&gate->thread, 0, __ATOMIC_RELEASE);
    return SEGUE_OK;
}

/* ---- signals ---- */

/* PC classification: where a signal found the thread. */
enum spot {
    /* In the guest's code. */
    SPOT_GUEST,
    /* On the way in: the gate still has all of the guest's state. */
    SPOT_WAY_IN,
    /* On the way out, which completes by itself. */
    SPOT_WAY_OUT,
    /* In the first instructions of a handler that has not looked for the guest yet, or in the last ones of one that
     * has. */
    SPOT_HANDLER_BEGINS,
    SPOT_HANDLER_ENDS,
    /* In a handler that is not the library's. */
    SPOT_OTHER_HANDLER,
};

static enum spot spot_of(uint64_t rip, const struct gate *gate, const void *ucontext)
{
    const char *page = (const char *)gate - GATE_CODE_SIZE;
    if (code_is_within(rip, page, page + (gate_enter_end - gate_code)) ||
        code_is_within(rip, guest_go_commit, guest_out))
        return SPOT_WAY_IN;
    if (code_is_within(rip, page, page + GATE_CODE_SIZE) || code_is_within(rip, guest_text_begin, guest_text_end))
        return SPOT_WAY_OUT;
    if (code_is_within(rip, guest_run_handler, guest_run_handler_tail))
        return SPOT_HANDLER_BEGINS;
    if (code_is_within(rip, guest_run_handler_tail, guest_run_handler_end) || guest_is_restorer(rip))
        return SPOT_HANDLER_ENDS;
    return frame_was_on_alternate_stack(ucontext) ? SPOT_OTHER_HANDLER : SPOT_GUEST;
}

static void store_xstate(const struct gate *gate, const void *ucontext)
{
    struct segue_xstate frame;
    uint64_t present;
    char *area = gate->area;
    if (!area)
        return;
    frame_get_xstate(ucontext, &frame);
    if (!frame.area)
        return;
    memcpy(area, frame.area, gate->guest->xstate.size < frame.size ? gate->guest->xstate.size : frame.size);
    memcpy(&present, area + XSAVE_XSTATE_BV, sizeof present);
    present &= gate->features;
    memcpy(area + XSAVE_XSTATE_BV, &present, sizeof present);
}

/* Stores the state in the frame as the guest's. */
static void store_frame(struct gate *gate, const void *ucontext)
{
    frame_get_registers(ucontext, &gate->regs);
    store_xstate(gate, ucontext);
}

/* Makes the handler's return leave the guest. */
static void leave(struct gate *gate, void *ucontext, uint32_t reason)
{
    gate->reason = reason;
    gate->frame = 0;
    frame_call(ucontext, (uint64_t)(uintptr_t)guest_landed, (uint64_t)(uintptr_t)gate);
}

/* Whether the access used a base that could not be loaded: its address is in the guard reservation. */
static bool is_in_hole(const struct gate *gate, uint64_t address)
{
    return (gate->substitute_fs || gate->substitute_gs) && guest_is_in_hole(address);
}

static void leave_by_fault(struct gate *gate, void *ucontext, enum spot spot)
{
    struct frame_exception exception;
    frame_get_exception(ucontext, &exception);
    if (spot == SPOT_GUEST)
        store_frame(gate, ucontext);
    if (exception.trap == TRAP_PAGE_FAULT && is_in_hole(gate, exception.address)) {
        exception.trap = TRAP_GENERAL_PROTECTION;
        exception.error_code = 0;
    }
    gate->error_code = exception.error_code;
    gate->fault_address = exception.trap == TRAP_PAGE_FAULT ? exception.address : 0;
    leave(gate, ucontext, (uint32_t)exception.trap);
}

static bool leave_by_stop(struct gate *gate, void *ucontext)
{
    struct segue_regs regs;
    frame_get_registers(ucontext, &regs);
    enum spot spot = spot_of(regs.rip, gate, ucontext);
    if (spot != SPOT_GUEST && spot != SPOT_WAY_IN)
        return false;
    if (spot == SPOT_GUEST)
        store_frame(gate, ucontext);
    leave(gate, ucontext, SEGUE_GUEST_STOPPED);
    return true;
}

static bool is_stop_wanted(const struct gate *gate)
{
    return __atomic_load_n(&gate->stop, __ATOMIC_ACQUIRE);
}

void guest_handle_frame(int number, void *info, void *ucontext, void (*handler)(int, void *, void *), struct gate *gate)
{
    struct segue_regs regs;
    frame_get_registers(ucontext, &regs);
    enum spot spot = spot_of(regs.rip, gate, ucontext);
    if (spot == SPOT_GUEST) {
        gate->regs.fs_base = gate->now_fs;
        gate->regs.gs_base = gate->now_gs;
    }
    /* A handler that is ending still has its frame, and that frame resumes the guest. */
    if (spot != SPOT_HANDLER_ENDS)
        gate->frame = spot == SPOT_HANDLER_BEGINS || spot == SPOT_OTHER_HANDLER ? 0 : (uint64_t)(uintptr_t)ucontext;
    const void *outer = gate->entered;
    gate->entered = ucontext;
    handler(number, info, ucontext);
    gate->entered = outer;
    /* A stop was requested while the handler ran, or while an outer one was ending. */
    if (gate->frame && is_stop_wanted(gate))
        leave_by_stop(gate, (void *)(uintptr_t)gate->frame);
}

/* The guest has called, and its stack has no room for what a call needs: the call has not begun yet. */
static bool lacks_stack(const struct segue_regs *regs)
{
    return code_is_within(regs->rip, guest_dispatch, guest_dispatch_begun);
}

/* A request to stop has come while a handler that is not the library's has interrupted the guest. The signal is sent
 * again, and stays blocked until that handler returns: its frame unblocks it. */
static bool put_off(const struct gate *gate, int number, void *ucontext)
{
    platform_mask_block(SIGNAL_BIT(number));
    frame_set_mask(ucontext, frame_get_mask(ucontext) | SIGNAL_BIT(number));
    return guest_send(gate->thread, number);
}

enum segue_status guest_catch(struct native_frame native)
{
    struct segue_regs regs;
    void *ucontext = native.context;
    struct gate *gate = guest_self ? guest_self->gate : NULL;
    if (!gate || gate->place != GATE_PLACE_HANDLER || gate->entered != ucontext)
        return SEGUE_NOT_FOUND;
    frame_get_registers(ucontext, &regs);
    enum spot spot = spot_of(regs.rip, gate, ucontext);
    const struct frame_signal signal = frame_signal(native.info);
    bool is_sent = frame_is_sent(native.info);
    if (spot == SPOT_OTHER_HANDLER && is_sent && is_stop_wanted(gate))
        return put_off(gate, signal.number, ucontext) ? SEGUE_OK : SEGUE_NOT_FOUND;
    if (gate->frame != (uint64_t)(uintptr_t)ucontext)
        return SEGUE_NOT_FOUND;
    if (is_sent)
        return is_stop_wanted(gate) && leave_by_stop(gate, ucontext) ? SEGUE_OK : SEGUE_NOT_FOUND;
    if (spot == SPOT_WAY_OUT && signal.number == SIGTRAP) {
        /* The guest was being stepped when it called. */
        regs.rflags &= ~(uint64_t)FLAG_TRAP;
        frame_set_registers(ucontext, &regs);
        return SEGUE_OK;
    }
    if (lacks_stack(&regs)) {
        regs.rip = (uint64_t)(uintptr_t)gate_entry;
        frame_set_registers(ucontext, &regs);
        gate->regs.fs_base = gate->now_fs;
        gate->regs.gs_base = gate->now_gs;
        spot = SPOT_GUEST;
    }
    if (spot != SPOT_GUEST && spot != SPOT_WAY_IN)
        return SEGUE_NOT_FOUND;
    leave_by_fault(gate, ucontext, spot);
    return SEGUE_OK;
}

enum segue_status segue_guest_catch(struct segue_frame *frame)
{
    return frame && frame->native[0] ? guest_catch(frame_native(frame)) : SEGUE_INVALID;
}

enum segue_status segue_guest_stop(struct segue_guest *guest, int signal)
{
    struct gate *gate = gate_of(guest);
    if (!gate)
        return SEGUE_INVALID;
    __atomic_store_n(&gate->stop, 1, __ATOMIC_SEQ_CST);
    int thread = __atomic_load_n(&gate->thread, __ATOMIC_SEQ_CST);
    return thread && !guest_send(thread, signal) ? SEGUE_SYSTEM : SEGUE_OK;
}

__attribute__((hot)) void guest_bases(const void *ucontext, uint64_t *fs_base, uint64_t *gs_base)
{
    const struct gate *gate = guest_self ? guest_self->gate : NULL;
    if (!gate || gate->frame != (uint64_t)(uintptr_t)ucontext)
        return;
    *fs_base = gate->regs.fs_base;
    *gs_base = gate->regs.gs_base;
}

__attribute__((hot)) bool guest_is_interrupted(void)
{
    return guest_self && guest_self->gate && guest_self->gate->place != GATE_PLACE_HOST;
}
