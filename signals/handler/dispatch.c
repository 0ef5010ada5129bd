/* dispatch.c: handles one fault, from the kernel's signal frame to the verdict and back.
 *
 *   whose fault is it?   a guarded access's; one inside the handler; a region's; otherwise it is forwarded
 *   what does it want?   the instruction, its accesses, the regions they lie in, the plan
 *   what shall be done?  the handler calls those regions' policies, once per access, in order
 *   do it                step and write the frame; or leave the frame as it is; or forward the signal
 */
#include "dispatch.h"
#include "signal_entry.h"

#include <segue/region.h>
#include <segue/segment.h>

#include "ctx/guest/gate.h"
#include "ctx/handling.h"
#include "ctx/restore/landing.h"
#include "ctx/try/try.h"
#include "emulate/plan.h"
#include "emulate/windows/guard.h"
#include "patch/hot/text.h"
#include "patch/segment/service.h"
#include "platform/abi.h"
#include "platform/error_number.h"
#include "platform/frame/frame.h"
#include "platform/posix.h"
#include "platform/process/probes.h"
#include "platform/reason.h"
#include "platform/threads/thread.h"
#include "platform/threads/wait.h"
#include "signals/chain/chain.h"
#include "signals/fault/code.h"
#include "signals/fault/fault.h"
#include "signals/fault/keyed.h"
#include "signals/fault/question.h"
#include "signals/fault/serve.h"
#include "signals/fault/service.h"
#include "signals/hot/ask/ask.h"
#include "signals/hot/hot.h"
#include "signals/mutator/suspend.h"
#include "signals/regions/readers.h"
#include "signals/regions/region.h"
#include "signals/reports/counters.h"
#include "signals/reports/report.h"
#include "signals/reports/unhandled.h"
#include "signals/syscalls/syscalls.h"
#include "signals/threads/answer.h"
#include "signals/threads/knock.h"
#include "signals/threads/thread.h"
#include "signals/threads/work.h"
#include "trap.h"

/* The bytes that a thread must have left on its own stack for the handler to put a restore image there. */
#define OWN_STACK_LEFT 16384u

/* The handler's return path; chosen at install. */
static enum segue_restore_method way_out;

/* The plan of an instruction that could not be read: empty. */
static enum segue_status plan_nothing(struct segue_plan *plan)
{
    plan->insn = (struct segue_insn){.length = 0};
    plan_begin(plan, PLAN_BYTES_MOST);
    plan->refusal = "the instruction could not be read";
    return SEGUE_UNSUPPORTED;
}

/* Finds what the instruction accesses, and whether it can be stepped. `faulted` is the region at the fault's own
 * address: its policy is asked even if the instruction cannot be decoded. It is NULL for an access outside all
 * regions. */
static enum segue_status make_plan(struct work *work, const struct region *faulted)
{
    struct service *service = &work->service;
    enum segue_status status;
    service->footprint.count = 0;
    if (service->frame.public.fault.direction == SEGUE_FETCH ||
        code_decode(&work->decode, &code_cache, service->frame.public.regs.rip, &service->plan.insn) != SEGUE_OK)
        status = plan_nothing(&service->plan);
    else
        status = plan_accesses(&service->plan, PLAN_BYTES_MOST, &service->frame.public.regs,
                               &service->frame.public.xstate, &service->frame.public.fault);
    if (status == SEGUE_OK)
        status = footprint_plan(&service->footprint, faulted, &service->plan);
    if (status == SEGUE_OK &&
        (service->plan.refusal = keyed_refusal(&service->frame.public.xstate, service->rights)) != NULL)
        status = SEGUE_UNSUPPORTED;
    if (status != SEGUE_OK && faulted)
        footprint_add(&service->footprint, faulted);
    return status;
}

/* The plan may have relied on a region that was removed since the fault: the region's pages were accessible then, but
 * another region may have protected them again. Or it relied on bytes of the instruction that were not the program's,
 * because its site was made hot or undone meanwhile. Retrying terminates: it repeats only after another removal or
 * change. */
