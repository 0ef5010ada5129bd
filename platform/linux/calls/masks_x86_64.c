/* masks_x86_64.c: while calls are caught the program blocks none of the signals that the library keeps, and its actions
 * for them are behind the library's: calls that give the kernel a mask or an action, and returns from handlers.
 *
 * SOURCES: Linux kernel/signal.c (set_user_sigmask); Linux fs/aio.c (io_pgetevents), io_uring/io_uring.c
 * (io_get_ext_arg). */
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
#include "platform/threads/thread.h"

#define PAIR_SIZE 16u
/* Of io_uring_enter: flags, and what an extended argument is. */
#define RING_EXTENDED 8u
#define RING_REGISTERED 64u
#define RING_EXTENDED_SIZE 24u

_Static_assert(RING_EXTENDED_SIZE + MASK_SIZE <= sizeof((struct call_record *)0)->room, "the record has no room");

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
    uint64_t before = frame_get_mask(call->native.context), bits, mask;
    if (call->arguments[3] != MASK_SIZE)
        return -EINVAL;
    if (call->arguments[1]) {
        if (!peek(&bits, call->arguments[1], sizeof bits))
            return -EFAULT;
        switch ((int)call->arguments[0]) {
        case SIG_BLOCK:
            mask = before | bits;
            break;
        case SIG_UNBLOCK:
            mask = before & ~bits;
            break;
        case SIG_SETMASK:
            mask = bits;
            break;
        default:
            return -EINVAL;
        }
        mask &= ~(kept_of(call) | SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP));
        frame_set_mask(call->native.context, mask);
    }
    if (call->arguments[2] && !poke(call->arguments[2], &before, sizeof before))
        return -EFAULT;
    return 0;
}

/* One argument leads to `size` bytes with a mask at `offset`. */
static bool open_mask(const struct system_call *call, uint64_t *arguments, struct call_record *record,
                      unsigned argument, size_t size, size_t offset)
{
    uint64_t *mask = &record->room[offset / sizeof *record->room];
    if (!arguments[argument] || !peek(record->room, arguments[argument], size) || !(*mask & kept_of(call)))
        return false;
    *mask &= ~kept_of(call);
    arguments[argument] = address_of(calls_record(call)->room);
    return true;
}

/* One argument leads to `size` bytes that begin with a mask's address and size: the mask's copy is behind theirs. */
static bool open_mask_of(const struct system_call *call, uint64_t *arguments, struct call_record *record,
                         unsigned argument, size_t size)
{
    uint64_t *room = record->room, *mask = room + size / sizeof *room;
    if (!arguments[argument] || !peek(room, arguments[argument], size) || !room[0] || (uint32_t)room[1] != MASK_SIZE ||
        !peek(mask, room[0], MASK_SIZE) || !(*mask & kept_of(call)))
        return false;
    *mask &= ~kept_of(call);
    room[0] = address_of(calls_record(call)->room) + size;
    arguments[argument] = address_of(calls_record(call)->room);
    return true;
}

/* A ring that the process had before, or got from another one. A mask in memory that is registered with the ring has
 * no argument. */
static bool open_mask_of_ring(const struct system_call *call, uint64_t *arguments, struct call_record *record)
{
    if (!(arguments[3] & RING_EXTENDED))
        return arguments[5] == MASK_SIZE && open_mask(call, arguments, record, 4, MASK_SIZE, 0);
    return !(arguments[3] & RING_REGISTERED) && arguments[5] == RING_EXTENDED_SIZE &&
           open_mask_of(call, arguments, record, 4, RING_EXTENDED_SIZE);
}

bool calls_open_mask(const struct system_call *call, uint64_t *arguments, struct call_record *record)
{
    const size_t mask_of_action = 24, size_of_action = 32;
    switch (call->number) {
    case SYS_rt_sigaction:
        return open_mask(call, arguments, record, 1, size_of_action, mask_of_action);
    case SYS_rt_sigsuspend:
        return open_mask(call, arguments, record, 0, MASK_SIZE, 0);
    case SYS_ppoll:
        return open_mask(call, arguments, record, 3, MASK_SIZE, 0);
    case SYS_epoll_pwait:
    case SYS_epoll_pwait2:
        return open_mask(call, arguments, record, 4, MASK_SIZE, 0);
    case SYS_pselect6:
    case SYS_io_pgetevents:
        return open_mask_of(call, arguments, record, 5, PAIR_SIZE);
    case SYS_io_uring_enter:
        return open_mask_of_ring(call, arguments, record);
    default:
        return false;
    }
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
    ucontext_t *frame = (ucontext_t *)registers_of(call->native)[REG_RSP];
    uint64_t mask;
    if (peek(&mask, address_of(&frame->uc_sigmask), sizeof mask) && (mask & kept_signals())) {
        mask &= ~kept_signals();
        poke(address_of(&frame->uc_sigmask), &mask, sizeof mask);
    }
    set_register(call, REG_RIP, address_of(calls_gate_return));
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
    switch (call->number) {
    case SYS_rt_sigsuspend:
        return call->arguments[0];
    case SYS_rt_sigaction:
        return call->arguments[1];
    case SYS_ppoll:
        return call->arguments[3];
    case SYS_epoll_pwait:
    case SYS_epoll_pwait2:
    case SYS_io_uring_enter:
        return call->arguments[4];
    case SYS_pselect6:
    case SYS_io_pgetevents:
        return call->arguments[5];
    default:
        return false;
    }
}
