/* masks_x86_64.c: while calls are caught the program blocks none of the signals that the library keeps, and its actions
 * for them are behind the library's: calls that give the kernel a mask or an action, and returns from handlers. */
#if !defined(__linux__) || !defined(__x86_64__)
#error "masks_x86_64.c is specific to Linux on x86-64"
#endif

#include "masks.h"

#include <errno.h>
#include <segue/region.h>
#include <sys/syscall.h>

#include "platform/abi.h"
#include "platform/linux/abi.h"
#include "platform/linux/call.h"
#include "platform/linux/calls/table/masked.h"
#include "platform/threads/thread.h"

_Static_assert(MASKED_WORDS * sizeof(uint64_t) <= sizeof((struct call_record *)0)->room, "the record has no room");

/* gates_x86_64.S */
extern const char calls_gate_return[];

static calls_peek *peek;
static calls_poke *poke;
static calls_action *action;

void calls_masks_prepare(calls_peek *peeks, calls_poke *pokes, calls_action *actions)
{
    peek = peeks;
    poke = pokes;
    action = actions;
}

/* The signals that the program neither blocks nor takes from the library. */
static uint64_t kept;

static uint64_t kept_signals(void)
{
    return __atomic_load_n(&kept, __ATOMIC_RELAXED) | calls_signals();
}

/* What the library blocks itself, and the actions that it sets, are the kernel's. Where it is linked statically the
 * program's code is here, too: nothing but those by which calls trap is kept then. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char etext[] __attribute__((visibility("hidden")));

static uint64_t kept_of(const struct system_call *call)
{
    const bool is_own = call->instruction - address_of(__ehdr_start) < (uint64_t)(etext - __ehdr_start);
    return is_own ? calls_signals() : kept_signals();
}

static bool sets_kept_action(const struct system_call *call)
{
    uint64_t bit = (uint32_t)call->arguments[0] - UINT64_C(1);
    return bit < SIGNALS_MOST && (kept_of(call) >> bit & 1);
}

void calls_keep(uint64_t signals)
{
    __atomic_store_n(&kept, signals, __ATOMIC_RELAXED);
}

/* Sets the mask that the trap's return puts in force: the program's, without the signals that are kept. */
long calls_change_mask(const struct system_call *call)
{
    const uint64_t before = frame_get_mask(call->native.context);
    uint64_t mask = before;
    long result = masked_change(call->arguments, peek, &mask);
    if (result != 0)
        return result;
    if (call->arguments[1])
        frame_set_mask(call->native.context, mask & ~(kept_of(call) | SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP)));
    if (call->arguments[2] && !poke(call->arguments[2], &before, sizeof before))
        return -EFAULT;
    return 0;
}

bool calls_open_mask(const struct system_call *call, uint64_t *arguments, struct call_record *record)
{
    struct masked masked;
    if (!masked_read(call->number, arguments, peek, &masked) || !(masked.words[masked.mask] & kept_of(call)))
        return false;
    masked.words[masked.mask] &= ~kept_of(call);
    masked_place(&masked, address_of(calls_record(call)->room), arguments);
    for (unsigned i = 0; i < MASKED_WORDS; i++)
        record->room[i] = masked.words[i];
    return true;
}

bool calls_lead_mask(const struct system_call *call)
{
    static uint64_t done;
    struct call_record record = {.busy = address_of(&done)};
    uint64_t arguments[CALL_ARGUMENTS];
    for (unsigned i = 0; i < CALL_ARGUMENTS; i++)
        arguments[i] = call->arguments[i];
    return calls_open_mask(call, arguments, &record) && calls_make(call, arguments, &record);
}

void calls_return_from_signal(const struct system_call *call)
{
    ucontext_t *frame = (ucontext_t *)registers_get(call->native.context, REG_RSP);
    uint64_t mask;
    if (peek(&mask, address_of(&frame->uc_sigmask), sizeof mask) && (mask & kept_signals())) {
        mask &= ~kept_signals();
        poke(address_of(&frame->uc_sigmask), &mask, sizeof mask);
    }
    registers_set(call->native.context, REG_RIP, address_of(calls_gate_return));
}

/* The program's action for a signal that the library keeps is that behind the library's. The action of a child that
 * shares its parent's memory cannot be kept: it is the default one, as it will be after execve. A filter may answer the
 * call, so it is made. */
static long change_own_action(const struct system_call *call)
{
    struct platform_action wanted = {0}, before;
    bool sets = call->arguments[1];
    const int number = (int)call->arguments[0];
    long result = calls_call(SYS_rt_sigaction, number, 0, 0, (long)call->arguments[3], 0, 0);
    if (result != 0)
        return result;
    if (sets && !peek(&wanted, call->arguments[1], sizeof wanted))
        return -EFAULT;
    if (sets && !calls_owns_memory()) {
        if (wanted.handler != ACTION_DEFAULT)
            return -EPERM;
        sets = false;
    }
    wanted.mask &= ~(SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP));
    action(number, sets ? &wanted : NULL, &before);
    return call->arguments[2] && !poke(call->arguments[2], &before, sizeof before) ? -EFAULT : 0;
}

bool calls_change_action(const struct system_call *call)
{
    if (!sets_kept_action(call))
        return calls_lead_mask(call);
    calls_return(call, change_own_action(call));
    return true;
}

bool calls_is_served_at_once(const struct system_call *call)
{
    return call->number == SYS_rt_sigprocmask || (call->number == SYS_rt_sigaction && sets_kept_action(call));
}

SEGUE_HOT_POLICY bool calls_leads_mask(const struct system_call *call)
{
    const struct mask_place place = table_mask(call->number);
    return place.form != MASK_NONE && call->arguments[place.argument];
}
