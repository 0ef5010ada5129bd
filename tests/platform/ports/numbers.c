/* numbers.c: see loader.h. */
#define _GNU_SOURCE
#include "loader.h"

#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The others are the same. */
static const int from_linux[][2] = {
    {SIGBUS, BSD_BUS}, {SIGUSR1, BSD_USR1}, {SIGUSR2, BSD_USR2}, {SIGSYS, BSD_SYS},
    {SIGURG, BSD_URG}, {SIGSTOP, BSD_STOP}, {SIGCHLD, BSD_CHLD},
};
#define PAIRS (sizeof from_linux / sizeof *from_linux)

static int to_linux(int number)
{
    for (size_t i = 0; i < PAIRS; i++)
        if (from_linux[i][1] == number)
            return from_linux[i][0];
    return number;
}

int signal_status(int status)
{
    if (!WIFSIGNALED(status))
        return status;
    for (size_t i = 0; i < PAIRS; i++)
        if (from_linux[i][0] == WTERMSIG(status))
            return (status & ~0x7f) | from_linux[i][1];
    return status;
}

_Noreturn void signal_die_of(int number)
{
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigset_t none;
    int native = to_linux(number);
    sigaction(native, &by_default, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (;;)
        syscall(SYS_tgkill, getpid(), gettid(), native);
}
