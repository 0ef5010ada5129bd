/* sigchain_program.c: a program that knows nothing of Segue, but uses signals in every way: it takes SIGSEGV itself,
 * blocks it, reads back what it has set, and goes on using its memory. What it prints must be the same with a library
 * preloaded that protects some of that memory, and with none. The argument is the way. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define MEMORY ((volatile unsigned char *)0x21000000u)
#define CLOSED ((volatile unsigned char *)0x20000000u)
#define PAGE 4096u

static sigjmp_buf jump;
static ucontext_t context;
static volatile bool is_away;

/* Memory that may be protected by others. */
static unsigned use_memory(void)
{
    MEMORY[16]++;
    return MEMORY[16] + MEMORY[17];
}

static uint64_t word_of(const sigset_t *set)
{
    uint64_t word;
    memcpy(&word, set, sizeof word);
    return word;
}

static uint64_t mask(void)
{
    sigset_t present;
    pthread_sigmask(SIG_BLOCK, NULL, &present);
    return word_of(&present);
}

static void tell_action(const char *what, const struct sigaction *action)
{
    const char *handler = action->sa_handler == SIG_DFL   ? "default"
                          : action->sa_handler == SIG_IGN ? "ignored"
                                                          : "handler";
    printf("%s: %s flags %x mask %lx\n", what, handler, (unsigned)action->sa_flags, word_of(&action->sa_mask));
}

static void tell_actions(const char *what)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGUSR1};
    struct sigaction action;
    printf("%s\n", what);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        sigaction(numbers[i], NULL, &action);
        tell_action(strsignal(numbers[i]), &action);
    }
}

static void skip_or_leave(int number, siginfo_t *info, void *frame)
{
    stack_t stack;
    ucontext_t *interrupted = frame;
    sigaltstack(NULL, &stack);
    printf("signal %d code %d address %p mask %lx of frame %lx memory %u stack %d %x %zx\n", number, info->si_code,
           info->si_code > 0 ? info->si_addr : NULL, mask(), word_of(&interrupted->uc_sigmask), use_memory(),
           stack.ss_sp != NULL, stack.ss_flags, stack.ss_size);
    mprotect((void *)(uintptr_t)CLOSED, PAGE, PROT_READ | PROT_WRITE);
}

static void leave(int number)
{
    printf("leaving %d mask %lx memory %u\n", number, mask(), use_memory());
    mprotect((void *)(uintptr_t)CLOSED, PAGE, PROT_NONE);
    is_away = true;
    siglongjmp(jump, 1);
}

static void leave_by_context(int number)
{
    printf("switching %d memory %u\n", number, use_memory());
    is_away = true;
    setcontext(&context);
}

static void set(int number, void (*plain)(int), unsigned flags)
{
    struct sigaction action = {.sa_handler = plain, .sa_flags = (int)flags};
    if (flags & SA_SIGINFO)
        action.sa_sigaction = skip_or_leave;
    sigaddset(&action.sa_mask, SIGUSR2);
    sigaddset(&action.sa_mask, SIGBUS);
    if (sigaction(number, &action, NULL) != 0)
        exit(59);
}

static sigset_t set_of(int number)
{
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    return one;
}

/* ---- the ways -------------------------------------------------------------------------------------------------- */

static void read_back(void)
{
    struct sigaction before, wanted = {.sa_handler = leave, .sa_flags = (int)(SA_RESETHAND | SA_ONSTACK)};
    tell_actions("at first");
    set(SIGSEGV, NULL, SA_SIGINFO | SA_NODEFER);
    set(SIGUSR1, leave, SA_RESTART);
    tell_actions("after");
    sigaction(SIGSEGV, &wanted, &before);
    tell_action("before", &before);
    printf("signal() gives %d\n", signal(SIGSEGV, SIG_IGN) == leave);
    tell_actions("ignored");
    printf("ignored is %d\n", signal(SIGBUS, leave) == SIG_DFL);
    printf("sigset %d %d\n", sigset(SIGFPE, leave) == SIG_DFL, sigset(SIGFPE, SIG_HOLD) == leave);
    printf("held %d\n", sigset(SIGFPE, SIG_DFL) == SIG_HOLD);
    siginterrupt(SIGSEGV, 1);
    sysv_signal(SIGBUS, leave);
    tell_actions("at last");
    int result = sigaction(999, NULL, &before);
    printf("bad %d %d\n", result, errno);
    printf("memory %u\n", use_memory());
}

static void take_faults(void)
{
    set(SIGSEGV, NULL, SA_SIGINFO);
    printf("read %u\n", CLOSED[5]);
    mprotect((void *)(uintptr_t)CLOSED, PAGE, PROT_NONE);
    set(SIGSEGV, leave, 0);
    for (volatile int i = 0; i < 3; i++)
        if (!sigsetjmp(jump, 1))
            CLOSED[5] = 1;
    printf("mask %lx memory %u\n", mask(), use_memory());
    set(SIGSEGV, leave_by_context, 0);
    is_away = false;
    getcontext(&context);
    if (!is_away)
        CLOSED[6] = 1;
    printf("mask %lx memory %u\n", mask(), use_memory());
}