static enum outcome refused(const struct service *service)
{
    bool is_same = region_removals() == service->removals && hot_changes() == service->changes;
    return is_same ? OUTCOME_REFUSED : OUTCOME_RETRIED;
}

/* The region is being updated: the instruction runs again, after a moment. */
static bool is_changing(const struct region *region)
{
    if (!region_changes(region))
        return false;
    wait_a_moment();
    return true;
}

static bool is_any_changing(const struct footprint *footprint)
{
    for (size_t i = 0; i < footprint->count; i++)
        if (is_changing(footprint->regions[i]))
            return true;
    return false;
}

/* One round of questions, and what follows from the answers. OUTCOME_COUNT: the thread was suspended meanwhile, and
 * the caller starts a new round. */
__attribute__((hot)) static enum outcome serve_round(struct work *work, const struct region *faulted)
{
    struct service *service = &work->service;
    service->can_step = make_plan(work, faulted);
    if (is_any_changing(&service->footprint))
        return OUTCOME_RETRIED;
    readers_found(work->place, service->footprint.regions, service->footprint.count);
    bool restarts = service->can_step == SEGUE_MISMATCH && trap_is_restart(service->frame.public.regs.rip);
    if (restarts)
        service->plan.refusal = "it was in a restartable sequence, which begins again";
    enum segue_verdict verdict = question_ask(work);
    if (verdict == SEGUE_RETRY)
        return OUTCOME_RETRIED;
    if (verdict == SEGUE_DONE)
        return question_finish(work) ? OUTCOME_DONE : OUTCOME_RETRIED;
    if (verdict != SEGUE_STEP)
        return OUTCOME_REFUSED;
    if (restarts && trap_may_restart(service->frame.public.regs.rip, service->frame.public.fault.address))
        return OUTCOME_RETRIED;
    if (service->can_step != SEGUE_OK)
        return refused(service);
    if (!question_step_begin(work))
        return OUTCOME_COUNT;
    enum segue_status status = serve_step(work, &service->frame.public.regs, NULL);
    /* The elements of a string that come before the fault have been carried out. */
    if (status == SEGUE_OK || status == SEGUE_FAULT)
        frame_set_registers(service->frame.public.native[1], &service->frame.public.regs);
    question_step_end(work);
    if (status == SEGUE_OK) {
        PROBE_2(step, service->frame.public.fault.address, service->frame.public.fault.instruction);
        return OUTCOME_STEPPED;
    }
    enum outcome outcome = refused(service);
    if (status == SEGUE_FAULT && outcome == OUTCOME_REFUSED)
        serve_tell_fault(work);
    return outcome;
}

__attribute__((hot)) static enum outcome serve_access(struct work *work, const struct region *faulted)
{
    question_begin(work);
    enum outcome outcome = serve_round(work, faulted);
    if (work->service.can_step != SEGUE_OK) {
        const struct segue_fault *fault = &work->service.frame.public.fault;
        PROBE_3(refuse, fault->address, fault->instruction, work->service.plan.refusal);
        (void)fault;
        counters_add_refusal(work->service.plan.insn.mnemonic);
    }
    while (outcome == OUTCOME_COUNT) {
        readers_look_again(work->place);
        outcome = serve_round(work, faulted);
    }
    return outcome;
}

/* How the handler was entered for a fault. */
struct entry {
    enum chain_way way;
    /* The room on the handler's stack; the body of a hot site that the fault came from. */
    size_t room;
    struct hot_origin origin;
    /* The system call that was caught; NULL for a fault. */
    const struct system_call *call;
};

