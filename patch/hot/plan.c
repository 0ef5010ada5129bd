/* plan.c: see plan.h.
 *
 * The cheapest room decides, not the simplest tactic: the window of a pun in three bytes is 64 KiB that its successor's
 * bytes fix, and nothing else may ever be near. Moving the successor gives 256 such windows. So each tactic is tried
 * for space in pages that are in use, before any takes a new page. */
#include "plan.h"

struct planner {
    struct plan_step *steps;
    struct pun_window windows[PLAN_STEPS];
    /* The last step that becomes a jump. */
    unsigned last;
    enum rooms_effort effort;
    const char *refusal;
};

/* Makes all windows agree. A byte may be shared by three jumps. */
static bool join_all(struct planner *planner)
{
    for (unsigned pass = 0; pass < planner->last; pass++)
        for (unsigned i = 0; i < planner->last; i++)
            if (!pun_join(planner->steps[i].length, &planner->windows[i], &planner->windows[i + 1]))
                return false;
    return true;
}

/* The windows if all steps before the last move their successors, and the first has so many prefixes. */
static bool make_windows(struct planner *planner, unsigned prefixes)
{
    for (unsigned i = 0; i <= planner->last; i++) {
        struct plan_step *step = &planner->steps[i];
        bool is_last = i == planner->last;
        if (is_last ? !pun_window(step->address, step->bytes, step->length, prefixes, &planner->windows[i])
                    : !pun_window_moved(step->address, step->length, &planner->windows[i]))
            return false;
        step->prefixes = (uint8_t)prefixes;
        step->tactic = (uint8_t)(!is_last                            ? SEGUE_TACTIC_T2
                                 : prefixes                          ? SEGUE_TACTIC_T1
                                 : pun_reach(step->length, prefixes) ? SEGUE_TACTIC_B2
                                                                     : SEGUE_TACTIC_B1);
    }
    return join_all(planner);
}

/* Takes a room for each step, from the first on: a room fixes low bytes of its successor's displacement, which costs
 * little. The other way round it would fix high bytes of its predecessor's. */
static bool place(struct planner *planner, unsigned prefixes)
{
    unsigned at = 0;
    if (!make_windows(planner, prefixes))
        return false;
    for (; at <= planner->last; at++) {
        struct plan_step *step = &planner->steps[at];
        struct pun_window *window = &planner->windows[at];
        const char *refusal;
        if (rooms_take(window, step->size, planner->effort, &step->room, &refusal) != SEGUE_OK) {
            /* The simplest tactic's reason is the one that can be acted on. */
            if (planner->effort == ROOMS_ANYWHERE && !planner->refusal)
                planner->refusal = refusal;
            break;
        }
        pun_fix(window, step->room.address);
        if (!join_all(planner)) {
            at++;
            break;
        }
    }
    if (at > planner->last)
        return true;
    while (at-- > 0)
        rooms_give_back(&planner->steps[at].room);
    return false;
}

/* With so many steps at least; the fewest first. */
static bool place_some(struct planner *planner, unsigned first, unsigned count)
{
    for (planner->last = first; planner->last < count; planner->last++)
        if (place(planner, 0))
            return true;
    /* A moved successor has no prefixes: its E9 is where its predecessor's jump expects it. */
    planner->last = 0;
    for (unsigned prefixes = 1; first == 0 && planner->effort == ROOMS_ANYWHERE && prefixes <= PUN_PREFIXES; prefixes++)
        if (place(planner, prefixes))
            return true;
    return false;
}

enum segue_status plan_make(struct plan_step *steps, unsigned count, unsigned *used, const char **refusal)
{
    struct planner planner = {.steps = steps};
    unsigned first = 0;
    while (first + 1 < count && steps[first + 1].must_move)
        first++;
    for (planner.effort = ROOMS_IN_USE; planner.effort < ROOMS_EFFORTS; planner.effort++) {
        if (place_some(&planner, first, count)) {
            *used = planner.last + 1;
            return SEGUE_OK;
        }
    }
    *refusal = planner.refusal ? planner.refusal : "no jump fits into its bytes";
    return SEGUE_NO_MEMORY;
}
