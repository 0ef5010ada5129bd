/* System calls at many sites, under signals, threads, forks and modules that come and go: what each leaves in registers,
 * flags and below the stack pointer, and where handlers find the thread. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define SITES 64

struct seen {
    uint64_t result, rcx, behind, r11, flags, below[2], arguments[6], rbx_kept;
};

/* site_N(number, seen): every register that a call may not change holds a value; CF and ZF are set; two words below the
 * stack pointer are in use. */
__asm__(".altmacro\n"
        ".macro SITE n\n"
        ".p2align 4\n"
        "site_\\n:\n"
        ".cfi_startproc\n"
        "movq %rbx, -64(%rsi)\n"
        "movq %rsi, %rbx\n"
        "movq %rdi, %rax\n"
        "movabsq $0x1122334455667788, %r9\n"
        "movq %r9, -8(%rsp)\n"
        "movq %r9, -128(%rsp)\n"
        "movl $-1, %edi\n"
        "movl $0x1001, %esi\n"
        "movl $0x1002, %edx\n"
        "movl $0x1003, %r10d\n"
        "movl $0x1004, %r8d\n"
        "xorl %ecx, %ecx\n"
        "stc\n"
        "syscall\n"
        "1: movq %rax, (%rbx)\n"
        "movq %rcx, 8(%rbx)\n"
        "leaq 1b(%rip), %rcx\n"
        "movq %rcx, 16(%rbx)\n"
        "movq %r11, 24(%rbx)\n"
        "movq -8(%rsp), %rcx\n"
        "movq %rcx, 40(%rbx)\n"
        "movq -128(%rsp), %rcx\n"
        "movq %rcx, 48(%rbx)\n"
        "pushfq\n"
        ".cfi_adjust_cfa_offset 8\n"
        "popq 32(%rbx)\n"
        ".cfi_adjust_cfa_offset -8\n"
        "movq %rdi, 56(%rbx)\n"
        "movq %rsi, 64(%rbx)\n"
        "movq %rdx, 72(%rbx)\n"
        "movq %r10, 80(%rbx)\n"
        "movq %r8, 88(%rbx)\n"
        "movq %r9, 96(%rbx)\n"
        "movq -64(%rbx), %rbx\n"
        "ret\n"
        ".cfi_endproc\n"
        ".endm\n"
        ".text\n"
        ".set i, 0\n"
        ".rept 64\n"
        "SITE %i\n"
        ".set i, i + 1\n"
        ".endr\n"
        ".p2align 4\n"
        ".section .data.rel.ro, \"aw\"\n"
        ".macro ADDRESS n\n"
        ".quad site_\\n\n"
        ".endm\n"
        ".p2align 3\n"
        "site_table:\n"
        ".set i, 0\n"
        ".rept 64\n"
        "ADDRESS %i\n"
        ".set i, i + 1\n"
        ".endr\n"
        ".text\n");
extern uint64_t (*const site_table[SITES])(uint64_t number, struct seen *seen);

static _Atomic unsigned wrong_calls, wrong_places, alarms;

struct ranges {
    uint64_t start[64], end[64];
    unsigned count;
};
static struct ranges code;

static int note(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) || code.count == 64)
            continue;
        code.start[code.count] = info->dlpi_addr + segment->p_vaddr;
        code.end[code.count++] = info->dlpi_addr + segment->p_vaddr + segment->p_memsz;
    }
    return 0;
}

static int is_code(uint64_t address)
{
    for (unsigned i = 0; i < code.count; i++)
        if (address - code.start[i] < code.end[i] - code.start[i])
            return 1;
    return 0;
}

static void on_alarm(int number, siginfo_t *info, void *context)
{
    const ucontext_t *frame = context;
    uint64_t at = (uint64_t)frame->uc_mcontext.gregs[REG_RIP];
    (void)number;
    (void)info;
    alarms++;
    /* Not among bytes that are never executed, either; the sites have no such jumps of their own. */
    int is_in_sites = at - (uint64_t)site_table[0] < (uint64_t)site_table[SITES - 1] + 256 - (uint64_t)site_table[0];
    if (!is_code(at) || (is_in_sites && *(const uint8_t *)at == 0xe9))
        wrong_places++;
}

static void take(int number, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    sigaction(number, &action, NULL);
}