static enum outcome serve_region(struct work *work, const struct region *faulted, struct entry entry)
{
    /* It may have been cut since it was found. */
    if (is_changing(faulted) || work->service.frame.public.fault.address - faulted->base >= faulted->size)
        return OUTCOME_RETRIED;
    if (faulted->flags & SEGUE_REGION_IDLE)
        return OUTCOME_PASSED;
    /* The fault is a protection-key violation, not the region's page protection. */
    if (frame_is_key_refusal(work->service.frame.public.native[0]) && !(faulted->flags & SEGUE_REGION_PROTECTION_KEYS))
        return OUTCOME_REFUSED;
    if ((faulted->flags & SEGUE_REGION_HOT) &&
        hot_consider(faulted, thread_self.serving_instruction, entry.origin, entry.room))
        return OUTCOME_RETRIED;
    fault_read(&work->service.frame);
    return serve_access(work, faulted);
}

/* Carries out an access through a segment register that cannot be loaded. If the access fails, the fault is reported
 * at the address that the program meant. */
static enum outcome do_segment_access(struct work *work)
{
    const struct fault_frame *frame = &work->service.frame;
    enum outcome outcome = serve_access(work, region_at(frame->public.fault.address));
    if (outcome == OUTCOME_REFUSED && frame->public.fault.address_known && !thread_self.tells_recovered) {
        kept_info_keep(&thread_self.recovered, frame->public.native[0]);
        thread_self.recovered.address = frame->public.fault.address;
        frame_get_exception(frame->public.native[1], &thread_self.recovered_exception);
        thread_self.recovered_exception.address = frame->public.fault.address;
        thread_self.tells_recovered = true;
    }
    return outcome;
}

/* The address is in no region: the access may have gone through a segment register that cannot be loaded. */
static enum outcome serve_segment(struct work *work)
{
    struct service *service = &work->service;
    struct fault_frame *frame = &service->frame;
    if (!segment_in_force() || frame->public.fault.direction == SEGUE_FETCH)
        return OUTCOME_PASSED;
    fault_read(frame);
    if (code_decode(&work->decode, &code_cache, frame->public.regs.rip, &service->plan.insn) != SEGUE_OK)
        return OUTCOME_PASSED;
    switch (
        segue_segment_serve(&service->plan.insn, &frame->public.regs, &frame->public.xstate, &frame->public.fault)) {
    case SEGUE_SEGMENT_RETRY:
        return OUTCOME_RETRIED;
    case SEGUE_SEGMENT_DO:
        return do_segment_access(work);
    default:
        return OUTCOME_PASSED;
    }
}

/* The address is in no region. If a region was removed since this thread last looked, the fault may be at one of its
 * pages, which are accessible now: so the thread retries. That costs one fault per removal and thread, and repeats
 * only after another removal. */
static enum outcome serve_nobody(void)
{
    uint64_t removals = region_removals();
    if (thread_self.removals_seen == removals)
        return OUTCOME_PASSED;
    thread_self.removals_seen = removals;
    return OUTCOME_RETRIED;
}

static enum outcome serve(struct work *work, struct native_frame native, struct entry entry)
{
    struct service *service = &work->service;
    struct fault_frame *frame = &service->frame;
    if (!entry.call && fault_was_sent(&work->sent, native))
        return OUTCOME_SENT;
    frame_open(frame, native);
    service->rights = keyed_begin();
    service->system_call = SEGUE_NO_SYSTEM_CALL;
    if (entry.call) {
        fault_read(frame);
        syscalls_serve(work, entry.call);
        keyed_end(service->rights);
        return OUTCOME_SENT;
    }
    thread_self.serving_address = frame->public.fault.address;
    thread_self.serving_instruction = frame_instruction(native.context);
    PROBE_2(fault, frame->public.fault.address, frame->public.fault.instruction);
    service->removals = region_removals();
    service->changes = hot_changes();
    const struct region *region = frame->public.fault.address_known ? region_at(frame->public.fault.address) : NULL;
    if (region && region->kind == SEGUE_WINDOW_ALIAS)
        thread_self.last_distance = (uint64_t)(uintptr_t)region->place - region->base;
    enum outcome outcome = region ? serve_region(work, region, entry) : serve_segment(work);
    keyed_end(service->rights);
    return outcome == OUTCOME_PASSED && frame->public.fault.address_known ? serve_nobody() : outcome;
}

