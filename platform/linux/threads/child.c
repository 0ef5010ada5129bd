/* child.c: see platform/process/child.h.
 *
 * The parent reads from a pipe that only its child writes to: its end shows that there is no child. Where no descriptor
 * is left, the parent does not see that. System calls without the C library, in which these are cancellation points.
 *
 * SOURCES: pipe(7), I/O on pipes; poll(2) POLLHUP. */
#if !defined(__linux__)
#error "platform/linux/threads/child.c is specific to Linux"
#endif

#include "platform/process/child.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/mman.h>

#include "decode/x86/page.h"
#include "platform/clock.h"
#include "platform/linux/call.h"
#include "platform/threads/wait.h"

#define MILLISECOND UINT64_C(1000000)

static void close_end(int end)
{
    system_call3(SYS_close, end, 0, 0);
}

static void unmap(struct child_wait *wait)
{
    if (wait->is_done)
        system_call3(SYS_munmap, (long)wait->is_done, PAGE, 0);
    wait->is_done = NULL;
}

void child_wait_begin(struct child_wait *wait)
{
    wait->is_done = NULL;
    if (system_call3(SYS_pipe2, (long)wait->ends, O_CLOEXEC, 0) == 0)
        return;
    wait->ends[0] = wait->ends[1] = -1;
    long mapped = system_call6(CALL_MAP, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!system_call_failed(mapped))
        wait->is_done = (uint32_t *)mapped; // NOLINT(performance-no-int-to-ptr)
}

/* The child still has the end that is read from: so no SIGPIPE. */
void child_wait_done(struct child_wait *wait)
{
    if (wait->is_done)
        __atomic_store_n(wait->is_done, 1, __ATOMIC_RELEASE);
    unmap(wait);
    if (wait->ends[0] < 0)
        return;
    system_call3(SYS_write, wait->ends[1], (long)"", 1);
    close_end(wait->ends[1]);
    close_end(wait->ends[0]);
}

/* A byte, or the end of the file. */
static void wait_for_pipe(int end, uint64_t begun, uint64_t longest)
{
    struct pollfd polled = {.fd = end, .events = POLLIN};
    uint64_t waited;
    while ((waited = platform_clock() - begun) < longest)
        if (system_call3(SYS_poll, (long)&polled, 1, (long)((longest - waited) / MILLISECOND + 1)) > 0)
            return;
}

void child_wait_end(struct child_wait *wait, uint64_t longest)
{
    const uint64_t begun = platform_clock();
    if (wait->ends[0] >= 0) {
        close_end(wait->ends[1]);
        wait_for_pipe(wait->ends[0], begun, longest);
        close_end(wait->ends[0]);
    }
    while (wait->is_done && !__atomic_load_n(wait->is_done, __ATOMIC_ACQUIRE) && platform_clock() - begun < longest)
        wait_a_moment();
    unmap(wait);
}
