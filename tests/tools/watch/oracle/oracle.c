/* oracle.c ADDRESS:SIZE... -- PROGRAM [ARGUMENT...]: what the processor's own watchpoints say of a program: at most
 * four ranges of 1, 2, 4 or 8 bytes, aligned. For each access of the first thread to one of them, from the program's
 * entry on, a line: the number of the range, and its value after the instruction. The program's status; 77 if the
 * system has no watchpoints.
 *
 * SOURCES: Intel SDM 3B, 18.2 (debug registers); ptrace(2). */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 4
#define READ_OR_WRITE UINT64_C(3)

static struct range {
    uint64_t address, size;
} ranges[MOST];
static int range_count;

static void *debug_register(int number)
{
    return (void *)(offsetof(struct user, u_debugreg) + (size_t)number * sizeof(uint64_t));
}

static void set_watchpoints(pid_t process)
{
    static const uint64_t lengths[] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};
    uint64_t control = 0;
    for (int i = 0; i < range_count; i++) {
        control |= UINT64_C(1) << (2 * i) | READ_OR_WRITE << (16 + 4 * i) | lengths[ranges[i].size] << (18 + 4 * i);
        if (ptrace(PTRACE_POKEUSER, process, debug_register(i), ranges[i].address) != 0)
            exit(77);
    }
    if (ptrace(PTRACE_POKEUSER, process, debug_register(7), control) != 0)
        exit(77);
}

static uint64_t value_of(pid_t process, const struct range *range)
{
    uint64_t word = (uint64_t)ptrace(PTRACE_PEEKDATA, process, (void *)(range->address & ~UINT64_C(7)), NULL);
    word >>= 8 * (range->address & 7);
    return range->size == 8 ? word : word & ((UINT64_C(1) << (8 * range->size)) - 1);
}

static void report(pid_t process)
{
    uint64_t status = (uint64_t)ptrace(PTRACE_PEEKUSER, process, debug_register(6), NULL);
    for (int i = 0; i < range_count; i++)
        if (status >> i & 1)
            printf("%d %#llx\n", i, (unsigned long long)value_of(process, &ranges[i]));
    ptrace(PTRACE_POKEUSER, process, debug_register(6), 0);
}

static uint64_t entry_of(const char *path)
{
    Elf64_Ehdr header = {.e_entry = 0};
    int file = open(path, O_RDONLY);
    if (file < 0 || read(file, &header, sizeof header) != (ssize_t)sizeof header)
        exit(2);
    close(file);
    return header.e_entry;
}

/* Behind the loader. */
static void run_to(pid_t process, uint64_t entry)
{
    int status;
    struct user_regs_struct regs;
    long code = ptrace(PTRACE_PEEKTEXT, process, (void *)entry, NULL);
    ptrace(PTRACE_POKETEXT, process, (void *)entry, (code & ~0xffL) | 0xcc);
    ptrace(PTRACE_CONT, process, NULL, 0);
    waitpid(process, &status, 0);
    ptrace(PTRACE_POKETEXT, process, (void *)entry, code);
    ptrace(PTRACE_GETREGS, process, NULL, &regs);
    regs.rip = entry;
    ptrace(PTRACE_SETREGS, process, NULL, &regs);
}

static int follow(pid_t process)
{
    int status, deliver = 0;
    for (;;) {
        ptrace(PTRACE_CONT, process, NULL, deliver);
        if (waitpid(process, &status, 0) != process)
            return 2;
        if (WIFEXITED(status))
            return WEXITSTATUS(status);
        if (WIFSIGNALED(status))
            return 128 + WTERMSIG(status);
        siginfo_t info = {.si_code = 0};
        ptrace(PTRACE_GETSIGINFO, process, NULL, &info);
        deliver = WSTOPSIG(status);
        if (deliver == SIGTRAP && (info.si_code == TRAP_HWBKPT || status >> 16)) {
            if (info.si_code == TRAP_HWBKPT)
                report(process);
            deliver = 0;
        }
    }
}

int main(int argument_count, char **arguments)
{
    int at = 1, status;
    for (; at < argument_count && strcmp(arguments[at], "--") != 0 && range_count < MOST; at++) {
        char *size;
        ranges[range_count].address = strtoull(arguments[at], &size, 0);
        ranges[range_count++].size = strtoull(size + 1, NULL, 0);
    }
    char **program = arguments + at + 1;
    pid_t process = fork();
    if (process == 0) {
        personality(ADDR_NO_RANDOMIZE);
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        int log = dup(1);
        fcntl(log, F_SETFD, FD_CLOEXEC);
        dup2(open("/dev/null", O_WRONLY), 1);
        execv(program[0], program);
        _exit(127);
    }
    waitpid(process, &status, 0);
    if (!WIFSTOPPED(status))
        return 2;
    ptrace(PTRACE_SETOPTIONS, process, NULL, PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
    run_to(process, entry_of(program[0]));
    set_watchpoints(process);
    return follow(process);
}
