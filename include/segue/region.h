/* region.h: ranges that the handler serves, and the policies that decide.
 *
 * A region is a page-aligned range of addresses with a window (where its bytes can be reached)
 * and a policy. When a thread faults in it, the policy is asked, and the instruction is stepped,
 * tried again, or passed on. The library never changes a page's protection. Add the region, then
 * protect its pages; open the pages, then remove the region.
 *
 * SOURCES: MPS design/prmc (fault address, access, step). */
#ifndef SEGUE_REGION_H
#define SEGUE_REGION_H

#include <segue/emulate.h>

SEGUE_BEGIN

/* A thread as the system numbers it: gettid(2), GetCurrentThreadId, pthread_threadid_np,
 * thr_self(2). */
typedef uint64_t segue_thread_id;

/* The calling thread's. MT-Safe, AS-Safe. */
SEGUE_API segue_thread_id segue_thread_self(void);

/* What a policy wants done. Any other number is SEGUE_PASS. */
enum segue_verdict {
    /* Do the instruction's work, with the pages as they are. If it cannot be done the fault is
     * passed on. */
    SEGUE_STEP,
    /* Run the instruction again: the policy has opened the page, or wants another look. */
    SEGUE_RETRY,
    /* Not this policy's: the handler that was there before gets it. */
    SEGUE_PASS,
    /* The policy has done it: the thread goes on with event->regs and event->xstate as they are
     * now; selectors and segment bases stay as they were. After a segue_event_step, after work of
     * the policy's own, or to go on elsewhere. Where it has left them as they were, the instruction
     * runs again. */
    SEGUE_DONE,
};

struct segue_region;

/* What a policy receives. All of it lives only until the policy returns. */
struct segue_event {
    /* The fault as the processor reported it. */
    const struct segue_fault *fault;
    /* The access that is asked about, as far as it lies in this policy's region and the step does
     * it (of a repeated string that may be less than all): its first address there, how many bytes,
     * and what for (enum segue_direction bits). When no access of the instruction is known to lie
     * there, as when it could not be decoded: the fault's own address, 0 and direction. */
    uint64_t address;
    uint64_t size;
    uint8_t direction;
    /* The thread's registers; regs->rip is the instruction. */
    struct segue_regs *regs;
    /* The thread's vector and other extended state. Changes of both count with SEGUE_DONE alone;
     * but that of a thread with tiles is its own, not a copy. */
    struct segue_xstate *xstate;
    /* The plan: the instruction and all that it will access. With `can_step` other than SEGUE_OK
     * its accesses are given as far as they are known. */
    const struct segue_plan *plan;
    /* SEGUE_OK when a verdict of SEGUE_STEP can be carried out; else why not, in words in
     * plan->refusal. */
    enum segue_status can_step;
    segue_thread_id thread;
    /* The access's number in plan->accesses; plan->access_count if none is known to lie here. */
    uint32_t access;
    /* How often policies were asked about this fault before: 0 for the first question. */
    uint32_t question;
    /* The region, as it was added. */
    const struct segue_region *region;
    uint32_t reserved32[2];
    uint64_t reserved[4];
};

/* A region's policy. Runs on the faulting thread, inside the signal handler: it may call only what
 * is async-signal-safe, or what it knows the faulting code not to be in the middle of. It must
 * return; it may not leave by longjmp. errno is kept. What it does to the signal mask ends with the
 * fault; it must not return with SIGSEGV, SIGBUS or SIGFPE blocked. Asked once for each of the
 * instruction's accesses in the region, in the order in which they are made (and of an access over
 * several regions, in the order of its bytes), before anything is done; the first answer that is
 * not SEGUE_STEP decides, and nobody is asked after it. An access that only probes is asked about
 * where there is no other. A verdict of SEGUE_STEP is good only as long as the thread is not
 * suspended (<segue/mutator.h>): if it was, all are asked again, and `question` counts on. From the
 * last look at that to the end of the step a suspension waits for the step. */
typedef enum segue_verdict segue_policy(void *context, const struct segue_event *event);

