/* masks.c: see masks.h. The program's side closes the masks again (agent/closing.c). */
#include "masks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "borrow.h"
#include "tools/support/message.h"
#include "tools/watch/agent/threads.h"

#define VERB "watch"
/* How often threads are looked at, and the pause between in nanoseconds: 2 seconds together. */
#define ROUNDS 200u
#define PAUSE 10000000

static void complain_of_thread(const struct code *code, pid_t thread, const char *name, const char *where)
{
    char path[64], comm[32] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/comm", (int)code->process, (int)thread);
    FILE *from = fopen(path, "re");
    if (from && fgets(comm, sizeof comm, from))
        comm[strcspn(comm, "\n")] = 0;
    if (from)
        fclose(from);
    complain(VERB, "%s cannot be watched: its thread %d (%s) blocks signals that a watch needs, %s; try again", name,
             (int)thread, comm, where);
}

bool masks_look(const struct code *code, const struct shared *shared, const char *name)
{
    static pid_t threads[THREADS_MOST];
    const unsigned count = borrow_list(code->process, threads);
    for (unsigned i = 0; i < count; i++) {
        const uint64_t blocked = thread_blocks(code->process, threads[i]) & SHARED_OPEN;
        if (threads[i] == (pid_t)shared->helper || !blocked)
            continue;
        if (borrow_waits_with_mask(code, threads[i], SHARED_OPEN)) {
            complain_of_thread(code, threads[i], name, "in a call that has a mask of its own (ppoll, sigsuspend)");
            return false;
        }
    }
    return true;
}

struct noting {
    struct shared *shared;
    pid_t process, thread;
};

/* One that blocks them again has its place already. */
static bool note(void *context, uint64_t mask)
{
    const struct noting *noting = context;
    struct shared *shared = noting->shared;
    const uint32_t count = shared->mask_count;
    const uint64_t began = thread_began(noting->process, noting->thread);
    for (uint32_t i = 0; i < count; i++)
        if (shared->masks[i].thread == (uint32_t)noting->thread && shared->masks[i].began == began)
            return true;
    if (count == SHARED_MASKS)
        return false;
    shared->masks[count] = (struct shared_mask){
        .thread = (uint32_t)noting->thread, .began = began, .removed = mask & SHARED_OPEN, .rest = mask & ~SHARED_OPEN};
    __atomic_store_n(&shared->mask_count, count + 1, __ATOMIC_RELEASE);
    return true;
}

pid_t masks_open(const struct code *code, struct shared *shared)
{
    static pid_t threads[THREADS_MOST];
    const unsigned count = borrow_list(code->process, threads);
    pid_t left = 0;
    for (unsigned i = 0; i < count; i++) {
        struct noting noting = {shared, code->process, threads[i]};
        if (threads[i] == (pid_t)shared->helper || !(thread_blocks(code->process, threads[i]) & SHARED_OPEN))
            continue;
        if (!borrow_open_mask(code, threads[i], SHARED_OPEN, note, &noting) &&
            (thread_blocks(code->process, threads[i]) & SHARED_OPEN))
            left = threads[i];
    }
    return left;
}

bool masks_open_all(const struct code *code, struct shared *shared, const char *name)
{
    static const struct timespec pause = {.tv_nsec = PAUSE};
    pid_t left = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        if ((left = masks_open(code, shared)) == 0)
            return true;
        nanosleep(&pause, NULL);
    }
    complain_of_thread(code, left, name, "and stays in a handler or in the C library");
    return false;
}
