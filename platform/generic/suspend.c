/* suspend.c: no thread is suspended.
 *
 * SOURCES: MPS design/thread-manager .impl.an. */
#include <segue/suspend.h>

enum segue_status segue_suspend_install(const struct segue_suspend_options *options)
{
    if (options && (options->flags & ~(uint32_t)SEGUE_SUSPEND_ALTERNATE_STACK || options->signal < 0))
        return SEGUE_INVALID;
    return SEGUE_UNSUPPORTED;
}

enum segue_status segue_suspend_check(struct segue_owner *owner)
{
    (void)owner;
    return SEGUE_NOT_FOUND;
}

enum segue_status segue_suspend_uninstall(void)
{
    return SEGUE_NOT_FOUND;
}

/* The only thread cannot suspend itself, and every other TID is unknown. */
enum segue_status segue_threads_suspend(struct segue_suspension *list, size_t count, uint64_t timeout)
{
    (void)timeout;
    if (!list && count)
        return SEGUE_INVALID;
    for (size_t i = 0; i < count; i++)
        list[i].status = SEGUE_NOT_FOUND;
    return SEGUE_OK;
}

enum segue_status segue_threads_resume(struct segue_suspension *list, size_t count)
{
    enum segue_status status = SEGUE_OK;
    if (!list && count)
        return SEGUE_INVALID;
    for (size_t i = 0; i < count; i++)
        if (list[i].status == SEGUE_OK)
            status = SEGUE_NOT_FOUND;
    return status;
}

enum segue_status segue_thread_suspend(struct segue_suspension *suspension, uint64_t timeout)
{
    enum segue_status status = suspension ? segue_threads_suspend(suspension, 1, timeout) : SEGUE_INVALID;
    return status == SEGUE_OK ? suspension->status : status;
}

enum segue_status segue_thread_resume(struct segue_suspension *suspension)
{
    return suspension ? segue_threads_resume(suspension, 1) : SEGUE_INVALID;
}