/* True if the fault is that of a guarded access, which then reports a failure. */
static bool recover(struct native_frame native)
{
    uint64_t rip = frame_instruction(native.context);
    if (!segue_recover(&rip))
        return false;
    kept_info_keep(&thread_self.recovered, native.info);
    frame_get_exception(native.context, &thread_self.recovered_exception);
    frame_set_instruction(native.context, rip);
    return true;
}

/* Reports that a nested fault will end the process. */
static void report(const char *what, const struct thread_state *thread, struct native_frame native)
{
    struct report_place at = {frame_signal(native.info).address, frame_instruction(native.context)};
    struct report_place serving = {thread->serving_address, thread->serving_instruction};
    report_fault_in_handler(what, at, serving);
}

/* If the step met a fault, that fault replaces the one that the kernel delivered. */
static void take_recovered(struct thread_state *thread, struct native_frame native)
{
    if (!thread->tells_recovered)
        return;
    kept_info_give(&thread->recovered, native.info);
    frame_set_exception(native.context, &thread->recovered_exception);
    thread->tells_recovered = false;
}

/* Forwards the fault: to the guest's host, to the recovery point that is armed for it (segue_try), else to the
 * previous handler. */
static void hand_on(const struct thread_state *thread, struct native_frame native, enum chain_way way)
{
    const int number = frame_signal(native.info).number;
    /* A recovery point of the interrupted code does not catch a fault in a policy. */
    const struct segue_trial *outermost = NULL;
    if (thread->depth)
        outermost = thread->work ? thread->work->level.trial : trial_current();
    if (guest_catch(native) == SEGUE_OK || trial_catch(native, outermost) == SEGUE_OK)
        return;
    if (thread->depth && chain_is_deadly(number))
        report("a fault inside a policy or the handler", thread, native);
    chain_signal(number, native, true, way);
}

/* Saves the per-thread values that a nested fault will change and the outer fault still needs. end_fault and
 * thread_settle restore them (thread_put_back_outer). */
static void keep_outer(const struct thread_state *thread, struct work *work)
{
    work->outer.tells_recovered = thread->tells_recovered;
    work->outer.recovered = thread->recovered;
    work->outer.exception = thread->recovered_exception;
    work->outer.address = thread->serving_address;
    work->outer.instruction = thread->serving_instruction;
}

/* Makes the fault, whose reader slot this is, one of the thread's faults in progress. */
static void begin_level(struct thread_state *thread, struct work *work, struct work *outer, uint32_t depth)
{
    work->level.outer = outer;
    work->level.ticket = readers_ticket(work->place);
    work->level.trial = trial_current();
    work->level.depth = depth;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    thread->work = work;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    thread->depth = depth;
}

static void end_level(struct thread_state *thread, struct work *work)
{
    thread->work = work->level.outer;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    work->level.depth = 0;
    readers_leave(work->place);
}

/* Takes the fault off the thread's faults in progress; its work area becomes available to other threads. */
__attribute__((hot)) static void end_fault(struct thread_state *thread, struct work *work, enum outcome outcome)
{
    uint32_t depth = work->level.depth - 1;
    int kept = work->level.error_number;
    reason_last = work->level.reason;
    if (depth)
        thread_put_back_outer(work);
    end_level(thread, work);
    if (outcome != OUTCOME_SENT)
        counters_add(outcome);
    /* A handler that interrupted this one has abandoned a fault of its own, and then returned here. */
    if (depth == 0 && thread->tickets != thread->tickets_left)
        readers_forget();
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    thread->depth = depth;
    error_number_set(kept);
}

