/* blocks.c end|wait: a thread that blocks SIGTRAP writes to `watched`, and ends, or waits. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

long watched;

int main(int count, char **arguments)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTRAP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    watched = count;
    while (strcmp(arguments[1], "wait") == 0)
        pause();
    return 0;
}