/* Options of a region; a bit set. */
enum segue_region_flags {
    /* Report a write to the policy as read and write (MPS wants it so: an answer with the wrong
     * direction faults for
     *        ever). */
    SEGUE_REGION_WRITE_IS_READ_WRITE = 1,
    /* Serve faults for want of a protection key's rights too (SEGV_PKUERR): for who closes the
     * region to some threads
     *        by a key. Otherwise they are the program's own, and handed on without a question. */
    SEGUE_REGION_PROTECTION_KEYS = 2,
};

/* A range of addresses that the handler serves. */
struct segue_region {
    /* base and size: whole pages. `base` names the region from then on. */
    struct segue_window window;
    /* NULL steps everything. */
    segue_policy *policy;
    void *context;
    /* enum segue_region_flags. */
    uint32_t flags;
    uint32_t reserved32;
    uint64_t reserved[5];
};

/* Adds a region; the description is copied. Add it before the pages are closed. Any number of
 * regions may be added, from any thread, while others fault. Returns SEGUE_OK; SEGUE_INVALID for a
 * zero or unaligned base or size, a range that wraps around or leaves the user's addresses, an
 * unknown flag or window kind, a window that lacks its parts; SEGUE_OVERLAP when a page of it is in
 * another region; SEGUE_UNSUPPORTED for a forced window where the kernel has none; SEGUE_BUSY
 * inside a fault; SEGUE_NO_MEMORY. MT-Safe, AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_region_add(const struct segue_region *region);

/* Removes the region whose first address is `base`. Open its pages first. Waits until no other
 * thread is in a fault that could know the region, its policy included: so do not hold a lock that
 * a policy waits for. After it has returned, neither the policy nor the window is used any more.
 * Returns SEGUE_OK; SEGUE_NOT_FOUND; SEGUE_BUSY inside a fault (a policy cannot wait for itself).
 * MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_region_remove(const void *base);

/* Finds the region that holds `address` and copies it to `region`. Returns SEGUE_OK,
 * SEGUE_NOT_FOUND, or SEGUE_INVALID for a NULL `region`. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_region_find(const void *address, struct segue_region *region);

/* ---- for policies: async-signal-safe, and SEGUE_INVALID outside the event's policy ---- */

/* Steps the event's instruction now, under whatever lock the policy holds, writes event->regs and
 * xstate, and calls `visit` (may be NULL) with what was read and written, exactly
 * (segue_step_values). It does not ask regions whose policy is this same function: the policy
 * answers for all those accesses. Regions with another policy are asked first. Returns SEGUE_OK: it
 * is done, return SEGUE_DONE; SEGUE_UNSUPPORTED: as can_step, or what it reads and writes cannot be
 * told; SEGUE_FAULT: memory is not there, return SEGUE_PASS, and the step's own fault is handed on;
 * SEGUE_BUSY: another region's policy did not say SEGUE_STEP, or is itself in this call: return
 * SEGUE_STEP, and that answer counts; SEGUE_INVALID, also the second time. With all but SEGUE_OK
 * nothing has happened. */
SEGUE_CHECK SEGUE_API enum segue_status segue_event_step(const struct segue_event *event, segue_value_visit *visit,
                                                         void *context);

/* The aligned words (segue_words_next) of the access that is asked about; and of the whole
 * footprint in all regions with this policy function, which is what segue_event_step does at once.
 * No words outside the event's policy. */
SEGUE_API struct segue_words segue_event_words(const struct segue_event *event);
SEGUE_API struct segue_words segue_event_footprint(const struct segue_event *event);

/* What the instruction would read and write, without doing it. Returns as segue_step_preview. */
SEGUE_CHECK SEGUE_API enum segue_status segue_event_preview(const struct segue_event *event, segue_value_visit *visit,
                                                            void *context);

/* Where the access that is asked about can be reached: segue_window_at of the event's region.
 * MT-Safe, AS-Safe. */
SEGUE_INLINE void *segue_event_at(const struct segue_event *event)
{
    return segue_window_at(&event->region->window, event->address, (size_t)event->size);
}

SEGUE_END

#endif
