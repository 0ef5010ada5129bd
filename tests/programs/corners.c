/* Corners of programs that change, share, leave or step through the code that makes their system calls. */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define MANY 300
#define SITES 600
#define SITE_SIZE 32

/* make_call(number): a site with unused bytes behind it. call_label: the same, where what looks unused is where it goes
 * on; call_data: where it is read. sites: many that are alike. */
__asm__(".text\n"
        ".p2align 4\n"
        "make_call:\n"
        ".cfi_startproc\n"
        "movl %edi, %eax\n"
        "syscall\n"
        "ret\n"
        ".cfi_endproc\n"
        ".p2align 4\n"
        "call_label:\n"
        ".cfi_startproc\n"
        "leaq 1f(%rip), %r8\n"
        "movl %edi, %eax\n"
        "syscall\n"
        "jmp *%r8\n"
        ".nops 4\n"
        ".p2align 3\n"
        "1: .nops 5\n"
        ".p2align 3\n"
        "ret\n"
        ".cfi_endproc\n"
        ".p2align 4\n"
        "call_data:\n"
        ".cfi_startproc\n"
        "movl %edi, %eax\n"
        "syscall\n"
        "movq 1f(%rip), %rax\n"
        "ret\n"
        ".p2align 3\n"
        "1: .quad 0x9090909090909090\n"
        "ret\n"
        ".cfi_endproc\n"
        ".p2align 5\n"
        "sites:\n"
        ".rept 600\n"
        ".cfi_startproc\n"
        "movl $39, %eax\n"
        "syscall\n"
        "ret\n"
        ".cfi_endproc\n"
        ".p2align 5\n"
        ".endr\n");
long make_call(int number), call_label(int number), call_data(int number);
extern const char sites[], __ehdr_start[], etext[];

static void say(const char *what, long good)
{
    printf("%s: %ld\n", what, good);
    fflush(stdout);
}

/* ---- code that is not only ours ---- */

/* Its own file, as far as `size`. */
static char *map_self(size_t size, int protection, int flags)
{
    int file = open("./corner", protection & PROT_WRITE ? O_RDWR : O_RDONLY);
    char *at = mmap(NULL, size, protection, flags, file, 0);
    close(file);
    return at;
}

static long call_copy(const char *copy, unsigned times)
{
    long (*function)(int) = (long (*)(int))(uintptr_t)(copy + ((const char *)make_call - __ehdr_start));
    long good = 0;
    for (unsigned i = 0; i < times; i++)
        good += function(SYS_getpid) == getpid();
    return good;
}

/* What one process changes, another would run. */
static void shared_code(void)
{
    struct stat status;
    int wait_status;
    if (system("cp corners corner") != 0 || stat("corner", &status) != 0)
        exit(1);
    char *copy = map_self((size_t)status.st_size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED);
    pid_t child = fork();
    if (child == 0)
        _exit(call_copy(copy, MANY) != MANY);
    waitpid(child, &wait_status, 0);
    say("shared code", wait_status == 0 && call_copy(copy, 1) == 1 && system("cmp -s corners corner") == 0);
    munmap(copy, (size_t)status.st_size);
}

/* The file says where its unwind table is; it is not mapped. */
static void part_of_a_file(void)
{
    size_t size = ((size_t)(etext - __ehdr_start) + 4095) & ~(size_t)4095;
    char *room = mmap(NULL, size + (1u << 20), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int file = open("./corners", O_RDONLY);
    char *copy = mmap(room, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, file, 0);
    close(file);
    say("part of a file", call_copy(copy, MANY));
}

static void labels_and_data(void)
{
    long good = 0;
    for (unsigned i = 0; i < MANY; i++)
        good += (call_label(SYS_getpid) == getpid()) + (call_data(SYS_getpid) == (long)0x9090909090909090);
    say("labels and data", good);
}

/* ---- what is no call ---- */

static sigjmp_buf place;
static volatile uint64_t found_at;

static void on_fault(int number, siginfo_t *info, void *context)
{
    const ucontext_t *frame = context;
    (void)number;
    (void)info;
    found_at = (uint64_t)frame->uc_mcontext.gregs[REG_RIP];
    siglongjmp(place, 1);
}

static void call_to_null(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, before;
    void (*volatile nowhere)(void) = NULL;
    found_at = 1;
    sigaction(SIGSEGV, &action, &before);
    if (!sigsetjmp(place, 1))
        nowhere();
    sigaction(SIGSEGV, &before, NULL);
    say("call to NULL", (long)found_at);
}

/* ---- numbers ---- */

/* The kernel looks at EAX alone; syscall() hands all of it on. */
static void upper_half(void)
{
    const uint64_t up = (uint64_t)1 << 32, all = UINT64_MAX;
    uint64_t base = 0, same = 0, mask = 0;
    int status;
    syscall(SYS_arch_prctl, ARCH_GET_FS, &base);
    syscall((long)(up | SYS_arch_prctl), ARCH_GET_FS, &same);
    long child = syscall((long)(up | SYS_fork));
    if (child == 0) {
        syscall(SYS_arch_prctl, ARCH_GET_FS, &same);
        _exit(same == base ? 4 : 5);
    }
    waitpid((pid_t)child, &status, 0);
    syscall((long)(up | SYS_rt_sigprocmask), SIG_BLOCK, &all, &mask, 8);
    syscall((long)(up | SYS_rt_sigprocmask), SIG_SETMASK, &mask, NULL, 8);
    long changed = syscall(SYS_rt_sigprocmask, (long)(up | SIG_BLOCK), &all, &mask, 8);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
    say("upper half of an int", changed == 0);
    say("upper half", base == same && WEXITSTATUS(status) == 4);
}

/* ---- ends ---- */

/* Children that share the memory, killed at any moment while they make calls at new sites. */
static void killed(void)
{
    volatile pid_t *target = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    static volatile unsigned at;
    volatile long count = 0;
    int status;
    pid_t killer = fork();
    while (killer == 0) {
        pid_t child = *target;
        if (child < 0)
            _exit(0);
        if (child == 0)
            continue;
        usleep(300 + (unsigned)rand() % 900);
        /* Not after the kill: the next child may have written its number by then. */
        *target = 0;
        kill(child, SIGKILL);
    }
    for (unsigned round = 0; round < 40; round++) {
        pid_t child = vfork();
        if (child == 0) {
            *target = getpid();
            for (;;) {
                at = (at + 1) % SITES;
                ((void (*)(void))(uintptr_t)(sites + SITE_SIZE * at))();
            }
        }
        waitpid(child, &status, 0);
        count += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    }
    *target = -1;
    waitpid(killer, NULL, 0);
    /* The parent's own are made, too. */
    for (unsigned i = 0; i < SITES; i++)
        ((void (*)(void))(uintptr_t)(sites + SITE_SIZE * i))();
    say("killed", count);
}

int main(void)
{
    long good = 0;
    for (unsigned i = 0; i < MANY; i++)
        good += make_call(SYS_getpid) == getpid();
    say("own code", good);
    shared_code();
    part_of_a_file();
    labels_and_data();
    call_to_null();
    upper_half();
    killed();
    return 0;
}
