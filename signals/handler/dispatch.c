/* dispatch.c: the way of one fault, from the kernel's frame to the verdict and back.
 *
 *   whose fault is it?   a guarded access of our own; a fault inside the handler; a region's; nobody's
 *   what does it want?   the instruction, its accesses, the regions they lie in, the plan
 *   what shall be done?  those regions' policies are asked, once an access, in order
 *   do it                step and write the frame; or leave the frame as it is; or hand the signal on
 */
#include "dispatch.h"

#include <errno.h>
#include <segue/posix.h>
#include <segue/region.h>
#include <segue/segment.h>

#include "ctx/guest/gate.h"
#include "ctx/handling.h"
#include "ctx/restore/landing.h"
#include "ctx/try/try.h"
#include "platform/linux/call_x86_64.h"
#include "emulate/windows/guard.h"
#include "emulate/plan.h"
#include "patch/poke/poke.h"
#include "patch/segment/segment.h"
#include "signals/chain/chain.h"
#include "signals/fault/code.h"
#include "counters.h"
#include "signals/fault/fault.h"
#include "signals/frame.h"
#include "signals/fault/keyed.h"
#include "signals/fault/question.h"
#include "signals/regions/readers.h"
#include "signals/regions/region.h"
#include "report.h"
#include "signals/fault/serve.h"
#include "signals/fault/service.h"
#include "signals/threads/thread.h"
#include "trap.h"
#include "unhandled.h"
#include "signals/threads/work.h"

/* What the kernel leaves alone below a stack pointer; and what of its stack a thread must have left to be given a
 * landing there. */
#define RED_ZONE 128u
#define OWN_STACK_LEFT 16384u

static struct segue_cache cache;

/* How the handler is left; chosen at install. */
static enum segue_restore_method way_out;

/* The plan of an instruction that could not be read: empty. */
static enum segue_status plan_nothing(struct segue_plan *plan)
{
    *plan = (struct segue_plan){.refusal = "the instruction could not be read"};
    return SEGUE_UNSUPPORTED;
}

/* What the instruction wants, and whether it can be given. `faulted` is the region at the fault's own address; it is
 * asked whatever could be told of the instruction. It is NULL where an access is done in no region. */
static enum segue_status make_plan(struct work *work, const struct region *faulted)
{
    struct service *service = &work->service;
    enum segue_status status;
    service->footprint.count = 0;
    if (service->fault.direction == SEGUE_FETCH ||
        code_decode(&work->decode, &cache, service->regs.rip, &service->plan.insn) != SEGUE_OK)
        status = plan_nothing(&service->plan);
    else
        status = plan_accesses(&service->plan, &service->regs, &service->xstate, &service->fault);
    if (status == SEGUE_OK)
        status = footprint_plan(&service->footprint, faulted, &service->plan);
    if (status == SEGUE_OK && (service->plan.refusal = keyed_refusal(&service->xstate, service->rights)) != NULL)
        status = SEGUE_UNSUPPORTED;
    if (status != SEGUE_OK && faulted)
        footprint_add(&service->footprint, faulted);
    return status;
}

/* A region that was removed while the fault was looked into may have been counted on: its pages were open then, but
 * another region may have closed them since. Trying again cannot repeat without another removal. */
static enum outcome refused(const struct service *service)
{
    return region_removals() == service->removals ? OUTCOME_REFUSED : OUTCOME_RETRIED;
}

/* One round of questions, and what they lead to. OUTCOME_COUNT: a suspension came in between, and all is to be done
 * again. */
