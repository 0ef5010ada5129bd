/* borrow.c: see borrow.h.
 *
 * SOURCES: ptrace(2); Linux kernel/signal.c and arch/x86/kernel/signal.c (a call that was interrupted begins again if
 * no handler runs; epoll_wait and calls with a time limit end with EINTR, or keep what is left of the limit where
 * another call overwrites it: these are begun again here). */
#include "borrow.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/support/message.h"

#define VERB "watch"
#define THREADS_MOST 4096u
/* How often all threads are looked at, and the pause between, in nanoseconds: 5 seconds together. */
#define ROUNDS 500u
#define PAUSE 10000000
/* What the functions need of the stack, and what is left alone below its pointer. */
#define STACK_NEEDED (UINT64_C(96) << 10)
#define RED_ZONE UINT64_C(128)
#define FLAGS_CLEARED UINT64_C(0x40500)
/* What the kernel shows of calls that begin again (include/linux/errno.h). */
#define RESTART_WITH_BLOCK 516
#define EVENT_STOP (SIGTRAP | PTRACE_EVENT_STOP << 8)

/* ---- where a thread can be borrowed ---- */

/* Of a function's several names any may be found: __GI___poll@@GLIBC_2.2.5. */
static bool is_one_of(const char *name, const char *const *names)
{
    static const char *const prefixes[] = {"GI_", "libc_", "new_"};
    name += strspn(name, "_");
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) {
            name += strlen(prefixes[i]);
            name += strspn(name, "_");
        }
    const size_t length = strcspn(name, "@");
    for (; *names; names++)
        if (strncmp(name, *names, length) == 0 && (*names)[length] == 0)
            return true;
    return false;
}

/* The C library's functions in which a thread waits without a lock of the loader or of the allocator. */
static const char *const waiting[] = {"accept",
                                      "accept4",
                                      "clock_nanosleep",
                                      "epoll_pwait",
                                      "epoll_pwait2",
                                      "epoll_wait",
                                      "fgetc",
                                      "fgets",
                                      "fread",
                                      "getc",
                                      "getchar",
                                      "getdelim",
                                      "getline",
                                      "nanosleep",
                                      "pause",
                                      "poll",
                                      "ppoll",
                                      "pselect",
                                      "pthread_barrier_wait",
                                      "pthread_clockjoin_ex",
                                      "pthread_cond_clockwait",
                                      "pthread_cond_timedwait",
                                      "pthread_cond_wait",
                                      "pthread_join",
                                      "read",
                                      "readv",
                                      "recv",
                                      "recvfrom",
                                      "recvmmsg",
                                      "recvmsg",
                                      "select",
                                      "sem_clockwait",
                                      "sem_timedwait",
                                      "sem_wait",
                                      "sigsuspend",
                                      "sigtimedwait",
                                      "sigwait",
                                      "sigwaitinfo",
                                      "sleep",
                                      "syscall",
                                      "usleep",
                                      "wait",
                                      "wait4",
                                      "waitid",
                                      "waitpid",
                                      NULL};

enum kind { KIND_OTHER, KIND_C_LIBRARY, KIND_OWN, KIND_LOCKED };

/* An allocator's code holds its own locks, the loader's all. */
static enum kind kind_of(Dwfl_Module *module)
{
    const char *path = module ? dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL) : NULL;
    const char *slash = path ? strrchr(path, '/') : NULL, *name = slash ? slash + 1 : path ? path : "";
    if (code_is_own(name))
        return KIND_OWN;
    if (strncmp(name, "libc.so", 7) == 0 || strncmp(name, "libc-2.", 7) == 0 || strncmp(name, "libpthread", 10) == 0)
        return KIND_C_LIBRARY;
    return strncmp(name, "ld-", 3) == 0 || strstr(name, "malloc") ? KIND_LOCKED : KIND_OTHER;
}

/* The frames of a thread, from the innermost on. */
struct look {
    const struct code *code;
    /* It is in a system call. */
    bool calls;
    /* A frame of the program has been seen; and one of the C library behind it. */
    bool has_left, is_back;
    bool is_bad;
    /* The C library's function that the program has called, if it has called one. */
    char function[128];
    unsigned frames;
};

static void leave(struct look *look)
{
    if (look->frames && !(look->calls && is_one_of(look->function, waiting)))
        look->is_bad = true;
    look->has_left = true;
}

