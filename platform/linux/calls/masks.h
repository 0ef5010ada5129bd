/* masks.h: what masks_x86_64.c serves for catch_x86_64.c, and what both use. */
#ifndef SEGUE_LINUX_CALLS_MASKS_H
#define SEGUE_LINUX_CALLS_MASKS_H

#if !defined(__linux__) || !defined(__x86_64__)
#error "masks.h is specific to Linux on x86-64"
#endif

#include "gates.h"
#include "platform/calls/calls.h"
#include "platform/handlers/action.h"
#include "platform/linux/calls/table/table.h"
#include "trap_x86_64.h"

/* Of a mask. */
#define SIGNALS_MOST 64

static inline uint64_t address_of(const void *place)
{
    return (uint64_t)(uintptr_t)place;
}

/* catch_x86_64.c: whether this process has its memory for itself, or is the one in it that has it. */
bool calls_owns_memory(void);

/* For calls_prepare. */
void calls_masks_prepare(calls_peek *peek, calls_poke *poke, calls_action *action);

/* rt_sigprocmask: changes the mask that the trap's return puts in force, and returns the call's result. */
long calls_change_mask(const struct system_call *call);

/* rt_sigaction. False if the call is to be made as it is. */
bool calls_change_action(const struct system_call *call);

/* rt_sigreturn, whose frame is at the program's stack pointer. */
void calls_return_from_signal(const struct system_call *call);

/* Makes the call with a copy of its mask in the record. False if there is nothing to replace. */
bool calls_lead_mask(const struct system_call *call);

#endif
