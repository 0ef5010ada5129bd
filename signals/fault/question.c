/* question.c: see question.h.
 *
 * Questions are numbered in order: access by access, and for each access the regions under it by address; then the
 * regions that no access was asked about. A policy that steps (segue_event_step) answers for all regions with the same
 * policy function. The other policies are asked inside its call; their answers are kept by number, so that no policy is
 * asked twice.
 */
#include "question.h"

#include <string.h>

#include "emulate/accesses/pieces.h"
#include "emulate/accesses/words.h"
#include "keyed.h"
#include "platform/frame/frame.h"
#include "platform/reason.h"
#include "serve.h"
#include "signals/mutator/suspend.h"
#include "signals/threads/thread.h"
#include "signals/threads/work.h"

/* The number of answers that are kept. */
#define NUMBERED 64u

/* The position of a walk over the questions, in that order. */
struct walk {
    uint32_t access, number;
    /* The lowest base of the next region under the access. */
    uint64_t from;
    /* A bit for each region that was asked; and the position in the walk over the other regions. */
    uint64_t asked;
    size_t rest;
};

/* Describes the question to one region: the part of the access that lies in the region, as far as the step performs
 * it. False if there is no such part. */
static bool describe(const struct service *service, const struct region *region, uint32_t number,
                     struct segue_event *event)
{
    uint64_t start, size;
    pieces_part(&service->plan, number, &start, &size);
    uint64_t last = start + size - 1, region_last = region->base + region->size - 1;
    if (size == 0 || start > region_last || last < region->base)
        return false;
    start = start > region->base ? start : region->base;
    last = last < region_last ? last : region_last;
    event->address = start;
    event->size = last - start + 1;
    event->direction = service->plan.accesses[number].direction;
    event->access = number;
    return true;
}

/* The next region under the access, by address; NULL at the end. */
static const struct region *next_under_access(const struct service *service, struct walk *walk,
                                              struct segue_event *event)
{
    const struct footprint *footprint = &service->footprint;
    size_t next = footprint->count;
    for (size_t i = 0; i < footprint->count; i++)
        if (footprint->regions[i]->base >= walk->from &&
            describe(service, footprint->regions[i], walk->access, event) &&
            (next == footprint->count || footprint->regions[i]->base < footprint->regions[next]->base))
            next = i;
    if (next == footprint->count)
        return NULL;
    describe(service, footprint->regions[next], walk->access, event);
    walk->from = footprint->regions[next]->base + 1;
    walk->asked |= UINT64_C(1) << next;
    return footprint->regions[next];
}

/* The next region touched only by a probe, or only by the faulting address itself. */
static const struct region *next_of_the_rest(const struct service *service, struct walk *walk,
                                             struct segue_event *event)
{
    const struct footprint *footprint = &service->footprint;
    while (walk->rest < footprint->count && (walk->asked >> walk->rest & 1))
        walk->rest++;
    if (walk->rest == footprint->count)
        return NULL;
    const struct region *region = footprint->regions[walk->rest++];
    for (uint32_t number = 0; number < service->plan.access_count; number++)
        if (describe(service, region, number, event))
            return region;
    event->address = service->frame.public.fault.address;
    event->size = 0;
    event->direction = service->frame.public.fault.direction;
    event->access = service->plan.access_count;
    return region;
}

/* The region of the next question, which `event` then describes; NULL after the last question. */
static const struct region *next_question(const struct service *service, struct walk *walk, struct segue_event *event)
{
    for (; walk->access < service->plan.access_count; walk->access++, walk->from = 0) {
        if (service->plan.accesses[walk->access].flags & SEGUE_ACCESS_PROBE)
            continue;
        const struct region *region = next_under_access(service, walk, event);
        if (region)
            return region;
    }
    return next_of_the_rest(service, walk, event);
}

static enum segue_verdict ask_policy(const struct region *region, struct segue_event *event)
{
    if ((region->flags & SEGUE_REGION_WRITE_IS_READ_WRITE) && (event->direction & SEGUE_WRITE))
        event->direction |= SEGUE_READ;
    const struct work *work = thread_self.work;
    thread_self.calls_out++;
    enum segue_verdict verdict = region->policy(region->context, event);
    thread_settle_inside(work);
    event->question++;
    return verdict > SEGUE_DONE ? SEGUE_PASS : verdict;
}

/* The answer to question `number`, which may have been kept. */
static enum segue_verdict answer(struct questions *questions, const struct region *region, uint32_t number,
                                 struct segue_event *event, struct segue_region *told)
{
    if (!region->policy || (number < NUMBERED && (questions->answered >> number & 1)))
        return SEGUE_STEP;
    if (questions->is_decided && questions->decided_at == number)
        return questions->decided;
    *told = region_shown(region);
    enum segue_verdict verdict = ask_policy(region, event);
    if (verdict == SEGUE_STEP && number < NUMBERED)
        questions->answered |= UINT64_C(1) << number;
    return verdict;
}