static enum outcome serve_round(struct work *work, const struct region *faulted, void *ucontext)
{
    struct service *service = &work->service;
    service->can_step = make_plan(work, faulted);
    readers_found(work->place, service->footprint.regions, service->footprint.count);
    bool restarts = service->can_step == SEGUE_MISMATCH && trap_is_restart(service->regs.rip);
    if (restarts)
        service->plan.refusal = "it was in a restartable sequence, which begins again";
    enum segue_verdict verdict = question_ask(work);
    if (verdict == SEGUE_RETRY)
        return OUTCOME_RETRIED;
    if (verdict == SEGUE_DONE)
        return question_finish(work) ? OUTCOME_DONE : OUTCOME_RETRIED;
    if (verdict != SEGUE_STEP)
        return OUTCOME_REFUSED;
    if (restarts && trap_may_restart(service->regs.rip, service->fault.address))
        return OUTCOME_RETRIED;
    if (service->can_step != SEGUE_OK)
        return refused(service);
    if (!question_step_begin(work))
        return OUTCOME_COUNT;
    enum segue_status status = serve_step(work, &service->regs, NULL);
    /* Elements of a string that came before a fault are done. */
    if (status == SEGUE_OK || status == SEGUE_FAULT)
        frame_write(ucontext, &service->regs);
    question_step_end(work);
    if (status == SEGUE_OK)
        return OUTCOME_STEPPED;
    enum outcome outcome = refused(service);
    if (status == SEGUE_FAULT && outcome == OUTCOME_REFUSED)
        serve_tell_fault(work);
    return outcome;
}

static enum outcome serve_access(struct work *work, const struct region *faulted, void *ucontext)
{
    question_begin(work, ucontext);
    enum outcome outcome = serve_round(work, faulted, ucontext);
    if (work->service.can_step != SEGUE_OK)
        counters_add_refusal(work->service.plan.insn.mnemonic);
    while (outcome == OUTCOME_COUNT) {
        readers_look_again(work->place);
        outcome = serve_round(work, faulted, ucontext);
    }
    return outcome;
}

static enum outcome serve_region(struct work *work, const struct region *faulted, const siginfo_t *info, void *ucontext)
{
    struct service *service = &work->service;
    /* That the thread may not touch the page was not the region's doing. */
    if (keyed_is_refusal(info) && !(faulted->flags & SEGUE_REGION_PROTECTION_KEYS))
        return OUTCOME_REFUSED;
    frame_read(ucontext, &service->regs);
    frame_xstate(ucontext, &service->xstate);
    return serve_access(work, faulted, ucontext);
}

/* The work of an access through a segment register that cannot be set. If it cannot be done, the fault is told at the
 * address that the program meant. */
static enum outcome do_segment_access(struct work *work, const siginfo_t *info, void *ucontext)
{
    const struct service *service = &work->service;
    enum outcome outcome = serve_access(work, region_at(service->fault.address), ucontext);
    if (outcome == OUTCOME_REFUSED && service->fault.address_known && !thread_self.tells_recovered) {
        kept_info_keep(&thread_self.recovered, info);
        thread_self.recovered.address = service->fault.address;
        frame_exception_read(ucontext, &thread_self.recovered_exception);
        thread_self.recovered_exception.address = service->fault.address;
        thread_self.tells_recovered = true;
    }
    return outcome;
}

/* In no region: it may have gone through a segment register that cannot be set. */
static enum outcome serve_segment(struct work *work, const siginfo_t *info, void *ucontext)
{
    struct service *service = &work->service;
    if (!segment_in_force() || service->fault.direction == SEGUE_FETCH)
        return OUTCOME_PASSED;
    frame_read(ucontext, &service->regs);
    frame_xstate(ucontext, &service->xstate);
    if (code_decode(&work->decode, &cache, service->regs.rip, &service->plan.insn) != SEGUE_OK)
        return OUTCOME_PASSED;
    switch (segue_segment_serve(&service->plan.insn, &service->regs, &service->xstate, &service->fault)) {
    case SEGUE_SEGMENT_RETRY:
        return OUTCOME_RETRIED;
    case SEGUE_SEGMENT_DO:
        return do_segment_access(work, info, ucontext);
    default:
        return OUTCOME_PASSED;
    }
}

/* In no region. If one was removed since this thread last looked, the fault may be of that region's pages, which are
 * open now: looking again costs one fault for each removal and thread, and cannot repeat without another removal. */
static enum outcome serve_nobody(void)
{
    uint64_t removals = region_removals();
    if (thread_self.removals_seen == removals)
        return OUTCOME_PASSED;
    thread_self.removals_seen = removals;
    return OUTCOME_RETRIED;
}

