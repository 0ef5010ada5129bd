/* try.c: blocks that may fault.
 *
 * SOURCES: Intel SDM volume 3, 6.15 (page-fault error code). */
#include "try.h"

#include <segue/decode.h>
#include <segue/posix.h>
#include <segue/try.h>

#include "ctx/frame.h"
#include "ctx/restore/landing.h"

#define TRAP_PAGE_FAULT 14
#define ERROR_WRITE 2u
#define ERROR_FETCH 16u

/* The thread's innermost block; the assembly sets it. */
extern __thread struct segue_trial *trial_innermost __attribute__((tls_model("initial-exec"), visibility("hidden")));
__thread struct segue_trial *trial_innermost;

/* Assembly. */
extern const char trial_back[];

enum segue_status segue_try_end(struct segue_trial *trial)
{
    if (!trial || trial_innermost != trial)
        return SEGUE_NOT_FOUND;
    trial_innermost = trial->outer;
    return SEGUE_OK;
}

/* 0 if it was no page fault. */
static uint8_t direction_of(const void *ucontext)
{
    uint64_t trap, error_code;
    frame_get_trap(ucontext, &trap, &error_code);
    if (trap != TRAP_PAGE_FAULT)
        return 0;
    if (error_code & ERROR_FETCH)
        return SEGUE_FETCH;
    return (error_code & ERROR_WRITE) ? SEGUE_WRITE : SEGUE_READ;
}

struct segue_trial *trial_current(void)
{
    return trial_innermost;
}

void trial_set_current(struct segue_trial *trial)
{
    trial_innermost = trial;
}

enum segue_status trial_catch(const siginfo_t *info, void *ucontext, const struct segue_trial *outermost)
{
    struct segue_trial *trial = trial_innermost;
    struct segue_regs regs;
    if (!info || !ucontext)
        return SEGUE_INVALID;
    if (!trial || trial == outermost || info->si_code <= 0)
        return SEGUE_NOT_FOUND;
    frame_get_registers(ucontext, &regs);
    uint8_t direction = direction_of(ucontext);
    bool address_known = direction != 0;
    trial->fault = (struct segue_trial_fault){
        .signal = info->si_signo,
        .code = info->si_code,
        .address = address_known ? (uint64_t)(uintptr_t)info->si_addr : 0,
        .address_known = address_known,
        .direction = direction,
        .instruction = regs.rip,
    };
    trial_innermost = trial->outer;
    frame_call(ucontext, (uint64_t)(uintptr_t)trial_back, (uint64_t)(uintptr_t)trial);
    return SEGUE_OK;
}

enum segue_status segue_try_catch(const siginfo_t *info, void *ucontext)
{
    return trial_catch(info, ucontext, NULL);
}

struct segue_trial *segue_try_set_aside(void)
{
    struct segue_trial *trial = trial_innermost;
    trial_innermost = NULL;
    return trial;
}

void segue_try_put_back(struct segue_trial *trial)
{
    trial_innermost = trial;
}