static int look_at_frame(Dwfl_Frame *frame, void *context)
{
    struct look *look = context;
    Dwarf_Addr at;
    bool is_activation;
    if (!dwfl_frame_pc(frame, &at, &is_activation))
        return DWARF_CB_ABORT;
    at -= !is_activation;
    Dwfl_Module *module = dwfl_addrmodule(look->code->dwfl, at);
    const enum kind kind = kind_of(module);
    const char *name = module ? dwfl_module_addrname(module, at) : NULL;
    if (kind == KIND_LOCKED || (kind == KIND_OWN && (look->frames || look->has_left || !look->calls)))
        look->is_bad = true;
    if (kind == KIND_C_LIBRARY && look->has_left)
        look->is_back = true;
    else if (kind == KIND_C_LIBRARY) {
        snprintf(look->function, sizeof look->function, "%s", name ? name : "");
        look->frames++;
    } else if (kind == KIND_OTHER && look->is_back)
        look->is_bad = true;
    else if (kind == KIND_OTHER && !look->has_left)
        leave(look);
    return look->is_bad ? DWARF_CB_ABORT : DWARF_CB_OK;
}

static bool is_safe(struct borrowed *borrowed, const struct code *code)
{
    struct look look = {.code = code, .calls = (int64_t)borrowed->regs.orig_rax >= 0};
    dwfl_getthread_frames(code->dwfl, borrowed->thread, look_at_frame, &look);
    if (!look.has_left)
        leave(&look);
    return !look.is_bad;
}

/* Whether there is room below the stack pointer: the kernel extends the main thread's stack. */
static bool has_room(const struct borrowed *borrowed)
{
    char path[64], line[512];
    uint64_t start, end, last_end = 0, at = borrowed->regs.rsp;
    bool has = false;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)borrowed->process);
    FILE *maps = fopen(path, "re");
    while (maps && fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) == 2 && start <= at && at < end) {
            uint64_t below = strstr(line, "[stack]") ? last_end + (UINT64_C(1) << 20) : start;
            has = at > below && at - below >= STACK_NEEDED;
        }
        last_end = end;
    }
    if (maps)
        fclose(maps);
    return has;
}

/* ---- ptrace ---- */

static long trace(enum __ptrace_request request, const struct borrowed *borrowed, uint64_t address, const void *data)
{
    /* The address is a size, a number, or not used. */
    return ptrace(request, borrowed->thread, (void *)(uintptr_t)address, data);
}

/* Until it stops; false if it has ended. */
static bool wait_for(const struct borrowed *borrowed, int *status)
{
    while (waitpid(borrowed->thread, status, __WALL) < 0)
        if (errno != EINTR)
            return false;
    return WIFSTOPPED(*status);
}

static void let_go(const struct borrowed *borrowed)
{
    trace(PTRACE_DETACH, borrowed, 0, NULL);
}

static bool stop(struct borrowed *borrowed)
{
    int status;
    if (trace(PTRACE_SEIZE, borrowed, 0, NULL) != 0)
        return false;
    if (trace(PTRACE_INTERRUPT, borrowed, 0, NULL) != 0 || !wait_for(borrowed, &status))
        return false;
    while (status >> 8 != EVENT_STOP) {
        /* A signal that came first. */
        const uint64_t number = (uint64_t)WSTOPSIG(status);
        if (trace(PTRACE_CONT, borrowed, 0, (void *)(uintptr_t)(status >> 16 ? 0 : number)) != 0 ||
            !wait_for(borrowed, &status))
            return false;
    }
    if (trace(PTRACE_GETREGS, borrowed, 0, &borrowed->regs) == 0)
        return true;
    let_go(borrowed);
    return false;
}

/* What the thread's state is besides its general registers. */
static bool save(struct borrowed *borrowed)
{
    struct iovec state = {borrowed->state, sizeof borrowed->state};
    if (trace(PTRACE_GETREGSET, borrowed, NT_X86_XSTATE, &state) != 0 || state.iov_len == sizeof borrowed->state ||
        trace(PTRACE_GETSIGMASK, borrowed, sizeof borrowed->mask, &borrowed->mask) != 0)
        return false;
    borrowed->state_size = state.iov_len;
    /* Faults may be raised, and the C library's own signals. */
    const int open[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, 32, 33, 34};
    uint64_t mask = UINT64_MAX;
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        mask &= ~(UINT64_C(1) << (open[i] - 1));
    return trace(PTRACE_SETSIGMASK, borrowed, sizeof mask, &mask) == 0;
}

static unsigned list_threads(pid_t process, pid_t *threads)
{
    char path[64];
    unsigned count = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)process);
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder && count < THREADS_MOST && (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.')
            threads[count++] = (pid_t)strtol(entry->d_name, NULL, 10);
    if (folder)
        closedir(folder);
    return count;
}

static void complain_of_ptrace(const struct borrowed *borrowed, int error)
{
    char scope = '0';
    FILE *from = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
    if (from && fread(&scope, 1, 1, from) != 1)
        scope = '0';
    if (from)
        fclose(from);
    if (error == EPERM && scope != '0')
        complain(VERB,
                 "process %d cannot be traced: the system lets no process trace one that it has not started "
                 "(kernel.yama.ptrace_scope is %c)",
                 (int)borrowed->process, scope);
    else
        complain(VERB, "process %d cannot be traced (ptrace): %s", (int)borrowed->process, strerror(error));
}