static enum outcome serve(struct work *work, const siginfo_t *info, void *ucontext)
{
    struct service *service = &work->service;
    if (fault_was_sent(&work->sent, info, ucontext))
        return OUTCOME_SENT;
    frame_fault(info, ucontext, &service->fault);
    service->rights = keyed_begin();
    thread_self.serving_address = service->fault.address;
    thread_self.serving_instruction = frame_instruction(ucontext);
    service->removals = region_removals();
    const struct region *region = service->fault.address_known ? region_at(service->fault.address) : NULL;
    if (region && region->kind == SEGUE_WINDOW_ALIAS)
        thread_self.last_distance = (uint64_t)(uintptr_t)region->place - region->base;
    enum outcome outcome = region ? serve_region(work, region, info, ucontext) : serve_segment(work, info, ucontext);
    keyed_end(service->rights);
    return outcome == OUTCOME_PASSED && service->fault.address_known ? serve_nobody() : outcome;
}

/* True when the fault belongs to a guarded access, which then reports its failure. */
static bool recover(const siginfo_t *info, void *ucontext)
{
    uint64_t rip = frame_instruction(ucontext);
    if (!segue_recover(&rip))
        return false;
    kept_info_keep(&thread_self.recovered, info);
    frame_exception_read(ucontext, &thread_self.recovered_exception);
    frame_set_instruction(ucontext, rip);
    return true;
}

/* Says that a fault in the middle of serving another will end the process. */
static void report(const char *what, const struct thread_state *thread, const siginfo_t *info, const void *ucontext)
{
    struct report_place at = {(uint64_t)(uintptr_t)info->si_addr, frame_instruction(ucontext)};
    struct report_place serving = {thread->serving_address, thread->serving_instruction};
    report_fault_in_handler(what, at, serving);
}

/* The fault becomes the one that the step met, where there was one. */
static void take_recovered(struct thread_state *thread, siginfo_t *info, void *ucontext)
{
    if (!thread->tells_recovered)
        return;
    kept_info_give(&thread->recovered, info);
    frame_exception_write(ucontext, &thread->recovered_exception);
    thread->tells_recovered = false;
}

/* To the guest's host, or the block that is prepared for it (segue_try), else to whoever was there before. */
static void hand_on(const struct thread_state *thread, siginfo_t *info, void *ucontext, enum chain_way way)
{
    /* A fault in a policy is not one of the block that was interrupted. */
    const struct segue_trial *outermost = NULL;
    if (thread->depth)
        outermost = thread->work ? thread->work->level.trial : trial_current();
    if (segue_guest_catch(info, ucontext) == SEGUE_OK || trial_catch(info, ucontext, outermost) == SEGUE_OK)
        return;
    if (thread->depth && chain_is_deadly(info->si_signo))
        report("a fault inside a policy or the handler", thread, info, ucontext);
    chain_signal(info->si_signo, info, ucontext, true, way);
}

/* A fault that came in the middle of another leaves nothing changed that the interrupted service still needs. */
static void keep_outer(const struct thread_state *thread, struct work *work)
{
    work->outer.tells_recovered = thread->tells_recovered;
    work->outer.recovered = thread->recovered;
    work->outer.exception = thread->recovered_exception;
    work->outer.address = thread->serving_address;
    work->outer.instruction = thread->serving_instruction;
}

/* Makes the fault, whose place this is, one of the thread's. */
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

static bool is_handed_on(enum outcome outcome)
{
    return outcome == OUTCOME_REFUSED || outcome == OUTCOME_PASSED;
}

