/* serve.c: see serve.h. */
#include "serve.h"

#include <string.h>

#include "emulate/accesses/pieces.h"
#include "emulate/details.h"
#include "emulate/plan.h"
#include "keyed.h"
#include "signals/threads/thread.h"
#include "signals/threads/work.h"

__attribute__((hot)) enum segue_status serve_step(struct work *work, struct segue_regs *regs, segue_value_visit *visit)
{
    struct service *service = &work->service;
    struct thread_state *thread = &thread_self;
    thread->recovered.si_signo = 0;
    thread->tells_recovered = false;
    uint32_t rights = keyed_take_rights(&service->frame.public.xstate);
    /* If the step meets a fault, that fault's frame holds more than the step would find out. */
    enum segue_status status =
        visit ? values_step(&work->values, &work->step, &service->plan, regs, &service->frame.public.xstate, NULL)
              : step_in(&work->step, &service->plan, regs, &service->frame.public.xstate, NULL);
    thread_settle_inside(work);
    keyed_give_rights_back(rights);
    return status;
}

void serve_visit(const struct work *work, segue_value_visit *visit, void *context)
{
    values_visit(&work->values, visit, context);
}

enum segue_status serve_preview(struct work *work, segue_value_visit *visit, void *context)
{
    const struct service *service = &work->service;
    struct segue_xstate copy = service->frame.public.xstate;
    if (copy.area && copy.size > sizeof work->preview)
        return SEGUE_UNSUPPORTED;
    if (copy.area)
        copy.area = memcpy(work->preview, copy.area, copy.size);
    uint32_t rights = keyed_take_rights(&service->frame.public.xstate);
    enum segue_status status =
        values_preview(&work->values, &work->step, &service->plan, &service->frame.public.regs, &copy);
    thread_settle_inside(work);
    keyed_give_rights_back(rights);
    if (status == SEGUE_OK)
        values_visit(&work->values, visit, context);
    return status;
}

void serve_tell_fault(struct work *work)
{
    const struct service *service = &work->service;
    struct thread_state *thread = &thread_self;
    struct kept_info *info = &thread->recovered;
    struct frame_exception *exception = &thread->recovered_exception;
    uint64_t address = info->address;
    if (info->si_signo == 0)
        return;
    thread->tells_recovered = true;
    /* SIGFPE reports the instruction's address, not an address that it accessed. */
    if (info->si_signo == SIGFPE)
        info->address = service->frame.public.regs.rip;
    for (size_t i = 0; i < details_of(&service->plan)->piece_count; i++) {
        const struct plan_piece *piece = &details_of(&service->plan)->pieces[i];
        uint64_t offset = address - (uint64_t)(uintptr_t)piece->host;
        if (!piece_is_native(piece) || offset >= piece->size)
            continue;
        info->address = piece->address + offset;
        if (exception->address == address)
            exception->address = piece->address + offset;
    }
}
