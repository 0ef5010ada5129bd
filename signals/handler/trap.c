/* trap.c: see trap.h.
 *
 * SOURCES: Intel SDM volume 3, 17.3.1.4 (with the trap flag set at its beginning, each instruction and each iteration
 * of a repeated string is followed by a single-step trap); Linux kernel/rseq.c (rseq_ip_fixup; the signature before an
 * abort handler), selftests rseq-x86.h (RSEQ_SIG). */
#include "trap.h"

#include "ctx/guest/gate.h"
#include "ctx/state/control.h"
#include "decode/x86/flags.h"
#include "emulate/windows/guard.h"
#include "patch/poke/poke.h"
#include "signals/fault/keyed.h"
#include "signals/threads/thread.h"

/* The signature in front of an abort handler, as the C library registers it. */
#define RSEQ_SIGNATURE 0x53053053u
/* The most restarts in a row of one sequence, by a fault at one address. */
#define RESTARTS_MOST 1000u

bool trap_is_wanted(const void *ucontext)
{
    return frame_flags(ucontext) & FLAG_TRAP;
}

void trap_raise(struct native_frame native, enum chain_way way)
{
    frame_set_step_trap(native);
    if (guest_catch(native) != SEGUE_OK)
        chain_trap(native, way);
}

/* Stores a call's return address. The trap may have come inside a fault that still needs what the last failed guarded
 * access has left. */
static bool store_word(uint64_t address, uint64_t word)
{
    struct kept_info recovered = thread_self.recovered;
    struct frame_exception exception = thread_self.recovered_exception;
    bool done = guard_store_8((void *)(uintptr_t)address, &word) == 0;
    thread_self.recovered = recovered;
    thread_self.recovered_exception = exception;
    return done;
}

bool trap_take_breakpoint(void *context)
{
    struct segue_regs regs;
    frame_get_general(context, &regs);
    struct poke_thread thread = {.rip = regs.rip, .rsp = regs.rsp, .may_be_emulated = frame_allows_detour(context)};
    if (!control_has_shadow_stack())
        thread.store = store_word;
    if (!poke_trap(&thread))
        return false;
    regs.rip = thread.rip;
    regs.rsp = thread.rsp;
    frame_set_registers(context, &regs);
    return true;
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
