/* company.h: a second thread, which sleeps, for tests of what the library does only for the sake of other threads. */
#ifndef SEGUE_TESTS_COMPANY_H
#define SEGUE_TESTS_COMPANY_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

static inline void *company_sleeps(void *unused)
{
    for (;;)
        pause();
    return unused;
}

/* From then on the process has a second thread; a child made by fork must call it again. False if it could not be made.
 * It blocks all signals: the kernel gives one for the process to any thread that does not, and a handler that still
 * runs in a thread which is never joined may meet memory that its test has unmapped. */
static inline bool keep_company(void)
{
    static pid_t process;
    pthread_t thread;
    sigset_t all, before;
    if (process == getpid())
        return true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool is_made = pthread_create(&thread, NULL, company_sleeps, NULL) == 0 && pthread_detach(thread) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (is_made)
        process = getpid();
    return is_made;
}

#endif