__attribute__((hot)) void question_begin(struct work *work)
{
    struct questions *questions = &work->questions;
    questions->event.question = 0;
    questions->is_asking = questions->is_stepping = questions->has_stepped = false;
}

/* Fills in what policies see of the fault. */
static void describe_fault(struct questions *questions, const struct service *service)
{
    questions->event = (struct segue_event){
        .fault = &service->frame.public.fault,
        .regs = &questions->regs,
        .xstate = &questions->xstate,
        .plan = &service->plan,
        .can_step = service->can_step,
        .thread = segue_thread_self(),
        .question = questions->event.question,
        .region = &questions->region,
        .system_call = service->system_call,
    };
}

static bool is_asked_about(const struct footprint *footprint)
{
    for (size_t i = 0; i < footprint->count; i++)
        if (footprint->regions[i]->policy)
            return true;
    return false;
}

static bool shows_state(const struct footprint *footprint)
{
    for (size_t i = 0; i < footprint->count; i++)
        if (footprint->regions[i]->policy && !region_is_watched(footprint->regions[i]))
            return true;
    return false;
}

/* Policies see a copy of the registers and state, and may change only the copy. The state is some kilobytes. */
static void copy_thread(struct questions *questions, const struct service *service)
{
    questions->regs = service->frame.public.regs;
    questions->xstate = service->frame.public.xstate;
    if (!service->frame.public.xstate.area || service->frame.public.xstate.size > QUESTION_STATE ||
        !shows_state(&service->footprint))
        return;
    memcpy(questions->state, service->frame.public.xstate.area, service->frame.public.xstate.size);
    questions->xstate.area = questions->state;
}

/* Before the first policy is asked. */
static void begin_round(struct questions *questions)
{
    questions->suspensions = thread_self.suspensions;
    questions->answered = 0;
    questions->is_decided = false;
}

__attribute__((hot)) enum segue_verdict question_ask(struct work *work)
{
    struct questions *questions = &work->questions;
    struct walk walk = {.number = 0};
    const struct region *region;
    enum segue_verdict verdict = SEGUE_STEP;
    begin_round(questions);
    if (!is_asked_about(&work->service.footprint))
        return SEGUE_STEP;
    copy_thread(questions, &work->service);
    describe_fault(questions, &work->service);
    questions->is_asking = true;
    while (verdict == SEGUE_STEP && (region = next_question(&work->service, &walk, &questions->event)) != NULL) {
        questions->asked = region;
        verdict = answer(questions, region, walk.number++, &questions->event, &questions->region);
        /* A step that was carried out cannot be undone. */
        if (questions->has_stepped)
            verdict = SEGUE_DONE;
    }
    questions->is_asking = false;
    return verdict;
}

bool question_finish(struct work *work)
{
    struct questions *questions = &work->questions;
    struct service *service = &work->service;
    bool has_changed = questions->has_stepped ||
                       memcmp(&questions->regs, &service->frame.public.regs, sizeof service->frame.public.regs) != 0;
    if (questions->xstate.area == questions->state && service->frame.public.xstate.area &&
        memcmp(questions->state, service->frame.public.xstate.area, service->frame.public.xstate.size) != 0) {
        memcpy(service->frame.public.xstate.area, questions->state, service->frame.public.xstate.size);
        has_changed = true;
    }
    service->frame.public.regs = questions->regs;
    frame_set_registers(service->frame.public.native[1], &service->frame.public.regs);
    return has_changed;
}

/* `suspensions`: the thread's count of suspensions at the first question. */
static bool begin_step(struct work *work, uint64_t suspensions)
{
    struct thread_state *thread = &thread_self;
    work->questions.stepping_before = thread->stepping;
    if (pieces_devices(&work->service.plan))
        thread->calls_out++;
    else
        thread->stepping = work;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (thread->suspensions == suspensions)
        return true;
    question_step_end(work);
    return false;
}

__attribute__((hot)) bool question_step_begin(struct work *work)
{
    return begin_step(work, work->questions.suspensions);
}

__attribute__((hot)) void question_step_end(struct work *work)
{
    struct thread_state *thread = &thread_self;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    thread->stepping = work->questions.stepping_before;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (thread->is_suspension_put_off && !thread->stepping)
        suspend_now();
}

/* ---- for policies --------------------------------------------------------------------------------------------- */

static bool is_about(const struct segue_event *event, const struct work *work)
{
    return work && work->questions.is_asking && (event == &work->questions.event || event == &work->questions.inner);
}

/* The fault that the event is about, if its policy is being asked; NULL otherwise. The policy may have abandoned a
 * nested fault by siglongjmp. */
static struct work *work_of(const struct segue_event *event)
{
    const struct thread_state *thread = &thread_self;
    if (!event || !thread->depth)
        return NULL;
    if (!is_about(event, thread->work) && !thread_is_inside())
        return NULL;
    return is_about(event, thread->work) ? thread->work : NULL;
}

