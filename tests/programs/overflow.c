#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
/* A stack that is too small for its handlers: they must not go on below it. */
static struct { int depth; char below[65536], stack[65536]; } *shared;
static void nested(int n) { shared->depth++; raise(n); }
static void set(int n, int flags) { struct sigaction action; memset(&action, 0, sizeof action); action.sa_handler = nested; action.sa_flags = flags; sigaction(n, &action, NULL); }
static void try(int flags, size_t size)
{
    int status; long touched = 0; memset(shared, 0, sizeof *shared);
    if (!fork()) { stack_t stack = {.ss_sp = shared->stack, .ss_size = size}; sigaltstack(&stack, NULL); set(SIGUSR1, SA_NODEFER | SA_ONSTACK | flags); raise(SIGUSR1); _exit(0); }
    wait(&status); for (size_t i = 0; i < sizeof shared->below; i++) touched += shared->below[i] != 0;
    printf("%x at depth %d, %ld bytes below\n", status, shared->depth, touched);
}
int main(void)
{
    size_t frame = getauxval(51) ? getauxval(51) : 4096;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    try(0, sizeof shared->stack); try(0, frame + 512); try(0, 2048); try(SA_SIGINFO, 3 * frame);
    return 0;
}
