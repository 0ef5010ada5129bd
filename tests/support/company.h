/* company.h: a second thread, which sleeps, for tests of what the library does only for the sake of other threads. */
#ifndef SEGUE_TESTS_COMPANY_H
#define SEGUE_TESTS_COMPANY_H

#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

static inline void *company_sleeps(void *unused)
{
    for (;;)
        pause();
    return unused;
}

/* From then on the process has a second thread; a child made by fork must call it again. False if it could not be made.
 */
static inline bool keep_company(void)
{
    static pid_t process;
    pthread_t thread;
    if (process == getpid())
        return true;
    if (pthread_create(&thread, NULL, company_sleeps, NULL) != 0 || pthread_detach(thread) != 0)
        return false;
    process = getpid();
    return true;
}

#endif