/* Asks the regions with policies other than the one that steps; keeps the first answer that is not SEGUE_STEP. */
static enum segue_verdict ask_others(struct work *work)
{
    struct questions *questions = &work->questions;
    segue_policy *policy = questions->asked->policy;
    struct walk walk = {.number = 0};
    const struct region *region;
    questions->inner = questions->event;
    questions->inner.region = &questions->inner_region;
    while ((region = next_question(&work->service, &walk, &questions->inner)) != NULL) {
        uint32_t number = walk.number++;
        if (region->policy == policy)
            continue;
        enum segue_verdict verdict = answer(questions, region, number, &questions->inner, &questions->inner_region);
        questions->event.question = questions->inner.question;
        if (verdict == SEGUE_STEP)
            continue;
        questions->is_decided = true;
        questions->decided_at = number;
        questions->decided = verdict;
        return verdict;
    }
    return SEGUE_STEP;
}

/* Asks again each time the thread was suspended in between. */
static bool others_let_step(struct work *work)
{
    for (;;) {
        uint64_t suspensions = thread_self.suspensions;
        if (ask_others(work) != SEGUE_STEP)
            return false;
        if (begin_step(work, suspensions))
            return true;
        work->questions.answered = 0;
    }
}

static enum segue_status step_for_policy(struct work *work, segue_value_visit *visit, void *context)
{
    struct questions *questions = &work->questions;
    struct service *service = &work->service;
    struct segue_regs regs = service->frame.public.regs;
    enum segue_status status = serve_step(work, &regs, visit);
    /* String elements before a fault have been carried out: the thread continues after them, and meets the fault
     * there. */
    if (status == SEGUE_FAULT && memcmp(&regs, &service->frame.public.regs, sizeof regs) != 0)
        status = SEGUE_OK;
    if (status == SEGUE_FAULT)
        serve_tell_fault(work);
    if (status == SEGUE_OK) {
        /* Before a suspension can come: the frame must show the registers after the instruction. */
        frame_set_registers(service->frame.public.native[1], &regs);
        questions->has_stepped = true;
        questions->regs = regs;
        if (questions->xstate.area == questions->state)
            memcpy(questions->state, service->frame.public.xstate.area, service->frame.public.xstate.size);
    }
    question_step_end(work);
    if (status == SEGUE_OK && visit)
        serve_visit(work, visit, context);
    return status;
}

/* Whether the event is about a system call: it is made when all policies have answered, on the thread's own stack and
 * with its own mask, since it may wait for long and be interrupted. */
static bool is_refused_for_call(const struct work *work)
{
    if (work->service.system_call == SEGUE_NO_SYSTEM_CALL)
        return false;
    (void)reason_give(SEGUE_UNSUPPORTED, "a system call is made after its policies: they answer SEGUE_STEP");
    return true;
}

enum segue_status segue_event_step(const struct segue_event *event, segue_value_visit *visit, void *context)
{
    struct work *work = work_of(event);
    if (!work || work->questions.has_stepped)
        return SEGUE_INVALID;
    if (work->questions.is_stepping)
        return SEGUE_BUSY;
    if (work->service.can_step != SEGUE_OK || is_refused_for_call(work))
        return SEGUE_UNSUPPORTED;
    work->questions.is_stepping = true;
    bool may_step = others_let_step(work);
    work->questions.is_stepping = false;
    return may_step ? step_for_policy(work, visit, context) : SEGUE_BUSY;
}

enum segue_status segue_event_preview(const struct segue_event *event, segue_value_visit *visit, void *context)
{
    struct work *work = work_of(event);
    if (!work || work->questions.has_stepped || !visit)
        return SEGUE_INVALID;
    if (work->service.can_step != SEGUE_OK || is_refused_for_call(work))
        return SEGUE_UNSUPPORTED;
    return serve_preview(work, visit, context);
}

struct segue_words segue_event_words(const struct segue_event *event)
{
    const struct work *work = work_of(event);
    if (!work || event->access >= work->service.plan.access_count)
        return (struct segue_words){.address = 0};
    return words_walk_range(&work->service.plan, event->access, event->address, event->size);
}

/* The regions with the policy that is being asked. */
static bool span_of_policy(const void *context, uint64_t *from, uint64_t *last)
{
    const struct work *work = context;
    const struct footprint *footprint = &work->service.footprint;
    const struct region *next = NULL;
    for (size_t i = 0; i < footprint->count; i++) {
        const struct region *region = footprint->regions[i];
        if (region->policy == work->questions.asked->policy && region->base + region->size - 1 >= *from &&
            (!next || region->base < next->base))
            next = region;
    }
    if (!next)
        return false;
    *from = *from > next->base ? *from : next->base;
    *last = next->base + next->size - 1;
    return true;
}

struct segue_words segue_event_footprint(const struct segue_event *event)
{
    const struct work *work = work_of(event);
    return work ? words_walk(&work->service.plan, WORDS_ALL, span_of_policy, work) : (struct segue_words){.address = 0};
}