bool borrow_begin(struct borrowed *borrowed, struct code *code)
{
    static const struct timespec pause = {.tv_nsec = PAUSE};
    static pid_t threads[THREADS_MOST];
    borrowed->process = code->process;
    if (dwfl_linux_proc_attach(code->dwfl, code->process, true) != 0) {
        complain(VERB, "process %d cannot be looked at: %s", (int)code->process, dwfl_errmsg(-1));
        return false;
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        const unsigned count = list_threads(code->process, threads);
        for (unsigned i = 0; i < count; i++) {
            borrowed->thread = threads[i];
            errno = 0;
            if (!stop(borrowed)) {
                if (errno != EPERM && errno != ENOSYS)
                    continue;
                complain_of_ptrace(borrowed, errno);
                return false;
            }
            if (has_room(borrowed) && is_safe(borrowed, code) && save(borrowed))
                return true;
            let_go(borrowed);
        }
        if (count == 0)
            break;
        nanosleep(&pause, NULL);
    }
    complain(VERB,
             "process %d: none of its threads has been at a place where it can load a library: all are in the loader, "
             "in the C library, or on small stacks",
             (int)code->process);
    return false;
}

bool borrow_read(const struct borrowed *borrowed, uint64_t address, void *to, size_t size)
{
    struct iovec local = {to, size}, remote = {(void *)(uintptr_t)address, size};
    return process_vm_readv(borrowed->process, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

bool borrow_write(const struct borrowed *borrowed, uint64_t address, const void *from, size_t size)
{
    struct iovec local = {(void *)(uintptr_t)from, size}, remote = {(void *)(uintptr_t)address, size};
    return process_vm_writev(borrowed->process, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

/* It returns to address 0, where it faults, and the fault is never delivered. */
bool borrow_call(struct borrowed *borrowed, uint64_t function, const char *text, uint64_t first, uint64_t second,
                 uint64_t *result)
{
    static const uint64_t return_address;
    struct user_regs_struct regs = borrowed->regs;
    uint64_t stack = regs.rsp - RED_ZONE;
    int status = 0;
    if (text) {
        stack -= strlen(text) + 1;
        first = stack;
    }
    regs.rsp = (stack & ~UINT64_C(63)) - sizeof return_address;
    regs.rip = function;
    regs.rdi = first;
    regs.rsi = second;
    regs.rax = 0;
    regs.orig_rax = UINT64_MAX;
    regs.eflags &= ~FLAGS_CLEARED;
    bool goes = (!text || borrow_write(borrowed, first, text, strlen(text) + 1)) &&
                borrow_write(borrowed, regs.rsp, &return_address, sizeof return_address) &&
                trace(PTRACE_SETREGS, borrowed, 0, &regs) == 0;
    for (uint64_t number = 0; goes;) {
        goes = trace(PTRACE_CONT, borrowed, 0, (void *)(uintptr_t)number) == 0 && wait_for(borrowed, &status) &&
               trace(PTRACE_GETREGS, borrowed, 0, &regs) == 0;
        number = status >> 16 ? 0 : (uint64_t)WSTOPSIG(status);
        if (goes && number == SIGSEGV && regs.rip == return_address) {
            *result = regs.rax;
            return true;
        }
    }
    complain(VERB, "process %d has ended meanwhile", (int)borrowed->process);
    return false;
}

/* Whether a signal waits that the thread's own mask lets through: a handler then decides what becomes of the call. */
static bool has_signal(const struct borrowed *borrowed)
{
    char path[64], line[256];
    uint64_t bits, pending = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/status", (int)borrowed->process, (int)borrowed->thread);
    FILE *from = fopen(path, "re");
    while (from && fgets(line, sizeof line, from))
        if (sscanf(line, "SigPnd: %" SCNx64, &bits) == 1 || sscanf(line, "ShdPnd: %" SCNx64, &bits) == 1)
            pending |= bits;
    if (from)
        fclose(from);
    return pending & ~borrowed->mask;
}

void borrow_end(struct borrowed *borrowed)
{
    struct user_regs_struct regs = borrowed->regs;
    struct iovec state = {borrowed->state, borrowed->state_size};
    const int64_t result = (int64_t)regs.rax;
    if ((int64_t)regs.orig_rax >= 0 && (result == -EINTR || result == -RESTART_WITH_BLOCK)) {
        const bool is_interrupted = has_signal(borrowed);
        regs.rax = is_interrupted ? (uint64_t)-EINTR : regs.orig_rax;
        regs.rip -= is_interrupted ? 0 : 2;
        regs.orig_rax = UINT64_MAX;
    }
    trace(PTRACE_SETREGSET, borrowed, NT_X86_XSTATE, &state);
    trace(PTRACE_SETREGS, borrowed, 0, &regs);
    trace(PTRACE_SETSIGMASK, borrowed, sizeof borrowed->mask, &borrowed->mask);
    let_go(borrowed);
}