static void block(void)
{
    sigset_t all, before, one = set_of(SIGSEGV), waiting;
    union sigval value = {.sival_int = 3};
    set(SIGSEGV, NULL, SA_SIGINFO);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    printf("mask %lx before %lx memory %u\n", mask(), word_of(&before), use_memory());
    pthread_sigqueue(pthread_self(), SIGSEGV, value);
    raise(SIGSEGV);
    sigpending(&waiting);
    printf("waits %d memory %u\n", sigismember(&waiting, SIGSEGV), use_memory());
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    printf("mask %lx\n", mask());
    sighold(SIGSEGV);
    raise(SIGSEGV);
    printf("held, memory %u\n", use_memory());
    sigrelse(SIGSEGV);
    sigprocmask(SIG_SETMASK, &before, NULL);
    printf("mask %lx block %x\n", mask(), (unsigned)sigblock(1 << (SIGBUS - 1)));
    printf("old %x %lx\n", (unsigned)sigsetmask(0), mask());
    sighold(SIGSEGV);
    raise(SIGSEGV);
    sigemptyset(&all);
    int result = sigsuspend(&all);
    printf("suspended %d %d mask %lx\n", result, errno, mask());
}

static void use_while_handling(int number)
{
    printf("%d memory %u\n", number, use_memory());
}

/* All is blocked in the handler: the memory can be used all the same. */
static void handle_others(void)
{
    struct sigaction action = {.sa_handler = use_while_handling}, seen;
    sigfillset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    sigaction(SIGUSR1, NULL, &seen);
    printf("mask %lx\n", word_of(&seen.sa_mask));
}

static void fault_while_blocked(void)
{
    sigset_t one = set_of(SIGSEGV);
    set(SIGSEGV, NULL, SA_SIGINFO);
    sigprocmask(SIG_BLOCK, &one, NULL);
    printf("memory %u\n", use_memory());
    fflush(stdout);
    CLOSED[5] = 1;
}

static void *tell_in_thread(void *unused)
{
    (void)unused;
    printf("mask %lx memory %u\n", mask(), use_memory());
    return NULL;
}

static void inherit(void)
{
    static char *const arguments[] = {"grep", "SigBlk", "/proc/self/status", NULL};
    sigset_t all;
    pthread_t thread;
    pid_t process;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    pthread_create(&thread, NULL, tell_in_thread, NULL);
    pthread_join(thread, NULL);
    fflush(stdout);
    if (fork() == 0) {
        printf("child mask %lx memory %u\n", mask(), use_memory());
        exit(0);
    }
    wait(NULL);
    unsetenv("LD_PRELOAD");
    posix_spawn(&process, "/bin/grep", NULL, NULL, arguments, NULL);
    waitpid(process, NULL, 0);
}

/* The mask that a program begins with is its own. */
static void begin_blocked(void)
{
    static char *const arguments[] = {"again", "begin_blocked", NULL};
    sigset_t one = set_of(SIGBUS);
    pid_t process;
    printf("mask %lx memory %u\n", mask(), use_memory());
    if (mask() & word_of(&one))
        return;
    sigprocmask(SIG_BLOCK, &one, NULL);
    fflush(stdout);
    posix_spawn(&process, "/proc/self/exe", NULL, NULL, arguments, environ);
    waitpid(process, NULL, 0);
}

static void use_stack(void)
{
    static _Alignas(16) char memory[16384];
    stack_t wanted = {.ss_sp = memory, .ss_size = sizeof memory}, seen, small = {.ss_sp = memory, .ss_size = 100};
    sigaltstack(NULL, &seen);
    printf("at first %p %x %zx\n", seen.ss_sp, seen.ss_flags, seen.ss_size);
    int result = sigaltstack(&small, NULL);
    printf("small %d %d\n", result, errno);
    sigaltstack(&wanted, NULL);
    sigaltstack(NULL, &seen);
    printf("set %d %x %zx\n", seen.ss_sp == memory, seen.ss_flags, seen.ss_size);
    set(SIGSEGV, NULL, SA_SIGINFO | SA_ONSTACK);
    printf("read %u\n", CLOSED[5]);
    /* A call that is refused answers nothing. */
    stack_t untouched = {.ss_size = 77};
    result = sigaltstack(&small, &untouched);
    printf("refused %d %zu\n", result, untouched.ss_size);
    wanted.ss_flags = SS_DISABLE;
    sigaltstack(&wanted, &seen);
    printf("was %d\n", seen.ss_sp == memory);
}

static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {
    {"read_back", read_back},
    {"take_faults", take_faults},
    {"block", block},
    {"handle_others", handle_others},
    {"fault_while_blocked", fault_while_blocked},
    {"inherit", inherit},
    {"begin_blocked", begin_blocked},
    {"use_stack", use_stack},
};

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    mmap((void *)(uintptr_t)CLOSED, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    void *own = mmap((void *)(uintptr_t)MEMORY, PAGE, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (own != MAP_FAILED)
        memset(own, 0x77, PAGE);
    for (size_t i = 0; argc == 2 && i < sizeof ways / sizeof *ways; i++)
        if (strcmp(argv[1], ways[i].name) == 0)
            ways[i].run();
    return 0;
}
