#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static __thread int mine = 7;
static pthread_mutex_t robust;
static pthread_key_t key;
static int destroyed;
static void destroy(void *value) { __atomic_fetch_add(&destroyed, (int)(long)value, __ATOMIC_RELAXED); }
static void *work(void *argument)
{
    mine += (int)(long)argument;
    pthread_setspecific(key, (void *)1L);
    for (int i = 0; i < 1000; i++) free(malloc((size_t)(i % 100) + 1));
    errno = mine;
    return (void *)(long)(errno == mine ? mine : -1);
}
static void *leave_locked(void *argument) { pthread_mutex_lock(&robust); return argument; }
static void *sleeper(void *argument) { for (;;) sleep(100); return argument; }
static void *spinner(void *argument) { pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL); for (volatile int i = 0;; i++) continue; return argument; }
int main(void)
{
    pthread_t threads[16], one; void *result; long sum = 0;
    pthread_mutexattr_t kind;
    pthread_key_create(&key, destroy);
    for (int round = 0; round < 20; round++) {
        for (long i = 0; i < 16; i++) if (pthread_create(&threads[i], NULL, work, (void *)i)) return 2;
        for (int i = 0; i < 16; i++) { pthread_join(threads[i], &result); sum += (long)result; }
    }
    printf("%ld %d %d\n", sum, mine, destroyed);
    pthread_mutexattr_init(&kind); pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST); pthread_mutex_init(&robust, &kind);
    pthread_create(&one, NULL, leave_locked, NULL); pthread_join(one, NULL);
    printf("%s\n", pthread_mutex_lock(&robust) == EOWNERDEAD ? "owner died" : "no");
    pthread_create(&one, NULL, sleeper, NULL); pthread_cancel(one); pthread_join(one, &result);
    printf("%s\n", result == PTHREAD_CANCELED ? "cancelled" : "no");
    pthread_create(&one, NULL, spinner, NULL); usleep(1000); pthread_cancel(one); pthread_join(one, &result);
    printf("%s\n", result == PTHREAD_CANCELED ? "cancelled" : "no");
    fflush(stdout);
    pthread_create(&one, NULL, work, NULL); pthread_detach(one);
    pthread_exit(NULL);
}
