/* agent.c: libsegue-watch.so, which segue watch preloads into the program that it runs, or loads into one that runs.
 * It watches the ranges that the command asks for; the policies then work in the program's threads.
 *
 * Preloaded, it does so before the program's own code begins, makes no thread and keeps no descriptor, and the
 * program's environment becomes what it was. In a program that runs it makes a thread, which stays as long as something
 * is watched (attached.c). */
#include "agent.h"

#include <segue/handler.h>
#include <segue/hot.h>
#include <segue/patch.h>
#include <segue/suspend.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "signals/watch/attached.h"
#include "signals/watch/changes.h"
#include "signals/watch/counts/counts.h"
#include "signals/watch/queue/queue.h"
#include "static_program.h"
#include "tools/watch/heap/matches.h"

#define MOST_FOR_HANDLERS ((size_t)64 << 20)

static struct shared *map_shared(const char *descriptor)
{
    int file = atoi(descriptor);
    void *memory = mmap(NULL, shared_size(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return memory == MAP_FAILED ? NULL : memory;
}

static void restore_environment(void)
{
    const char *before = getenv(SHARED_PRELOAD);
    if (before && *before)
        setenv("LD_PRELOAD", before, 1);
    else
        unsetenv("LD_PRELOAD");
    unsetenv(SHARED_PRELOAD);
    unsetenv(SHARED_DESCRIPTOR);
}

void say(struct shared *shared, enum shared_state state)
{
    __atomic_store_n(&shared->state, state, __ATOMIC_RELEASE);
}

/* False if the command has ended meanwhile. */
static bool wait_for_go(const struct shared *shared)
{
    static const struct timespec moment = {.tv_nsec = 100000};
    while (__atomic_load_n(&shared->state, __ATOMIC_ACQUIRE) != SHARED_GO) {
        if (getppid() != (pid_t)shared->command)
            return false;
        nanosleep(&moment, NULL);
    }
    return true;
}

/* The program's handlers with SA_ONSTACK run on the library's alternate stack where the program has none, and natively
 * on the thread's own: so much is there for them. */
static size_t room_for_handlers(void)
{
    struct rlimit limit;
    const bool is_known = getrlimit(RLIMIT_STACK, &limit) == 0;
    return is_known && limit.rlim_cur < MOST_FOR_HANDLERS ? (size_t)limit.rlim_cur : MOST_FOR_HANDLERS;
}

/* The program is linked statically. */
static bool is_static;

/* System calls are served where the system lets the library see them, or call sites can be replaced: in a program that
 * has only begun. */
static enum segue_status install(struct shared *shared)
{
    const struct segue_options with_calls = {.flags = SEGUE_INSTALL_SYSTEM_CALLS |
                                                      (shared->helper || is_static ? 0 : SEGUE_INSTALL_CALL_SITES)};
    attached_keep_room(room_for_handlers());
    enum segue_status status = segue_install(&with_calls);
    if (status != SEGUE_UNSUPPORTED || shared->helper || is_static)
        return status;
    shared->lacks_calls = true;
    return segue_install(NULL);
}

static void use_queue(struct shared *shared)
{
    queue_use(&shared->queue, shared->keeps_stacks ? SHARED_PLACES_WITH_STACKS : SHARED_PLACES);
    queue_use_stacks(shared->keeps_stacks ? shared_stack(shared) : NULL);
    shared->queue.reader = shared->command;
    gate_use(shared->stops ? &shared->gate : NULL, &shared->queue);
}

static bool has_heap(const struct shared *shared)
{
    for (uint32_t i = 0; i < shared->range_count; i++)
        if (shared->ranges[i].is_heap)
            return true;
    return false;
}

static bool watch_heap(struct shared *shared)
{
    for (uint32_t i = 0; i < shared->range_count; i++)
        if (shared->ranges[i].is_heap && !(shared->ranges[i].id = watch_without_range(shared->ranges[i].flags))) {
            snprintf(shared->reason, sizeof shared->reason, "there is no memory for its watches, or too many of them");
            shared->lacks_memory = true;
            return false;
        }
    return matches_begin(shared);
}

/* Those of the ranges that are no files', and no blocks'. */
static enum segue_status watch_ranges(struct shared *shared)
{
    struct segue_watch *watches = calloc(shared->range_count, sizeof *watches);
    uint64_t *ids = calloc(shared->range_count, sizeof *ids);
    enum segue_status status = watches && ids ? SEGUE_OK : SEGUE_NO_MEMORY;
    uint32_t count = 0, at = 0;
    for (uint32_t i = 0; status == SEGUE_OK && i < shared->range_count; i++) {
        const struct shared_range *range = &shared->ranges[i];
        if (range->size)
            watches[count++] = (struct segue_watch){.address = (const void *)(uintptr_t)range->address,
                                                    .size = range->size,
                                                    .flags = range->flags | SEGUE_WATCH_WAIT};
    }
    if (count)
        status = segue_watch_add(watches, count, ids);
    for (uint32_t i = 0; status == SEGUE_OK && i < shared->range_count; i++)
        if (shared->ranges[i].size)
            shared->ranges[i].id = (uint32_t)ids[at++];
    free(watches);
    free(ids);
    return status;
}

/* Their list is used as long as the program runs. */
static enum segue_status watch_all_files(struct shared *shared)
{
    static struct watched_file files[SHARED_FILES];
    uint64_t ids[SHARED_FILES];
    if (!shared->file_count)
        return SEGUE_OK;
    for (uint32_t i = 0; i < shared->file_count; i++) {
        struct shared_file *file = &shared->files[i];
        files[i] = (struct watched_file){.path = file->path,
                                         .offset = file->offset,
                                         .size = file->size,
                                         .flags = shared->ranges[file->range].flags | SEGUE_WATCH_WAIT,
                                         .found = &file->found};
    }
    enum segue_status status = watch_files(files, shared->file_count, ids);
    for (uint32_t i = 0; status == SEGUE_OK && i < shared->file_count; i++)
        shared->ranges[shared->files[i].range].id = (uint32_t)ids[i];
    return status;
}

enum segue_status watch(struct shared *shared)
{
    use_queue(shared);
    counts_use(shared->counts);
    loaded_use(&shared->loaded);
    enum segue_status status = install(shared);
    if (status == SEGUE_OK && shared->helper && !wait_for_masks(shared))
        status = SEGUE_BUSY;
    /* Instructions that do not touch the watched pages stay as they are. */
    static const struct segue_hot_options options = {.flags = SEGUE_HOT_NOT_EAGER};
    if (status == SEGUE_OK)
        status = segue_hot_configure(&options);
    const struct shared_function *untouched = &shared->untouched;
    if (status == SEGUE_OK && untouched->end > untouched->start)
        status = segue_patches_exclude(untouched->start, untouched->end - untouched->start);
    if (status == SEGUE_OK)
        status = segue_suspend_install(NULL);
    if (status == SEGUE_OK && shared->helper)
        can_be_suspended(true);
    if (status == SEGUE_OK)
        status = watch_ranges(shared);
    if (status == SEGUE_OK)
        status = watch_all_files(shared);
    if (status != SEGUE_OK)
        snprintf(shared->reason, sizeof shared->reason, "%s", segue_reason());
    else if (has_heap(shared) && !watch_heap(shared))
        status = SEGUE_UNSUPPORTED;
    if (status == SEGUE_NO_MEMORY)
        shared->lacks_memory = true;
    if (status != SEGUE_OK)
        loaded_use(NULL);
    return status;
}

static enum segue_status watch_static(struct shared *shared, const struct static_program *program)
{
    const char *reason;
    is_static = true;
    if (!static_prepare(program, &reason)) {
        snprintf(shared->reason, sizeof shared->reason, "%s", reason);
        shared->lacks_memory = true;
        return SEGUE_NO_MEMORY;
    }
    enum segue_status status = watch(shared);
    if (status == SEGUE_OK)
        static_ready();
    return status;
}

/* The environment that it has is not the program's. */
static const struct static_program *find_static(void)
{
    const char *address = getenv(SHARED_STATIC);
    return address ? (const struct static_program *)(uintptr_t)strtoull(address, NULL, 16) : NULL;
}

__attribute__((constructor)) static void begin(void)
{
    const char *descriptor = getenv(SHARED_DESCRIPTOR);
    if (!descriptor)
        return;
    struct shared *shared = map_shared(descriptor);
    const struct static_program *program = find_static();
    if (!program)
        restore_environment();
    if (!shared)
        return;
    shared->process = (uint32_t)getpid();
    started_begin();
    say(shared, SHARED_READY);
    enum segue_status status = SEGUE_OK;
    if (wait_for_go(shared)) {
        status = program ? watch_static(shared, program) : watch(shared);
        say(shared, status == SEGUE_OK ? SHARED_WATCHED : SHARED_FAILED);
    }
    /* The command now ends, and this process with it. */
    while (status != SEGUE_OK && wait_for_go(shared))
        ;
    if (status != SEGUE_OK)
        _exit(1);
    if (program)
        static_begin(program);
}
