/* question.h: the questions that policies are asked, and what their answers cause.
 *
 * A verdict is valid only as long as the thread is not suspended: the suspender may change what the policy has
 * examined. So the dispatcher checks, right before the step, whether a suspension came since the first question; if so,
 * it asks all questions again. From that check to the end of the step a suspension waits for the step (suspend.h). */
#ifndef SEGUE_SIGNALS_QUESTION_H
#define SEGUE_SIGNALS_QUESTION_H

#include <segue/region.h>

#include "signals/regions/region.h"

/* At least the size of any extended state without tiles. A policy sees a larger state itself, not a copy. */
#define QUESTION_STATE 4096u

struct work;

/* The questions of one fault. It lies in the fault's work area. */
struct questions {
    /* What the policy that is being asked sees; and what another policy sees, asked inside the first's
     * segue_event_step. */
    struct segue_event event, inner;
    struct segue_region region, inner_region;
    /* What policies may change; it is used only with the verdict SEGUE_DONE. */
    struct segue_regs regs;
    struct segue_xstate xstate;
    /* The thread's count of suspensions at the first question. */
    uint64_t suspensions;
    /* By number of the question: those already answered SEGUE_STEP; and one with another answer. */
    uint64_t answered;
    uint32_t decided_at;
    bool is_decided;
    enum segue_verdict decided;
    /* A policy is being asked; it is stepping; it has stepped. */
    bool is_asking, is_stepping, has_stepped;
    const struct region *asked;
    /* The outer fault whose step a handler has interrupted; NULL if none. */
    struct work *stepping_before;
    _Alignas(64) uint8_t state[QUESTION_STATE];
};

/* Before the first question of a fault. */
void question_begin(struct work *work);

/* Asks the policies, access by access; the first verdict other than SEGUE_STEP decides. A probe access is asked about
 * only if the region has no other access. Unknown verdicts count as SEGUE_PASS. */
enum segue_verdict question_ask(struct work *work);

/* After the verdict SEGUE_DONE: the thread continues with what the policies have left. False if they changed
 * nothing. */
bool question_finish(struct work *work);

/* From here to question_step_end suspensions wait, except for a step that calls a device's functions: they may be
 * suspended as a policy may. False if a suspension came since the first question: then all questions must be asked
 * again. */
bool question_step_begin(struct work *work);
void question_step_end(struct work *work);

#endif