/* Serves the fault as one more in progress on this thread. */
static enum outcome serve_as_one_more(struct thread_state *thread, siginfo_t *info, void *ucontext)
{
    uint32_t depth = thread->depth;
    struct work *outer = depth ? thread->work : NULL;
    bool on_alternate = frame_on_alternate_stack(ucontext);
    volatile uint64_t mark;
    if (depth == 0) {
        thread->work = NULL;
        thread_put_mark(&mark, info, on_alternate, frame_alternate_stack(ucontext));
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    uint32_t place = readers_enter(&thread->mark);
    struct work *work = work_at(place);
    work->place = work->step.holder = place;
    if (depth) {
        thread_mark_level(&work->level.mark, &mark, on_alternate, frame_alternate_stack(ucontext));
        keep_outer(thread, work);
    } else {
        work->level.mark = thread->mark;
    }
    begin_level(thread, work, outer, depth + 1);
    thread->tells_recovered = false;
    enum outcome outcome = serve(work, info, ucontext);
    if (depth) {
        if (is_handed_on(outcome))
            take_recovered(thread, info, ucontext);
        thread_put_back_outer(work);
    }
    end_level(thread, work);
    if (outcome != OUTCOME_SENT)
        counters_add(outcome);
    /* A fault of a handler that interrupted us was left for good, and the handler has come back. */
    if (depth == 0 && thread->tickets != thread->tickets_left)
        readers_forget();
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    thread->depth = depth;
    return outcome;
}

/* Not raised for the instruction at hand: a remover's question, or the program's own business. */
static void take_sent_signal(size_t room, int number, siginfo_t *info, void *ucontext, enum chain_way way)
{
    if (readers_is_question(info))
        thread_answer(frame_stack_pointer(ucontext), frame_was_on_alternate_stack(ucontext));
    else if (room < THREAD_HAND_ON_STACK && !chain_is_ignored(number))
        chain_die(number, info);
    else
        chain_signal(number, info, ucontext, false, way);
}

/* A breakpoint of a change to code that is under way, or was when the thread met it; or the program's own business, or
 * its guest's. */
static void take_trap(size_t room, siginfo_t *info, void *ucontext, enum chain_way way)
{
    uint64_t rip = frame_instruction(ucontext);
    if (poke_trap(&rip))
        frame_set_instruction(ucontext, rip);
    else if (segue_guest_catch(info, ucontext) == SEGUE_OK)
        return;
    else if (room < THREAD_HAND_ON_STACK)
        chain_die(SIGTRAP, info);
    else
        chain_signal(SIGTRAP, info, ucontext, true, way);
}

static enum outcome serve_fault(struct thread_state *thread, siginfo_t *info, void *ucontext)
{
    int kept = errno;
    enum outcome outcome = serve_as_one_more(thread, info, ucontext);
    errno = kept;
    return outcome;
}

/* A handler over ours has called it, and has the signal blocked: what is ours must be able to fault while it is served,
 * and the caller wants us back. */
static enum outcome serve_call(struct thread_state *thread, siginfo_t *info, void *ucontext)
{
    uint64_t mask = chain_open_faults();
    enum outcome outcome = serve_fault(thread, info, ucontext);
    chain_close_faults(mask);
    return outcome;
}

/* Where there is no room to serve it the handler behind ours has it as if ours were not there, or the thread dies of
 * it; it dies, too, where there is room and it is one too many. */
static void do_not_serve(const struct thread_state *thread, size_t room, siginfo_t *info, void *ucontext,
                         enum chain_way way)
{
    if (room >= THREAD_HAND_ON_STACK && thread->depth < THREAD_DEPTH) {
        hand_on(thread, info, ucontext, way);
        return;
    }
    if (room >= THREAD_HAND_ON_STACK) {
        report("too many faults inside policies inside faults", thread, info, ucontext);
        unhandled_tell(info, ucontext);
    }
    chain_die(info->si_signo, info);
}

/* Room for a landing on the thread's own stack, below the red zone; NULL if there is none, or that is not known. */
static struct landing *landing_on_own_stack(const struct thread_state *thread, const void *ucontext)
{
    uint64_t place = (frame_stack_pointer(ucontext) - RED_ZONE - sizeof(struct landing)) & ~UINT64_C(63);
    char *bytes = (char *)(uintptr_t)place;
    static const uint64_t nothing;
    if (place - thread->own_stack < OWN_STACK_LEFT || place >= thread->own_stack_end || place < thread->own_stack ||
        guard_store_8(bytes, &nothing) != 0 ||
        guard_store_8(bytes + sizeof(struct landing) - sizeof nothing, &nothing) != 0)
        return NULL;
    return (struct landing *)(uintptr_t)place;
}

/* Back to the thread. Where signals wait, none of them may find the alternate stack in use: a collector that stops
 * threads takes the stack pointer that it finds for the thread's own. So the mask comes into force on the thread's own
 * stack, or by the kernel, which puts mask and stack back at once; in strict mode, which allows no other call and takes
 * the time stamp counter away, by the kernel, too. */
static void go_back(const struct thread_state *thread, bool called_out, void *ucontext, enum chain_way way)
{
    enum segue_restore_method method = way_out;
    struct landing *landing = NULL;
    /* The return puts a guest's bases back. */
    if (way == CHAIN_CALL || guest_is_interrupted())
        method = SEGUE_RESTORE_RETURN;
    if (method == SEGUE_RESTORE_DIRECT_MASK && frame_on_alternate_stack(ucontext) &&
        !frame_was_on_alternate_stack(ucontext)) {
        landing = landing_on_own_stack(thread, ucontext);
        method = landing ? method : SEGUE_RESTORE_RETURN;
    }
    /* Signals come as they like; but what a policy has done to the mask ends with the fault. */
    if (method == SEGUE_RESTORE_DIRECT && called_out)
        method = SEGUE_RESTORE_DIRECT_MASK;
    if (method == SEGUE_RESTORE_DIRECT_MASK && guard_read_time() != 0)
        method = SEGUE_RESTORE_RETURN;
    handling_restore(ucontext, method, landing);
}

void signal_serve(int number, siginfo_t *info, void *ucontext, const void *entry_stack)
{
    struct thread_state *thread = &thread_self;
    enum chain_way way = chain_way_in(number, ucontext, entry_stack);
    frame_begin();
    /* One of many regions is cold; it arrives while all that comes before it is looked into. */
    region_prefetch((uint64_t)(uintptr_t)info->si_addr);
    /* And so is the memory, most likely as far away as it was the last time. */
    __builtin_prefetch((const void *)((uintptr_t)info->si_addr + thread->last_distance));
    if (!frame_is_fault(info, ucontext)) {
        take_sent_signal(frame_room(ucontext, entry_stack), number, info, ucontext, way);
        return;
    }
    if (number == SIGTRAP) {
        take_trap(frame_room(ucontext, entry_stack), info, ucontext, way);
        return;
    }
    if (recover(info, ucontext))
        return;
    /* The kernel puts the stack back, and the fault comes once more, on that. */
    if (way == CHAIN_ENTER && !thread->depth && thread_takes_stack_back(ucontext))
        return;
    if (thread->depth)
        thread_settle(frame_stack_pointer(ucontext), frame_was_on_alternate_stack(ucontext));
    size_t room = frame_room(ucontext, entry_stack);
    if (thread->depth == THREAD_DEPTH || room < (segment_in_force() ? THREAD_SEGMENT_STACK : THREAD_OWN_STACK)) {
        do_not_serve(thread, room, info, ucontext, way);
        return;
    }
    bool traps = trap_is_wanted(ucontext);
    uint32_t calls_out = thread->calls_out;
    enum outcome outcome =
        way == CHAIN_ENTER ? serve_fault(thread, info, ucontext) : serve_call(thread, info, ucontext);
    bool called_out = thread->calls_out != calls_out;
    if (called_out && way == CHAIN_ENTER && (traps || (outcome != OUTCOME_STEPPED && outcome != OUTCOME_DONE)))
        chain_restore_mask(number, ucontext);
    if (outcome == OUTCOME_SENT)
        take_sent_signal(room, number, info, ucontext, way);
    else if (is_handed_on(outcome)) {
        if (!thread->depth)
            take_recovered(thread, info, ucontext);
        hand_on(thread, info, ucontext, way);
    } else if (traps && (outcome == OUTCOME_STEPPED || outcome == OUTCOME_DONE))
        trap_raise(info, ucontext, way);
    else
        go_back(thread, called_out, ucontext, way);
}

static bool may_set_mask(void)
{
    uint64_t mask;
    return system_call4(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&mask, sizeof mask) == 0;
}

void dispatch_prepare(const struct sigaction *action)
{
    way_out = segue_restore_choose(action, NULL);
    if (way_out == SEGUE_RESTORE_DIRECT_MASK && !may_set_mask())
        way_out = SEGUE_RESTORE_RETURN;
    struct decode_scratch scratch;
    struct segue_insn insn;
    code_decode(&scratch, &cache, (uint64_t)(uintptr_t)&dispatch_prepare, &insn);
}
