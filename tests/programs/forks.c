/* forks.c: a parent and its children go on to make calls that none of them has made before, some with a second thread
 * at work: what one of them is given for a call must not reach the others. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static int is_over;

static void *call_always(void *unused)
{
    (void)unused;
    while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE))
        if (getppid() <= 0 || getuid() != geteuid())
            abort();
    return NULL;
}

static int before(void)
{
    struct stat status;
    return getppid() > 0 && getuid() == geteuid() && stat("/", &status) == 0 && dup2(1, 9) == 9 && close(9) == 0;
}

static int in_parent(void)
{
    struct rusage used;
    struct tms times_used;
    int ends[2];
    return getrusage(RUSAGE_SELF, &used) == 0 && times(&times_used) != -1 && pipe(ends) == 0 &&
           write(ends[1], "x", 1) == 1 && close(ends[0]) == 0 && close(ends[1]) == 0 && getsid(0) > 0;
}

static int in_child(void)
{
    struct utsname name;
    struct itimerval timer;
    char folder[4096];
    return uname(&name) == 0 && getcwd(folder, sizeof folder) && sched_yield() == 0 && getpgid(0) > 0 &&
           getitimer(ITIMER_REAL, &timer) == 0 && umask(022) >= 0;
}

static int many(int (*calls)(void))
{
    int fine = 1;
    for (int i = 0; i < 50; i++)
        fine &= calls();
    return fine;
}

static int child(int depth)
{
    pthread_t other;
    int status = 0, fine = many(before), has_other = depth % 2;
    if (has_other && pthread_create(&other, NULL, call_always, NULL) != 0)
        return 1;
    fine &= many(in_child);
    if (has_other) {
        __atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
        pthread_join(other, NULL);
        is_over = 0;
    }
    if (depth < 3) {
        pid_t next = fork();
        if (next == 0)
            _exit(child(depth + 1));
        fine &= waitpid(next, &status, 0) == next;
    }
    fine &= many(in_parent) & many(before);
    return !fine || status != 0;
}

int main(void)
{
    int fine = many(before), status;
    for (int i = 0; i < 4; i++) {
        pid_t made = fork();
        if (made == 0)
            _exit(child(i));
        fine &= many(in_parent) & many(before);
        fine &= waitpid(made, &status, 0) == made;
        printf("child %d: %x, parent %d\n", i, status, fine);
        fflush(stdout);
    }
    return 0;
}
