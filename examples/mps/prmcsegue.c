/* prmcsegue.c: MPS's module "mutator context" over Segue's public interface, for Linux on x86-64 and IA-32. It takes
 * the place of prmcix.c, prmci6.c, prmci3.c, prmclii6.c and prmclii3.c: examples/mps/README.md says how.
 *
 * .purpose: (design.mps.prmc.overview) Decodes the context of a mutator thread when it caused a protection fault, so
 * that the access can be handled or stepped, and when it was suspended, so that its roots can be scanned.
 *
 * .thread: The context is read when it is initialised. MPS does that on the thread itself, in its signal handler, which
 * is where Segue can distinguish the application's registers from its own.
 *
 * .step: (design.mps.prmc.if.step) MPS exposes the segment, with the other threads suspended, before it asks for the
 * step: the memory is accessible at its own address, and no window is needed. .canstep is asked before that. It plans,
 * which is pure: it reads no memory but the instruction's bytes.
 *
 * .plan: The plan of .canstep is not kept: it would be the larger part of a structure that is embedded in others. .step
 * plans again; the instruction is in the library's cache of decoded instructions by then.
 *
 * .scan: (design.mps.prmc.req.suspend.scan) Includes the vector registers, the mask registers and the red zone. */

#include "prmcsegue.h"

SRCID(prmcsegue, "$Id$");

Bool MutatorContextCheck(MutatorContext context)
{
    CHECKS(MutatorContext, context);
    CHECKL(0 <= context->var);
    CHECKL(context->var < MutatorContextLIMIT);
    CHECKL(segue_mutator_check(&context->mutator) == SEGUE_OK);
    return TRUE;
}

Bool MutatorContextHandled(siginfo_t *info, ucontext_t *ucontext)
{
    struct segue_frame frame;
    return segue_frame_open(&frame, info, ucontext) == SEGUE_HANDLED;
}

static void init(MutatorContext context, int var, siginfo_t *info, ucontext_t *ucontext)
{
    AVER(context != NULL);
    AVER(ucontext != NULL);
    context->var = var;
    (void)segue_frame_open(&context->frame, info, ucontext);
    (void)segue_mutator_from_frame(&context->mutator, &context->frame);
    context->sig = MutatorContextSig;
    AVERT(MutatorContext, context);
}

void MutatorContextInitFault(MutatorContext context, siginfo_t *info, ucontext_t *ucontext)
{
    AVER(info != NULL);
    init(context, MutatorContextFAULT, info, ucontext);
}

void MutatorContextInitThread(MutatorContext context, ucontext_t *ucontext)
{
    init(context, MutatorContextTHREAD, NULL, ucontext);
}

unsigned MutatorContextAccess(MutatorContext context)
{
    AVERT(MutatorContext, context);
    AVER(context->var == MutatorContextFAULT);
    return context->frame.fault.direction;
}

/* .plan.room: for all instructions, on the handler's stack. */
union plan_room {
    char memory[SEGUE_PLAN_SIZE_MOST] __attribute__((aligned(64)));
};

/* The plan of the step, or NULL. */
static const struct segue_plan *plan_step(MutatorContext context, union plan_room *room)
{
    const struct segue_plan *plan;
    enum segue_status status = segue_frame_plan_in(&context->frame, NULL, 0, room->memory, sizeof room->memory, &plan);
    return status == SEGUE_OK ? plan : NULL;
}

/* .canstep: (design.mps.prmc.if.canstep) FALSE is always safe. */
Bool MutatorContextCanStepInstruction(MutatorContext context)
{
    union plan_room room;
    AVERT(MutatorContext, context);
    AVER(context->var == MutatorContextFAULT);
    return plan_step(context, &room) != NULL;
}

/* All or nothing: with ResUNIMPL the thread and its memory are as they were. */
Res MutatorContextStepInstruction(MutatorContext context)
{
    union plan_room room;
    const struct segue_plan *plan;
    AVERT(MutatorContext, context);
    AVER(context->var == MutatorContextFAULT);
    plan = plan_step(context, &room);
    if (plan == NULL || segue_frame_step(&context->frame, plan) != SEGUE_OK)
        return ResUNIMPL;
    return ResOK;
}

struct scan {
    ScanState ss;
    mps_area_scan_t scan_area;
    void *closure;
};

/* The roots are ambiguous: MPS reads them, and does not move what they refer to. */
static int scan_words(void *closure, const void *base, const void *limit)
{
    const struct scan *scan = closure;
    return (int)TraceScanArea(scan->ss, (Word *)base, (Word *)limit, scan->scan_area, scan->closure);
}

Res MutatorContextScan(ScanState ss, MutatorContext context, mps_area_scan_t scan_area, void *closure)
{
    struct scan scan;
    AVERT(MutatorContext, context);
    scan.ss = ss;
    scan.scan_area = scan_area;
    scan.closure = closure;
    return (Res)segue_mutator_scan(&context->mutator, scan_words, &scan);
}

Addr MutatorContextSP(MutatorContext context)
{
    AVERT(MutatorContext, context);
    return (Addr)(uintptr_t)segue_mutator_sp(&context->mutator);
}