static void set_timer(long microseconds)
{
    struct itimerval timer = {{0, microseconds}, {0, microseconds}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void call(unsigned site, uint64_t number, uint64_t expected)
{
    uint64_t room[8 + sizeof(struct seen) / 8] = {0};
    struct seen *seen = (struct seen *)(room + 8);
    site_table[site](number, seen);
    int same = seen->result == expected && seen->rcx == seen->behind && (seen->r11 & 0x8d5) == (seen->flags & 0x8d5) &&
               (seen->flags & 0x41) == 0x41 && seen->below[0] == 0x1122334455667788 &&
               seen->below[1] == 0x1122334455667788 && seen->arguments[0] == 0xffffffff &&
               seen->arguments[1] == 0x1001 && seen->arguments[2] == 0x1002 && seen->arguments[3] == 0x1003 &&
               seen->arguments[4] == 0x1004 && seen->arguments[5] == 0x1122334455667788;
    if (!same)
        wrong_calls++;
}

/* Each site with one number most of the time, and with others. */
static void *call_all(void *rounds)
{
    uint64_t process = (uint64_t)getpid(), thread = (uint64_t)gettid();
    for (unsigned i = 0; i < (uintptr_t)rounds; i++) {
        for (unsigned site = 0; site < SITES; site++) {
            call(site, SYS_getpid, process);
            if (i % 4 == 1)
                call(site, SYS_gettid, thread);
            if (i % 4 == 2)
                call(site, 9999, (uint64_t)-ENOSYS);
            if (i % 4 == 3)
                call(site, SYS_close, (uint64_t)-EBADF);
        }
    }
    return NULL;
}

static void report(const char *what)
{
    printf("%s: %u wrong calls, %u wrong places\n", what, wrong_calls, wrong_places);
    fflush(stdout);
}

static void in_threads(void)
{
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, call_all, (void *)(uintptr_t)200);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

static void in_forks(void)
{
    for (unsigned i = 0; i < 10; i++) {
        pid_t child = fork();
        int status;
        if (child == 0) {
            call_all((void *)(uintptr_t)10);
            _exit(wrong_calls != 0);
        }
        while (waitpid(child, &status, 0) < 0)
            ;
        if (status)
            wrong_calls++;
    }
}

/* A call that waits is interrupted, or made again. */
static void interrupted(int flags)
{
    struct timespec time = {0, 2000000};
    int ends[2], others = 0;
    char byte = 0;
    take(SIGALRM, on_alarm, flags);
    if (pipe(ends))
        return;
    unsigned again = 0, whole = 0;
    for (unsigned i = 0; i < 50; i++) {
        pid_t child = fork();
        if (child == 0) {
            set_timer(0);
            nanosleep(&time, NULL);
            _exit(write(ends[1], "x", 1) != 1);
        }
        ssize_t got;
        set_timer(300);
        while ((got = read(ends[0], &byte, 1)) < 0 && errno == EINTR)
            again++;
        set_timer(0);
        whole += got == 1 && byte == 'x';
        waitpid(child, NULL, 0);
    }
    set_timer(300);
    for (unsigned i = 0; i < 50; i++)
        others += nanosleep(&time, NULL) != 0 && errno != EINTR;
    set_timer(0);
    close(ends[0]);
    close(ends[1]);
    printf("%s: %s, %u read, %d other ends of sleep\n", flags & SA_RESTART ? "made again" : "interrupted",
           again ? "with EINTR" : "without EINTR", whole, others);
}

static sigjmp_buf place;
static void jump(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    (void)context;
    siglongjmp(place, 1);
}

static void jumped(void)
{
    volatile unsigned jumps = 0;
    char byte;
    int ends[2];
    if (pipe(ends))
        return;
    take(SIGALRM, jump, 0);
    while (jumps < 200) {
        if (sigsetjmp(place, 1)) {
            jumps++;
            continue;
        }
        set_timer(300);
        for (;;)
            if (read(ends[0], &byte, 1) >= 0)
                _exit(1);
    }
    set_timer(0);
    take(SIGALRM, on_alarm, SA_RESTART);
    printf("%s jumps\n", jumps >= 200 ? "enough" : "few");
}

/* A module with a site of its own is loaded again and again, mostly to the same addresses. */
static void modules(void)
{
    unsigned good = 0;
    for (unsigned i = 0; i < 40; i++) {
        void *module = dlopen("./module.so", RTLD_NOW);
        long (*number)(void) = module ? (long (*)(void))dlsym(module, "own_number") : NULL;
        for (unsigned j = 0; number && j < 5; j++)
            good += number() == getpid();
        if (module)
            dlclose(module);
    }
    printf("%u calls in modules\n", good);
}

int main(void)
{
    dl_iterate_phdr(note, NULL);
    take(SIGALRM, on_alarm, SA_RESTART);
    call_all((void *)(uintptr_t)20);
    report("alone");
    set_timer(150);
    call_all((void *)(uintptr_t)2000);
    report("under signals");
    in_threads();
    report("in threads");
    in_forks();
    set_timer(0);
    report("in forks");
    interrupted(0);
    interrupted(SA_RESTART);
    jumped();
    modules();
    printf("%s\n", alarms > 100 ? "many signals" : "few signals");
    return wrong_calls || wrong_places;
}
