/* region.h: ranges of addresses whose faults the handler serves, and the policies that decide how.
 *
 * A region is a page-aligned range of addresses with a window (where its bytes can be accessed) and
 * a policy. If a thread faults in it, the handler asks the policy, and then steps the instruction,
 * runs it again, or forwards the fault. The library never changes a page's protection. Add the
 * region, then protect its pages; make the pages accessible, then remove the region.
 *
 * SOURCES: MPS design/prmc (fault address, access, step). */
#ifndef SEGUE_REGION_H
#define SEGUE_REGION_H

#include <segue/emulate.h>

SEGUE_BEGIN

/* The system's number of a thread (TID): gettid(2), GetCurrentThreadId, pthread_threadid_np,
 * thr_self(2). */
typedef uint64_t segue_thread_id;

/* The calling thread's TID. MT-Safe, AS-Safe. */
SEGUE_API segue_thread_id segue_thread_self(void);

/* What a policy answers. Any other number means SEGUE_PASS. */
enum segue_verdict {
    /* Step the instruction, with the page protections unchanged. If it cannot be stepped, the
     * handler forwards the fault. */
    SEGUE_STEP,
    /* Run the instruction again: the policy has made the page accessible, or wants to be asked
     * again. */
    SEGUE_RETRY,
    /* Forward the fault to the previous handler. */
    SEGUE_PASS,
    /* The policy has served the fault: the thread continues with event->regs and event->xstate as
     * they are now; selectors and segment bases do not change. For a policy that called
     * segue_event_step, did the work itself, or moves the thread elsewhere. With unchanged
     * registers the instruction runs again. */
    SEGUE_DONE,
};

/* event->system_call if an instruction accesses the memory. */
#define SEGUE_NO_SYSTEM_CALL (-1)

struct segue_region;

/* What a policy receives. It is valid until the policy returns. */
struct segue_event {
    /* The fault as the processor reported it. For a system call: the first byte of what the kernel
     * will access, and trap 0. */
    const struct segue_fault *fault;
    /* The access in question, limited to this policy's region and to what the step does (a step may
     * do only a part of a repeated string): its lowest address there, its size in bytes, and its
     * enum segue_direction bits. If no access of the instruction is known to be in the region, for
     * example because it could not be decoded: the fault's address, 0 and the fault's direction. */
    uint64_t address;
    uint64_t size;
    uint8_t direction;
    /* The thread's registers; regs->rip is the address of the instruction. */
    struct segue_regs *regs;
    /* The thread's vector and other extended state. Changes of `regs` and `xstate` take effect only
     * with SEGUE_DONE. Exception: for a thread with AMX tiles `xstate` is the thread's own state,
     * not a copy. */
    struct segue_xstate *xstate;
    /* The plan: the instruction and all of its accesses. Unless `can_step` is SEGUE_OK, only the
     * accesses that are known. */
    const struct segue_plan *plan;
    /* SEGUE_OK if the verdict SEGUE_STEP can be carried out; otherwise why not, with the reason in
     * plan->refusal. */
    enum segue_status can_step;
    segue_thread_id thread;
    /* The access's index in plan->accesses; plan->access_count if no known access is in the
     * region. */
    uint32_t access;
    /* How many questions about this fault came before this one: 0 for the first. */
    uint32_t question;
    /* The region, as it was added. */
    const struct segue_region *region;
    /* The number of the system call that is about to access the memory (with
     * SEGUE_INSTALL_SYSTEM_CALLS), or SEGUE_NO_SYSTEM_CALL. `regs->rip` is then the SYSCALL
     * instruction, `regs->rax` the number, and `plan` has one access: all that the kernel will
     * access by the pointer in question. SEGUE_STEP: the call is made on the window's memory.
     * SEGUE_RETRY and SEGUE_PASS: it is made as the program asked. SEGUE_DONE: the policy has made
     * it, and its result is in `regs->rax`. segue_event_step and segue_event_preview return
     * SEGUE_UNSUPPORTED, with the cause in segue_reason: the call is made when all policies have
     * answered, since it may wait for long while a policy holds locks. segue_event_words,
     * segue_event_footprint and segue_event_at are about that access. */
    int32_t system_call;
    uint32_t reserved32;
    uint64_t reserved[4];
};

