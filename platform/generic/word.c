/* word.c: platform/threads/thread.h where a signal to a thread carries no word, and a system does not say what a thread
 * blocks, or whether it is the only one. */
#include "platform/threads/thread.h"

#include <errno.h>

bool platform_thread_is_alone(void)
{
    return false;
}

long platform_thread_send(int thread, int signal, uint64_t word)
{
    (void)thread;
    (void)signal;
    (void)word;
    return -ENOSYS;
}

bool platform_signal_word(const void *info, uint64_t *word)
{
    (void)info;
    (void)word;
    return false;
}

bool platform_thread_blocks(int thread, int signal)
{
    (void)thread;
    (void)signal;
    return false;
}

bool platform_thread_has_pending(int thread, int signal)
{
    (void)thread;
    (void)signal;
    return false;
}

void platform_thread_nudge(int thread)
{
    (void)thread;
}
