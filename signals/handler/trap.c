/* trap.c: see trap.h.
 *
 * SOURCES: Intel SDM volume 3, 17.3.1.4 (the single-step trap comes behind each instruction, and each iteration of a
 * repeated string, that began with the flag set); Linux arch/x86/kernel/traps.c (exc_debug_user, send_sigtrap: its
 * siginfo); kernel/rseq.c (rseq_ip_fixup; the signature before an abort handler), selftests rseq-x86.h (RSEQ_SIG). */
#include "trap.h"

#include <segue/posix.h>
#include <string.h>

#include "ctx/guest/gate.h"
#include "signals/frame.h"
#include "signals/fault/keyed.h"
#include "signals/threads/thread.h"

#define TRAP_DEBUG 1
#define FLAG_TF 0x100u

/* In front of an abort handler, as the C library registers it. */
#define RSEQ_SIGNATURE 0x53053053u
/* Of one fault, one after the other. */
#define RESTARTS_MOST 1000u

bool trap_is_wanted(const void *ucontext)
{
    return frame_flags(ucontext) & FLAG_TF;
}

void trap_raise(siginfo_t *info, void *ucontext, enum chain_way way)
{
    struct frame_exception exception;
    frame_exception_read(ucontext, &exception);
    exception.trap = TRAP_DEBUG;
    exception.error_code = 0;
    frame_exception_write(ucontext, &exception);
    memset(info, 0, sizeof *info);
    info->si_signo = SIGTRAP;
    info->si_code = TRAP_TRACE;
    info->si_addr = (void *)(uintptr_t)frame_instruction(ucontext);
    if (segue_guest_catch(info, ucontext) != SEGUE_OK)
        chain_trap(info, ucontext, way);
}

bool trap_is_restart(uint64_t instruction)
{
    uint32_t signature;
    return keyed_peek(&signature, instruction - sizeof signature, sizeof signature) == sizeof signature &&
           signature == RSEQ_SIGNATURE;
}

bool trap_may_restart(uint64_t instruction, uint64_t address)
{
    struct thread_state *thread = &thread_self;
    uint32_t restart = (uint32_t)((instruction ^ address << 7) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
    if (thread->restart != restart)
        thread->restarts = 0;
    thread->restart = restart;
    if (thread->restarts++ < RESTARTS_MOST)
        return true;
    thread->restarts = 0;
    return false;
}
