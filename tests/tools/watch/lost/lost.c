/* lost.c: writes to `counter`; between the writes a child begins a record, as the library does for an access, and is
 * killed. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/watch/agent/shared.h"

volatile long counter;

static struct shared *find_shared(void)
{
    char line[512];
    struct shared *found = NULL;
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned long start;
    while (maps && !found && fgets(line, sizeof line, maps))
        if (strstr(line, "memfd:segue-watch") && sscanf(line, "%lx", &start) == 1)
            found = (struct shared *)start;
    if (maps)
        fclose(maps);
    return found;
}

static void begin_record(struct watch_queue *queue)
{
    const uint64_t at = __atomic_fetch_add(&queue->puts, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&queue->place[at & (queue->places - 1)].writer, (uint64_t)gettid(), __ATOMIC_RELAXED);
}

int main(void)
{
    int status;
    struct shared *shared = find_shared();
    if (!shared)
        return 2;
    counter = 1;
    pid_t child = fork();
    if (child == 0) {
        begin_record(&shared->queue);
        raise(SIGKILL);
    }
    if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
        return 1;
    counter = 2;
    return 0;
}
