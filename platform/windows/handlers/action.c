/* action.c: the library's handlers as one vectored exception handler, the first of the process's: the actions of
 * signals, by whose names exceptions go (numbers.h), are a table. A handler that leaves the exception to others
 * (platform_pass_on) returns, and the dispatcher continues its search: later vectored handlers, the frames' own, the
 * filter for unhandled exceptions, a debugger.
 *
 * SOURCES: Microsoft, AddVectoredExceptionHandler, "Vectored Exception Handling". */
#if !defined(_WIN32)
#error "platform/windows/handlers/action.c is specific to Windows"
#endif

#include "platform/handlers/action.h"

#include <errno.h>

#include "platform/error_number.h"
#include "platform/frame/frame.h"
#include "platform/handlers/numbers.h"
#include "platform/handlers/pass_on.h"
#include "platform/threads/thread.h"
#include "platform/windows/frame/native.h"

#define SIGNALS 32

static struct platform_action actions[SIGNALS];
/* The vectored handler, while there is an action. */
static void *installed;

static uint64_t handler_of(int number)
{
    return __atomic_load_n(&actions[number].handler, __ATOMIC_ACQUIRE);
}

/* The thread's last error is the interrupted code's. */
static LONG CALLBACK handle(EXCEPTION_POINTERS *exception)
{
    struct native_handler own;
    struct native *native = &own.native;
    if (!native_open(native, &own.room, exception))
        return EXCEPTION_CONTINUE_SEARCH;
    uint64_t handler = handler_of(native->number);
    if (handler == ACTION_DEFAULT || handler == ACTION_IGNORE)
        return EXCEPTION_CONTINUE_SEARCH;
    int kept = error_number_get();
    native_enter(&own);
    ((platform_handler *)(uintptr_t)handler)(native->number, native, native);
    native_close(native, !native->is_passed_on);
    native_leave(&own);
    error_number_set(kept);
    return native->is_passed_on ? EXCEPTION_CONTINUE_SEARCH : EXCEPTION_CONTINUE_EXECUTION;
}

void platform_pass_on(void *info)
{
    ((struct native *)info)->is_passed_on = true;
}

static bool is_any_wanted(void)
{
    for (int number = 0; number < SIGNALS; number++)
        if (handler_of(number) > ACTION_IGNORE)
            return true;
    return false;
}

/* One caller at a time: the modules above have a lock for it. */
long platform_action_change(int number, const struct platform_action *wanted, struct platform_action *before)
{
    if (number <= 0 || number >= SIGNALS)
        return -EINVAL;
    struct platform_action present = actions[number];
    if (before)
        *before = present;
    if (!wanted)
        return 0;
    if (wanted->handler > ACTION_IGNORE && !installed) {
        installed = AddVectoredExceptionHandler(1, handle);
        if (!installed)
            return -ENOMEM;
    }
    actions[number].flags = wanted->flags;
    actions[number].mask = wanted->mask;
    __atomic_store_n(&actions[number].handler, wanted->handler, __ATOMIC_RELEASE);
    if (installed && !is_any_wanted()) {
        RemoveVectoredExceptionHandler(installed);
        installed = NULL;
    }
    return 0;
}

uint64_t platform_signals_left_open(void)
{
    return UINT64_MAX;
}

bool platform_signal_is_free(int number)
{
    (void)number;
    return false;
}

void platform_signal_queue_again(int number, const void *info)
{
    (void)number;
    (void)info;
}

bool platform_signal_take(int number, struct kept_info *kept)
{
    (void)number;
    (void)kept;
    return false;
}

bool platform_signal_is_pending(int number)
{
    (void)number;
    return false;
}

bool platform_handler_is(int signal, const void *handler)
{
    return signal > 0 && signal < SIGNALS && handler_of(signal) == (uint64_t)(uintptr_t)handler;
}
