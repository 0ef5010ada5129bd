/* sigchain_go.c: a program that does with signals what Go does with cgo, and has the note that Go's linker writes: it
 * sets its SIGSEGV handler by the C library, and a new thread, which begins with all signals blocked, unblocks them and
 * sets its alternate stack by system calls. The handler must run on that stack. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096u

__asm__(".pushsection .note.go.buildid, \"a\", @note\n"
        ".p2align 2\n"
        ".long 4, 4, 4\n"
        ".asciz \"Go\"\n"
        ".byte 0\n"
        ".ascii \"test\"\n"
        ".popsection\n");

static char stack[1 << 16];
static char *closed;
static volatile int is_on_stack = -1;

static void open_page(int number)
{
    char here;
    (void)number;
    is_on_stack = (uintptr_t)&here - (uintptr_t)stack < sizeof stack;
    mprotect(closed, PAGE, PROT_READ | PROT_WRITE);
}

static void *begin(void *unused)
{
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    const uint64_t none = 0;
    syscall(SYS_sigaltstack, &alternate, NULL);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
    *(volatile char *)closed = 1;
    return unused;
}

int main(void)
{
    struct sigaction action = {.sa_handler = open_page, .sa_flags = SA_ONSTACK};
    sigset_t all, before;
    pthread_t thread;
    closed = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaction(SIGSEGV, &action, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, NULL, begin, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        pthread_join(thread, NULL);
    printf("on the thread's alternate stack: %d\n", is_on_stack);
    return 0;
}