/* A region's policy. It runs on the faulting thread, inside the signal handler: it may call only
 * async-signal-safe functions, or functions that the faulting code cannot have been executing. It
 * must return, and not by longjmp. The handler preserves errno. Changes of the signal mask end with
 * the fault; the policy must not return with SIGSEGV, SIGBUS or SIGFPE blocked.
 *
 * Before the step, the handler asks once for each access of the instruction in the region, in the
 * order of execution (for an access across several regions, in the order of its bytes). The first
 * answer other than SEGUE_STEP decides, and the handler asks no further policy. It asks about a
 * probe only if the instruction has no other access in the region. SEGUE_STEP holds only until the
 * thread is suspended (<segue/suspend.h>): after a suspension the handler asks all policies again,
 * and `question` continues to count. Once the handler has made its last check for that, a
 * suspension waits until the step is complete. */
typedef enum segue_verdict segue_policy(void *context, const struct segue_event *event);

/* What a hot policy receives. It is valid until the policy returns. */
struct segue_hot_event {
    /* The access: its address, where its bytes can be accessed (as they are before it), its size in
     * bytes, and its enum segue_direction bits. */
    uint64_t address;
    void *at;
    uint32_t size;
    uint8_t direction;
    uint8_t reserved8[3];
    /* The address of the instruction. */
    uint64_t site;
    segue_thread_id thread;
    /* The region, as it was added or last updated. */
    const struct segue_region *region;
    /* The thread's general registers, with SEGUE_REGION_HOT_REGS; otherwise NULL. */
    const struct segue_regs *regs;
    uint64_t reserved[2];
};

/* A hot region's second policy: called at a hot site, without a signal, on the thread's own stack,
 * before the access. With SEGUE_STEP the access goes to the alias. With any other answer the thread
 * makes the access as the program wrote it; this faults, and the ordinary policy is asked. The
 * rules of a policy hold, and the program may hold any lock. It must return, and not by longjmp. It
 * may be asked again about the same access if a signal or a suspension comes between its answer and
 * the access. */
typedef enum segue_verdict segue_hot_policy(void *context, const struct segue_hot_event *event);

/* Put before a hot policy, and before all functions that it calls: compiles a function without
 * vector, x87 and mask registers. */
#if defined(__clang__)
#define SEGUE_HOT_POLICY __attribute__((target("no-mmx,no-sse,no-avx")))
#elif defined(__GNUC__)
#define SEGUE_HOT_POLICY __attribute__((target("general-regs-only")))
#else
#define SEGUE_HOT_POLICY
#endif

/* Options of a region; a bit set. */
enum segue_region_flags {
    /* Report a write to the policy as a read and a write. MPS needs this: an answer with the wrong
     * direction would fault again forever. */
    SEGUE_REGION_WRITE_IS_READ_WRITE = 1,
    /* Also serve faults that a protection key causes (SEGV_PKUERR), for an embedder that denies
     * some threads access to the region by a key. Without this flag the handler forwards such
     * faults without a question. */
    SEGUE_REGION_PROTECTION_KEYS = 2,
    /* Instructions that fault here become hot sites: jumps to bodies that check the address and
     * access the alias, without a signal (docs/hot.md). Needs an alias window within 2 GiB, as
     * segue_mapping_create makes it; and with a policy a hot policy too, since no policy is ever
     * skipped. */
    SEGUE_REGION_HOT = 4,
    /* Hot sites count their accesses exactly (`accesses` of struct segue_patch). Not with a hot
     * policy, which can count for itself. */
    SEGUE_REGION_COUNT = 8,
    /* The hot policy and all that it calls are compiled with SEGUE_HOT_POLICY. Without this flag
     * vector state is saved around each call, which takes some thirty times as long. */
    SEGUE_REGION_HOT_GENERAL = 16,
    /* Show the hot policy the thread's general registers. */
    SEGUE_REGION_HOT_REGS = 32,
    /* The pages are accessible for now: hot sites access memory as the program wrote it, without a
     * question; and faults here are forwarded. For a barrier that rests between two cycles, by
     * segue_region_update. */
    SEGUE_REGION_IDLE = 64,
};

/* A range of addresses that the handler serves. */
struct segue_region {
    /* The window. `base` and `size` are whole pages; `base` identifies the region. */
    struct segue_window window;
    /* NULL: every instruction is stepped. */
    segue_policy *policy;
    void *context;
    /* enum segue_region_flags. */
    uint32_t flags;
    /* N, a power of two: each hot site asks `hot_policy` about every N-th of its accesses; the
     * others access the alias at once. All are counted, exactly (`accesses` of struct segue_patch).
     * An access that faults is always asked about. 0 and 1: each access, without a count. */
    uint32_t sample;
    /* With SEGUE_REGION_HOT; NULL if `policy` is NULL: hot sites then access the alias at once. */
    segue_hot_policy *hot_policy;
    uint64_t reserved[4];
};