/* Room for a restore image on the thread's own stack, below the red zone; NULL if it has no room or is not known. */
static struct landing *landing_on_own_stack(const struct thread_state *thread, uint64_t stack_pointer)
{
    uint64_t place = (stack_pointer - RED_ZONE - sizeof(struct landing)) & ~UINT64_C(63);
    char *bytes = (char *)(uintptr_t)place;
    static const uint64_t nothing;
    if (place - thread->own_stack < OWN_STACK_LEFT || place >= thread->own_stack_end || place < thread->own_stack ||
        guard_store_8(bytes, &nothing) != 0 ||
        guard_store_8(bytes + sizeof(struct landing) - sizeof nothing, &nothing) != 0)
        return NULL;
    return (struct landing *)(uintptr_t)place;
}

/* Returns to the thread, with the registers that the fault has left. If signals were deferred, none of them may be
 * delivered on the alternate stack: a collector that stops threads takes the stack pointer that it finds for the
 * thread's own. So the mask takes effect on the thread's own stack, or through sigreturn, which restores mask and
 * stack atomically. In strict mode (seccomp), which forbids the call that sets a mask and disables the time stamp
 * counter, sigreturn is used, too. Not inlined: the return needs none of this function's stack. */
static __attribute__((hot, noinline)) void go_back(struct thread_state *thread, struct work *work, enum outcome outcome,
                                                   enum chain_way way)
{
    struct fault_frame *frame = &work->service.frame;
    enum segue_restore_method method = way_out;
    struct landing in_use, *landing = &in_use;
    struct departure departure;
    if (!frame->is_read)
        fault_read(frame);
    /* The kernel's return restores a guest's segment bases. */
    if (way == CHAIN_CALL || guest_is_interrupted())
        method = SEGUE_RESTORE_RETURN;
    if (method == SEGUE_RESTORE_DIRECT_MASK &&
        frame_is_on(&frame->alternate_stack, (uint64_t)(uintptr_t)frame->public.native[1]) &&
        !frame_is_on(&frame->alternate_stack, frame->public.regs.rsp)) {
        landing = landing_on_own_stack(thread, frame->public.regs.rsp);
        method = landing ? method : SEGUE_RESTORE_RETURN;
    }
    /* Signals are not blocked; but what a policy has done to the signal mask ends with the fault. */
    if (method == SEGUE_RESTORE_DIRECT && thread->calls_out != work->level.calls_out)
        method = SEGUE_RESTORE_DIRECT_MASK;
    if (method == SEGUE_RESTORE_DIRECT_MASK && guard_read_time() != 0)
        method = SEGUE_RESTORE_RETURN;
    bool is_direct = method != SEGUE_RESTORE_RETURN && departure_prepare(&departure, frame, method, landing);
    end_fault(thread, work, outcome);
    if (is_direct)
        departure_go(&departure);
}

/* How a served fault has ended. */
struct ending {
    enum outcome outcome;
    /* Policies or devices were called; they may have changed the signal mask. */
    bool called_out;
    /* The single-step trap after the instruction is still to be raised. */
    bool traps;
};

static bool is_done(enum outcome outcome)
{
    return outcome == OUTCOME_STEPPED || outcome == OUTCOME_DONE;
}

static bool is_handed_on(enum outcome outcome)
{
    return outcome == OUTCOME_REFUSED || outcome == OUTCOME_PASSED;
}

static bool goes_back(struct ending ending)
{
    return ending.outcome == OUTCOME_RETRIED || (is_done(ending.outcome) && !ending.traps);
}

/* Serves the fault as the thread's innermost fault in progress. Does not return if the thread leaves by a direct
 * restore. */
