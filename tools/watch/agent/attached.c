/* attached.c: libsegue-watch.so in a program that ran already. A thread of the program that segue watch has borrowed
 * calls segue_watch_attach; the thread that this makes does the rest, and ends when nothing is watched any more.
 *
 * There is no libsegue-sigchain.so here: the program's actions and masks for faults are kept where its system calls are
 * caught. */
#include <errno.h>
#include <pthread.h>
#include <segue/handler.h>
#include <segue/suspend.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "signals/watch/attached.h"

#define STACK_SIZE ((size_t)1 << 20)
/* How often pages are given back that could not be because a thread did not stop. */
#define TRIES 30u

/* One at a time. */
static struct shared *present;
static int descriptor;
/* By mlockall(MCL_FUTURE). */
static bool was_locked;

static void lock_as_before(void);

int segue_watch_attach(int command) __attribute__((visibility("default")));

static bool command_is_gone(const struct shared *shared)
{
    return kill((pid_t)shared->command, 0) != 0 && errno == ESRCH;
}

/* False if the command has ended meanwhile, or wants no watch. */
static bool wait_for(const struct shared *shared, enum shared_state state, long pause)
{
    const struct timespec moment = {.tv_nsec = pause};
    while (__atomic_load_n(&shared->state, __ATOMIC_ACQUIRE) != (uint32_t)state) {
        if (command_is_gone(shared) || __atomic_load_n(&shared->state, __ATOMIC_ACQUIRE) == SHARED_END)
            return false;
        nanosleep(&moment, NULL);
    }
    return true;
}

bool wait_for_masks(struct shared *shared)
{
    say(shared, SHARED_INSTALLED);
    return wait_for(shared, SHARED_OPENED, 100000);
}

void can_be_suspended(bool can)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGXCPU);
    pthread_sigmask(can ? SIG_UNBLOCK : SIG_BLOCK, &signals, NULL);
}

/* All that can be as before. A thread that waits for a place in the queue goes on. */
static void give_back(struct shared *shared)
{
    enum segue_status status = SEGUE_OK;
    __atomic_store_n(&shared->queue.is_closed, 1, __ATOMIC_RELAXED);
    watch_no_files();
    loaded_use(NULL);
    for (uint32_t i = 0; i < shared->range_count; i++) {
        unsigned tries = 0;
        enum segue_status removed;
        while ((removed = segue_watch_remove(shared->ranges[i].id)) == SEGUE_TIMEOUT && tries++ < TRIES)
            ;
        status = status == SEGUE_OK ? removed : status;
    }
    unsigned open = 0;
    if (status == SEGUE_OK) {
        attached_end();
        open = close_masks(shared);
        can_be_suspended(false);
        status = segue_suspend_uninstall();
    }
    if (status == SEGUE_OK)
        status = segue_uninstall(NULL);
    if (status == SEGUE_OK && open)
        snprintf(shared->reason, sizeof shared->reason,
                 "%u of its threads blocked signals that a watch needs, and have changed their masks meanwhile: these "
                 "signals stay open",
                 open);
    else
        snprintf(shared->reason, sizeof shared->reason, "%s", status == SEGUE_OK ? "" : segue_reason());
}

static void *serve(void *argument)
{
    struct shared *shared = argument;
    prctl(PR_SET_NAME, "segue-watch");
    attached_begin();
    shared->helper = (uint32_t)syscall(SYS_gettid);
    say(shared, SHARED_READY);
    bool goes = wait_for(shared, SHARED_GO, 100000);
    close(descriptor);
    if (goes && watch(shared) == SEGUE_OK) {
        say(shared, SHARED_WATCHED);
        wait_for(shared, SHARED_END, 5000000);
        give_back(shared);
        say(shared, SHARED_LEFT);
    } else {
        const bool is_refused = __atomic_load_n(&shared->state, __ATOMIC_ACQUIRE) == SHARED_END;
        attached_end();
        close_masks(shared);
        can_be_suspended(false);
        segue_suspend_uninstall();
        segue_uninstall(NULL);
        say(shared, is_refused ? SHARED_LEFT : SHARED_FAILED);
    }
    munmap(shared, shared_size());
    lock_as_before();
    __atomic_store_n(&present, NULL, __ATOMIC_RELEASE);
    return NULL;
}

/* ---- mlockall ---- */

/* Whether the mapping that has the page is locked, by /proc. */
static bool is_locked(const void *page)
{
    char line[512];
    unsigned long start, end;
    bool is_there = false, is = false;
    FILE *from = fopen("/proc/thread-self/smaps", "re");
    while (from && fgets(line, sizeof line, from))
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            is_there = (unsigned long)page - start < end - start;
        else if (is_there && strncmp(line, "VmFlags:", 8) == 0)
            is = strstr(line, " lo");
    if (from)
        fclose(from);
    return is;
}

/* Whether what is mapped now is locked from the beginning: and is there from the beginning, if `wholly`. */
static bool future_is_locked(bool wholly)
{
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char is_there = 0;
    char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    const bool is = wholly ? mincore(page, size, &is_there) == 0 && (is_there & 1) : is_locked(page);
    munmap(page, size);
    return is;
}

/* The library's tables are not to be locked before they are touched, where the program has called mlockall. */
static void lock_lazily(void)
{
    was_locked = future_is_locked(true);
    if (was_locked)
        mlockall(MCL_FUTURE | MCL_ONFAULT);
}

static void lock_as_before(void)
{
    if (was_locked && future_is_locked(false))
        mlockall(MCL_FUTURE);
}

static int make_memory(struct shared **shared)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < shared_size())
        return -EFBIG;
    int file = memfd_create("segue-watch", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0)
        return -errno;
    void *memory = MAP_FAILED;
    if (ftruncate(file, (off_t)shared_size()) == 0)
        memory = mmap(NULL, shared_size(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) {
        const int error = errno;
        close(file);
        return -error;
    }
    *shared = memory;
    return file;
}

static int make_thread(struct shared *shared)
{
    pthread_t thread;
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error)
        return error;
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    error = pthread_create(&thread, &attributes, serve, shared);
    pthread_attr_destroy(&attributes);
    return error;
}

int segue_watch_attach(int command)
{
    struct shared *shared = NULL;
    if (present)
        return -EBUSY;
    lock_lazily();
    int file = make_memory(&shared);
    if (file < 0) {
        lock_as_before();
        return file;
    }
    shared->command = (uint32_t)command;
    shared->process = (uint32_t)getpid();
    present = shared;
    descriptor = file;
    int error = make_thread(shared);
    if (!error)
        return file;
    present = NULL;
    munmap(shared, shared_size());
    close(file);
    lock_as_before();
    return -error;
}