/* Adds a region; the struct is copied. Add it before the pages are protected. Any thread may add
 * any number of regions while others fault. Returns SEGUE_OK; SEGUE_INVALID for a zero or unaligned
 * base or size, a range that wraps around or leaves the user's addresses, an unknown flag or window
 * kind, or a window without a member that its kind needs; SEGUE_OVERLAP if one of its pages is in
 * another region; SEGUE_UNSUPPORTED for a forced window if the kernel has none; SEGUE_BUSY inside a
 * fault; SEGUE_NO_MEMORY. MT-Safe, AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_region_add(const struct segue_region *region);

/* Changes policy, context, hot policy and flags of the region that has the same base, size and
 * window. Waits for a grace period, as segue_region_remove: do not hold a lock that a policy waits
 * for. After the return no thread uses the old ones. Faults in the region wait meanwhile. Returns
 * as segue_region_add; SEGUE_NOT_FOUND if there is no such region; SEGUE_UNSUPPORTED, too, if a hot
 * site that needs no policy could not be undone: then the region is as it was. MT-Safe, AS-Unsafe.
 */
SEGUE_CHECK SEGUE_API enum segue_status segue_region_update(const struct segue_region *region);

/* Removes the region whose first address is `base`. Make its pages accessible first. Waits for a
 * grace period: until every fault in progress on another thread that can still use the region or
 * its policy has ended, and no thread is at a hot site that can. Do not hold a lock that a policy
 * waits for. After the return, neither the policy nor the window is used. Returns SEGUE_OK;
 * SEGUE_NOT_FOUND; SEGUE_BUSY inside a fault (a policy cannot wait for itself); SEGUE_UNSUPPORTED
 * if a hot site could not be undone: then the region is as it was. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_region_remove(const void *base);

/* Finds the region that contains `address` and copies it to `region`. Returns SEGUE_OK,
 * SEGUE_NOT_FOUND, or SEGUE_INVALID for a NULL `region`. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_region_find(const void *address, struct segue_region *region);

/* ---- for policies: async-signal-safe, and SEGUE_INVALID outside the event's policy ---- */

/* Steps the event's instruction now, under the locks that the policy holds, writes event->regs and
 * event->xstate, and calls `visit` (may be NULL) with exactly what was read and written (as
 * segue_step_values). It does not ask regions whose policy is this same function: the calling
 * policy answers for all of their accesses. It asks regions with another policy first. Returns
 * SEGUE_OK: the step is done, and the policy must return SEGUE_DONE; SEGUE_UNSUPPORTED: as
 * can_step, or what the instruction reads and writes is not exactly known, or it is a system call
 * (event->system_call), and the policy may return SEGUE_STEP; SEGUE_FAULT: memory was inaccessible,
 * and the policy must return SEGUE_PASS, so that the handler forwards the step's fault; SEGUE_BUSY:
 * another region's policy did not answer SEGUE_STEP, or is itself in this call, and the policy must
 * return SEGUE_STEP, so that the other answer takes effect; SEGUE_INVALID, also for a second call.
 * With every status but SEGUE_OK nothing has changed. */
SEGUE_CHECK SEGUE_API enum segue_status segue_event_step(const struct segue_event *event,
                                                         segue_value_visit *visit, void *context);

/* segue_event_words iterates over the aligned words (segue_words_next) of the access in question;
 * segue_event_footprint over those of the whole footprint in all regions with this policy function,
 * which is what segue_event_step accesses. No words outside the event's policy. */
SEGUE_API struct segue_words segue_event_words(const struct segue_event *event);
SEGUE_API struct segue_words segue_event_footprint(const struct segue_event *event);

/* Calls `visit` with what the instruction would read and write, without executing it. Returns as
 * segue_step_preview; SEGUE_UNSUPPORTED for a system call. */
SEGUE_CHECK SEGUE_API enum segue_status
segue_event_preview(const struct segue_event *event, segue_value_visit *visit, void *context);

/* The pointer at which the access in question can be made: segue_window_at of the event's region.
 * MT-Safe, AS-Safe. */
SEGUE_INLINE void *segue_event_at(const struct segue_event *event)
{
    return segue_window_at(&event->region->window, event->address, (size_t)event->size);
}

SEGUE_END

#endif
