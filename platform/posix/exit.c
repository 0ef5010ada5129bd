/* exit.c: see platform/threads/exit.h.
 *
 * SOURCES: pthread_key_create(3). */
#if defined(_WIN32)
#error "platform/posix/exit.c is specific to POSIX"
#endif

#include "platform/threads/exit.h"

#include <pthread.h>
#include <stddef.h>

#include "platform/process/once.h"

static pthread_key_t key;
static struct once key_once;
static void (*at_exit)(void);

static void on_exit_of_thread(void *unused)
{
    (void)unused;
    at_exit();
}

static bool make_key(void)
{
    return pthread_key_create(&key, on_exit_of_thread) == 0;
}

bool thread_exit_prepare(void (*run)(void))
{
    __atomic_store_n(&at_exit, run, __ATOMIC_RELEASE);
    return once(&key_once, make_key);
}

void thread_exit_wants(bool wanted)
{
    pthread_setspecific(key, wanted ? &key : NULL);
}
