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
#include "tools/watch/agent/threads.h"

#define VERB "watch"
/* How often all threads are looked at, and the pause between, in nanoseconds: 5 seconds together. */
#define ROUNDS 500u
#define PAUSE 10000000
/* What the functions need of the stack, and what is left alone below its pointer. */
#define STACK_NEEDED ((UINT64_C(104) << 10) + BORROW_STATE)
#define RED_ZONE UINT64_C(128)
/* The most bytes of the code at a program's entry. */
#define START_SIZE 64u
#define FLAGS_CLEARED UINT64_C(0x40500)
/* What the kernel shows of calls that begin again (include/linux/errno.h). */
#define RESTART_SYS 512
#define RESTART_NO_INTERRUPT 513
#define RESTART_NO_HANDLER 514
#define RESTART_WITH_BLOCK 516
#define EVENT_STOP (SIGTRAP | PTRACE_EVENT_STOP << 8)
#define CALL_STOP (SIGTRAP | 0x80)
/* Linux 6.4 (include/uapi/linux/ptrace.h). */
#define SET_DISPATCH 0x4210
#define GET_DISPATCH 0x4211

/* ---- where a thread can be borrowed ---- */

/* Of a function's several names any may be found: __GI___poll@@GLIBC_2.2.5, __new_sem_wait_slow64.constprop.0. */
static bool is_one_of(const char *name, const char *const *names)
{
    static const char *const prefixes[] = {"GI_", "libc_", "new_"};
    name += strspn(name, "_");
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) {
            name += strlen(prefixes[i]);
            name += strspn(name, "_");
        }
    const size_t length = strcspn(name, "@.");
    for (; *names; names++)
        if (strncmp(name, *names, length) == 0 && (*names)[length] == 0)
            return true;
    return false;
}

/* The C library's functions in which a thread waits without a lock of the loader or of the allocator. sem_wait jumps to
 * another. */
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
                                      "sem_wait_slow",
                                      "sem_wait_slow64",
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
    /* A frame of the program has been seen; and one of the C library behind it; the last is the library's own. */
    bool has_left, is_back, was_own;
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

