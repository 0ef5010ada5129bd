/* question.h: what policies are asked, and what becomes of their answers.
 *
 * A verdict is good only as long as the thread is not suspended: who suspends it may change what the policy has looked
 * at. So the dispatcher looks, right before the step, whether a suspension came since the first question; if so, all is
 * asked again. From that look to the step's end a suspension waits for the step (suspend.h). */
#ifndef SEGUE_SIGNALS_QUESTION_H
#define SEGUE_SIGNALS_QUESTION_H

#include <segue/region.h>

#include "signals/regions/region.h"

/* More than any extended state but for one with tiles has; a policy sees a larger one itself, not a copy. */
#define QUESTION_STATE 4096u

struct work;

/* One fault's questions. In its work area. */
struct questions {
    /* What the policy is told that is being asked; and one that is asked inside another's segue_event_step. */
    struct segue_event event, inner;
    struct segue_region region, inner_region;
    /* What policies may change, with the verdict SEGUE_DONE alone. */
    struct segue_regs regs;
    struct segue_xstate xstate;
    /* The thread's suspensions at the first question. */
    uint64_t suspensions;
    /* By number of the question: whose answer is SEGUE_STEP already; and one that is another. */
    uint64_t answered;
    uint32_t decided_at;
    bool is_decided;
    enum segue_verdict decided;
    /* A policy is being asked; it steps; it has stepped. */
    bool is_asking, is_stepping, has_stepped;
    const struct region *asked;
    /* The fault around this one whose step a handler has interrupted; NULL for none. */
    struct work *stepping_before;
    _Alignas(64) uint8_t state[QUESTION_STATE];
};

/* Before the first question of a fault. */
void question_begin(struct work *work);

/* Asks the policies, access by access; the first that does not say SEGUE_STEP decides. An access that only probes is
 * asked about where no other is. Unknown verdicts are SEGUE_PASS. */
enum segue_verdict question_ask(struct work *work);

/* After the verdict SEGUE_DONE: the thread goes on with what the policies have left. False if they have left all as it
 * was. */
bool question_finish(struct work *work);

/* From here to question_step_end suspensions wait, but for a step that calls a device's functions: they may be
 * suspended as a policy may. False if a suspension came since the first question: then all must be asked again. */
bool question_step_begin(struct work *work);
void question_step_end(struct work *work);

#endif
