/* posix.h: fixture.h; and what a port to a POSIX system reports a closed page by, and what ends a child. */
#ifndef SEGUE_TESTS_PORTS_POSIX_H
#define SEGUE_TESTS_PORTS_POSIX_H

#include "tests/platform/ports/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* macOS has SIGBUS for it; FreeBSD what the sysctl machdep.prot_fault_translation says, which the loader has from
 * there, too. */
static inline int closed_signal(void)
{
#if defined(__APPLE__)
    return SIGBUS;
#else
    const char *translation = getenv("LOADER_TRANSLATION");
    return translation && strcmp(translation, "1") == 0 ? SIGBUS : SIGSEGV;
#endif
}

static inline enum segue_verdict pass(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    asked++;
    return SEGUE_PASS;
}

/* The signal that ends a child which runs that; or its exit status, negative. */
static inline int ends_by(void (*run)(void))
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        run();
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

#endif