/* Where the program has begun: what called the C library's caller of main. */
static bool is_start(Dwfl_Module *module, Dwarf_Addr at)
{
    GElf_Addr bias;
    GElf_Ehdr header;
    Elf *elf = module ? dwfl_module_getelf(module, &bias) : NULL;
    return elf && gelf_getehdr(elf, &header) && at - (header.e_entry + bias) < START_SIZE;
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
    look->was_own = kind == KIND_OWN;
    if (kind == KIND_C_LIBRARY && look->has_left)
        look->is_back = true;
    else if (kind == KIND_C_LIBRARY) {
        snprintf(look->function, sizeof look->function, "%s", name ? name : "");
        look->frames++;
    } else if (kind == KIND_OTHER && look->is_back && !is_start(module, at))
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
    return !look.is_bad && !look.was_own;
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

/* The signal that a stop is for; 0 if it is for another reason. */
static uint64_t signal_of(int status)
{
    return status >> 16 || WSTOPSIG(status) == CALL_STOP ? 0 : (uint64_t)WSTOPSIG(status);
}

static bool wait_for_event(const struct borrowed *borrowed)
{
    int status;
    if (!wait_for(borrowed, &status))
        return false;
    while (status >> 8 != EVENT_STOP)
        /* A signal that came first. */
        if (trace(PTRACE_CONT, borrowed, 0, (void *)(uintptr_t)signal_of(status)) != 0 || !wait_for(borrowed, &status))
            return false;
    return true;
}

static bool stop(struct borrowed *borrowed)
{
    /* A stop at a system call must not become a SIGTRAP if this command is killed meanwhile. */
    if (trace(PTRACE_SEIZE, borrowed, 0, (void *)(uintptr_t)PTRACE_O_TRACESYSGOOD) != 0)
        return false;
    if (trace(PTRACE_INTERRUPT, borrowed, 0, NULL) != 0 || !wait_for_event(borrowed))
        return false;
    if (trace(PTRACE_GETREGS, borrowed, 0, &borrowed->regs) == 0)
        return true;
    let_go(borrowed);
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

/* A call that was interrupted begins again, or ends with EINTR. */
static void finish_call(struct user_regs_struct *regs, bool is_interrupted)
{
    regs->rax = is_interrupted ? (uint64_t)-EINTR : regs->orig_rax;
    regs->rip -= is_interrupted ? 0 : 2;
    regs->orig_rax = UINT64_MAX;
}

/* Builds the way back on the thread's stack and sets the thread to its beginning: from now on it goes home by itself
 * when it is let go. Without such code in its C library it does not (struct frame is empty then). */
static bool prepare(struct borrowed *borrowed)
{
    struct frame *frame = &borrowed->frame;
    struct user_regs_struct regs = borrowed->regs;
    if (!frame->restorer)
        return true;
    if ((int64_t)regs.orig_rax >= 0) {
        const int64_t result = -(int64_t)regs.rax;
        if (result == RESTART_SYS || result == RESTART_NO_INTERRUPT)
            finish_call(&regs, false);
        else if (result == RESTART_NO_HANDLER || result == RESTART_WITH_BLOCK || result == EINTR)
            finish_call(&regs, has_signal(borrowed));
    }
    void *memory = frame_make(frame, &regs, borrowed->mask, borrowed->state, borrowed->state_size, regs.rsp - RED_ZONE);
    bool is_made = memory && borrow_write(borrowed, frame->link, memory, frame->size);
    free(memory);
    regs = borrowed->regs;
    regs.eflags &= ~FLAGS_CLEARED;
    frame_park(frame, &regs);
    return is_made && trace(PTRACE_SETREGS, borrowed, 0, &regs) == 0;
}

/* Where an earlier watch has left system calls caught: a SIGSYS that this command has waited for and does not deliver,
 * because it is killed, would be lost, and with it the call: rt_sigreturn too. */
static void set_dispatch(const struct borrowed *borrowed, const uint64_t *dispatch)
{
    if (borrowed->dispatch[0])
        trace((enum __ptrace_request)SET_DISPATCH, borrowed, sizeof borrowed->dispatch, dispatch);
}

static void stop_dispatch(struct borrowed *borrowed)
{
    static const uint64_t off[sizeof borrowed->dispatch / sizeof *borrowed->dispatch];
    memset(borrowed->dispatch, 0, sizeof borrowed->dispatch);
    if (trace((enum __ptrace_request)GET_DISPATCH, borrowed, sizeof borrowed->dispatch, borrowed->dispatch) == 0)
        set_dispatch(borrowed, off);
}

/* What the thread's state is besides its general registers. */
static bool save(struct borrowed *borrowed)
{
    struct iovec state = {borrowed->state, sizeof borrowed->state};
    if (trace(PTRACE_GETREGSET, borrowed, NT_X86_XSTATE, &state) != 0 || state.iov_len == sizeof borrowed->state ||
        trace(PTRACE_GETSIGMASK, borrowed, sizeof borrowed->mask, &borrowed->mask) != 0)
        return false;
    borrowed->state_size = state.iov_len;
    stop_dispatch(borrowed);
    if (!prepare(borrowed))
        return false;
    /* Faults may be raised, and the C library's own signals. */
    const int open[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, 32, 33, 34};
    uint64_t mask = UINT64_MAX;
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        mask &= ~(UINT64_C(1) << (open[i] - 1));
    return trace(PTRACE_SETSIGMASK, borrowed, sizeof mask, &mask) == 0;
}

unsigned borrow_list(pid_t process, pid_t *threads)
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
    if (!frame_find(&borrowed->frame, code->process))
        borrowed->frame = (struct frame){.store = 0};
    if (dwfl_linux_proc_attach(code->dwfl, code->process, true) != 0) {
        complain(VERB, "process %d cannot be looked at: %s", (int)code->process, dwfl_errmsg(-1));
        return false;
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        const unsigned count = borrow_list(code->process, threads);
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

/* Without a frame it returns to address 0, where it faults, and the fault is never delivered. */
static bool enter(const struct borrowed *borrowed, struct user_regs_struct *regs, const char *text)
{
    static const uint64_t return_address;
    const struct frame *frame = &borrowed->frame;
    const size_t length = text ? strlen(text) + 1 : 0;
    if (frame->restorer) {
        const uint64_t link[] = {frame->store, 0, frame->restorer};
        if (text)
            regs->rdi = frame->text;
        frame_call(frame, regs);
        return length <= FRAME_TEXT && (!text || borrow_write(borrowed, frame->text, text, length)) &&
               borrow_write(borrowed, frame->link, link, sizeof link);
    }
    regs->rsp -= RED_ZONE + length;
    if (text)
        regs->rdi = regs->rsp;
    const bool is_written = !text || borrow_write(borrowed, regs->rsp, text, length);
    regs->rsp = (regs->rsp & ~UINT64_C(63)) - sizeof return_address;
    return is_written && borrow_write(borrowed, regs->rsp, &return_address, sizeof return_address);
}

/* Stopped as at first: it leaves the system call that it has entered, and the kernel does nothing for it. */
static bool come_back(const struct borrowed *borrowed, struct user_regs_struct *regs)
{
    frame_park(&borrowed->frame, regs);
    return trace(PTRACE_SETREGS, borrowed, 0, regs) == 0 && trace(PTRACE_INTERRUPT, borrowed, 0, NULL) == 0 &&
           trace(PTRACE_CONT, borrowed, 0, NULL) == 0 && wait_for_event(borrowed);
}

bool borrow_call(struct borrowed *borrowed, uint64_t function, const char *text, uint64_t first, uint64_t second,
                 uint64_t *result)
{
    const struct frame *frame = &borrowed->frame;
    struct user_regs_struct regs = borrowed->regs;
    int status = 0;
    regs.rip = function;
    regs.rdi = first;
    regs.rsi = second;
    regs.rax = 0;
    regs.orig_rax = UINT64_MAX;
    regs.eflags &= ~FLAGS_CLEARED;
    bool goes = enter(borrowed, &regs, text) && trace(PTRACE_SETREGS, borrowed, 0, &regs) == 0;
    for (uint64_t number = 0; goes; number = signal_of(status)) {
        goes = trace(frame->restorer ? PTRACE_SYSCALL : PTRACE_CONT, borrowed, 0, (void *)(uintptr_t)number) == 0 &&
               wait_for(borrowed, &status) && trace(PTRACE_GETREGS, borrowed, 0, &regs) == 0;
        if (goes && !frame->restorer && signal_of(status) == SIGSEGV && regs.rip == 0) {
            *result = regs.rax;
            return true;
        }
        /* At the call; or at the SIGSYS instead of it, where an earlier watch has left system calls caught. */
        if (goes && frame->restorer && frame_is_back(frame, &regs)) {
            goes = borrow_read(borrowed, frame->result, result, sizeof *result) && come_back(borrowed, &regs);
            if (goes)
                return true;
        }
    }
    complain(VERB, "process %d has ended meanwhile", (int)borrowed->process);
    return false;
}

/* What the kernel would end with EINTR, or begin again with another time limit, only because the thread was stopped. */
static void finish_stopped_call(const struct borrowed *borrowed, struct user_regs_struct *regs)
{
    const int64_t result = (int64_t)regs->rax;
    if ((int64_t)regs->orig_rax >= 0 && (result == -EINTR || result == -RESTART_WITH_BLOCK))
        finish_call(regs, has_signal(borrowed));
}

/* The frames of a thread that is to have another mask, from the innermost on. */
struct rest {
    const struct code *code;
    bool calls, has_left, is_bad, was_own;
    char function[128];
    unsigned frames;
};

/* The C library blocks all signals for moments, and a handler's mask is not the thread's. The innermost frame may be a
 * gate of an earlier watch, which makes the program's call, and looks like a handler; it is one if no frame is found
 * behind it. */
static int look_for_rest(Dwfl_Frame *frame, void *context)
{
    struct rest *rest = context;
    Dwarf_Addr at;
    bool is_activation;
    if (!dwfl_frame_pc(frame, &at, &is_activation))
        return DWARF_CB_ABORT;
    const bool is_first = !rest->frames++;
    at -= !is_activation;
    Dwfl_Module *module = dwfl_addrmodule(rest->code->dwfl, at);
    const enum kind kind = kind_of(module);
    const char *name = module ? dwfl_module_addrname(module, at) : NULL;
    if (kind == KIND_OWN ? !is_first || !rest->calls : is_activation && !is_first && !rest->was_own)
        rest->is_bad = true;
    else if (kind == KIND_C_LIBRARY && !rest->has_left)
        snprintf(rest->function, sizeof rest->function, "%s", name ? name : "?");
    else if (kind != KIND_OWN)
        rest->has_left = true;
    rest->was_own = kind == KIND_OWN;
    return rest->is_bad ? DWARF_CB_ABORT : DWARF_CB_OK;
}

static bool rests(const struct borrowed *borrowed, const struct code *code)
{
    struct rest rest = {.code = code, .calls = (int64_t)borrowed->regs.orig_rax >= 0};
    dwfl_getthread_frames(code->dwfl, borrowed->thread, look_for_rest, &rest);
    return !rest.is_bad && !rest.was_own && (!rest.function[0] || (rest.calls && is_one_of(rest.function, waiting)));
}

/* Of one that is stopped the kernel shows both masks: that of the call in /proc, the thread's own by ptrace. */
bool borrow_waits_with_mask(const struct code *code, pid_t thread, uint64_t signals)
{
    static struct borrowed one;
    one.process = code->process;
    one.thread = thread;
    if (!stop(&one))
        return false;
    struct user_regs_struct regs = one.regs;
    const bool waits = trace(PTRACE_GETSIGMASK, &one, sizeof one.mask, &one.mask) == 0 &&
                       (thread_blocks(code->process, thread) & signals & ~one.mask);
    finish_stopped_call(&one, &regs);
    trace(PTRACE_SETREGS, &one, 0, &regs);
    let_go(&one);
    return waits;
}

bool borrow_open_mask(const struct code *code, pid_t thread, uint64_t open, borrow_note *note, void *context)
{
    static struct borrowed one;
    one.process = code->process;
    one.thread = thread;
    if (!stop(&one))
        return false;
    struct user_regs_struct regs = one.regs;
    bool is_opened = trace(PTRACE_GETSIGMASK, &one, sizeof one.mask, &one.mask) == 0 && (one.mask & open) &&
                     rests(&one, code) && note(context, one.mask);
    if (is_opened) {
        const uint64_t mask = one.mask & ~open;
        finish_stopped_call(&one, &regs);
        is_opened =
            trace(PTRACE_SETREGS, &one, 0, &regs) == 0 && trace(PTRACE_SETSIGMASK, &one, sizeof mask, &mask) == 0;
    }
    let_go(&one);
    return is_opened;
}

void borrow_end(struct borrowed *borrowed)
{
    struct user_regs_struct regs = borrowed->regs;
    struct iovec state = {borrowed->state, borrowed->state_size};
    finish_stopped_call(borrowed, &regs);
    set_dispatch(borrowed, borrowed->dispatch);
    /* The registers last: until then it goes home by the frame if this command is killed. */
    trace(PTRACE_SETREGSET, borrowed, NT_X86_XSTATE, &state);
    trace(PTRACE_SETSIGMASK, borrowed, sizeof borrowed->mask, &borrowed->mask);
    trace(PTRACE_SETREGS, borrowed, 0, &regs);
    let_go(borrowed);
}
