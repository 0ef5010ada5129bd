/* boehm.c: Boehm's collector, incremental: it protects its heap's pages and learns of stores by its SIGSEGV handler.
 * Threads, forks. The probe is loaded after GC_INIT. */
#define GC_THREADS
#include <gc/gc.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
#define ROUNDS 20
#define LENGTH 2000

struct cell {
    struct cell *next, *newer;
    uint64_t value;
};

static int (*probe_touch)(const void *);

static void touch(void)
{
    if (probe_touch)
        probe_touch(NULL);
}

static struct cell *make(struct cell *next, uint64_t value)
{
    struct cell *cell = GC_MALLOC(sizeof *cell);
    *cell = (struct cell){.next = next, .value = value};
    return cell;
}

/* Old cells are made to point to new ones, which nothing else does. */
static uint64_t work(uint64_t seed)
{
    uint64_t total = 0;
    struct cell **list = GC_MALLOC(sizeof(struct cell *));
    for (unsigned i = 0; i < LENGTH; i++)
        *list = make(*list, seed + i);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (struct cell *cell = *list; cell; cell = cell->next)
            cell->newer = make(NULL, cell->value + round);
        if (round % 5 == 4)
            GC_gcollect();
        else
            GC_collect_a_little();
        touch();
        for (struct cell *cell = *list; cell; cell = cell->next) {
            if (cell->newer->value != cell->value + round)
                _exit(90);
            total += cell->newer->value;
        }
    }
    return total;
}

static void *start(void *result)
{
    uint64_t *number = result;
    *number = work(*number);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    uint64_t results[THREADS], total = 0;
    int status;
    GC_set_handle_fork(1);
    GC_enable_incremental();
    GC_INIT();
    GC_allow_register_threads();
    if (GC_incremental_protection_needs() == GC_PROTECTS_NONE)
        return 91;
    const char *path = getenv("PROBE");
    void *library = path ? dlopen(path, RTLD_NOW) : NULL;
    if (library)
        *(void **)&probe_touch = dlsym(library, "probe_touch");
    for (unsigned i = 0; i < THREADS; i++) {
        results[i] = i;
        if (GC_pthread_create(&threads[i], NULL, start, &results[i]))
            return 92;
    }
    work(100);
    for (unsigned i = 0; i < THREADS; i++) {
        GC_pthread_join(threads[i], NULL);
        total += results[i];
    }
    pid_t child = fork();
    if (child == 0)
        _exit(work(7) == 0);
    if (waitpid(child, &status, 0) != child)
        return 93;
    printf("total %lu, the child ends with %x\n", total, (unsigned)status);
    return 0;
}