__attribute__((hot)) static struct ending serve_as_one_more(struct thread_state *thread, struct native_frame native,
                                                            struct entry entry)
{
    uint32_t depth = thread->depth;
    struct work *outer = depth ? thread->work : NULL;
    volatile uint64_t mark;
    if (depth == 0) {
        thread->work = NULL;
        thread_put_mark(&mark, native);
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    uint32_t place = readers_enter(&thread->mark);
    struct work *work = work_at(place);
    work->place = work->step.holder = place;
    work->level.error_number = error_number_get();
    work->level.reason = reason_last;
    work->level.calls_out = thread->calls_out;
    work->level.traps = trap_is_wanted(native.context);
    if (depth) {
        thread_mark_level(&work->level.mark, &mark, native);
        keep_outer(thread, work);
    } else {
        work->level.mark = thread->mark;
    }
    begin_level(thread, work, outer, depth + 1);
    thread->tells_recovered = false;
    struct ending ending = {.outcome = serve(work, native, entry)};
    ending.called_out = thread->calls_out != work->level.calls_out;
    ending.traps = work->level.traps;
    if (goes_back(ending)) {
        go_back(thread, work, ending.outcome, entry.way);
        return ending;
    }
    if (is_handed_on(ending.outcome))
        take_recovered(thread, native);
    end_fault(thread, work, ending.outcome);
    return ending;
}

/* A program's handler in front of this one has called it, with the signal blocked. The library's own guarded accesses
 * must be able to fault while the fault is served, so the signal is unblocked; and the caller expects a return. */
static struct ending serve_call(struct thread_state *thread, struct native_frame native, struct entry entry)
{
    uint64_t mask = chain_open_faults();
    struct ending ending = serve_as_one_more(thread, native, entry);
    chain_close_faults(mask);
    return ending;
}

static bool take_knock(size_t room, struct native_frame native)
{
    if (!knock_take(native.info))
        return false;
    answer_remover(native.context, room);
    syscalls_answer(native);
    if (room >= THREAD_OWN_STACK)
        suspend_answer(native);
    return true;
}

/* The kernel did not raise the signal for the instruction at hand: it is a knock, or the program's signal. */
static void take_sent_signal(size_t room, int number, struct native_frame native, enum chain_way way)
{
    if (take_knock(room, native))
        return;
    if (room < THREAD_HAND_ON_STACK && !chain_is_ignored(number))
        chain_die(number, native.info);
    else
        chain_signal(number, native, false, way);
}

/* The trap is that of a breakpoint which poke has placed; or it belongs to the program or its guest. */
static void take_trap(size_t room, struct native_frame native, enum chain_way way)
{
    if (trap_take_breakpoint(native.context) || (trap_is_wanted(native.context) && hot_take_step(native.context)) ||
        guest_catch(native) == SEGUE_OK)
        return;
    if (room < THREAD_HAND_ON_STACK)
        chain_die(SIGTRAP, native.info);
    else
        chain_signal(SIGTRAP, native, true, way);
}

/* SIGSYS, or a fault at a call site that is replaced: a system call that was caught, or what is left to do after one; a
 * signal of the library's own; or the program's. */
static void take_call(struct thread_state *thread, struct native_frame native, const void *entry_stack,
                      enum chain_way way)
{
    struct system_call call;
    size_t room = frame_room(native.context, entry_stack);
    const uint32_t rights = keyed_begin();
    bool is_taken;
    switch (calls_read(native, &call)) {
    case CALLS_NO_TRAP:
        if (syscalls_take_answer(native) || take_knock(room, native))
            return;
        if (!chain_is_ignored(SIGSYS) && chain_is_deadly(SIGSYS))
            calls_die();
        take_sent_signal(room, SIGSYS, native, way);
        return;
    case CALLS_FINISH:
        keyed_take_rights_of(native.context);
        syscalls_finish(native);
        keyed_end(rights);
        return;
    case CALLS_TRAP:
        if (thread->depth)
            thread_settle(frame_stack_pointer(native.context), frame_was_on_alternate_stack(native.context));
        keyed_take_rights_of(native.context);
        is_taken = syscalls_take(&call, room);
        keyed_end(rights);
        if (is_taken)
            return;
        if (thread->depth == THREAD_DEPTH || room < THREAD_OWN_STACK)
            syscalls_refuse(&call);
        else
            serve_as_one_more(thread, native, (struct entry){.way = way, .room = room, .call = &call});
    }
}

/* Without room to serve the fault, the previous handler gets it as if this one were not installed, or the thread dies
 * of it. The thread also dies if there is room but too many faults are nested. */
static void do_not_serve(const struct thread_state *thread, size_t room, struct native_frame native, enum chain_way way)
{
    if (room >= THREAD_HAND_ON_STACK && thread->depth < THREAD_DEPTH) {
        hand_on(thread, native, way);
        return;
    }
    if (room >= THREAD_HAND_ON_STACK) {
        report("too many faults inside policies inside faults", thread, native);
        unhandled_tell(native);
    }
    chain_die(frame_signal(native.info).number, native.info);
}

__attribute__((hot)) void signal_serve(int number, void *info, void *ucontext, const void *entry_stack)
{
    const struct native_frame native = {info, ucontext};
    struct thread_state *thread = &thread_self;
    enum chain_way way = chain_way_in(number, ucontext, entry_stack);
    frame_begin();
    if (number == SIGSYS || calls_is_stand_in(native)) {
        take_call(thread, native, entry_stack, way);
        return;
    }
    const uint64_t address = frame_signal(info).address;
    /* Prefetch the region descriptor: with many regions it is cold. It arrives during the work that comes before its
     * use. */
    region_prefetch(address);
    /* Prefetch the aliased memory, guessing the same alias offset as for the last fault. */
    __builtin_prefetch((const void *)(uintptr_t)(address + thread->last_distance));
    if (!frame_is_fault(native)) {
        take_sent_signal(frame_room(ucontext, entry_stack), number, native, way);
        return;
    }
    if (number == SIGTRAP) {
        take_trap(frame_room(ucontext, entry_stack), native, way);
        return;
    }
    if (recover(native))
        return;
    if (number == SIGBUS && ask_take_alignment(ucontext))
        return;
    struct hot_origin origin = {.body = NULL};
    if (hot_take_fault(native, &origin) == HOT_FAULT_RESUMED)
        return;
    /* The kernel restores the alternate stack, and the instruction faults again, on that stack. */
    if (way == CHAIN_ENTER && !thread->depth && thread_takes_stack_back(ucontext))
        return;
    if (thread->depth)
        thread_settle(frame_stack_pointer(ucontext), frame_was_on_alternate_stack(ucontext));
    size_t room = frame_room(ucontext, entry_stack);
    if (thread->depth == THREAD_DEPTH || room < (segment_in_force() ? THREAD_SEGMENT_STACK : THREAD_OWN_STACK)) {
        do_not_serve(thread, room, native, way);
        return;
    }
    const struct entry entry = {way, room, origin, NULL};
    struct ending ending =
        way == CHAIN_ENTER ? serve_as_one_more(thread, native, entry) : serve_call(thread, native, entry);
    if (goes_back(ending))
        return;
    if (ending.called_out && way == CHAIN_ENTER)
        chain_restore_mask(number, ucontext);
    if (ending.outcome == OUTCOME_SENT)
        take_sent_signal(frame_room(ucontext, entry_stack), number, native, way);
    else if (is_done(ending.outcome))
        trap_raise(native, way);
    else
        hand_on(thread, native, way);
}

void dispatch_prepare(bool blocks_signals, bool catches_calls)
{
    const char *reason;
    way_out = restore_choose(blocks_signals, &reason);
    /* The call that sets the mask would be caught, which takes longer than the kernel's return. */
    if (way_out == SEGUE_RESTORE_DIRECT_MASK && (catches_calls || !platform_mask_is_allowed()))
        way_out = SEGUE_RESTORE_RETURN;
    struct decode_scratch scratch;
    struct segue_insn insn;
    code_decode(&scratch, &code_cache, (uint64_t)(uintptr_t)&dispatch_prepare, &insn);
}
